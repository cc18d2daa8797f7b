/* Wherever a program allocates, the recording has it: counted by sizes that only the program asks for. */
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/traces/traced.h"
#include "traces/record/record_ring.h"

enum { SIZES = 1024 };

struct recording {
    struct tracker *tracker;
    uint64_t kinds[SIZES][EVENT_KIND_COUNT]; /* requests of less than SIZES bytes */
    uint64_t aligned[SIZES];                 /* … the sum of their align_log2 */
    uint64_t frees;
    enum err err;
    struct trace_info info;
    struct record_report report;
    struct diag diag;
};

static enum err events_follow(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    struct recording *recording = ctx;
    enum err err = traced_follow(recording->tracker, events, count, diag);
    for (size_t i = 0; i < count && !err; i++) {
        recording->frees += events[i].kind == EVENT_FREE;
        if (event_makes_block(events[i].kind) && events[i].size_bytes < SIZES) {
            recording->kinds[events[i].size_bytes][events[i].kind]++;
            recording->aligned[events[i].size_bytes] += events[i].align_log2;
        }
    }
    return err;
}

static enum err recording_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    struct recording *recording = ctx;
    (void)diag;
    tracker_destroy(recording->tracker);
    memset(recording->kinds, 0, sizeof recording->kinds);
    memset(recording->aligned, 0, sizeof recording->aligned);
    recording->frees = 0;
    *sink = (struct event_sink){.ctx = recording, .put = events_follow};
    return tracker_create(&recording->tracker);
}

static struct recording recording;

static void recording_clear(void) {
    tracker_destroy(recording.tracker);
    trace_info_clear(&recording.info);
    memset(&recording, 0, sizeof recording);
}

static int teardown(void **state) {
    (void)state;
    recording_clear();
    unsetenv("LD_PRELOAD");
    unsetenv("PYTHONMALLOC");
    return 0;
}

static void record_as(enum record_python python, char *const *argv) {
    struct record_options options = {.argv = argv, .shim_path = shim_path, .python = python};
    struct record_output output = {&recording, recording_begin, NULL};
    recording_clear();
    recording.err = record_run(&options, &output, &recording.info, &recording.report, &recording.diag);
    if (recording.err)
        print_message("%s\n", recording.diag.text);
    for (uint32_t i = 0; i < recording.report.warning_count; i++)
        print_message("%s\n", recording.report.warnings[i]);
}

static void record(char *const *argv) {
    record_as(RECORD_PYTHON_DOMAINS, argv);
}

static uint64_t made(unsigned bytes) {
    uint64_t count = 0;
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++)
        count += recording.kinds[bytes][kind];
    return count;
}

static bool is_there(const char *name) {
    if (access(program(name), R_OK) == 0)
        return true;
    print_message("skipped: %s was not built here\n", name);
    return false;
}

static void assert_complete(void) {
    assert_int_equal(recording.err, ERR_OK);
    assert_string_equal(recording.info.capture_end, "exit 0");
    assert_int_equal(recording.report.lost_count, 0);
    assert_int_equal(recording.report.unknown_free_count, 0);
    assert_int_equal(recording.report.missed_free_count, 0);
}

static void edges_of_the_family_are_kept_and_recorded(void **state) {
    (void)state;
    record((char *[]){program("traced_edges"), NULL});
    assert_complete();
    assert_int_equal(made(601), 50);
    assert_int_equal(made(640), 50);
    assert_int_equal(recording.kinds[602][EVENT_MALLOC], 50);
    assert_int_equal(recording.kinds[603][EVENT_REALLOC], 50);
    assert_int_equal(recording.kinds[604][EVENT_CALLOC], 50);
    assert_int_equal(recording.kinds[605][EVENT_ALIGNED_ALLOC], 50);
    assert_int_equal(recording.aligned[605], 7 * 50);
    for (unsigned bytes = 606; bytes <= 608; bytes++)
        assert_int_equal(made(bytes), 1);
    assert_int_equal(recording.info.capture_refused_count, 8); /* the four senseless alignments are not among them */
    assert_true(made(612) >= 3);                               /* strdup, strndup, getline's or asprintf's */
    assert_int_equal(made(0), 4);
}

static void assert_ages(void) {
    for (unsigned bytes = 701; bytes <= 709; bytes++)
        assert_int_equal(made(bytes), 1);
}

