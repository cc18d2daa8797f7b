/* What is recorded is what the program did: every event is applied to a tracker, which refuses anything impossible. */
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/traces/traced.h"

enum { LARGE_FIRST = 77777, LARGE_LAST = 400000 };

/* A recording, followed as it comes in. */
struct recording {
    struct tracker *tracker;
    uint64_t begun_count;
    struct record_options bounds;           /* its bounds are the recording's, too */
    uint64_t fail_after;                    /* events after which the sink fails; 0 = never */
    uint64_t large_kinds[EVENT_KIND_COUNT]; /* of requests that only the program itself makes */
    uint64_t large_bytes;
    uint64_t size_counts[1024];
    uint64_t align_log2_seen;
    uint64_t thread_starts, thread_ends;
    enum err err;
    struct trace_info info;
    struct record_report report;
    struct diag diag;
};

static enum err events_follow(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    struct recording *recording = ctx;
    if (recording->fail_after && tracker_summary(recording->tracker)->event_count > recording->fail_after)
        return diag_set(diag, ERR_IO, "disk", "no space");
    enum err err = traced_follow(recording->tracker, events, count, diag);
    for (size_t i = 0; i < count && !err; i++) {
        if (events[i].size_bytes >= LARGE_FIRST && events[i].size_bytes <= LARGE_LAST) {
            recording->large_kinds[events[i].kind]++;
            recording->large_bytes += events[i].size_bytes;
        }
        if (event_makes_block(events[i].kind) && events[i].size_bytes < 1024)
            recording->size_counts[events[i].size_bytes]++;
        if (events[i].kind == EVENT_ALIGNED_ALLOC)
            recording->align_log2_seen |= (uint64_t)1 << events[i].align_log2;
        recording->thread_starts += events[i].kind == EVENT_THREAD_START;
        recording->thread_ends += events[i].kind == EVENT_THREAD_END;
    }
    return err;
}

static enum err recording_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    struct recording *recording = ctx;
    (void)diag;
    tracker_destroy(recording->tracker);
    memset(recording->size_counts, 0, sizeof recording->size_counts);
    memset(recording->large_kinds, 0, sizeof recording->large_kinds);
    recording->large_bytes = 0;
    recording->begun_count++;
    *sink = (struct event_sink){.ctx = recording, .put = events_follow};
    return tracker_create(&recording->tracker);
}

static void recording_run(struct recording *recording, uint64_t ring_bytes, uint32_t ring_count, char *const *argv) {
    struct record_options options = {
        .argv = argv, .shim_path = shim_path, .ring_bytes = ring_bytes, .ring_count = ring_count};
    options.event_count_max = recording->bounds.event_count_max;
    options.start_after_event_count = recording->bounds.start_after_event_count;
    options.start_after_ns = recording->bounds.start_after_ns;
    struct record_output output = {recording, recording_begin, NULL};
    recording->err = record_run(&options, &output, &recording->info, &recording->report, &recording->diag);
    record_wait(&recording->report);
    if (recording->err)
        print_message("%s\n", recording->diag.text);
}

static const struct trace_summary *counted(const struct recording *recording) {
    assert_non_null(recording->tracker);
    return tracker_summary(recording->tracker);
}

static void recording_clear(struct recording *recording) {
    tracker_destroy(recording->tracker);
    trace_info_clear(&recording->info);
}

static void assert_nothing_missing(const struct recording *recording) {
    assert_int_equal(recording->err, ERR_OK);
    assert_int_equal(recording->report.lost_count, 0);
    assert_int_equal(recording->report.unknown_free_count, 0);
    assert_int_equal(recording->report.missed_free_count, 0);
    assert_int_equal(recording->report.event_count, counted(recording)->event_count);
}

