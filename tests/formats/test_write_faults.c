/* Every system call that writing a trace makes fails, once or from then on: what had been written is never lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/format.h"
#include "formats/native_repair.h"
#include "formats/native_writer.h"
#include "formats/tree_index.h"
#include "tests/formats/random_trace.h"

enum { COUNT = 900, PER_MEMBER = 300, OLD_COUNT = 10, PATH_BYTES = 256 };

/* ---- the calls ---- */

enum call { CALL_WRITE, CALL_TRUNCATE, CALL_CLOSE, CALL_RENAME, CALL_COUNT };

static const char *const call_names[CALL_COUNT] = {"write", "truncate", "close", "rename"};

static struct {
    bool is_on;
    enum call call;
    unsigned at;   /* which of its kind fails, from 0 */
    bool lasts;    /* all of its kind behind it fail, too */
    unsigned seen; /* of its kind while it was on */
} fault;

static bool call_fails(enum call call) {
    if (!fault.is_on || call != fault.call)
        return false;
    unsigned number = fault.seen++;
    errno = ENOSPC;
    return number == fault.at || (fault.lasts && number > fault.at);
}

static void fault_fail(const struct diag *diag) {
    fail_msg("%s %u%s failed: %s", call_names[fault.call], fault.at, fault.lasts ? " and all behind it" : "",
             diag->text);
}

ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
ssize_t __real_pwrite(int fd, const void *bytes, size_t count, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at);
int __real_ftruncate(int fd, off_t bytes);
int __wrap_ftruncate(int fd, off_t bytes);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);

/* Half of it had fitted. */
ssize_t __wrap_write(int fd, const void *bytes, size_t count) {
    bool fails = call_fails(CALL_WRITE);
    ssize_t written = __real_write(fd, bytes, fails ? count / 2 : count);
    errno = fails ? ENOSPC : errno;
    return fails ? -1 : written;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at) {
    bool fails = call_fails(CALL_WRITE);
    ssize_t written = __real_pwrite(fd, bytes, fails ? count / 2 : count, at);
    errno = fails ? ENOSPC : errno;
    return fails ? -1 : written;
}

int __wrap_ftruncate(int fd, off_t bytes) {
    return call_fails(CALL_TRUNCATE) ? -1 : __real_ftruncate(fd, bytes);
}

/* What was written before cannot be stored, which only now is told. */
int __wrap_close(int fd) {
    bool fails = call_fails(CALL_CLOSE);
    __real_close(fd);
    errno = fails ? ENOSPC : errno;
    return fails ? -1 : 0;
}

/* What lasts is that the description cannot have its name: the way back from another name is open. */
static bool rename_fails(const char *to) {
    const char *suffix = strrchr(to, '.');
    return (!fault.lasts || strcmp(suffix, ".yaml") == 0) && call_fails(CALL_RENAME);
}

int __wrap_rename(const char *from, const char *to) {
    return rename_fails(to) ? -1 : __real_rename(from, to);
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return rename_fails(to) ? -1 : __real_renameat2(from_folder, from, to_folder, to, flags);
}

/* ---- one recording ---- */

struct place {
    char folder[64];
    char yaml[PATH_BYTES], out_yaml[PATH_BYTES];
    struct event *events;
};

static struct trace_info described = {.description = (char *)(uintptr_t) "what it was"};