static void every_age_of_a_process_is_recorded(void **state) {
    (void)state;
    record((char *[]){program("traced_life"), NULL});
    assert_complete();
    assert_ages();
    record((char *[]){program("traced_life"), program("libtraced_plugin.so"), NULL});
    assert_complete();
    assert_ages();
    for (unsigned bytes = 711; bytes <= 714; bytes++)
        assert_int_equal(made(bytes), 1);
}

static void a_library_that_binds_deep_is_recorded(void **state) {
    (void)state;
    record((char *[]){program("traced_life"), program("libtraced_plugin.so"), (char[]){"deepbind"}, NULL});
    assert_complete();
    assert_ages();
    for (unsigned bytes = 712; bytes <= 714; bytes++)
        assert_int_equal(made(bytes), 1);
    assert_int_equal(made(711), 0); /* by its constructor, before anybody can help it */
    assert_true(traced_warns(&recording.report, "1 library was opened with RTLD_DEEPBIND"));
}

static void a_library_that_the_shim_cannot_reach_is_told(void **state) {
    (void)state;
    record((char *[]){program("traced_life"), program("libtraced_plugin.so"), (char[]){"namespace"}, NULL});
    assert_complete();
    assert_ages();
    assert_true(traced_warns(&recording.report, "a namespace of their own (dlmopen)"));
    record((char *[]){program("traced_life_runpath"), (char[]){"libtraced_plugin.so"}, (char[]){"deepbind"}, NULL});
    assert_complete();
    assert_true(traced_warns(&recording.report, "RTLD_DEEPBIND along its caller's own run path"));
    record((char *[]){program("traced_life"), program("libtraced_plugin.so"), NULL});
    assert_int_equal(recording.report.warning_count, 0);
}

/* The library's own run path decides what a plain name means; recording must not change that. */
static void a_plain_name_is_found_along_the_callers_run_path(void **state) {
    (void)state;
    record((char *[]){program("traced_life_runpath"), (char[]){"libtraced_plugin.so"}, NULL});
    assert_complete();
    for (unsigned bytes = 711; bytes <= 714; bytes++)
        assert_int_equal(made(bytes), 1);
}

static void a_first_allocation_under_a_lock_of_gettext_is_survived(void **state) {
    (void)state;
    record((char *[]){program("traced_locked"), NULL});
    assert_complete();
    assert_int_equal(made(715), 1);
}

/* The sizes are those of traced_handler.c. */
static void a_handler_that_interrupts_the_allocator_is_recorded(void **state) {
    (void)state;
    record((char *[]){program("traced_handler"), NULL});
    assert_complete();
    for (unsigned bytes = 521; bytes <= 524; bytes++) /* the four calls, each interrupted once */
        assert_int_equal(made(bytes), bytes == 521 ? 6 : 4);
    assert_int_equal(made(525), 1);
    assert_int_equal(made(526), 4);
    for (unsigned bytes = 527; bytes <= 528; bytes++) /* out of the handler by siglongjmp, and after */
        assert_int_equal(made(bytes), 10);
    assert_int_equal(made(529), 1);
    assert_int_equal(made(530), 1);
    assert_true(made(531) >= 40 && made(531) < 80); /* the first of too many */
    assert_int_equal(made(620), 0);
    assert_int_equal(recording.kinds[520][EVENT_CALLOC], 6); /* its malloc is no event */
    assert_int_equal(recording.kinds[520][EVENT_REALLOC], 6);
    assert_int_equal(recording.kinds[520][EVENT_MALLOC], 6 + 4);
}

static void assert_new_and_delete(void) {
    assert_complete();
    assert_int_equal(made(801), 2);
    assert_int_equal(made(802), 2);
    for (unsigned bytes = 803; bytes <= 807; bytes++)
        assert_int_equal(recording.kinds[bytes][EVENT_MALLOC], 20);
    assert_int_equal(recording.aligned[896], 7 * 20);
    assert_int_equal(recording.aligned[768], 8 * 20);
    assert_int_equal(recording.aligned[960], 6 * 20);
    assert_int_equal(made(810), 1);
}

static void cxx_operators_are_recorded(void **state) {
    (void)state;
    if (!is_there("traced_new"))
        skip();
    record((char *[]){program("traced_new"), NULL});
    assert_new_and_delete();
    assert_int_equal(recording.info.capture_refused_count, 2);
    assert_false(traced_warns(&recording.report, "not the C library's"));
}

static void an_allocators_own_operators_are_recorded(const char *name, const char *library, char *how) {
    if (!is_there(name))
        skip();
    record((char *[]){program(name), how, NULL});
    assert_new_and_delete();
    assert_non_null(strstr(recording.info.capture_libc, library));
    assert_true(traced_warns(&recording.report, library));
}

