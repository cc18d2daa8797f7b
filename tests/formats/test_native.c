#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/description.h"
#include "formats/format.h"
#include "formats/native_writer.h"
#include "tests/formats/random_trace.h"
#include "traces/program.h"

enum { COUNT = 5000 };

struct place {
    char folder[64];
    char yaml[128];
    char events_gz[128];
    struct event *events;
};

static int place_make(void **state) {
    struct place *place = calloc(1, sizeof *place);
    struct random_trace settings = {
        .seed = 11, .thread_count = 4, .event_count = COUNT, .live_limit = 200, .wild_percent = 5};
    strcpy(place->folder, "/tmp/mmreplay-test-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->yaml, sizeof place->yaml, "%s/sample.yaml", place->folder);
    snprintf(place->events_gz, sizeof place->events_gz, "%s/sample.events.gz", place->folder);
    place->events = random_trace_make(&settings);
    *state = place;
    return 0;
}

static unsigned files_count(const struct place *place) {
    unsigned count = 0;
    DIR *folder = opendir(place->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static int place_drop(void **state) {
    struct place *place = *state;
    unlink(place->yaml);
    unlink(place->events_gz);
    rmdir(place->folder);
    free(place->events);
    free(place);
    return 0;
}

static void trace_write(const struct place *place, size_t count) {
    struct native_writer *writer;
    const struct trace_info info = {.description = (char *)(uintptr_t) "a random one", .capture_page_bytes = 4096};
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    struct event_sink sink = native_writer_sink(writer);
    for (size_t at = 0; at < count;) {
        size_t run = count - at < 1700 ? count - at : 1700;
        assert_int_equal(sink.put(sink.ctx, place->events + at, run, NULL), ERR_OK);
        at += run;
    }
    assert_int_equal(native_writer_finish(writer, &info, NULL), ERR_OK);
    native_writer_destroy(writer);
}

static void *events_put_all(void *writer) {
    const size_t count = 200000;
    struct event_sink sink = native_writer_sink(writer);
    for (size_t at = 0; at < count; at++) {
        const struct event pair[] = {{.kind = EVENT_MALLOC, .size_bytes = 8},
                                     {.kind = EVENT_FREE, .block = event_block_name(0, at + 1)}};
        if (sink.put(sink.ctx, pair, 2, NULL))
            return writer;
    }
    return NULL;
}

/* A recorder's threads do so; ThreadSanitizer is what would tell. */
static void a_trace_is_announced_while_another_thread_writes_it(void **state) {
    const struct place *place = *state;
    const struct trace_info info = {.capture_end = (char *)(uintptr_t) "not known"};
    struct native_writer *writer;
    pthread_t thread;
    void *failed;
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, events_put_all, writer), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(native_writer_announce(writer, &info, NULL), ERR_OK);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(native_writer_finish(writer, &info, NULL), ERR_OK);
    native_writer_destroy(writer);
}

static void written_trace_is_recognised_and_read(void **state) {
    const struct place *place = *state;
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block;
    trace_write(place, COUNT);
    assert_int_equal(files_count(place), 2);
    assert_int_equal(trace_reader_open(place->yaml, &reader, NULL), ERR_OK);
    const struct trace_info *info = trace_reader_info(reader);
    assert_string_equal(info->name, "sample");
    assert_string_equal(info->events_file, "sample.events.gz");
    assert_int_equal(info->summary.event_count, COUNT);
    assert_int_equal(info->summary.thread_count, 4);
    for (int pass = 0; pass < 2; pass++) {
        size_t seen = 0;
        assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
        while (assert_int_equal(source.next(source.ctx, &block, NULL), ERR_OK), block.count) {
            assert_memory_equal(block.events, place->events + seen, block.count * sizeof *block.events);
            seen += block.count;
        }
        assert_int_equal(seen, COUNT);
    }
    trace_reader_close(reader);
}

/* Times 3 ns apart, each twice. */
/* A writer that is pressed for time writes other members, but the same trace: many, so that each way is taken. */
static void what_is_written_in_haste_reads_the_same(void **state) {
    const struct place *place = *state;
    enum { MEMBERS = 20 };
    struct native_writer *writer;
    const struct trace_info info = {0};
    struct event_source source;
    struct event_block block;
    struct trace_reader *reader;
    size_t count = 0;
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    struct event_sink sink = native_writer_sink(writer);
    for (size_t member = 0; member < MEMBERS; member++) {
        sink.press(sink.ctx, member > 0);
        assert_int_equal(sink.put(sink.ctx, place->events + member * COUNT / MEMBERS, COUNT / MEMBERS, NULL), ERR_OK);
        assert_int_equal(sink.flush(sink.ctx, NULL), ERR_OK);
    }
    assert_int_equal(native_writer_finish(writer, &info, NULL), ERR_OK);
    native_writer_destroy(writer);
    assert_int_equal(trace_reader_open(place->yaml, &reader, NULL), ERR_OK);
    assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
    while (assert_int_equal(source.next(source.ctx, &block, NULL), ERR_OK), block.count) {
        assert_memory_equal(block.events, place->events + count, block.count * sizeof *block.events);
        count += block.count;
    }
    trace_reader_close(reader);
    assert_int_equal(count, COUNT);
}

static void timed_trace_write(const struct place *place, size_t count, uint64_t *times_ns) {
    struct native_writer *writer;
    const struct trace_info info = {.capture_clock = (char *)(uintptr_t) "CLOCK_MONOTONIC",
                                    .capture_clock_resolution_ns = 3};
    for (size_t i = 0; i < count; i++)
        times_ns[i] = 7 + i / 2 * 3;
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    struct event_sink sink = native_writer_sink(writer);
    for (size_t at = 0; at < count;) {
        size_t run = count - at < 1700 ? count - at : 1700;
        assert_int_equal(event_sink_put(&sink, place->events + at, times_ns + at, run, NULL), ERR_OK);
        at += run;
    }
    assert_int_equal(native_writer_finish(writer, &info, NULL), ERR_OK);
    native_writer_destroy(writer);
}

static void times_come_back_to_those_who_ask_and_are_in_the_summary(void **state) {
    const struct place *place = *state;
    static uint64_t times_ns[COUNT];
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block;
    timed_trace_write(place, COUNT, times_ns);
    assert_int_equal(trace_reader_open(place->yaml, &reader, NULL), ERR_OK);
    const struct trace_info *info = trace_reader_info(reader);
    assert_int_equal(info->summary.timed_count, COUNT);
    assert_int_equal(info->summary.time_first_ns, 7);
    assert_int_equal(info->summary.time_last_ns, times_ns[COUNT - 1]);
    assert_string_equal(info->capture_clock, "CLOCK_MONOTONIC");
    assert_int_equal(info->capture_clock_resolution_ns, 3);
    for (int pass = 0; pass < 3; pass++) {
        size_t seen = 0;
        assert_int_equal((pass == 1 ? trace_reader_timed_events : trace_reader_events)(reader, &source, NULL), ERR_OK);
        while (assert_int_equal(source.next(source.ctx, &block, NULL), ERR_OK), block.count) {
            assert_memory_equal(block.events, place->events + seen, block.count * sizeof *block.events);
            assert_int_equal(block.times_ns != NULL, pass == 1);
            if (block.times_ns)
                assert_memory_equal(block.times_ns, times_ns + seen, block.count * sizeof *times_ns);
            seen += block.count;
        }
        assert_int_equal(seen, COUNT);
    }
    trace_reader_close(reader);
}

static void times_that_go_back_are_not_written(void **state) {
    const struct place *place = *state;
    static const uint64_t times_ns[] = {5, 9, 8};
    struct native_writer *writer;
    struct diag diag;
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    struct event_sink sink = native_writer_sink(writer);
    assert_int_equal(event_sink_put(&sink, place->events, times_ns, 3, &diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "event 2: its time, 8 ns, is below"));
    native_writer_destroy(writer);
}

static void summary_written_is_what_compiling_counts(void **state) {
    const struct place *place = *state;
    struct trace_reader *reader;
    struct event_source source;
    struct program program;
    trace_write(place, COUNT);
    assert_int_equal(trace_reader_open(place->yaml, &reader, NULL), ERR_OK);
    assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
    assert_int_equal(program_compile(&source, &program, NULL), ERR_OK);
    assert_memory_equal(&trace_reader_info(reader)->summary, &program.header->summary, sizeof(struct trace_summary));
    program_close(&program);
    trace_reader_close(reader);
}

/* The trace at hand has these events, and says that the others are lost. */
static void trace_is_beginning(const struct place *place, uint64_t event_count) {
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block = {.count = 1};
    uint64_t seen = 0;
    assert_int_equal(trace_reader_open(place->yaml, &reader, NULL), ERR_OK);
    const struct trace_info *info = trace_reader_info(reader);
    assert_int_equal(info->summary.event_count, event_count);
    assert_true(info->capture_lost_count > 0 && info->capture_lost_count <= COUNT - event_count);
    assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
    while (block.count) {
        assert_int_equal(source.next(source.ctx, &block, NULL), ERR_OK);
        for (size_t i = 0; i < block.count; i++)
            assert_memory_equal(&block.events[i], &place->events[seen + i], sizeof *place->events);
        seen += block.count;
    }
    assert_int_equal(seen, event_count);
    trace_reader_close(reader);
}

/* The limit on file sizes stands for a full disk: at every size, what is kept is a valid beginning of the trace. */
static void what_was_written_before_a_failure_becomes_a_whole_trace(void **state) {
    const struct place *place = *state;
    struct rlimit before, limit;
    unsigned kept_count = 0;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t bytes = 1500; bytes < 10000; bytes += 211) {
        struct native_writer *writer;
        uint64_t event_count = 0;
        const struct trace_info info = {.capture_end = (char *)(uintptr_t) "exit 0"};
        assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
        struct event_sink sink = native_writer_sink(writer);
        limit = (struct rlimit){bytes, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        enum err err = ERR_OK;
        for (size_t at = 0; at < COUNT && !err; at += 100) {
            err = sink.put(sink.ctx, place->events + at, 100, NULL);
            if (!err)
                err = sink.flush(sink.ctx, NULL);
        }
        if (!err)
            err = native_writer_finish(writer, &info, NULL);
        assert_int_equal(err, ERR_IO);
        assert_int_equal(sink.put(sink.ctx, place->events, 1, NULL), ERR_USAGE);
        err = native_writer_salvage(writer, &info, &event_count, NULL);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_true(err == ERR_OK || event_count == 0);
        kept_count += err == ERR_OK;
        native_writer_destroy(writer);
        if (err)
            continue;
        trace_is_beginning(place, event_count);
        assert_int_equal(files_count(place), 2);
        unlink(place->yaml);
        unlink(place->events_gz);
    }
    signal(SIGXFSZ, SIG_DFL);
    assert_true(kept_count > 25);
}

static void files_have_ordinary_permissions(void **state) {
    const struct place *place = *state;
    struct stat stat_yaml, stat_events;
    mode_t mask = umask(022);
    trace_write(place, 10);
    umask(mask);
    assert_int_equal(stat(place->yaml, &stat_yaml), 0);
    assert_int_equal(stat(place->events_gz, &stat_events), 0);
    assert_int_equal(stat_yaml.st_mode & 0777, 0644);
    assert_int_equal(stat_events.st_mode & 0777, 0644);
}

static void writer_destroyed_early_leaves_nothing(void **state) {
    const struct place *place = *state;
    struct native_writer *writer;
    unlink(place->yaml);
    unlink(place->events_gz);
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    struct event_sink sink = native_writer_sink(writer);
    assert_int_equal(sink.put(sink.ctx, place->events, COUNT, NULL), ERR_OK);
    native_writer_destroy(writer);
    assert_int_equal(files_count(place), 0);
}

static void invalid_event_is_refused_and_leaves_nothing(void **state) {
    const struct place *place = *state;
    struct native_writer *writer;
    struct diag diag;
    const struct event bad[] = {{.kind = EVENT_MALLOC, .size_bytes = 5},
                                {.kind = EVENT_FREE, .block = event_block_name(0, 1)},
                                {.kind = EVENT_FREE, .block = event_block_name(0, 1)}};
    unlink(place->yaml);
    unlink(place->events_gz);
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    struct event_sink sink = native_writer_sink(writer);
    assert_int_equal(sink.put(sink.ctx, bad, 3, &diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "event 2"));
    assert_int_equal(sink.put(sink.ctx, bad, 1, &diag), ERR_USAGE);
    assert_int_equal(native_writer_finish(writer, &(struct trace_info){0}, &diag), ERR_USAGE);
    native_writer_destroy(writer);
    assert_int_equal(files_count(place), 0);
}

/* A limit on the size of files stands for a full disk. */
static void full_disk_is_an_error_and_leaves_nothing(void **state) {
    const struct place *place = *state;
    struct native_writer *writer;
    struct rlimit before, tight;
    struct diag diag = {.err = ERR_OK};
    unlink(place->yaml);
    unlink(place->events_gz);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 300;
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    struct event_sink sink = native_writer_sink(writer);
    assert_int_equal(sink.put(sink.ctx, place->events, COUNT, NULL), ERR_OK);
    setrlimit(RLIMIT_FSIZE, &tight);
    enum err err = native_writer_finish(writer, &(struct trace_info){0}, &diag);
    setrlimit(RLIMIT_FSIZE, &before);
    native_writer_destroy(writer);
    assert_int_equal(err, ERR_IO);
    assert_non_null(strstr(diag.text, "cannot write"));
    assert_int_equal(files_count(place), 0);
}

static void wrong_names_and_levels_are_refused(void **state) {
    const struct place *place = *state;
    struct native_writer *writer;
    struct diag diag;
    assert_int_equal(native_writer_create("trace.yml", NULL, &writer, &diag), ERR_USAGE);
    assert_int_equal(native_writer_create("x/.yaml", NULL, &writer, &diag), ERR_USAGE);
    assert_int_equal(native_writer_create("/nonexistent/folder/x.yaml", NULL, &writer, &diag), ERR_IO);
    assert_int_equal(native_writer_create(place->yaml, &(struct native_writer_options){.level = 10}, &writer, &diag),
                     ERR_USAGE);
}

static void file_write(const char *path, const char *text) {
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static enum err create_tries(const struct place *place, struct diag *diag) {
    struct native_writer *writer = NULL;
    enum err err = native_writer_create(place->yaml, NULL, &writer, diag);
    native_writer_destroy(writer);
    return err;
}

static void only_traces_and_empty_files_are_replaced(void **state) {
    const struct place *place = *state;
    static const char *const foreign[] = {"services:\n  db:\n", "services: {}\nmmreplay: 1\n", "\n", "mmreplay",
                                          "# mmreplay:\n"};
    static const char *const ours[] = {"", "mmreplay: 1\n", "---\n# a comment\n\nmmreplay: 2\nbroken: [\n"};
    struct diag diag;
    unlink(place->events_gz);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        file_write(place->yaml, foreign[i]);
        assert_int_equal(create_tries(place, &diag), ERR_USAGE);
        assert_non_null(strstr(diag.text, "is not the description of a trace"));
        assert_int_equal(files_count(place), 1);
    }
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        file_write(place->yaml, ours[i]);
        assert_int_equal(create_tries(place, &diag), ERR_OK);
    }
    file_write(place->events_gz, "\x1f\x8b\x08 a log of somebody");
    assert_int_equal(create_tries(place, &diag), ERR_USAGE);
    assert_string_equal(diag.path, place->events_gz);
    unlink(place->events_gz);
    assert_int_equal(mkdir(place->events_gz, 0777), 0);
    assert_int_equal(create_tries(place, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "directory"));
    rmdir(place->events_gz);
    unlink(place->yaml);
    assert_int_equal(mkfifo(place->yaml, 0666), 0);
    assert_int_equal(create_tries(place, &diag), ERR_USAGE);
    unlink(place->yaml);
    trace_write(place, 10);
    trace_write(place, 20);
}

static enum err open_fails(const char *path, struct diag *diag) {
    struct trace_reader *reader;
    enum err err = trace_reader_open(path, &reader, diag);
    if (!err)
        trace_reader_close(reader);
    return err;
}

static void missing_files_are_named(void **state) {
    const struct place *place = *state;
    struct diag diag;
    trace_write(place, COUNT);
    unlink(place->events_gz);
    assert_int_equal(open_fails(place->yaml, &diag), ERR_NOT_FOUND);
    assert_string_equal(diag.path, place->events_gz);
    unlink(place->yaml);
    assert_int_equal(open_fails(place->yaml, &diag), ERR_NOT_FOUND);
    assert_string_equal(diag.path, place->yaml);
}

static void empty_or_unknown_files_are_refused_with_what_is_known(void **state) {
    const struct place *place = *state;
    struct diag diag;
    file_write(place->yaml, "");
    assert_int_equal(open_fails(place->yaml, &diag), ERR_TRUNCATED);
    file_write(place->yaml, "hello\n");
    assert_int_equal(open_fails(place->yaml, &diag), ERR_FORMAT);
    assert_non_null(strstr(diag.text, "known: native"));
    assert_int_equal(open_fails("/", &diag), ERR_IO);
    unlink(place->yaml);
    trace_write(place, COUNT);
    assert_int_equal(open_fails(place->events_gz, &diag), ERR_FORMAT);
    assert_non_null(strstr(diag.text, "give the NAME.yaml"));
    assert_int_equal(truncate(place->events_gz, 0), 0);
    assert_int_equal(open_fails(place->yaml, &diag), ERR_TRUNCATED);
    assert_string_equal(diag.path, place->events_gz);
}

/* The description claims one event more; the checksum is right. */
static void count_that_contradicts_the_events_is_told(void **state) {
    const struct place *place = *state;
    struct trace_info info;
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block = {.count = 1};
    struct diag diag;
    char *text;
    size_t bytes;
    enum err err;
    trace_write(place, COUNT);
    assert_int_equal(description_load(place->yaml, &info, NULL), ERR_OK);
    info.summary.event_count++;
    assert_int_equal(description_format(&info, &text, &bytes), ERR_OK);
    file_write(place->yaml, text);
    free(text);
    trace_info_clear(&info);
    assert_int_equal(trace_reader_open(place->yaml, &reader, NULL), ERR_OK);
    assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
    while (!(err = source.next(source.ctx, &block, &diag)) && block.count)
        ;
    assert_int_equal(err, ERR_INVALID);
    assert_non_null(strstr(diag.text, "5000 events where the description says 5001"));
    trace_reader_close(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_trace_is_recognised_and_read),
        cmocka_unit_test(what_is_written_in_haste_reads_the_same),
        cmocka_unit_test(times_come_back_to_those_who_ask_and_are_in_the_summary),
        cmocka_unit_test(times_that_go_back_are_not_written),
        cmocka_unit_test(what_was_written_before_a_failure_becomes_a_whole_trace),
        cmocka_unit_test(summary_written_is_what_compiling_counts),
        cmocka_unit_test(a_trace_is_announced_while_another_thread_writes_it),
        cmocka_unit_test(files_have_ordinary_permissions),
        cmocka_unit_test(writer_destroyed_early_leaves_nothing),
        cmocka_unit_test(invalid_event_is_refused_and_leaves_nothing),
        cmocka_unit_test(full_disk_is_an_error_and_leaves_nothing),
        cmocka_unit_test(wrong_names_and_levels_are_refused),
        cmocka_unit_test(only_traces_and_empty_files_are_replaced),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(empty_or_unknown_files_are_refused_with_what_is_known),
        cmocka_unit_test(count_that_contradicts_the_events_is_told),
    };
    return cmocka_run_group_tests(tests, place_make, place_drop);
}
