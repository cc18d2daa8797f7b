/*
 * libFuzzer target: an events file (see fuzz_input.h) through the reader, the tracker and the compiler; salvage and the
 * index on the side.
 *
 *     build/fuzz/tests/formats/fuzz_events -max_total_time=600 build/fuzz/corpus/fuzz_events tests/formats/fixtures
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/events_index.h"
#include "formats/events_salvage.h"
#include "tests/formats/fuzz_input.h"
#include "traces/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err next(void *ctx, struct event_block *block, struct diag *diag) {
    return events_reader_next(ctx, block, diag);
}

static void events_compile(struct events_reader *reader) {
    struct event_source source = {.ctx = reader, .next = next};
    struct program program;
    struct diag diag = {.err = ERR_OK};
    enum err err = program_compile(&source, &program, &diag);
    if (!err)
        program_close(&program);
    assert(err == diag.err);
}

/* What a scan says can be salvaged must come, without an error. */
static void events_salvage(const char *path) {
    struct events_salvage salvage;
    struct events_reader *reader;
    struct event_block block = {.count = 1};
    uint64_t seen = 0;
    if (events_salvage_scan(path, &salvage, NULL) || events_salvage_open(path, &salvage, &reader, NULL))
        return;
    uint64_t time_ns = 0;
    while (block.count) {
        if (events_reader_next(reader, &block, NULL))
            abort();
        seen += block.count;
        for (size_t i = 0; block.times_ns && i < block.count; i++) {
            assert(block.times_ns[i] >= time_ns && block.times_ns[i] < EVENT_TIME_END_NS);
            time_ns = block.times_ns[i];
        }
    }
    assert(seen == salvage.found.event_count);
    events_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t file[FUZZ_FILE_BYTES_MAX];
    static int fd = -1;
    char path[64];
    size_t bytes = fuzz_input_expand(data, size, file);
    struct events_index index;
    struct events_reader *reader;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (ftruncate(fd, 0) || pwrite(fd, file, bytes, 0) != (ssize_t)bytes)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!events_reader_open(path, NULL, &reader, NULL)) {
        events_compile(reader);
        events_reader_close(reader);
    }
    events_salvage(path);
    if (!events_index_load(path, &index, NULL))
        events_index_clear(&index);
    return 0;
}