static void every_entry_point_is_an_event_of_its_kind(void **state) {
    (void)state;
    struct recording recording = {0};
    recording_run(&recording, 0, 0, (char *[]){program("traced_entries"), NULL});
    assert_nothing_missing(&recording);
    assert_string_equal(recording.info.capture_end, "exit 0");
    assert_int_equal(recording.large_kinds[EVENT_MALLOC], 4);
    assert_int_equal(recording.large_kinds[EVENT_CALLOC], 1);
    assert_int_equal(recording.large_kinds[EVENT_REALLOC], 3);
    assert_int_equal(recording.large_kinds[EVENT_ALIGNED_ALLOC], 5);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t bytes = 100001 + 3 * 100003 + 100005 + 200007 + 3 * 100009 + 100011 + 100013 + 100015 + 128 * 1024 +
                     100017 + 100019 + (100021 + page - 1) / page * page + 100023;
    assert_int_equal(recording.large_bytes, bytes);
    assert_int_equal(recording.align_log2_seen & (1 << 12 | 1 << 6 | 1 << 7), 1 << 12 | 1 << 6 | 1 << 7);
    assert_int_equal(counted(&recording)->free_null_count, 1);
    assert_int_equal(counted(&recording)->realloc_null_count, 1);
    assert_int_equal(recording.info.capture_refused_count, 3);
    recording_clear(&recording);
}

static void threads_that_hand_blocks_over_are_recorded_in_true_order(void **state) {
    (void)state;
    for (int run = 0; run < 10; run++) {
        struct recording recording = {0};
        recording_run(&recording, 0, 0, (char *[]){program("traced_handoff"), (char[]){"4"}, (char[]){"20000"}, NULL});
        assert_nothing_missing(&recording);
        assert_int_equal(counted(&recording)->thread_count, 5);
        /* How often the threads meet is the scheduler's affair; main frees what others left in any case. */
        assert_true(counted(&recording)->cross_thread_count > 0);
        assert_true(recording.large_kinds[EVENT_MALLOC] == 0);
        recording_clear(&recording);
    }
}

static void a_ring_smaller_than_the_traffic_loses_nothing(void **state) {
    (void)state;
    struct recording recording = {0};
    recording_run(&recording, 4096, 0, (char *[]){program("traced_handoff"), (char[]){"3"}, (char[]){"20000"}, NULL});
    assert_nothing_missing(&recording);
    assert_true(recording.report.wait_count > 0);
    recording_clear(&recording);
}

static void assert_end(const char *how, const char *text) {
    struct recording recording = {0};
    recording_run(&recording, 0, 0,
                  (char *[]){program("traced_end"), (char *)(uintptr_t)how, (char[]){"300000"}, NULL});
    assert_nothing_missing(&recording);
    assert_string_equal(recording.info.capture_end, text);
    assert_int_equal(recording.size_counts[1000], 300000);
    assert_int_equal(recording.large_kinds[EVENT_MALLOC], 10);
    assert_int_equal(recording.report.torn_count, 0);
    recording_clear(&recording);
}

static void whatever_ends_the_program_all_until_then_is_there(void **state) {
    (void)state;
    assert_end("kill", "signal 9 (SIGKILL)");
    assert_end("abort", "signal 6 (SIGABRT)");
    assert_end("segv", "signal 11 (SIGSEGV)");
    assert_end("_exit", "exit 3");
}

static void threads_killed_in_the_middle_leave_a_valid_trace(void **state) {
    (void)state;
    for (int run = 0; run < 5; run++) {
        struct recording recording = {0};
        char command[8192];
        snprintf(command, sizeof command,
                 "(until set -- /proc/$$/task/*; [ $# -eq 5 ]; do sleep 0.01; done; sleep 0.2; kill -9 $$) & "
                 "exec %s 4 100000000",
                 program("traced_handoff"));
        recording_run(&recording, 0, 0, (char *[]){(char[]){"sh"}, (char[]){"-c"}, command, NULL});
        assert_nothing_missing(&recording);
        assert_int_equal(strncmp(recording.info.capture_end, "signal 9 (SIGKILL)", 18), 0);
        assert_int_equal(counted(&recording)->thread_count, 5);
        assert_true(counted(&recording)->event_count > 1000);
        assert_int_equal(traced_warns(&recording.report, "cut short"), recording.report.torn_count > 0);
        assert_int_equal(recording.report.signal_number, 0);
        recording_clear(&recording);
    }
}

