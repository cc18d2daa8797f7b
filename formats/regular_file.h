/**
 * regular_file.h: open a file for reading that can be read twice and from any place: never a pipe, a device, a folder.
 */
#ifndef MMREPLAY_FORMATS_REGULAR_FILE_H
#define MMREPLAY_FORMATS_REGULAR_FILE_H

#include <stddef.h>

#include "core/base/diag.h"

/**
 * Opens without ever waiting (a FIFO has nobody at its other end).
 * @param failure what the diag says before the system's reason: "cannot open the events file".
 * @return ERR_OK and *out, a descriptor owned by the caller; ERR_NOT_FOUND, ERR_IO.
 */
enum err regular_file_open(const char *path, const char *failure, int *out, struct diag *diag);

/** Reads up to `room` bytes of a file's beginning. @return ERR_OK and *bytes; ERR_NOT_FOUND, ERR_IO. */
enum err regular_file_read(const char *path, char *to, size_t room, size_t *bytes, struct diag *diag);

#endif
