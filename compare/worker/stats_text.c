#include "compare/worker/stats_text.h"

#include <stdlib.h>
#include <string.h>

static struct {
    FILE *stream;
    struct stats_text *into;
    size_t used;
} sink;

static ssize_t sink_write(void *cookie, const char *bytes, size_t count) {
    (void)cookie;
    if (sink.used < sizeof sink.into->text) {
        size_t room = sizeof sink.into->text - sink.used;
        memcpy(sink.into->text + sink.used, bytes, count < room ? count : room);
    }
    sink.used += count;
    return (ssize_t)count;
}

FILE *stats_text_open(struct stats_text *text) {
    static char buffer[4096];
    if (!sink.stream) {
        sink.stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = sink_write});
        if (sink.stream)
            setvbuf(sink.stream, buffer, _IOFBF, sizeof buffer);
    }
    sink.into = text;
    sink.used = 0;
    return sink.stream;
}

size_t stats_text_finish(struct stats_text *text, FILE *out) {
    fflush(out);
    if (sink.used >= sizeof text->text)
        sink.used = 0;
    text->text[sink.used] = '\0';
    return sink.used;
}

/* A number with thousands separators, after any blanks. @return false: there is none. */
static bool number_read(const char *at, uint64_t *out) {
    uint64_t value = 0;
    at += strspn(at, " ");
    if (*at < '0' || *at > '9')
        return false;
    for (; (*at >= '0' && *at <= '9') || *at == ','; at++)
        if (*at != ',')
            value = value * 10 + (uint64_t)(*at - '0');
    *out = value;
    return true;
}

/* The number behind the '=' of the line that begins with `label`. */
static bool line_value(const char *text, const char *label, uint64_t *out) {
    const char *line = strstr(text, label);
    if (!line)
        return false;
    line += strcspn(line, "=\n");
    return *line == '=' && number_read(line + 1, out);
}

/* The number behind `label`, wherever it stands. */
static bool number_after(const char *text, const char *label, uint64_t *out) {
    const char *at = strstr(text, label);
    return at && number_read(at + strlen(label), out);
}

bool stats_text_settings(const char *text, struct pool_config *out) {
    uint64_t threshold, classes, pool, arena;
    if (!number_after(text, "Small block threshold = ", &threshold) || !number_after(text, ", in ", &classes) ||
        !number_after(text, "unused pools * ", &pool) || !number_after(text, "arenas * ", &arena) || !classes)
        return false;
    *out = (struct pool_config){.align_bytes = (size_t)(threshold / classes),
                                .threshold_bytes = (size_t)threshold,
                                .pool_bytes = (size_t)pool,
                                .arena_bytes = (size_t)arena};
    return true;
}

bool stats_text_split(const char *text, struct pool_split *split, struct pool_counts *counts) {
    const struct {
        const char *label;
        uint64_t *value;
    } lines[] = {
        {"# arenas allocated total", &counts->arenas_mapped_count},
        {"# arenas reclaimed", &counts->arenas_returned_count},
        {"# arenas highwater mark", &counts->arenas_peak_count},
        {"# arenas allocated current", &counts->arenas_count},
        {"arenas * ", &split->arena_bytes_total},
        {"# bytes in allocated blocks", &split->allocated_blocks_bytes},
        {"# bytes in available blocks", &split->free_blocks_bytes},
        {"unused pools * ", &split->empty_pools_bytes},
        {"# bytes lost to pool headers", &split->pool_headers_bytes},
        {"# bytes lost to quantization", &split->quantization_bytes},
        {"# bytes lost to arena alignment", &split->arena_alignment_bytes},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!line_value(text, lines[i].label, lines[i].value))
            return false;
    return true;
}
