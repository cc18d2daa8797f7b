/*
 * libFuzzer target: an events file (see fuzz_input.h), with a description beside it or without, through
 * `check --repair`. What it writes must be a valid trace with as many events as it says, whatever it was given.
 *
 *     build/fuzz/tests/formats/fuzz_repair -max_total_time=600 build/fuzz/corpus/fuzz_repair tests/formats/fixtures
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/format.h"
#include "formats/native_repair.h"
#include "formats/native_writer.h"
#include "tests/formats/fuzz_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 256 };
static char folder[] = "/tmp/mmreplay-fuzz-XXXXXX";

static const char *path_of(const char *name) {
    static char paths[4][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

static void folder_remove(void) {
    static const char *const names[] = {"in.yaml", "in.events.gz", "out.yaml", "out.events.gz"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    rmdir(folder);
}

static void file_write(const char *name, const void *bytes, size_t count) {
    FILE *file = fopen(path_of(name), "w");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file))
        abort();
}

/* The description that a recording under way has; its events file has the input put in its place. */
static void description_announce(void) {
    struct native_writer *writer;
    struct trace_info info = {.name = (char[]){"in"}};
    unlink(path_of("in.yaml"));
    unlink(path_of("in.events.gz"));
    if (native_writer_create(path_of("in.yaml"), NULL, &writer, NULL))
        abort();
    if (native_writer_finish(writer, &info, NULL))
        abort();
    native_writer_destroy(writer);
}

/* Every event of the new trace, and no more than were told. */
static void output_check(const struct native_repair_report *report) {
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block = {.count = 1};
    uint64_t seen = 0;
    if (trace_reader_open(path_of("out.yaml"), &reader, NULL))
        abort();
    if (trace_reader_info(reader)->summary.event_count != report->kept_count ||
        trace_reader_timed_events(reader, &source, NULL))
        abort();
    while (block.count) {
        if (source.next(source.ctx, &block, NULL))
            abort();
        seen += block.count;
    }
    assert(seen == report->kept_count);
    trace_reader_close(reader);
}

static void repair(const char *name, const struct diag *why) {
    struct native_repair_report report;
    struct diag diag = {.err = ERR_OK};
    enum err err = native_repair(path_of(name), path_of("out.yaml"), why, &report, &diag);
    assert(err == diag.err);
    if (!err)
        output_check(&report);
    else
        assert(access(path_of("out.yaml"), F_OK) && access(path_of("out.events.gz"), F_OK));
    unlink(path_of("out.yaml"));
    unlink(path_of("out.events.gz"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t file[FUZZ_FILE_BYTES_MAX];
    const struct diag why = {.err = ERR_FORMAT, .text = "fuzzed"};
    if (folder[sizeof folder - 2] == 'X') {
        if (!mkdtemp(folder))
            abort();
        atexit(folder_remove);
        description_announce();
    }
    size_t bytes = fuzz_input_expand(data, size, file);
    file_write("in.events.gz", file, bytes);
    repair("in.events.gz", &why);
    repair("in.yaml", NULL);
    return 0;
}
