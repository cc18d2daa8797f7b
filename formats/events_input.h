/**
 * events_input.h: the events file as a window that moves forward, every byte hashed once on its way.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_INPUT_H
#define MMREPLAY_FORMATS_EVENTS_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "formats/sha256.h"

enum { EVENTS_INPUT_BYTES = 1 << 16 };

struct events_input {
    int fd;           /**< owned; −1: closed */
    const char *path; /**< borrowed, for diagnostics */
    const uint8_t *at;
    size_t available; /**< bytes readable at `at` */
    uint64_t byte;    /**< where `at` lies in the file */
    struct sha256 hash;
    uint8_t buffer[EVENTS_INPUT_BYTES];
};

/** @return ERR_NOT_FOUND, ERR_IO. */
enum err events_input_open(struct events_input *input, const char *path, struct diag *diag);
void events_input_close(struct events_input *input);

/** Goes to `byte` and begins the hash anew. */
enum err events_input_seek(struct events_input *input, uint64_t byte, struct diag *diag);

/** Makes at least `bytes` (≤ EVENTS_INPUT_BYTES) available, fewer only at the end of the file. @return ERR_OK, ERR_IO.
 */
enum err events_input_fill(struct events_input *input, size_t bytes, struct diag *diag);

/** Moves on by `bytes`, which are available. */
void events_input_skip(struct events_input *input, size_t bytes);

/** Reads what is left. @return ERR_OK and the hash of everything since the start; ERR_IO. */
enum err events_input_drain(struct events_input *input, char sha256[SHA256_TEXT_BYTES], struct diag *diag);

#endif
