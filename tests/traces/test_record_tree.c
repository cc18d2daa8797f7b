/* Process trees: each process has its trace, begins with what it inherited, and is in the list with how it came and
 * ended. Every event is applied to a tracker, which refuses anything impossible. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/traces/traced.h"
#include "traces/record/record_tree.h"

enum { FIRST_MAX = 8192, SIZES = 1024, KEPT = 300, CHILD_BLOCKS = 50, TRACES_MAX = 512 };

/* No recording takes so long; one that hangs is ended. */
#define PATIENCE_NS (UINT64_C(60) * 1000 * 1000 * 1000)

/* One trace as it comes in. */
struct followed {
    uint64_t pid;
    uint32_t image_number;
    bool is_finished;
    bool is_cut;
    struct tracker *tracker;
    uint64_t size_counts[SIZES];
    uint64_t head_sizes[SIZES]; /* among what it inherited */
    uint64_t inherited_blocks;
    uint64_t event_count;
    uint64_t fail_after;
    struct trace_summary summary;
    char end[128];
    uint64_t first_sizes[FIRST_MAX]; /* of the first blocks, in order */
    uint64_t block_count;
};

struct forest {
    struct followed traces[TRACES_MAX];
    size_t count;
    size_t discarded_count;
    size_t starve_at;       /* so many traces have begun: there is no more memory; 0 = there always is */
    bool keeps_nothing;     /* of traces that are cut */
    uint64_t fail_after;    /* events after which the sinks fail; 0 = never */
    const char *begin_file; /* the recorder stands still at the first trace until this is there; NULL: it does not */
    const char *made_file;  /* made at the first trace */
    struct trace_tree tree;
    struct record_tree_report report;
    struct diag diag;
    enum err err;
};

static struct forest forest;

#define FILE_NAME "/tmp/test_record_tree.XXXXXX"

static enum err events_follow(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    struct followed *trace = ctx;
    if (trace->fail_after && trace->event_count + count > trace->fail_after)
        return diag_set(diag, ERR_IO, "disk", "no space");
    enum err err = traced_follow(trace->tracker, events, count, diag);
    if (err)
        return err;
    for (size_t i = 0; i < count; i++) {
        if (!event_makes_block(events[i].kind))
            continue;
        if (events[i].size_bytes < SIZES)
            trace->size_counts[events[i].size_bytes]++;
        if (trace->block_count < FIRST_MAX)
            trace->first_sizes[trace->block_count] = events[i].size_bytes;
        trace->block_count++;
    }
    trace->event_count += count;
    return ERR_OK;
}

/* At most some seconds: what the program does meanwhile fits into its rings and needs no answer. */
static void recorder_stall(const char *file) {
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    for (int i = 0; i < 2000 && access(file, F_OK); i++)
        nanosleep(&pause, NULL);
}

static void memory_limit(rlim_t bytes) {
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
}

static enum err trace_begin(void *ctx, uint64_t pid, uint32_t image_number, void **out, struct event_sink *sink,
                            struct diag *diag) {
    struct forest *all = ctx;
    if (all->count == TRACES_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "too many traces");
    if (all->begin_file)
        recorder_stall(all->begin_file);
    if (all->made_file)
        close(open(all->made_file, O_CREAT | O_WRONLY, 0600));
    struct followed *trace = &all->traces[all->count++];
    *trace = (struct followed){.pid = pid, .image_number = image_number, .fail_after = all->fail_after};
    *sink = (struct event_sink){.ctx = trace, .put = events_follow};
    *out = trace;
    enum err err = tracker_create(&trace->tracker);
    if (all->count == all->starve_at)
        memory_limit(1);
    return err;
}