static void hundreds_of_threads_begin_and_end(void **state) {
    (void)state;
    struct recording recording = {0};
    recording_run(&recording, 0, 0, (char *[]){program("traced_threads"), (char[]){"1000"}, NULL});
    assert_nothing_missing(&recording);
    assert_int_equal(counted(&recording)->thread_count, 1001);
    assert_int_equal(recording.thread_starts, 1001);
    assert_int_equal(recording.thread_ends, 1000);
    assert_int_equal(recording.size_counts[321], 1000);
    recording_clear(&recording);
}

static void more_threads_than_rings_share_one(void **state) {
    (void)state;
    struct recording recording = {0};
    recording_run(&recording, 0, 20, (char *[]){program("traced_threads"), (char[]){"300"}, (char[]){"at-once"}, NULL});
    assert_nothing_missing(&recording);
    assert_int_equal(counted(&recording)->thread_count, 301);
    assert_int_equal(recording.thread_ends, 300);
    assert_int_equal(recording.size_counts[123], 300);
    recording_clear(&recording);
}

static void destructors_later_than_the_threads_end_are_recorded(void **state) {
    (void)state;
    struct recording recording = {0};
    recording_run(&recording, 0, 0, (char *[]){program("traced_threads"), (char[]){"50"}, (char[]){"late"}, NULL});
    assert_nothing_missing(&recording);
    assert_int_equal(recording.thread_ends, 50);
    assert_int_equal(recording.size_counts[321], 50 * (1 + PTHREAD_DESTRUCTOR_ITERATIONS));
    assert_true(counted(&recording)->thread_count <= 52); /* the late events of all threads have one name */
    recording_clear(&recording);
}

static void handlers_that_allocate_are_recorded(void **state) {
    (void)state;
    for (int run = 0; run < 2; run++) {
        struct recording recording = {0};
        recording_run(&recording, 0, 0, (char *[]){program("traced_signal"), run ? (char[]){"info"} : NULL, NULL});
        assert_nothing_missing(&recording);
        assert_string_equal(recording.info.capture_end, "exit 0");
        assert_int_equal(counted(&recording)->thread_count, 1);
        assert_int_equal(recording.size_counts[55], recording.size_counts[66]);
        assert_true(recording.size_counts[55] >= 400 * 50);
        assert_int_equal(recording.size_counts[55] % 50, 0); /* of no handler more or less than all */
        assert_int_equal(recording.size_counts[33], recording.size_counts[44]);
        assert_int_equal(recording.size_counts[33] % 100, 0);
        recording_clear(&recording);
    }
}

/* Out of the writing of an event, too: nothing of that may be left undone. */
static void assert_jumps_lose_nothing(char *const *argv) {
    struct recording recording = {0};
    recording_run(&recording, 0, 0, argv);
    assert_int_equal(recording.err, ERR_OK);
    assert_string_equal(recording.info.capture_end, "exit 0");
    assert_int_equal(recording.report.lost_count, 0);
    assert_int_equal(recording.report.torn_count, 0);
    assert_int_equal(recording.report.unknown_free_count, 0);
    assert_int_equal(recording.report.missed_free_count, 0);
    assert_true(recording.size_counts[33] >= 100);
    recording_clear(&recording);
}

static void handlers_that_jump_out_of_the_allocator_lose_nothing(void **state) {
    (void)state;
    assert_jumps_lose_nothing((char *[]){program("traced_signal"), (char[]){"jump"}, NULL});
}

static void handlers_of_signals_left_open_that_jump_lose_nothing(void **state) {
    (void)state;
    assert_jumps_lose_nothing((char *[]){program("traced_signal"), (char[]){"jump"}, (char[]){"open"}, NULL});
}

