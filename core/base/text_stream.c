#include "core/base/text_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct memory {
    char **text;
    size_t *bytes;
    size_t capacity;
};

static ssize_t memory_write(void *ctx, const char *from, size_t count) {
    struct memory *memory = ctx;
    size_t needed = *memory->bytes + count + 1;
    if (needed > memory->capacity) {
        size_t capacity = needed + needed / 2;
        char *larger = realloc(*memory->text, capacity);
        if (!larger)
            return 0; /* an error to stdio */
        *memory->text = larger;
        memory->capacity = capacity;
    }
    memcpy(*memory->text + *memory->bytes, from, count);
    *memory->bytes += count;
    (*memory->text)[*memory->bytes] = '\0';
    return (ssize_t)count;
}

/* Only to tell where it is. */
static int memory_seek(void *ctx, off64_t *offset, int whence) {
    const struct memory *memory = ctx;
    if (*offset || whence != SEEK_CUR)
        return -1;
    *offset = (off64_t)*memory->bytes;
    return 0;
}

static int memory_close(void *memory) {
    free(memory);
    return 0;
}

FILE *text_stream_memory(char **text, size_t *bytes) {
    struct memory *memory = calloc(1, sizeof *memory);
    *text = calloc(1, 1);
    *bytes = 0;
    if (memory)
        *memory = (struct memory){text, bytes, 1};
    FILE *stream = NULL;
    if (memory && *text)
        stream = fopencookie(
            memory, "w", (cookie_io_functions_t){.write = memory_write, .seek = memory_seek, .close = memory_close});
    if (!stream) {
        free(memory);
        free(*text);
        *text = NULL;
    }
    return stream;
}

int text_stream_close(FILE *stream) {
    int failed = ferror(stream);
    errno = 0;
    return fclose(stream) || failed ? -1 : 0;
}