static int place_make(void **state) {
    struct place *place = calloc(1, sizeof *place);
    struct random_trace settings = {
        .seed = 5, .thread_count = 3, .event_count = COUNT, .live_limit = 100, .wild_percent = 5};
    strcpy(place->folder, "/tmp/mmreplay-test-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->yaml, PATH_BYTES, "%s/x.yaml", place->folder);
    snprintf(place->out_yaml, PATH_BYTES, "%s/out.yaml", place->folder);
    place->events = random_trace_make(&settings);
    *state = place;
    return 0;
}

/* Files in the folder whose names fit; with `removes` they are removed. *last: the last one's path. */
static size_t files_match(const struct place *place, const char *pattern, bool removes, char *last) {
    char full[PATH_BYTES];
    glob_t found = {0};
    snprintf(full, sizeof full, "%s/%s", place->folder, pattern);
    glob(full, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (last)
            snprintf(last, PATH_BYTES, "%s", found.gl_pathv[i]);
        if (removes)
            unlink(found.gl_pathv[i]);
    }
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

static int place_clear(void **state) {
    const struct place *place = *state;
    fault.is_on = false;
    files_match(place, "*", true, NULL);
    return 0;
}

static int place_drop(void **state) {
    struct place *place = *state;
    place_clear(state);
    assert_int_equal(rmdir(place->folder), 0);
    free(place->events);
    free(place);
    return 0;
}

/* A whole trace of the first `count` events. */
static void trace_is(const struct place *place, const char *path, size_t count, uint64_t lost_count) {
    struct trace_reader *reader;
    struct event_source source;
    struct event_block block;
    struct diag diag;
    size_t seen = 0;
    if (trace_reader_open(path, &reader, &diag))
        fault_fail(&diag);
    assert_string_equal(trace_reader_info(reader)->description, described.description);
    assert_int_equal(trace_reader_info(reader)->summary.event_count, count);
    assert_int_equal(trace_reader_info(reader)->capture_lost_count, lost_count);
    assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
    do {
        if (source.next(source.ctx, &block, &diag))
            fault_fail(&diag);
        assert_true(seen + block.count <= count);
        assert_memory_equal(block.events, place->events + seen, block.count * sizeof *block.events);
        seen += block.count;
    } while (block.count);
    assert_int_equal(seen, count);
    trace_reader_close(reader);
}

struct outcome {
    enum err err, salvaged; /* of put, flush, finish; of the salvage behind it */
    uint64_t given_count, flushed_count, kept_count;
    bool has_drafts;
};

static void events_put(const struct place *place, struct native_writer *writer, size_t count, struct outcome *outcome) {
    struct event_sink sink = native_writer_sink(writer);
    while (outcome->given_count < count && !outcome->err) {
        size_t rest = count - outcome->given_count, run = rest < PER_MEMBER ? rest : PER_MEMBER;
        outcome->err = sink.put(sink.ctx, place->events + outcome->given_count, run, NULL);
        outcome->given_count += run;
        if (!outcome->err)
            outcome->err = sink.flush(sink.ctx, NULL);
        if (!outcome->err)
            outcome->flushed_count += run;
    }
}

static struct outcome trace_write(const struct place *place, size_t count) {
    struct native_writer *writer;
    struct outcome outcome = {.err = ERR_OK};
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    assert_int_equal(native_writer_announce(writer, &described, NULL), ERR_OK);
    fault.seen = 0;
    fault.is_on = fault.call < CALL_COUNT;
    events_put(place, writer, count, &outcome);
    if (!outcome.err)
        outcome.err = native_writer_finish(writer, &described, NULL);
    outcome.kept_count = count;
    if (outcome.err)
        outcome.salvaged = native_writer_salvage(writer, &described, &outcome.kept_count, NULL);
    fault.is_on = false;
    outcome.has_drafts = native_writer_draft_path(writer) != NULL;
    native_writer_destroy(writer);
    return outcome;
}

/* Of the file left behind, `count` events are mended into a trace. */
static void draft_holds(const struct place *place, const char *pattern, uint64_t count) {
    char draft[PATH_BYTES];
    struct native_repair_report report;
    struct diag diag;
    assert_int_equal(files_match(place, pattern, false, draft), 1);
    if (native_repair(draft, place->out_yaml, NULL, &report, &diag))
        fault_fail(&diag);
    assert_int_equal(report.kept_count, count);
    assert_int_equal(files_match(place, "out.*", true, NULL), 2);
}

/* A description that could not be written again may be torn. */
static void drafts_hold(const struct place *place, uint64_t count) {
    draft_holds(place, "x.events.gz.*.tmp", count);
    if (fault.call == CALL_CLOSE || fault.call == CALL_RENAME)
        draft_holds(place, "x.yaml.*.tmp", count);
    assert_int_equal(files_match(place, "x.*.tmp", true, NULL), 2);
}

static void outcome_check(const struct place *place, const struct outcome *outcome, size_t old_count) {
    if (!outcome->salvaged) {
        assert_true(outcome->kept_count >= outcome->flushed_count);
        trace_is(place, place->yaml, outcome->kept_count, outcome->given_count - outcome->kept_count);
        assert_int_equal(files_match(place, "*", true, NULL), 2);
        return;
    }
    assert_int_equal(outcome->has_drafts, outcome->flushed_count > 0);
    if (outcome->has_drafts)
        drafts_hold(place, outcome->flushed_count);
    if (old_count)
        trace_is(place, place->yaml, old_count, 0);
    assert_int_equal(files_match(place, "*", true, NULL), old_count ? 2 : 0);
}

static void old_trace_write(const struct place *place, size_t count) {
    enum call call = fault.call;
    fault.call = CALL_COUNT;
    if (count)
        assert_int_equal(trace_write(place, count).err, ERR_OK);
    fault.call = call;
}

/* @return how many recordings were told of the fault. */
static unsigned calls_fail(const struct place *place, enum call call, bool lasts, size_t old_count) {
    unsigned told_count = 0;
    fault.call = call;
    fault.lasts = lasts;
    fault.at = 0;
    do {
        old_trace_write(place, old_count);
        struct outcome outcome = trace_write(place, COUNT);
        outcome_check(place, &outcome, old_count);
        told_count += outcome.err != ERR_OK;
    } while (fault.seen > fault.at++);
    return told_count;
}

/* What had been flushed is a trace afterwards: the call that failed does not fail again. */
static void a_call_that_fails_once_costs_no_event_that_was_flushed(void **state) {
    const struct place *place = *state;
    for (enum call call = 0; call < CALL_COUNT; call++) {
        assert_true(calls_fail(place, call, false, 0) > 0);
        calls_fail(place, call, false, OLD_COUNT);
    }
}

/* What had been flushed is a trace or can be mended into one, and an earlier trace of that name stands. */
static void calls_that_fail_for_good_leave_what_can_be_mended(void **state) {
    const struct place *place = *state;
    for (enum call call = 0; call < CALL_COUNT; call++) {
        assert_true(calls_fail(place, call, true, 0) > 0);
        calls_fail(place, call, true, OLD_COUNT);
    }
}

/* A description that became a folder meanwhile, or something of somebody's, is told before anything is renamed. */
static void what_came_to_lie_there_meanwhile_stays_and_so_does_the_recording(void **state) {
    const struct place *place = *state;
    struct native_writer *writer;
    struct outcome outcome = {.err = ERR_OK};
    struct diag diag;
    fault.call = CALL_RENAME;
    assert_int_equal(native_writer_create(place->yaml, NULL, &writer, NULL), ERR_OK);
    events_put(place, writer, COUNT, &outcome);
    assert_int_equal(outcome.err, ERR_OK);
    assert_int_equal(mkdir(place->yaml, 0777), 0);
    assert_int_equal(native_writer_finish(writer, &described, &diag), ERR_USAGE);
    assert_string_equal(diag.path, place->yaml);
    assert_int_equal(native_writer_salvage(writer, &described, &outcome.kept_count, &diag), ERR_USAGE);
    assert_non_null(strstr(native_writer_draft_path(writer), "x.yaml."));
    native_writer_destroy(writer);
    drafts_hold(place, COUNT);
    assert_int_equal(rmdir(place->yaml), 0);
    assert_int_equal(files_match(place, "*", false, NULL), 0);
}

/* More than stdio holds back. */
static struct trace_tree tree_make(void) {
    struct trace_tree tree = {.name = strdup("a tree")};
    for (uint64_t pid = 1; pid <= 300; pid++) {
        struct tree_process *process = trace_tree_add(&tree);
        assert_non_null(process);
        process->pid = pid;
        process->reason = strdup("it made no allocation call");
    }
    return tree;
}

static struct rlimit file_limit;

static void limit_lift(int number) {
    (void)number;
    setrlimit(RLIMIT_FSIZE, &file_limit);
}

/* The first bytes meet a full disk, and those behind them fit again: a limit on file sizes that its signal lifts. */
static void a_list_whose_beginning_was_not_written_is_told_and_the_earlier_one_stands(void **state) {
    const struct place *place = *state;
    struct trace_tree tree = tree_make(), earlier = {.name = (char *)(uintptr_t) "earlier"}, loaded = {0};
    struct rlimit none;
    struct diag diag;
    assert_int_equal(tree_index_save(place->yaml, &earlier, NULL), ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &file_limit), 0);
    none = (struct rlimit){0, file_limit.rlim_max};
    signal(SIGXFSZ, limit_lift);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    enum err err = tree_index_save(place->yaml, &tree, &diag);
    setrlimit(RLIMIT_FSIZE, &file_limit);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(err, ERR_IO);
    assert_non_null(strstr(diag.text, "cannot write"));
    assert_int_equal(files_match(place, "*", false, NULL), 1);
    assert_int_equal(tree_index_load(place->yaml, &loaded, NULL), ERR_OK);
    assert_string_equal(loaded.name, "earlier");
    trace_tree_clear(&loaded);
    assert_int_equal(tree_index_save(place->yaml, &tree, NULL), ERR_OK);
    assert_int_equal(tree_index_load(place->yaml, &loaded, NULL), ERR_OK);
    assert_int_equal(loaded.process_count, 300);
    trace_tree_clear(&loaded);
    trace_tree_clear(&tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_call_that_fails_once_costs_no_event_that_was_flushed, place_clear),
        cmocka_unit_test_teardown(calls_that_fail_for_good_leave_what_can_be_mended, place_clear),
        cmocka_unit_test_teardown(what_came_to_lie_there_meanwhile_stays_and_so_does_the_recording, place_clear),
        cmocka_unit_test_teardown(a_list_whose_beginning_was_not_written_is_told_and_the_earlier_one_stands,
                                  place_clear),
    };
    return cmocka_run_group_tests(tests, place_make, place_drop);
}