static void children_of_a_fork_leave_the_trace_alone(void **state) {
    (void)state;
    struct recording recording = {0};
    recording_run(&recording, 0, 0, (char *[]){program("traced_fork"), NULL});
    assert_nothing_missing(&recording);
    assert_int_equal(recording.size_counts[500], 1000);
    assert_int_equal(recording.report.warning_count, 1);
    assert_non_null(strstr(recording.report.warnings[0], "2 forked children"));
    assert_string_equal(recording.info.capture_end, "exit 0; 2 forked children not recorded");
    recording_clear(&recording);
}

static void exec_begins_the_trace_anew(void **state) {
    (void)state;
    struct recording recording = {0};
    recording_run(&recording, 0, 0,
                  (char *[]){program("traced_end"), (char[]){"exec"}, (char[]){"5000"}, program("traced_end"), NULL});
    assert_nothing_missing(&recording);
    assert_int_equal(recording.begun_count, 2);
    assert_int_equal(recording.report.image_count, 2);
    assert_int_equal(recording.size_counts[1000], 7);
    assert_string_equal(recording.info.capture_end, "exit 3");
    recording_clear(&recording);
}

static void an_exec_before_anything_else_is_recorded(void **state) {
    (void)state;
    static const char *const calls[] = {"execve", "execvpe", "fexecve"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct recording recording = {0};
        char call[16];
        snprintf(call, sizeof call, "%s", calls[i]);
        recording_run(&recording, 0, 0, (char *[]){program("traced_early"), call, NULL});
        assert_nothing_missing(&recording);
        assert_int_equal(recording.report.image_count, 2);
        assert_int_equal(recording.size_counts[1000], 3);
        assert_string_equal(recording.info.capture_end, "exit 0");
        recording_clear(&recording);
    }
}

static void a_shell_wrapper_records_what_it_execs(void **state) {
    (void)state;
    struct recording recording = {0};
    char command[8192];
    snprintf(command, sizeof command, "exec %s _exit 11", program("traced_end"));
    recording_run(&recording, 0, 0, (char *[]){(char[]){"sh"}, (char[]){"-c"}, command, NULL});
    assert_nothing_missing(&recording);
    assert_int_equal(recording.size_counts[1000], 11);
    recording_clear(&recording);
}

static void a_program_that_is_run_by_the_dynamic_linker_is_recorded(void **state) {
    (void)state;
    Dl_info linker;
    struct recording recording = {0};
    char path[PATH_MAX];
    assert_true(dladdr((void *)getauxval(AT_BASE), &linker));
    snprintf(path, sizeof path, "%s", linker.dli_fname);
    recording_run(&recording, 0, 0, (char *[]){path, program("traced_end"), (char[]){"_exit"}, (char[]){"50"}, NULL});
    assert_nothing_missing(&recording);
    assert_int_equal(recording.size_counts[1000], 50);
    assert_string_equal(recording.info.capture_end, "exit 3");
    recording_clear(&recording);
}

static void assert_refused(char *const *argv, enum err err, const char *reason) {
    struct recording recording = {0};
    recording_run(&recording, 0, 0, argv);
    assert_int_equal(recording.err, err);
    assert_non_null(strstr(recording.diag.text, reason));
    recording_clear(&recording);
}

static void what_cannot_be_recorded_is_said(void **state) {
    (void)state;
    char exec_static[8192];
    snprintf(exec_static, sizeof exec_static, "exec %s _exit 1", program("traced_static"));
    assert_refused((char *[]){program("traced_static"), (char[]){"_exit"}, (char[]){"1"}, NULL}, ERR_UNSUPPORTED,
                   "statically linked");
    assert_refused((char *[]){(char[]){"sh"}, (char[]){"-c"}, exec_static, NULL}, ERR_UNSUPPORTED, "statically linked");
    assert_refused(
        (char *[]){(char[]){"env"}, (char[]){"-i"}, program("traced_end"), (char[]){"_exit"}, (char[]){"5"}, NULL},
        ERR_UNSUPPORTED, "never loaded the recorder");
    assert_refused((char *[]){(char[]){"no-such-program-here"}, NULL}, ERR_NOT_FOUND, "no such program");
    assert_refused((char *[]){(char[]){"/"}, NULL}, ERR_NOT_FOUND, "a directory");
    assert_refused((char *[]){(char[]){"/etc/passwd"}, NULL}, ERR_NOT_FOUND, "not executable");
}

