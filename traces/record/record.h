/**
 * record.h: run a program and capture its allocation traffic.
 *
 * The program gets the shim (libmmrecord.so) by LD_PRELOAD; its threads write records into shared memory; this side
 * drains them while the program runs and after it ended, whatever its end was, puts them into one true order, turns
 * pointers into block names and pushes events.
 *
 * What is recorded is the process that was started, not its children. When it replaces its image by exec (a shell
 * wrapper, a shim script), what was recorded before is dropped and the trace begins anew: the trace is that of the last
 * image.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_H
#define MMREPLAY_TRACES_RECORD_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "traces/record/record_ring.h"
#include "traces/stream.h"
#include "traces/trace.h"

enum {
    RECORD_RING_BYTES_DEFAULT = 1 << 20, /**< 65,536 records: about 3 ms of a thread that does nothing but allocate */
    RECORD_RING_BYTES_LEAST = 1 << 12,
    RECORD_RING_BYTES_MOST = 1 << 30,
    RECORD_SYNC_MS = 2000,           /**< how often at least the sink is flushed: what a killed recorder may cost */
    RECORD_RING_COUNT_DEFAULT = 256, /**< threads that are alive at once beyond this share a ring */
    RECORD_WARNING_COUNT_MAX = 24,
    RECORD_WARNING_BYTES = 320
};

struct record_options {
    char *const *argv;     /**< the command, NULL-terminated; argv[0] is looked up in PATH */
    const char *shim_path; /**< libmmrecord.so */
    uint64_t ring_bytes;   /**< 0 = default; rounded up to a power of two, 4 KiB … 1 GiB */
    uint32_t ring_count;   /**< 0 = default; at most 1024 */
    uint32_t python;       /**< enum record_python (record_ring.h): what to do with CPython */

    uint64_t start_after_ns;          /**< the trace begins so long after the program; 0 = with it */
    uint64_t start_after_event_count; /**< … or behind so many events of its present image; 0 = with the first */

    uint64_t event_count_max; /**< the recording ends with this event of the trace; 0 = no bound */
    uint64_t duration_ns;     /**< … or so long after its beginning; 0 = no bound */

    enum record_time time; /**< what events get their times from; the sink then gets them by put_timed */
};

/** What ended a recording, when it was not the program's end. */
enum record_stop {
    RECORD_STOP_NONE,
    RECORD_STOP_ASKED,    /**< SIGINT */
    RECORD_STOP_EVENTS,   /**< event_count_max */
    RECORD_STOP_DURATION, /**< duration_ns */
    RECORD_STOP_FAILURE,  /**< of the sink, or of the recorder: what came before it stands */
    RECORD_STOP_COUNT
};

/** Where recordings go. */
struct record_output {
    void *ctx;
    /**
     * A process image begins: fills *sink (borrowed) for its events. Called again after an exec; then everything that
     * went to the earlier sink is void. The sink is called from another thread than this, never from both at once.
     */
    enum err (*begin)(void *ctx, struct event_sink *sink, struct diag *diag);
    /**
     * More is known of the trace than before, should the recorder not live to finish it: `info` as record_run fills it,
     * were the recording over now, but that the end is said to be not known. Borrowed. May be NULL.
     */
    void (*announce)(void *ctx, const struct trace_info *info);
};

#define RECORD_END_UNKNOWN "not known: the recorder did not live to tell"

/** What happened, beside the events. */
struct record_report {
    uint64_t event_count;
    uint64_t operation_count;
    uint64_t duration_ns;           /**< from start until the program had ended and its rings were empty */
    uint64_t unknown_free_count;    /**< frees of blocks that were made unseen; left out */
    uint64_t missed_free_count;     /**< blocks that must have been freed unseen: their address came up again */
    uint64_t lost_count;            /**< events that could not be written; 0 unless something is very wrong */
    uint64_t inherited_block_count; /**< alive before the trace began, made at its head */
    uint64_t inherited_bytes;
    uint64_t torn_count;   /**< calls that the end of the program interrupted */
    uint64_t wait_count;   /**< times the program had to wait for the recorder */
    uint32_t image_count;  /**< 1 + execs */
    enum record_stop stop; /**< anything but NONE: the program may still run */
    int wait_status;       /**< as waitpid gives it; 0 while the program runs */
    int signal_number;     /**< the run was ended by this signal (SIGINT, SIGQUIT, SIGTERM, SIGHUP); 0: by none. Set
  by record_wait */
    uint32_t warning_count;
    char warnings[RECORD_WARNING_COUNT_MAX][RECORD_WARNING_BYTES]; /**< for a person: fact, cause, what to try */
};

/**
 * Runs the command and records it until it ends, a bound is reached, or SIGINT asks for it (record_guard.h tells how
 * signals and the terminal are dealt with meanwhile). The program may run on then, unrecorded and at its own speed:
 * after every call that got as far as starting it, whatever it returned, record_wait must follow. One recording at a
 * time per process.
 *
 * What fails on the way (the sink; memory) ends the recording, not the program: the error is returned, and with
 * report->stop FAILURE, `info` and `report` are filled as for a recording that ended there.
 *
 * @param info its program_* and capture_* fields are filled; the others stay.
 * @return ERR_OK when the trace stands, however the program ended;
 *         ERR_NOT_FOUND (no such command, no shim), ERR_USAGE (options),
 *         ERR_UNSUPPORTED (cannot be recorded: static, setuid, hooks removed, no event at all …; diag has the reason),
 *         ERR_IO, ERR_NOMEM, ERR_CHILD (the program overwrote the shared memory), the sink's errors.
 */
enum err record_run(const struct record_options *options, const struct record_output *output, struct trace_info *info,
                    struct record_report *report, struct diag *diag);

/** True while the program runs on after record_run. Reaps it if it has ended. */
bool record_runs_on(struct record_report *report);

/**
 * Waits until the program has ended, or until SIGINT has come for the third time; then gives signals and terminal back.
 * Fills wait_status (when it ended) and signal_number. Harmless after a record_run that started nothing.
 */
void record_wait(struct record_report *report);

#endif