static enum err trace_finish(void *ctx, void *ended, const struct trace_info *info, bool is_cut, char **file,
                             uint64_t *event_count, struct diag *diag) {
    struct followed *trace = ended;
    struct forest *all = ctx;
    if (is_cut)
        *event_count = trace->event_count;
    else
        assert_int_equal(*event_count, trace->event_count);
    trace->is_finished = true;
    trace->is_cut = is_cut;
    trace->summary = *tracker_summary(trace->tracker);
    trace->inherited_blocks = info->capture_inherited_blocks;
    for (uint64_t i = 0; i < trace->inherited_blocks && i < FIRST_MAX; i++)
        if (trace->first_sizes[i] < SIZES)
            trace->head_sizes[trace->first_sizes[i]]++;
    snprintf(trace->end, sizeof trace->end, "%s", info->capture_end);
    tracker_destroy(trace->tracker);
    trace->tracker = NULL;
    if (is_cut && all->keeps_nothing)
        return diag_set(diag, ERR_TRUNCATED, NULL, "no events could be written");
    return trace_text_set(file, "x.yaml");
}

static void trace_discard(void *ctx, void *ended) {
    struct forest *all = ctx;
    struct followed *trace = ended;
    tracker_destroy(trace->tracker);
    trace->tracker = NULL;
    all->discarded_count++;
}

static size_t folder_count(const char *path) {
    DIR *folder = opendir(path);
    size_t count = 0;
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* Runs traced_tree with up to three words. The recorder must not keep a descriptor or a thread. */
static void forest_run_bounded(const char *what, const char *second, const char *third, struct record_options options) {
    const char *argv[] = {program("traced_tree"), what, second, third, NULL};
    options.argv = (char *const *)(uintptr_t)argv;
    options.shim_path = shim_path;
    if (!options.duration_ns)
        options.duration_ns = PATIENCE_NS;
    const struct record_tree_output output = {&forest, trace_begin, NULL, trace_finish, trace_discard, NULL};
    size_t descriptors = folder_count("/proc/self/fd"), threads = folder_count("/proc/self/task");
    forest.err = record_tree_run(&options, &output, &forest.tree, &forest.report, &forest.diag);
    record_tree_wait(&forest.report);
    if (forest.err)
        print_message("%s\n", forest.diag.text);
    for (size_t i = 0; i < forest.tree.process_count; i++)
        if (forest.tree.processes[i].reason && !forest.fail_after)
            print_message("%llu: %s\n", (unsigned long long)forest.tree.processes[i].pid,
                          forest.tree.processes[i].reason);
    assert_int_equal(folder_count("/proc/self/fd"), descriptors);
    assert_int_equal(folder_count("/proc/self/task"), threads);
}

static void forest_run(const char *what, const char *second, const char *third, uint64_t fail_after) {
    memset(&forest, 0, sizeof forest);
    forest.fail_after = fail_after;
    forest_run_bounded(what, second, third, (struct record_options){0});
}

/* The name of a file that is not there. */
static const char *file_name(char file[sizeof FILE_NAME]) {
    memcpy(file, FILE_NAME, sizeof FILE_NAME);
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    unlink(file);
    return file;
}

static void assert_exact(void) {
    assert_int_equal(forest.err, ERR_OK);
    assert_int_equal(forest.report.fault_count, 0);
    assert_int_equal(forest.report.lost_count, 0);
    assert_int_equal(forest.report.unknown_free_count, 0);
    assert_int_equal(forest.report.missed_free_count, 0);
    assert_int_equal(forest.report.uncertain_count, 0);
    assert_int_equal(forest.report.denied_count, 0);
}

static struct followed *trace_of(uint64_t pid, uint32_t image_number) {
    for (size_t i = 0; i < forest.count; i++)
        if (forest.traces[i].pid == pid && forest.traces[i].image_number == image_number &&
            forest.traces[i].is_finished)
            return &forest.traces[i];
    fail_msg("process %llu has no trace", (unsigned long long)pid);
    return NULL;
}

static const struct tree_process *row_at(size_t i) {
    assert_true(i < forest.tree.process_count);
    return &forest.tree.processes[i];
}

/* The first row that came so, from `after` on. */
static const struct tree_process *row_that_came(enum tree_came came, size_t after) {
    for (size_t i = after; i < forest.tree.process_count; i++)
        if (forest.tree.processes[i].came == came)
            return &forest.tree.processes[i];
    fail_msg("no process came by %s", tree_came_names[came]);
    return NULL;
}

static void a_fork_in_a_fork_inherits_from_the_one_above_it(void **state) {
    (void)state;
    forest_run("nested", NULL, NULL, 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 4);
    for (size_t depth = 0; depth < 4; depth++) {
        const struct tree_process *row = row_at(depth);
        const struct followed *trace = trace_of(row->pid, 0);
        assert_int_equal(row->came, depth ? TREE_FORK : TREE_START);
        assert_string_equal(row->end, "exit 0");
        assert_int_equal(trace->head_sizes[500], depth ? KEPT - (depth - 1) : 0);
        assert_int_equal(trace->head_sizes[501], depth ? depth - 1 : 0);
        assert_int_equal(trace->inherited_blocks, row->inherited_blocks);
        if (depth)
            assert_int_equal(row->parent_pid, row_at(depth - 1)->pid);
    }
}

static void a_daemon_is_recorded_to_its_end(void **state) {
    (void)state;
    forest_run("daemon", NULL, NULL, 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 3);
    size_t daemons = 0;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(row_at(i)->end, "exit 7") != 0)
            continue;
        const struct followed *trace = trace_of(row_at(i)->pid, 0);
        daemons++;
        assert_int_equal(trace->head_sizes[500], KEPT);
        assert_int_equal(trace->size_counts[600], 2 * CHILD_BLOCKS);
        assert_string_equal(trace->end, "exit 7");
    }
    assert_int_equal(daemons, 1);
}

