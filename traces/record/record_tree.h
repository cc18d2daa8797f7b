/**
 * record_tree.h: run a program and capture the allocation traffic of it and of every process that comes from it.
 *
 * Each process gets shared memory, an order and a trace of its own; one loop drains them all, one thread compresses
 * them all. A child of a fork begins with the live blocks of its parent as they were when it was born, an exec begins a
 * new trace with nothing. The recorder adopts orphans (PR_SET_CHILD_SUBREAPER), so that it hears how daemons end.
 *
 * A pid may come again: what was learnt of it goes to the process that had it then, traces are numbered by pid. A
 * process in another pid namespace is not recorded: its numbers, and those it tells of others, mean somebody else here.
 *
 * A forked child begins with exactly what its parent had when it was copied, whatever the parent's other threads did
 * meanwhile (record_cut.h tells how that is known, and of the one block a thread may be about to take or give back). A
 * child made by a bare system call, which nobody announces, begins with what the parent had when the child made its
 * first call. Operations of which it cannot be told on which side of the copy they were are counted: where
 * /proc/self/mem cannot be read in the child, or more than CUT_RECORDS_MAX operations came during one fork.
 *
 * Memory of the recorder: 48 MiB of queue for all processes together; for each that is alive about 1 MiB and what its
 * trace's writer takes (up to 13 MiB for one with 2^18 events or more), 43 to 85 bytes per live block; for each that
 * has ended a few hundred bytes; for each fork whose child has not made its first call yet 16 bytes per live block, and
 * 32 per operation of its parent during the fork.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_TREE_H
#define MMREPLAY_TRACES_RECORD_RECORD_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/record/record.h"
#include "traces/trace.h"
#include "traces/trace_tree.h"

enum {
    /** An image that an exec replaces leaves its trace when it made at least so many operations of its own. */
    RECORD_IMAGE_OPERATIONS_KEPT = 1000
};

/** Where the traces of a tree go. Called from one thread, but for the sinks, which another feeds. */
struct record_tree_output {
    void *ctx;
    /**
     * A trace begins: fills *sink (borrowed) and *trace, the caller's own.
     * @param image_number how many traces of this pid have been kept before, or are not finished yet: a pid may come
     * again. No two that are kept have the same.
     */
    enum err (*begin)(void *ctx, uint64_t pid, uint32_t image_number, void **trace, struct event_sink *sink,
                      struct diag *diag);
    /** May be NULL. The trace has been going on for a while; this is what is known of it, should the recorder die. */
    void (*announce)(void *ctx, void *trace, const struct trace_info *info);
    /**
     * The trace is whole, or, when it `is_cut` (its sink, or the recorder, has failed), what there is of it. *file,
     * owned by the recorder from then on, is its name for the list; NULL: there is no file. Ends `trace`.
     * @param event_count how many events were put; set to how many the file holds, when those are fewer.
     */
    enum err (*finish)(void *ctx, void *trace, const struct trace_info *info, bool is_cut, char **file,
                       uint64_t *event_count, struct diag *diag);
    /** The trace is not wanted. Ends `trace`. */
    void (*discard)(void *ctx, void *trace);
    /** May be NULL. The program that was started has ended, others of its tree go on for long, and are recorded. */
    void (*program_ended)(void *ctx, uint64_t others_count);
};

/** What happened to all of them together. */
struct record_tree_report {
    uint64_t event_count;
    uint64_t duration_ns;
    uint64_t process_count; /**< with and without a trace */
    uint64_t trace_count;
    uint64_t fault_count; /**< processes whose recording failed: their rows' reason tells */
    uint64_t lost_count;
    uint64_t unknown_free_count;
    uint64_t missed_free_count;
    uint64_t uncertain_count; /**< operations beside a fork that may or may not be in what the child inherited */
    uint64_t denied_count;    /**< processes that found no memory left to record them */
    enum record_stop stop;    /**< anything but NONE: processes may run on */
    int wait_status;          /**< of the program that was started */
    int signal_number;        /**< as in struct record_report */
};

/**
 * Runs the command and records it and its descendants, until the last of them that is recorded has ended, a bound is
 * reached (duration_ns; event_count_max counts all processes together, and is heeded once a round, not to the event),
 * or SIGINT asks for it. With start_after_ns or start_after_event_count (of all together, again once a round) all
 * traces begin at one moment, each with what is alive in its process then; processes that ended before have none. As
 * with record_run, record_tree_wait must follow.
 * @param tree filled: command, tool, date and a row for each; the caller's to clear, after a failure, too.
 * @return as record_run. A process whose recording fails ends only that one's.
 */
enum err record_tree_run(const struct record_options *options, const struct record_tree_output *output,
                         struct trace_tree *tree, struct record_tree_report *report, struct diag *diag);

/** As record_runs_on and record_wait, for the program that was started. */
bool record_tree_runs_on(struct record_tree_report *report);
void record_tree_wait(struct record_tree_report *report);

#endif
