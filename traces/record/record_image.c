#include "traces/record/record_image.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "traces/record/record_host.h"

const char *record_text_copy(const char text[RECORD_TEXT_BYTES], char copy[RECORD_TEXT_BYTES]) {
    memcpy(copy, text, RECORD_TEXT_BYTES);
    copy[RECORD_TEXT_BYTES - 1] = 0;
    return copy;
}

void record_image_take(struct record_image *image, const struct record_shared *shared) {
    record_text_copy(shared->python_version, image->python_version);
    record_text_copy(shared->allocator_path, image->allocator_path);
    image->refused_count = atomic_load(&shared->refused_count);
    image->lost_count = atomic_load(&shared->lost_count);
}

void record_image_take_command(struct record_image *image, const struct record_shared *shared, uint32_t number) {
    memcpy(&image->command, &shared->commands[number % RECORD_COMMANDS_KEPT], sizeof image->command);
    bool is_overwritten = atomic_load(&shared->image_count) - number >= RECORD_COMMANDS_KEPT;
    if (is_overwritten || image->command.words_bytes > RECORD_COMMAND_BYTES)
        image->command.words_bytes = 0;
}

char *record_image_command(const struct record_image *image) {
    enum { WORDS_MAX = RECORD_COMMAND_BYTES / 2 };
    char *words[WORDS_MAX + 1], copy[RECORD_COMMAND_BYTES + 1], *text = NULL;
    size_t count = 0;
    if (!image->command.words_bytes)
        return NULL;
    memcpy(copy, image->command.words, image->command.words_bytes);
    copy[image->command.words_bytes] = 0;
    for (size_t at = 0; at < image->command.words_bytes && count < WORDS_MAX; at += strlen(copy + at) + 1)
        words[count++] = copy + at;
    words[count] = NULL;
    return record_command_text(words, &text) ? NULL : text;
}

uint64_t record_image_lost_count(const struct record_image *image, const struct namer_counts *counts) {
    return image->lost_count + counts->unknown_free_count + counts->missed_free_count;
}

/* Beside the C library: whose malloc it was, where that is another's. */
static enum err allocator_describe(const struct record_image *image, struct trace_info *info) {
    char text[2 * RECORD_TEXT_BYTES];
    if (!image->allocator_path[0])
        return ERR_OK;
    snprintf(text, sizeof text, "%.200s; malloc of %s", info->capture_libc ? info->capture_libc : "",
             image->allocator_path);
    return trace_text_set(&info->capture_libc, text);
}

enum err record_image_describe(const struct record_image *image, const struct namer *namer, const char *command,
                               const char *end, struct trace_info *info) {
    struct namer_counts counts = namer_counts(namer);
    enum err err = trace_text_set(&info->program_command, command);
    if (!err)
        err = trace_text_set(&info->capture_end, end);
    if (!err && image->python_version[0])
        err = record_python_describe(image->python_version, info);
    if (!err)
        err = allocator_describe(image, info);
    info->capture_lost_count = record_image_lost_count(image, &counts);
    info->capture_refused_count = image->refused_count;
    info->capture_inherited_blocks = counts.inherited_block_count;
    info->capture_inherited_bytes = counts.inherited_bytes;
    return err ? err : namer_arenas_describe(namer, info);
}