static void a_program_that_a_child_becomes_has_a_trace_with_nothing_inherited(void **state) {
    (void)state;
    forest_run("vfork", NULL, NULL, 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 2);
    const struct tree_process *leaf = row_that_came(TREE_EXEC, 0);
    assert_string_equal(leaf->end, "exit 3");
    assert_int_equal(leaf->parent_pid, row_that_came(TREE_START, 0)->pid);
    assert_non_null(strstr(leaf->command, "traced_tree leaf"));
    assert_int_equal(trace_of(leaf->pid, 0)->inherited_blocks, 0);
    assert_int_equal(trace_of(leaf->pid, 0)->size_counts[700], 10);
}

static void spawned_programs_and_those_below_shells_are_recorded(void **state) {
    (void)state;
    forest_run("spawn", NULL, NULL, 0);
    assert_exact();
    size_t leaves = 0;
    for (size_t i = 0; i < forest.tree.process_count; i++)
        leaves += row_at(i)->file && trace_of(row_at(i)->pid, 0)->size_counts[700] == 10;
    assert_int_equal(leaves, 3);
    assert_int_equal(forest.tree.process_count, 4); /* the shells have become leaves */
}

static void a_child_that_is_killed_leaves_all_until_then(void **state) {
    (void)state;
    forest_run("killed", NULL, NULL, 0);
    assert_exact();
    const struct tree_process *child = row_that_came(TREE_FORK, 0);
    assert_string_equal(child->end, "signal 9 (SIGKILL)");
    assert_true(trace_of(child->pid, 0)->size_counts[600] >= 5000);
    assert_int_equal(trace_of(child->pid, 0)->head_sizes[500], KEPT);
}

static void an_image_that_did_little_is_replaced_by_the_next(void **state) {
    (void)state;
    forest_run("exec", program("traced_tree"), "100", 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 2);
    assert_int_equal(forest.discarded_count, 1);
    const struct tree_process *leaf = row_that_came(TREE_EXEC, 0);
    assert_int_equal(trace_of(leaf->pid, 0)->size_counts[700], 10);
    assert_int_equal(trace_of(leaf->pid, 0)->size_counts[600], 0);
}

static const struct followed *trace_with(size_t bytes) {
    for (size_t i = 0; i < forest.count; i++)
        if (forest.traces[i].is_finished && forest.traces[i].size_counts[bytes])
            return &forest.traces[i];
    fail_msg("no trace has blocks of %zu bytes", bytes);
    return NULL;
}

