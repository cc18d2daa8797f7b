/*
 * libFuzzer target: the reader of descriptions. What it accepts must be written, and read again, the same.
 *
 *     build/fuzz/tests/formats/fuzz_description -max_total_time=600 build/fuzz/corpus/fuzz_description
 * tests/formats/fixtures
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/description.h"
#include "traces/arena_runs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *info_format(const struct trace_info *info) {
    char *text;
    size_t bytes;
    if (description_format(info, &text, &bytes))
        abort();
    assert(strlen(text) == bytes);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct trace_info info, again;
    struct diag diag = {.err = ERR_OK};
    enum err err = description_parse("fuzz.yaml", (const char *)data, size, &info, &diag);
    assert(err == diag.err && !strchr(diag.text, '\n'));
    if (err)
        return 0;
    char *first = info_format(&info);
    if (description_parse("again.yaml", first, strlen(first), &again, NULL))
        abort();
    char *second = info_format(&again);
    if (strcmp(first, second) != 0)
        abort();
    struct arena_list arenas;
    if (info.capture_arena_places && !arena_list_parse("fuzz.yaml", info.capture_arena_places, &arenas, &diag)) {
        for (uint64_t i = 0; i < arenas.count; i++)
            assert(arenas.places_bytes[i] < arenas.span_bytes);
        arena_list_clear(&arenas);
    }
    free(first);
    free(second);
    trace_info_clear(&info);
    trace_info_clear(&again);
    return 0;
}