static void a_program_linked_to_jemalloc_is_recorded(void **state) {
    (void)state;
    an_allocators_own_operators_are_recorded("traced_new_jemalloc", "libjemalloc.so", NULL);
}

static void a_program_linked_to_mimalloc_is_recorded(void **state) {
    (void)state;
    an_allocators_own_operators_are_recorded("traced_new_mimalloc", "libmimalloc.so", (char[]){"never-refused"});
}

static void a_program_linked_to_tcmalloc_is_recorded(void **state) {
    (void)state;
    an_allocators_own_operators_are_recorded("traced_new_tcmalloc", "libtcmalloc_minimal.so", NULL);
}

static void a_preloaded_malloc_is_the_one_that_is_recorded(void **state) {
    (void)state;
    setenv("LD_PRELOAD", program("libbump_malloc.so"), 1);
    record((char *[]){program("own_malloc_none"), NULL});
    assert_complete();
    assert_int_equal(made(901), 100);
    assert_true(traced_warns(&recording.report, "libbump_malloc.so"));
}

/* A script that puts its malloc first in LD_PRELOAD, before the recorder's library. */
static void a_malloc_that_gets_in_first_is_recorded_all_the_same(void **state) {
    (void)state;
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, "LD_PRELOAD=%s:$LD_PRELOAD exec %s", program("libbump_malloc.so"),
             program("own_malloc_none"));
    record((char *[]){(char[]){"sh"}, (char[]){"-c"}, command, NULL});
    assert_complete();
    assert_int_equal(made(901), 100);
    assert_true(traced_warns(&recording.report, "libbump_malloc.so"));
}

static void a_malloc_of_its_own_is_recorded_or_said(void **state) {
    (void)state;
    record((char *[]){program("own_malloc_wraps"), NULL});
    assert_complete();
    assert_int_equal(made(901), 100);
    assert_false(traced_warns(&recording.report, "its own malloc"));
    record((char *[]){program("own_malloc_exported"), NULL});
    if (recording.err) {
        assert_int_equal(recording.err, ERR_UNSUPPORTED);
        assert_non_null(strstr(recording.diag.text, "it brings its own malloc; build it with"));
    } else {
        assert_true(traced_warns(&recording.report, "brings its own malloc"));
    }
    record((char *[]){program("own_malloc_hidden"), NULL});
    assert_int_equal(recording.err, ERR_OK);
    assert_int_equal(made(901), 0);
    assert_true(traced_warns(&recording.report, "brings its own malloc"));
}

static void another_recorder_in_the_chain_is_told(void **state) {
    (void)state;
    static const char heaptrack[] = "/usr/lib/heaptrack/libheaptrack_preload.so";
    if (access(heaptrack, R_OK)) {
        print_message("skipped: %s is not here\n", heaptrack);
        skip();
    }
    setenv("LD_PRELOAD", heaptrack, 1);
    record((char *[]){program("own_malloc_none"), NULL});
    assert_int_equal(recording.err, ERR_OK);
    assert_int_equal(made(901), 100);
    assert_true(traced_warns(&recording.report, "libheaptrack_preload.so"));
}

static uint64_t operations_in(enum domain domain) {
    return tracker_summary(recording.tracker)->domain_counts[domain];
}

/* A libpython: the first in the directories of MMREPLAY_LIBPYTHON_DIRS, or where the system's linker looks. */
static char *libpython_find(void) {
    static char path[PATH_MAX];
    const char *folders = getenv("MMREPLAY_LIBPYTHON_DIRS");
    for (; folders && *folders; folders += strcspn(folders, ":"), folders += *folders == ':')
        for (int minor = 8; minor <= 14; minor++) {
            snprintf(path, sizeof path, "%.*s/libpython3.%d.so.1.0", (int)strcspn(folders, ":"), folders, minor);
            if (access(path, R_OK) == 0)
                return path;
        }
    static const char system_library[] = "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0";
    if (access(system_library, R_OK) == 0)
        return memcpy(path, system_library, sizeof system_library);
    print_message("skipped: no libpython here; name directories of some in MMREPLAY_LIBPYTHON_DIRS\n");
    return NULL;
}

static void assert_embedded(void) {
    assert_int_equal(recording.err, ERR_OK);
    assert_string_equal(recording.info.capture_end, "exit 0");
    assert_int_equal(recording.report.lost_count, 0);
    for (unsigned bytes = 731; bytes <= 733; bytes++)
        assert_true(made(bytes) >= 1);
}