static void assert_both_images(const char *how) {
    forest_run(how, program("traced_tree"), "5000", 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 3);
    const struct followed *child = trace_with(600), *leaf = trace_with(700);
    assert_int_equal(row_that_came(TREE_FORK, 0)->pid, child->pid);
    assert_int_equal(row_that_came(TREE_EXEC, 0)->pid, leaf->pid);
    assert_int_equal(child->pid, leaf->pid);
    assert_int_equal(child->image_number + leaf->image_number, 1);
    assert_int_equal(child->size_counts[600], 5000);
    assert_int_equal(child->head_sizes[500], KEPT);
    assert_int_equal(leaf->size_counts[700], 10);
    assert_null(row_that_came(TREE_FORK, 0)->reason);
}

static void an_image_that_did_much_keeps_its_trace(void **state) {
    (void)state;
    assert_both_images("exec");
    assert_int_equal(trace_with(700)->image_number, 1);
    assert_string_equal(row_that_came(TREE_FORK, 0)->end, "exec");
    assert_string_equal(row_that_came(TREE_EXEC, 0)->end, "exit 3");
}

static void an_exec_by_a_bare_system_call_is_seen_when_the_program_starts(void **state) {
    (void)state;
    assert_both_images("bare-exec");
}

/* The recorder hears of all at once: of both forks, and of the exec between them. */
static void images_and_their_forks_are_told_apart_however_late(void **state) {
    char file[sizeof FILE_NAME];
    (void)state;
    memset(&forest, 0, sizeof forest);
    forest.begin_file = file_name(file);
    forest_run_bounded("again", file, NULL, (struct record_options){0});
    assert_int_equal(unlink(file), 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 4);
    const struct tree_process *first = row_that_came(TREE_START, 0), *second = row_that_came(TREE_EXEC, 0);
    assert_string_equal(first->end, "exec");
    assert_non_null(strstr(first->command, "again /tmp/"));
    assert_non_null(strstr(second->command, "again-leaf /tmp/"));
    assert_int_equal(first->pid, second->pid);
    size_t early = 0, late = 0;
    for (size_t i = 0; i < forest.tree.process_count; i++) {
        const struct followed *trace = row_at(i)->came == TREE_FORK ? trace_of(row_at(i)->pid, 0) : NULL;
        early += trace && trace->head_sizes[500] == KEPT;
        late += trace && trace->head_sizes[500] == 0 && trace->size_counts[600] == CHILD_BLOCKS;
    }
    assert_int_equal(early, 1);
    assert_int_equal(late, 1);
}

/* Parent and child go on only when their traces have begun. */
static void assert_begun_late(const struct record_options *options) {
    char file[sizeof FILE_NAME];
    memset(&forest, 0, sizeof forest);
    forest.made_file = file_name(file);
    forest_run_bounded("late", file, NULL, *options);
    assert_int_equal(unlink(file), 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 3);
    assert_int_equal(forest.report.trace_count, 2);
    for (size_t i = 0; i < 3; i++) {
        if (!row_at(i)->file) {
            assert_non_null(strstr(row_at(i)->reason, "the time that --start-after gives"));
            continue;
        }
        const struct followed *trace = trace_of(row_at(i)->pid, 0);
        assert_int_equal(trace->head_sizes[500], KEPT);
        assert_int_equal(trace->inherited_blocks, row_at(i)->inherited_blocks);
        assert_in_range(trace->size_counts[600], 0, options->start_after_ns ? 0 : CHILD_BLOCKS / 2);
        assert_int_equal(trace->size_counts[700], 10);
        assert_non_null(strstr(trace->end, "recording began after "));
        assert_non_null(strstr(trace->end, "(--start-after); exit 0"));
    }
    trace_tree_clear(&forest.tree);
}

static void traces_that_begin_later_begin_all_at_once_with_what_is_alive(void **state) {
    (void)state;
    assert_begun_late(&(struct record_options){.start_after_ns = 300 * 1000 * 1000});
    /* What the first process and its early child do, and most of what it and the second one do before they wait. */
    assert_begun_late(&(struct record_options){.start_after_event_count = KEPT + (2 * CHILD_BLOCKS + KEPT) + 175});
}