static void becoming_what_cannot_be_recorded_is_said_by_whatever_call(void **state) {
    (void)state;
    static const char *const calls[] = {
        "exec",
        "fexecve",
#if __GLIBC_PREREQ(2, 34)
        "execveat",
        "execveat-itself",
        "execveat-below"
#endif
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        char call[32];
        snprintf(call, sizeof call, "%s", calls[i]);
        print_message("%s\n", call);
        assert_refused((char *[]){program("traced_end"), call, (char[]){"5000"}, program("traced_static"), NULL},
                       ERR_UNSUPPORTED, "statically linked");
    }
}

static void a_bound_on_events_is_exact(void **state) {
    (void)state;
    for (uint64_t most = 1; most < 300000; most = most * 7 + 1) {
        struct recording recording = {.bounds.event_count_max = most};
        recording_run(&recording, 0, 0, (char *[]){program("traced_handoff"), (char[]){"3"}, (char[]){"200000"}, NULL});
        assert_int_equal(recording.err, most == 1 ? ERR_UNSUPPORTED : ERR_OK); /* the first is a thread's start */
        assert_int_equal(recording.report.stop, RECORD_STOP_EVENTS);
        assert_int_equal(recording.report.event_count, most);
        assert_int_equal(counted(&recording)->event_count, most);
        assert_int_equal(recording.report.lost_count, 0);
        assert_true(WIFEXITED(recording.report.wait_status) && WEXITSTATUS(recording.report.wait_status) == 0);
        recording_clear(&recording);
    }
}

static void a_trace_that_begins_late_begins_with_what_is_alive(void **state) {
    (void)state;
    struct recording whole = {0};
    char *const argv[] = {program("traced_end"), (char[]){"_exit"}, (char[]){"5000"}, NULL};
    recording_run(&whole, 0, 0, argv);
    assert_nothing_missing(&whole);
    for (uint64_t first = 2; first < 5000; first = first * 3 + 1) {
        struct recording late = {.bounds.start_after_event_count = first};
        recording_run(&late, 0, 0, argv);
        assert_nothing_missing(&late);
        const struct trace_summary *summary = counted(&late), *all = counted(&whole);
        assert_int_equal(summary->live_end_blocks, all->live_end_blocks);
        assert_int_equal(summary->live_end_bytes, all->live_end_bytes);
        assert_int_equal(late.size_counts[1000], 5000);
        assert_int_equal(late.info.capture_inherited_blocks, late.report.inherited_block_count);
        /* of the events before, one is the thread's start */
        assert_int_equal(summary->operation_count - late.report.inherited_block_count,
                         all->operation_count - (first - 1));
        assert_non_null(strstr(late.info.capture_end, "(--start-after); exit 3"));
        recording_clear(&late);
    }
    recording_clear(&whole);
}

static void a_trace_that_begins_late_knows_every_block_of_many_threads(void **state) {
    (void)state;
    for (uint64_t first = 100; first < 200000; first *= 5) {
        struct recording late = {.bounds.start_after_event_count = first};
        recording_run(&late, 0, 0, (char *[]){program("traced_handoff"), (char[]){"4"}, (char[]){"50000"}, NULL});
        assert_nothing_missing(&late);
        assert_true(late.report.inherited_block_count > 0);
        recording_clear(&late);
    }
    struct recording timed = {.bounds.start_after_ns = 30 * 1000 * 1000};
    recording_run(&timed, 0, 0, (char *[]){program("traced_handoff"), (char[]){"4"}, (char[]){"300000"}, NULL});
    assert_nothing_missing(&timed);
    recording_clear(&timed);
}

static void a_program_that_ends_before_the_trace_begins_is_an_error(void **state) {
    (void)state;
    struct recording late = {.bounds.start_after_event_count = 1000000};
    recording_run(&late, 0, 0, (char *[]){program("traced_end"), (char[]){"_exit"}, (char[]){"5"}, NULL});
    assert_int_equal(late.err, ERR_UNSUPPORTED);
    assert_non_null(strstr(late.diag.text, "--start-after"));
    assert_int_equal(late.begun_count, 0);
    recording_clear(&late);
}