static void an_embedded_interpreter_is_hooked_before_it_starts(void **state) {
    (void)state;
    char *library = libpython_find();
    if (!library)
        skip();
    for (int again = 0; again < 2; again++) {
        record((char *[]){program("traced_embed"), again ? (char[]){"twice"} : (char[]){"open"}, library, NULL});
        assert_embedded();
        assert_int_equal(recording.report.unknown_free_count, 0);
        assert_true(operations_in(DOMAIN_OBJ) > 20000);
        assert_true(operations_in(DOMAIN_RAW) > 10);
        assert_true(operations_in(DOMAIN_C) >= 6);
        assert_int_equal(strncmp(recording.info.program_interpreter, "CPython 3.", 10), 0);
        assert_true(traced_warns(&recording.report, "CPython was loaded by the program"));
        assert_false(traced_warns(&recording.report, "too late"));
    }
    record_as(RECORD_PYTHON_MALLOC, (char *[]){program("traced_embed"), (char[]){"open"}, library, NULL});
    assert_embedded();
    assert_int_equal(operations_in(DOMAIN_OBJ), 0);
}

static void an_interpreter_that_came_unseen_is_told(void **state) {
    (void)state;
    char *library = libpython_find();
    if (!library)
        skip();
    record((char *[]){program("traced_embed"), (char[]){"past"}, library, NULL});
    assert_embedded();
    assert_int_equal(operations_in(DOMAIN_OBJ), 0);
    assert_true(traced_warns(&recording.report, "too late"));
}

static void a_free_threaded_build_is_told(void **state) {
    (void)state;
    record((char *[]){program("odd_free_threaded"), NULL});
    assert_int_equal(recording.err, ERR_OK);
    assert_int_equal(made(741), 100);
    assert_true(traced_warns(&recording.report, "free-threaded build"));
}

/* The interpreter that belongs to a directory of libraries, or the system's; NULL after the last. */
static char *python_next(int *at) {
    static char path[PATH_MAX];
    static const char system_python[] = "/usr/bin/python3";
    const char *folders = getenv("MMREPLAY_LIBPYTHON_DIRS");
    int number = 0;
    if (*at == 0 && access(system_python, X_OK) == 0 &&
        !system("nm -D /usr/bin/python3 2>/dev/null | grep -q PyMem_SetAllocator")) {
        *at = 1;
        return memcpy(path, system_python, sizeof system_python);
    }
    for (; folders && *folders; folders += strcspn(folders, ":"), folders += *folders == ':')
        if (++number >= *at + (*at == 0)) {
            *at = number + 1;
            snprintf(path, sizeof path, "%.*s/../bin/python3", (int)strcspn(folders, ":"), folders);
            if (access(path, X_OK) == 0)
                return path;
        }
    return NULL;
}

static char script[] = "x = [str(i) for i in range(20000)]";

static void assert_hooks_lost(char *const *argv) {
    record(argv);
    assert_int_equal(recording.err, ERR_UNSUPPORTED);
    assert_non_null(strstr(recording.diag.text, "--python=malloc"));
}

static void python_is_recorded_as_asked(char *python) {
    char *const plain[] = {python, (char[]){"-c"}, script, NULL};
    record(plain);
    if (recording.err && strstr(recording.diag.text, "3.6")) /* always puts its own back */
        return;
    assert_complete();
    assert_true(operations_in(DOMAIN_OBJ) > 20000);
    assert_int_equal(operations_in(DOMAIN_C), 0);
    record_as(RECORD_PYTHON_MALLOC, plain);
    assert_complete();
    assert_int_equal(operations_in(DOMAIN_OBJ), 0);
    uint64_t large = operations_in(DOMAIN_C);
    setenv("PYTHONMALLOC", "malloc", 1);
    record_as(RECORD_PYTHON_MALLOC, plain);
    assert_complete();
    assert_true(operations_in(DOMAIN_C) > large + 20000); /* its small objects, too */
    assert_hooks_lost(plain);
    setenv("PYTHONMALLOC", "debug", 1);
    assert_hooks_lost(plain);
    unsetenv("PYTHONMALLOC");
    assert_hooks_lost((char *[]){python, (char[]){"-X"}, (char[]){"dev"}, (char[]){"-c"}, script, NULL});
    record_as(RECORD_PYTHON_OFF, plain);
    assert_int_equal(recording.err, ERR_UNSUPPORTED);
    assert_non_null(strstr(recording.diag.text, "--python=off"));
}