static void a_program_that_cannot_be_recorded_is_listed_with_the_reason(void **state) {
    (void)state;
    forest_run("exec", program("traced_static"), "100", 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 2);
    const struct tree_process *child = row_that_came(TREE_FORK, 0);
    assert_null(child->file);
    assert_non_null(strstr(child->reason, "statically linked"));
}

static void a_child_without_an_event_is_listed_and_has_no_trace(void **state) {
    (void)state;
    forest_run("silent", NULL, NULL, 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 2);
    const struct tree_process *child = row_that_came(TREE_FORK, 0);
    assert_null(child->file);
    assert_string_equal(child->end, "exit 5");
    assert_string_equal(child->reason, "it made no allocation call");
}

static void a_child_by_a_bare_clone_inherits_when_its_parent_waits(void **state) {
    (void)state;
    for (int run = 0; run < 5; run++) {
        forest_run("clone", NULL, NULL, 0);
        assert_exact();
        const struct tree_process *child = row_that_came(TREE_FORK, 0);
        assert_int_equal(trace_of(child->pid, 0)->head_sizes[500], KEPT);
        trace_tree_clear(&forest.tree);
    }
}

static void a_fork_of_the_c_library_leaves_nothing_to_the_next_child(void **state) {
    (void)state;
    for (int run = 0; run < 5; run++) {
        forest_run("forkpty", NULL, NULL, 0);
        if (WIFEXITED(forest.report.wait_status) && WEXITSTATUS(forest.report.wait_status) == 77) {
            print_message("skipped: no pseudo-terminals here\n");
            skip();
        }
        assert_exact();
        assert_int_equal(forest.tree.process_count, 3);
        const struct tree_process *first = row_that_came(TREE_FORK, 0);
        const struct tree_process *second = row_that_came(TREE_FORK, (size_t)(first - forest.tree.processes) + 1);
        assert_int_equal(trace_of(first->pid, 0)->head_sizes[500], KEPT);
        assert_int_equal(trace_of(second->pid, 0)->head_sizes[500], KEPT);
        trace_tree_clear(&forest.tree);
    }
}

/* With a malloc that may be called from handlers. Those that interrupt too many of their own kind may be lost. */
static void children_that_signals_storm_from_their_birth_are_recorded(void **state) {
    enum { CHILDREN = 100 };
    (void)state;
    setenv("LD_PRELOAD", program("libbump_malloc.so"), 1);
    forest_run("raised", "100", NULL, 0);
    unsetenv("LD_PRELOAD");
    assert_int_equal(forest.err, ERR_OK);
    assert_int_equal(forest.report.fault_count, 0);
    assert_int_equal(forest.report.wait_status, 0);
    assert_int_equal(forest.tree.process_count, 1 + CHILDREN);
    for (size_t i = 0; i < forest.tree.process_count; i++)
        if (row_at(i)->came == TREE_FORK)
            assert_int_equal(trace_of(row_at(i)->pid, 0)->size_counts[600], CHILD_BLOCKS);
}

static void children_inherit_exactly_what_was_there_beside_running_threads(void **state) {
    (void)state;
    forest_run("threads", NULL, NULL, 0);
    print_message(
        "%llu uncertain, %llu freed unseen, %llu made unseen\n", (unsigned long long)forest.report.uncertain_count,
        (unsigned long long)forest.report.missed_free_count, (unsigned long long)forest.report.unknown_free_count);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 21);
    for (size_t i = 0; i < 21; i++) {
        const struct followed *trace = trace_of(row_at(i)->pid, 0);
        if (row_at(i)->came == TREE_START)
            continue;
        assert_int_equal(trace->head_sizes[500], KEPT); /* the forking thread's own */
        assert_int_equal(trace->size_counts[600], CHILD_BLOCKS);
    }
}

