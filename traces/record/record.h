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
#include "traces/stream.h"
#include "traces/trace.h"

enum {
    RECORD_RING_BYTES_DEFAULT = 1 << 20, /**< 65,536 records: about 3 ms of a thread that does nothing but allocate */
    RECORD_RING_BYTES_LEAST = 1 << 12,
    RECORD_RING_BYTES_MOST = 1 << 30,
    RECORD_RING_COUNT_DEFAULT = 256, /**< threads that are alive at once beyond this share a ring */
    RECORD_WARNING_COUNT_MAX = 12,
    RECORD_WARNING_BYTES = 320
};

struct record_options {
    char *const *argv;     /**< the command, NULL-terminated; argv[0] is looked up in PATH */
    const char *shim_path; /**< libmmrecord.so */
    uint64_t ring_bytes;   /**< 0 = default; rounded up to a power of two, 4 KiB … 1 GiB */
    uint32_t ring_count;   /**< 0 = default; at most 1024 */
};

/** Where recordings go. */
struct record_output {
    void *ctx;
    /**
     * A process image begins: fills *sink (borrowed) for its events. Called again after an exec; then everything that
     * went to the earlier sink is void. The sink is called from another thread than this, never from both at once.
     */
    enum err (*begin)(void *ctx, struct event_sink *sink, struct diag *diag);
};

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
    uint64_t torn_count;  /**< calls that the end of the program interrupted */
    uint64_t wait_count;  /**< times the program had to wait for the recorder */
    uint32_t image_count; /**< 1 + execs */
    int wait_status;      /**< as waitpid gives it */
    int signal_number;    /**< the last of SIGINT, SIGQUIT, SIGTERM, SIGHUP that came meanwhile; 0: none. Set
                             after a failure, too */
    uint32_t warning_count;
    char warnings[RECORD_WARNING_COUNT_MAX][RECORD_WARNING_BYTES]; /**< for a person: fact, cause, what to try */
};

/**
 * Runs the command to its end and records it. SIGINT and SIGQUIT are only noted meanwhile (the terminal sends them to
 * the program too); SIGTERM and SIGHUP are noted and passed on to it. One recording at a time per process.
 *
 * A failing sink ends the recording, not the program: it runs on unrecorded, is waited for, and the sink's error is
 * returned.
 *
 * @param info its program_* and capture_* fields are filled; the others stay.
 * @return ERR_OK when the trace stands, however the program ended;
 *         ERR_NOT_FOUND (no such command, no shim), ERR_USAGE (options),
 *         ERR_UNSUPPORTED (cannot be recorded: static, setuid, hooks removed, no event at all …; diag has the reason),
 *         ERR_IO, ERR_NOMEM, ERR_CHILD (the program overwrote the shared memory), the sink's errors.
 */
enum err record_run(const struct record_options *options, const struct record_output *output, struct trace_info *info,
                    struct record_report *report, struct diag *diag);

#endif
