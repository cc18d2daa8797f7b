/**
 * record_image.h: what the shared memory says of a program image, and what of it goes into the description of its
 * trace.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_IMAGE_H
#define MMREPLAY_TRACES_RECORD_RECORD_IMAGE_H

#include <stdint.h>

#include "core/base/err.h"
#include "traces/record/record_names.h"
#include "traces/record/record_ring.h"
#include "traces/trace.h"

/** A copy: the program can write to the original, and the next image will. */
struct record_image {
    struct record_command command;
    char python_version[RECORD_TEXT_BYTES];
    char allocator_path[RECORD_TEXT_BYTES];
    uint64_t refused_count;
    uint64_t lost_count;
};

/** A text of the shared memory, ended where it must end. @return copy. */
const char *record_text_copy(const char text[RECORD_TEXT_BYTES], char copy[RECORD_TEXT_BYTES]);

/** All but the command. */
void record_image_take(struct record_image *image, const struct record_shared *shared);

/** The command of the process's image `number`, counted from 0; none when too many others have come since. */
void record_image_take_command(struct record_image *image, const struct record_shared *shared, uint32_t number);

/** The command line as a shell would read it; owned by the caller. NULL: not known. */
char *record_image_command(const struct record_image *image);

/** What is missing in the trace: events that could not be written, and what was made or freed unseen. */
uint64_t record_image_lost_count(const struct record_image *image, const struct namer_counts *counts);

/**
 * Sets what `info` is to say beside the host (record_host.h): command, end, interpreter, allocator, what was refused,
 * lost and inherited, and where arenas lay. capture_libc must be there already.
 * @param command, end as in the description. @return ERR_OK, ERR_NOMEM.
 */
enum err record_image_describe(const struct record_image *image, const struct namer *namer, const char *command,
                               const char *end, struct trace_info *info);

#endif