static void hundreds_of_short_children_are_all_there(void **state) {
    (void)state;
    struct rusage usage;
    forest_run("many", "300", NULL, 0);
    assert_exact();
    assert_int_equal(forest.tree.process_count, 301);
    for (size_t i = 0; i < 301; i++) {
        const struct followed *trace = trace_of(row_at(i)->pid, 0);
        bool is_child = row_at(i)->came == TREE_FORK;
        assert_int_equal(trace->head_sizes[500], is_child ? KEPT : 0);
        assert_int_equal(trace->size_counts[600], is_child ? CHILD_BLOCKS : 0);
        assert_string_equal(row_at(i)->end, "exit 0");
    }
    getrusage(RUSAGE_SELF, &usage);
    print_message("%ld KiB resident at most\n", usage.ru_maxrss);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    assert_true(usage.ru_maxrss < 256 * 1024);
#endif
}

static void sinks_that_fail_end_recordings_but_no_process(void **state) {
    (void)state;
    forest_run("many", "20", NULL, 100);
    assert_int_equal(forest.err, ERR_OK);
    assert_int_equal(forest.report.fault_count, 21);
    for (size_t i = 0; i < forest.count; i++)
        assert_true(forest.traces[i].is_cut);
    assert_int_equal(forest.report.wait_status, 0);
    assert_non_null(strstr(row_at(0)->reason, "no space"));
}

/* Of the two processes that had one number, the one that made blocks of 600 or of 601. */
static const struct tree_process *row_of_life(size_t bytes) {
    for (size_t i = 0; i < forest.tree.process_count; i++) {
        const struct tree_process *row = row_at(i);
        for (size_t j = 0; row->file && j < forest.count; j++)
            if (forest.traces[j].pid == row->pid && forest.traces[j].size_counts[bytes] &&
                forest.traces[j].event_count == row->event_count)
                return row;
    }
    fail_msg("no trace has blocks of %zu bytes", bytes);
    return NULL;
}

static void assert_not_skipped(void) {
    if (WIFEXITED(forest.report.wait_status) && WEXITSTATUS(forest.report.wait_status) == 77)
        skip();
}

/* Both are recorded whole, and neither waits for ever. */
static void assert_both_lives(const char *how) {
    forest_run("reused", how, NULL, 0);
    assert_not_skipped();
    assert_exact();
    assert_int_equal(forest.report.wait_status, 0);
    const struct followed *first = trace_with(600), *second = trace_with(601);
    bool is_program = strcmp(how, "exec") == 0;
    assert_int_equal(first->pid, second->pid);
    assert_int_not_equal(first->image_number, second->image_number);
    assert_int_equal(first->size_counts[600], 200000);
    assert_int_equal(second->size_counts[601], 400000);
    assert_int_equal(second->size_counts[600], 0);
    assert_int_equal(first->head_sizes[500], KEPT);
    assert_int_equal(second->head_sizes[500], is_program ? 0 : KEPT);
    assert_string_equal(row_of_life(600)->end, "exit 0");
    assert_string_equal(row_of_life(601)->end, "exit 4");
    assert_int_equal(row_of_life(601)->came, is_program ? TREE_EXEC : TREE_FORK);
    assert_null(row_of_life(601)->reason);
}

static void a_child_whose_pid_another_had_just_now_is_recorded(void **state) {
    (void)state;
    assert_both_lives("at once");
}

static void a_child_whose_pid_another_had_a_while_ago_is_recorded(void **state) {
    (void)state;
    assert_both_lives("late");
}

static void a_program_that_starts_under_the_pid_of_one_that_has_ended_is_recorded(void **state) {
    (void)state;
    assert_both_lives("exec");
}

static void a_child_whose_fork_its_parent_has_not_told_does_not_wait_for_ever(void **state) {
    (void)state;
    forest_run("untold", NULL, NULL, 0);
    assert_not_skipped();
    assert_int_equal(forest.report.wait_status, 0);
    assert_int_equal(forest.report.fault_count, 0);
    assert_int_equal(forest.report.lost_count, 0);
    assert_int_equal(trace_with(601)->size_counts[601], 400000);
}