static void a_failing_sink_ends_the_recording_but_not_the_program(void **state) {
    (void)state;
    struct recording recording = {.fail_after = 5000};
    recording_run(&recording, 4096, 0, (char *[]){program("traced_handoff"), (char[]){"2"}, (char[]){"100000"}, NULL});
    assert_int_equal(recording.err, ERR_IO);
    assert_string_equal(recording.diag.text, "no space");
    assert_true(WIFEXITED(recording.report.wait_status) && WEXITSTATUS(recording.report.wait_status) == 0);
    recording_clear(&recording);
}

static void a_recorder_that_is_killed_does_not_hold_the_program(void **state) {
    (void)state;
    int done[2];
    assert_int_equal(pipe(done), 0);
    pid_t recorder = fork();
    if (recorder == 0) {
        close(done[0]); /* the program holds the other end until it is through */
        struct recording recording = {0};
        recording_run(&recording, 4096, 0,
                      (char *[]){program("traced_handoff"), (char[]){"2"}, (char[]){"300000"}, NULL});
        _exit(0);
    }
    close(done[1]);
    usleep(50000);
    kill(recorder, SIGKILL); /* and not waited for yet: it is a zombie, whose number is still taken */
    char byte;
    assert_int_equal(read(done[0], &byte, 1), 0); /* a hang is the test's time-out */
    close(done[0]);
    waitpid(recorder, NULL, 0);
}

