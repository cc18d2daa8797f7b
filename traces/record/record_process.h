/**
 * record_process.h: one process of a recorded tree: its memory → merge → namer → stage → its traces.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_PROCESS_H
#define MMREPLAY_TRACES_RECORD_RECORD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/record/record_bounds.h"
#include "traces/record/record_control.h"
#include "traces/record/record_merge.h"
#include "traces/record/record_names.h"
#include "traces/record/record_session.h"
#include "traces/record/record_stage.h"
#include "traces/record/record_tree.h"

struct recorded_process;

/** Who is told what the records say beside the allocation traffic, in their true order. */
struct process_watcher {
    void *ctx;
    enum err (*told)(void *ctx, struct recorded_process *process, const struct merged_record *record,
                     struct diag *diag);
    /** The number `guess_stamp` comes next. */
    enum err (*stamp_reached)(void *ctx, struct recorded_process *process, struct diag *diag);
    /** An operation while a fork is under way. */
    void (*beside)(void *ctx, struct recorded_process *process, const struct merged_record *record);
    /** A trace begins. @return ERR_OK and *number: how many its pid has had before; ERR_NOMEM. */
    enum err (*number_take)(void *ctx, const struct recorded_process *process, uint32_t *number);
    /** It was not wanted, and its number can be the next one's. */
    void (*number_return)(void *ctx, const struct recorded_process *process);
    /** A new image begins: the trace of the one before must end. */
    enum err (*image_over)(void *ctx, struct recorded_process *process, struct diag *diag);
};

enum process_state {
    PROCESS_NAMED,    /**< others spoke of it; it has made no event that is recorded, and may never */
    PROCESS_CLAIMING, /**< it has its memory, and has not said yet where it comes from */
    PROCESS_AWAITING, /**< its parent's live set is not there yet */
    PROCESS_RUNNING   /**< its events are taken */
};

struct recorded_process {
    struct recorded_process *next;
    enum process_state state;
    uint32_t pid;
    uint32_t parent_pid;
    enum tree_came came; /**< of the present image */
    int pidfd;           /**< -1: none */
    uint64_t begin_us;   /**< of the present image */
    bool is_busy;        /**< the last step may not have been all */
    bool has_ended;
    bool is_replaced; /**< by an exec that it did not announce: what came of it counts as another process */
    bool has_status;
    int wait_status;
    uint64_t ended_ns;                  /**< when it was seen to have ended */
    enum control_note denied;           /**< of one that is NAMED: why it is not recorded; NOTE_EXEC: no such thing */
    char exec_path[CONTROL_PATH_BYTES]; /**< of one that is NAMED: what it is about to become; empty: nothing */

    uint32_t slot;
    struct record_session *session; /**< borrowed; NULL while NAMED */
    uint64_t life;                  /**< as in its memory: tells it from those that had its pid before; 0: NAMED */
    uint64_t parent_life;           /**< came by a fork: of its parent */
    uint64_t fork_number;           /**< of its parent, 0: unseen */
    uint64_t parent_stamp;
    bool has_guess;       /**< what it inherits from a fork unseen has been taken */
    uint64_t guess_stamp; /**< when to take what a child of an unseen fork inherits; UINT64_MAX: there is none */
    struct merge *merge;
    struct namer *namer;
    struct stage *stage;
    const struct record_tree_output *output;
    struct record_bounds *bounds; /**< borrowed; while they are waiting nothing has a trace */
    struct process_watcher watcher;

    uint64_t clock_start_ns;        /**< what the clock of events' times showed when the recording began; 0: no times */
    uint64_t clock_unit_ns;         /**< what their times are multiples of */
    bool is_announced;              /**< the present trace … */
    uint64_t announced_arena_count; /**< … with so many arenas */
    void *trace;                    /**< the output's, of the present image; NULL: none */
    bool is_late;                   /**< the present trace began in the middle of its process, when all did */
    uint32_t image_count;
    uint32_t trace_number; /**< of the present trace */
    uint64_t inherited_uncertain_count;
    bool has_lost_inheritance;  /**< what it inherited is not known */
    struct record_image *image; /**< the present one, as last seen */
    uint32_t open_fork_count;   /**< forks under way */
    enum err err;               /**< its recording has failed */
    struct diag diag;
};

/** One that is NAMED, without a pidfd. @return NULL: no memory. */
struct recorded_process *process_create(uint32_t pid, uint32_t parent_pid, uint64_t begin_us);
void process_destroy(struct recorded_process *process);

/** Opens its pidfd. @return false: it has ended (has_ended), or there is no descriptor or memory for it now. */
bool process_watch(struct recorded_process *process);

/** Whether it has ended; asks the kernel if need be, which knows it before has_ended says so. */
bool process_is_over(const struct recorded_process *process);

/** Whether there is a process of that number that has not ended. */
bool process_pid_is_alive(uint32_t pid);

/** It has memory from now on. @param beside a stage to share the queue of; NULL: the first. @return ERR_NOMEM, ERR_IO.
 */
enum err process_attach(struct recorded_process *process, struct record_session *session, struct stage *beside,
                        const struct record_tree_output *output, const struct process_watcher *watcher,
                        struct diag *diag);

/** Its trace begins here, with what is alive, unless it has yet to show itself. @return namer_restart's errors. */
enum err process_begin_late(struct recorded_process *process, struct diag *diag);

/** Takes what its rings hold. @return merge_pass's errors and the output's. */
enum err process_step(struct recorded_process *process, bool is_final, bool *progress, struct diag *diag);

/**
 * The present image's trace ends: kept when `keeps`, else dropped. Its row is filled but for the times.
 * @param host the capture_* fields that all traces of the tree share.
 */
enum err process_trace_end(struct recorded_process *process, const char *end, bool keeps, const struct trace_info *host,
                           struct tree_process *row, struct diag *diag);

/** What has been recorded is made to last, and what is known of it is said. @return the output's errors. */
enum err process_sync(struct recorded_process *process, const struct trace_info *host, struct diag *diag);

/** Drops the trace, if there is one. */
void process_trace_drop(struct recorded_process *process);

/** Operations of the present image, without those that make what it inherited. */
uint64_t process_own_operation_count(const struct recorded_process *process);

/** The command line of the present image, as a shell would read it; owned by the caller. NULL: not known. */
char *process_command(const struct recorded_process *process);

#endif