static void another_pid_namespace_is_left_out_and_nobody_taken_for_its_processes(void **state) {
    (void)state;
    forest_run("namespace", NULL, NULL, 0);
    assert_not_skipped();
    assert_exact();
    assert_int_equal(forest.report.stop, RECORD_STOP_NONE);
    assert_int_equal(WEXITSTATUS(forest.report.wait_status), 3);
    assert_non_null(row_that_came(TREE_START, 0)->file);
    assert_int_equal(forest.report.trace_count, 1);
    assert_int_equal(forest.tree.process_count, 2);
    for (size_t i = 0; i < forest.tree.process_count; i++) {
        const struct tree_process *row = row_at(i);
        assert_true(row->came == TREE_START || strstr(row->reason, "a pid namespace of its own"));
    }
    assert_string_equal(row_at(row_at(0)->came == TREE_START)->end, "exit 3");
}

static void what_an_image_lost_that_was_replaced_is_reported(void **state) {
    (void)state;
    forest_run("unseen", NULL, NULL, 0);
    assert_int_equal(forest.err, ERR_OK);
    assert_int_equal(forest.report.unknown_free_count, 20);
    const struct tree_process *image = row_that_came(TREE_START, 0);
    assert_int_equal(image->lost_count, 20);
    assert_string_equal(image->end, "exec");
    assert_non_null(strstr(image->command, "traced_tree unseen"));
}

static void a_child_that_still_idles_at_the_end_is_not_said_to_have_made_no_call(void **state) {
    (void)state;
    memset(&forest, 0, sizeof forest);
    forest_run_bounded("idle", NULL, NULL, (struct record_options){.event_count_max = 100000});
    assert_exact();
    assert_int_equal(forest.report.stop, RECORD_STOP_EVENTS);
    assert_string_equal(row_that_came(TREE_FORK, 0)->reason, "it had made no allocation call when the recording ended");
}

static void a_note_that_was_never_finished_does_not_stop_those_after_it(void **state) {
    (void)state;
    forest_run("torn-note", program("traced_static"), NULL, 0);
    assert_exact();
    for (size_t i = 0; i < forest.tree.process_count;
         i++) { /* by fork, or by exec where it was over before that was told */
        const struct tree_process *row = row_at(i);
        assert_true(row->came == TREE_START || strstr(row->reason, "statically linked"));
    }
    assert_true(forest.tree.process_count >= 2);
}

static void assert_cut_rows(bool keeps_nothing) {
    uint64_t total = 0;
    memset(&forest, 0, sizeof forest);
    forest.fail_after = 20000;
    forest.keeps_nothing = keeps_nothing;
    forest_run_bounded("crowd", "3", NULL, (struct record_options){0});
    assert_int_equal(forest.report.fault_count, 3);
    for (size_t i = 0; i < forest.tree.process_count; i++) {
        const struct tree_process *row = row_at(i);
        total += row->event_count;
        if (row->came == TREE_START)
            continue;
        assert_non_null(strstr(row->reason, "no space"));
        assert_int_equal(row->event_count, keeps_nothing ? 0 : trace_of(row->pid, 0)->event_count);
        assert_true(keeps_nothing ? !row->file : row->event_count > 0 && row->lost_count > 0);
    }
    assert_int_equal(forest.report.event_count, total);
    trace_tree_clear(&forest.tree);
}

static void rows_of_cut_traces_tell_what_is_in_their_files(void **state) {
    (void)state;
    assert_cut_rows(false);
    assert_cut_rows(true);
}

static void a_recorder_that_has_no_memory_left_keeps_what_it_has(void **state) {
    (void)state;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    skip();
#endif
    memset(&forest, 0, sizeof forest);
    forest.starve_at = 1;
    forest_run_bounded("many", "100", NULL, (struct record_options){0});
    memory_limit(RLIM_INFINITY);
    /* All processes may have come so early that there was memory for them, or be denied. */
    assert_true(forest.err == ERR_NOMEM || forest.report.denied_count);
    assert_int_equal(forest.report.wait_status, 0);
    assert_true(trace_of(row_that_came(TREE_START, 0)->pid, 0)->size_counts[500] == KEPT);
}