static void every_cpython_is_recorded_as_asked(void **state) {
    (void)state;
    int at = 0, count = 0;
    for (char *python; (python = python_next(&at)); count++) {
        print_message("%s\n", python);
        python_is_recorded_as_asked(python);
    }
    if (!count) {
        print_message("skipped: no CPython here that exports PyMem_SetAllocator\n");
        skip();
    }
}

/* From 3.12 on; isolated ones have memory managers of their own, and in 3.12 "legacy" ones share the first's. */
static char sub_interpreter_script[] =
    "import sys, threading\n"
    "if sys.version_info < (3, 12): sys.exit(9)\n"
    "if sys.version_info < (3, 13): import _xxsubinterpreters as lib\n"
    "else: import _interpreters as lib\n"
    "other = lib.create(isolated=False) if len(sys.argv) > 1 else lib.create()\n"
    "thread = threading.Thread(target=lib.run_string, args=(other, 'y = [str(i) for i in range(100000)]'))\n"
    "thread.start()\n"
    "x = [str(i) for i in range(100000)]\n"
    "thread.join()\n"
    "lib.destroy(other)\n";

/* @return whether there is something to be seen in this version. */
static bool sub_interpreters_are_recorded(char *python) {
    char *const isolated[] = {python, (char[]){"-c"}, sub_interpreter_script, NULL};
    record(isolated);
    if (recording.err || strcmp(recording.info.capture_end, "exit 9") == 0)
        return false;
    print_message("%s\n", python);
    assert_complete();
    assert_true(operations_in(DOMAIN_OBJ) > 280000);
    assert_null(recording.info.capture_arena_places);
    assert_true(traced_warns(&recording.report, "memory managers of their own"));
    if (strstr(recording.info.program_interpreter, "CPython 3.12")) { /* later ones do not tell */
        record((char *[]){python, (char[]){"-c"}, sub_interpreter_script, (char[]){"legacy"}, NULL});
        assert_complete();
        assert_non_null(recording.info.capture_arena_places);
        assert_int_equal(recording.report.warning_count, 0);
    }
    return true;
}

static void sub_interpreters_of_cpython_are_recorded(void **state) {
    (void)state;
    int at = 0, count = 0;
    for (char *python; (python = python_next(&at));)
        count += sub_interpreters_are_recorded(python);
    if (!count) {
        print_message("skipped: no CPython of 3.12 or newer here\n");
        skip();
    }
}

int main(int argc, char **argv) {
    traced_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(edges_of_the_family_are_kept_and_recorded, teardown),
        cmocka_unit_test_teardown(every_age_of_a_process_is_recorded, teardown),
        cmocka_unit_test_teardown(a_library_that_binds_deep_is_recorded, teardown),
        cmocka_unit_test_teardown(a_library_that_the_shim_cannot_reach_is_told, teardown),
        cmocka_unit_test_teardown(a_plain_name_is_found_along_the_callers_run_path, teardown),
        cmocka_unit_test_teardown(a_first_allocation_under_a_lock_of_gettext_is_survived, teardown),
        cmocka_unit_test_teardown(a_handler_that_interrupts_the_allocator_is_recorded, teardown),
        cmocka_unit_test_teardown(cxx_operators_are_recorded, teardown),
        cmocka_unit_test_teardown(a_program_linked_to_jemalloc_is_recorded, teardown),
        cmocka_unit_test_teardown(a_program_linked_to_mimalloc_is_recorded, teardown),
        cmocka_unit_test_teardown(a_program_linked_to_tcmalloc_is_recorded, teardown),
        cmocka_unit_test_teardown(a_preloaded_malloc_is_the_one_that_is_recorded, teardown),
        cmocka_unit_test_teardown(a_malloc_that_gets_in_first_is_recorded_all_the_same, teardown),
        cmocka_unit_test_teardown(a_malloc_of_its_own_is_recorded_or_said, teardown),
        cmocka_unit_test_teardown(another_recorder_in_the_chain_is_told, teardown),
        cmocka_unit_test_teardown(an_embedded_interpreter_is_hooked_before_it_starts, teardown),
        cmocka_unit_test_teardown(an_interpreter_that_came_unseen_is_told, teardown),
        cmocka_unit_test_teardown(a_free_threaded_build_is_told, teardown),
        cmocka_unit_test_teardown(every_cpython_is_recorded_as_asked, teardown),
        cmocka_unit_test_teardown(sub_interpreters_of_cpython_are_recorded, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