/* The program fills its ring while the recorder is stopped, and looks after it meanwhile. */
static void a_recorder_whose_number_cannot_be_seen_is_waited_for(void **state) {
    (void)state;
    enum { BLOCKS = 5000, RING_BYTES = 4096, PAUSE_US = 150 * 1000 };
    char count[16];
    int status = 0;
    snprintf(count, sizeof count, "%d", BLOCKS);
    pid_t recorder = fork();
    if (recorder == 0) {
        struct recording recording = {0};
        alarm(60);
        recording_run(&recording, RING_BYTES, 0, (char *[]){program("traced_unseen"), count, NULL});
        bool is_whole = !recording.err && recording.report.wait_status == 0 && recording.size_counts[1000] == BLOCKS;
        if (!is_whole)
            print_message("%llu blocks of %d\n", (unsigned long long)recording.size_counts[1000], BLOCKS);
        _exit(!is_whole);
    }
    assert_int_equal(waitpid(recorder, &status, WUNTRACED), recorder);
    assert_true(WIFSTOPPED(status));
    usleep(PAUSE_US);
    kill(recorder, SIGCONT);
    assert_int_equal(waitpid(recorder, &status, 0), recorder);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_shim_path_with_blanks_and_colons_works(void **state) {
    (void)state;
    char folder[] = "/tmp/mmreplay test: XXXXXX";
    char path[4096], absolute[4096];
    assert_non_null(mkdtemp(folder));
    assert_non_null(realpath(shim_path, absolute));
    snprintf(path, sizeof path, "%s/shim.so", folder);
    assert_int_equal(symlink(absolute, path), 0);
    const char *plain = shim_path;
    struct recording recording = {0};
    shim_path = path;
    recording_run(&recording, 0, 0, (char *[]){program("traced_end"), (char[]){"_exit"}, (char[]){"5"}, NULL});
    shim_path = plain;
    assert_nothing_missing(&recording);
    assert_int_equal(recording.size_counts[1000], 5);
    recording_clear(&recording);
    unlink(path);
    rmdir(folder);
}

static const char python_script[] = "import json, threading\n"
                                    "def work():\n"
                                    "    for i in range(2000): json.loads(json.dumps({'a': [i] * 20, 'b': str(i)}))\n"
                                    "threads = [threading.Thread(target=work) for _ in range(4)]\n"
                                    "[t.start() for t in threads]; [t.join() for t in threads]\n"
                                    "big = [bytearray(5000) for _ in range(1000)]\n";

static char *python_path(void) {
    static char path[] = "/usr/bin/python3";
    if (access(path, X_OK) || system("nm -D /usr/bin/python3 2>/dev/null | grep -q PyMem_SetAllocator"))
        return NULL;
    return path;
}

static void cpython_is_recorded_in_its_three_domains(void **state) {
    (void)state;
    if (!python_path()) {
        print_message("skipped: /usr/bin/python3 does not export PyMem_SetAllocator\n");
        skip();
    }
    struct recording recording = {0};
    char script[sizeof python_script];
    memcpy(script, python_script, sizeof script);
    recording_run(&recording, 0, 0, (char *[]){python_path(), (char[]){"-I"}, (char[]){"-c"}, script, NULL});
    assert_nothing_missing(&recording);
    const struct trace_summary *summary = counted(&recording);
    assert_int_equal(summary->domain_counts[DOMAIN_C], 0);
    assert_true(summary->domain_counts[DOMAIN_RAW] > 100);
    assert_true(summary->domain_counts[DOMAIN_MEM] > 1000);
    assert_true(summary->domain_counts[DOMAIN_OBJ] > 100000);
    assert_int_equal(strncmp(recording.info.program_interpreter, "CPython 3.", 10), 0);
    recording_clear(&recording);
}

static void hooks_that_the_interpreter_dropped_are_an_error(void **state) {
    (void)state;
    if (!python_path())
        skip();
    assert_refused((char *[]){python_path(), (char[]){"-X"}, (char[]){"dev"}, (char[]){"-c"}, (char[]){"pass"}, NULL},
                   ERR_UNSUPPORTED, "PYTHONMALLOC");
}

int main(int argc, char **argv) {
    traced_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_point_is_an_event_of_its_kind),
        cmocka_unit_test(threads_that_hand_blocks_over_are_recorded_in_true_order),
        cmocka_unit_test(a_ring_smaller_than_the_traffic_loses_nothing),
        cmocka_unit_test(whatever_ends_the_program_all_until_then_is_there),
        cmocka_unit_test(threads_killed_in_the_middle_leave_a_valid_trace),
        cmocka_unit_test(hundreds_of_threads_begin_and_end),
        cmocka_unit_test(more_threads_than_rings_share_one),
        cmocka_unit_test(destructors_later_than_the_threads_end_are_recorded),
        cmocka_unit_test(handlers_that_allocate_are_recorded),
        cmocka_unit_test(handlers_that_jump_out_of_the_allocator_lose_nothing),
        cmocka_unit_test(handlers_of_signals_left_open_that_jump_lose_nothing),
        cmocka_unit_test(children_of_a_fork_leave_the_trace_alone),
        cmocka_unit_test(exec_begins_the_trace_anew),
        cmocka_unit_test(an_exec_before_anything_else_is_recorded),
        cmocka_unit_test(a_shell_wrapper_records_what_it_execs),
        cmocka_unit_test(a_program_that_is_run_by_the_dynamic_linker_is_recorded),
        cmocka_unit_test(what_cannot_be_recorded_is_said),
        cmocka_unit_test(becoming_what_cannot_be_recorded_is_said_by_whatever_call),
        cmocka_unit_test(a_bound_on_events_is_exact),
        cmocka_unit_test(a_trace_that_begins_late_begins_with_what_is_alive),
        cmocka_unit_test(a_trace_that_begins_late_knows_every_block_of_many_threads),
        cmocka_unit_test(a_program_that_ends_before_the_trace_begins_is_an_error),
        cmocka_unit_test(a_failing_sink_ends_the_recording_but_not_the_program),
        cmocka_unit_test(a_recorder_that_is_killed_does_not_hold_the_program),
        cmocka_unit_test(a_recorder_whose_number_cannot_be_seen_is_waited_for),
        cmocka_unit_test(a_shim_path_with_blanks_and_colons_works),
        cmocka_unit_test(cpython_is_recorded_in_its_three_domains),
        cmocka_unit_test(hooks_that_the_interpreter_dropped_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