/* The last test: who is not root does not get the limit back. */
static void processes_beyond_the_descriptors_are_denied_and_the_others_whole(void **state) {
    (void)state;
    const struct rlimit few = {100, 100};
    size_t whole = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    forest_run("crowd", "120", NULL, 0);
    assert_int_equal(forest.err, ERR_OK);
    assert_int_equal(forest.report.wait_status, 0);
    assert_int_equal(forest.report.fault_count, 0);
    assert_int_equal(forest.tree.process_count, 121);
    for (size_t i = 0; i < forest.tree.process_count; i++) {
        const struct tree_process *row = row_at(i);
        assert_string_equal(row->end, "exit 0");
        assert_true(row->file || strstr(row->reason, "too many processes at once"));
        if (row->came == TREE_START || !row->file)
            continue;
        assert_int_equal(trace_of(row->pid, 0)->size_counts[601], 20000);
        whole++;
    }
    assert_true(whole >= 4);
    assert_int_equal(forest.report.denied_count, 120 - whole);
}

static int tree_clear(void **state) {
    (void)state;
    trace_tree_clear(&forest.tree);
    return 0;
}

static void *thread_end(void *unused) {
    return unused;
}

#define TREE_TEST(test) cmocka_unit_test_teardown(test, tree_clear)

int main(int count, char **arguments) {
    const struct CMUnitTest tests[] = {
        TREE_TEST(a_fork_in_a_fork_inherits_from_the_one_above_it),
        TREE_TEST(a_daemon_is_recorded_to_its_end),
        TREE_TEST(a_program_that_a_child_becomes_has_a_trace_with_nothing_inherited),
        TREE_TEST(spawned_programs_and_those_below_shells_are_recorded),
        TREE_TEST(a_child_that_is_killed_leaves_all_until_then),
        TREE_TEST(an_image_that_did_little_is_replaced_by_the_next),
        TREE_TEST(an_image_that_did_much_keeps_its_trace),
        TREE_TEST(an_exec_by_a_bare_system_call_is_seen_when_the_program_starts),
        TREE_TEST(images_and_their_forks_are_told_apart_however_late),
        TREE_TEST(traces_that_begin_later_begin_all_at_once_with_what_is_alive),
        TREE_TEST(a_program_that_cannot_be_recorded_is_listed_with_the_reason),
        TREE_TEST(a_child_without_an_event_is_listed_and_has_no_trace),
        TREE_TEST(a_child_by_a_bare_clone_inherits_when_its_parent_waits),
        TREE_TEST(a_fork_of_the_c_library_leaves_nothing_to_the_next_child),
        TREE_TEST(children_that_signals_storm_from_their_birth_are_recorded),
        TREE_TEST(children_inherit_exactly_what_was_there_beside_running_threads),
        TREE_TEST(hundreds_of_short_children_are_all_there),
        TREE_TEST(a_child_whose_pid_another_had_just_now_is_recorded),
        TREE_TEST(a_child_whose_pid_another_had_a_while_ago_is_recorded),
        TREE_TEST(a_program_that_starts_under_the_pid_of_one_that_has_ended_is_recorded),
        TREE_TEST(a_child_whose_fork_its_parent_has_not_told_does_not_wait_for_ever),
        TREE_TEST(sinks_that_fail_end_recordings_but_no_process),
        TREE_TEST(another_pid_namespace_is_left_out_and_nobody_taken_for_its_processes),
        TREE_TEST(what_an_image_lost_that_was_replaced_is_reported),
        TREE_TEST(a_child_that_still_idles_at_the_end_is_not_said_to_have_made_no_call),
        TREE_TEST(a_note_that_was_never_finished_does_not_stop_those_after_it),
        TREE_TEST(rows_of_cut_traces_tell_what_is_in_their_files),
        TREE_TEST(a_recorder_that_has_no_memory_left_keeps_what_it_has),
        TREE_TEST(processes_beyond_the_descriptors_are_denied_and_the_others_whole),
    };
    traced_begin(count, arguments);
    pthread_t first; /* a sanitizer starts a thread of its own beside the first one */
    if (pthread_create(&first, NULL, thread_end, NULL) == 0)
        pthread_join(first, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
