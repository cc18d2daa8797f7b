/**
 * trace.h: the description of a trace: everything a NAME.yaml says.
 *
 * Strings are owned by the struct (malloc), NULL = not stated.
 */
#ifndef MMREPLAY_TRACES_TRACE_H
#define MMREPLAY_TRACES_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "traces/event.h"

/** Counted from the events themselves (tracker.h); stored, so that `info` need not decode and `check` can compare. */
struct trace_summary {
    uint64_t kind_counts[EVENT_KIND_COUNT];
    uint64_t domain_counts[DOMAIN_COUNT]; /**< operations per domain */
    uint64_t free_null_count;             /**< of the frees: free(NULL) */
    uint64_t realloc_null_count;          /**< of the reallocs: realloc(NULL, n) */
    uint64_t cross_thread_count;          /**< frees and reallocs of a block that another thread made */
    uint64_t operation_count;
    uint64_t event_count;
    uint64_t thread_count;
    uint64_t requested_bytes; /**< sum over all requests */
    uint64_t live_peak_bytes;
    uint64_t live_peak_blocks;
    uint64_t live_end_bytes;
    uint64_t live_end_blocks;
    uint64_t largest_request_bytes;
    uint64_t timed_count;   /**< events with a time: 0 (the trace has no times) or event_count */
    uint64_t time_first_ns; /**< of the first event, since the recording began; 0 without times */
    uint64_t time_last_ns;  /**< of the last one */
};

struct trace_info {
    char *name;
    char *description;
    char *program_command;     /**< as typed */
    char *program_version;     /**< e.g. "3.11.2" */
    char *program_interpreter; /**< e.g. "CPython 3.11.2" for a script; NULL for a native program */
    char *capture_date;        /**< ISO 8601, UTC */
    char *capture_tool;        /**< e.g. "mmreplay 0.1.0" */
    char *capture_cpu;
    char *capture_kernel;
    char *capture_libc;
    uint64_t capture_page_bytes;
    uint64_t capture_arena_bytes;      /**< CPython: size of its arenas; 0 = not recorded */
    uint64_t capture_arena_count;      /**< obtained in all */
    char *capture_arena_places;        /**< where they began, the first ones if not all: arena_runs.h */
    uint64_t capture_lost_count;       /**< events known to be missing */
    uint64_t capture_refused_count;    /**< requests that the program saw refused (NULL); not events */
    uint64_t capture_inherited_blocks; /**< made at the head of the trace: alive before it began */
    uint64_t capture_inherited_bytes;
    char *capture_clock; /**< what the times of events were read from: "CLOCK_MONOTONIC"; NULL: no times */
    uint64_t capture_clock_resolution_ns; /**< between two readings that differ; 0: not stated */
    uint64_t capture_inherited_uncertain; /**< operations of which it is not known whether they came before */
    char *capture_end;                    /**< how the program ended: "exit 0", "signal 11 (SIGSEGV)" */
    char *events_file;                    /**< name of the events file, beside the YAML */
    char *events_sha256;                  /**< 64 hex digits */
    uint64_t events_bytes;                /**< size of the events file */
    char *provenance;                     /**< where it comes from, why chosen */
    char *licence;
    struct trace_summary summary;
};

/** Frees all strings and zeroes the struct. */
void trace_info_clear(struct trace_info *info);

/** Replaces the owned string *field by a copy of `text` (NULL allowed). @return ERR_OK or ERR_NOMEM. */
enum err trace_text_set(char **field, const char *text);

#endif
