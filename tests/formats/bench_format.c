/*
 * bench_format NAME.yaml…: what the native format costs, beside its targets.
 *
 *     <= 0.70 bytes per event on the CPython batch trace (python-batch), <= 0.90 on any other;
 *     >= 25 M events/s decoded and compiled on one core; reader memory that does not grow with the trace.
 *
 * Bytes per event of a trace with fine times have no target. "with its times" is decoding that also makes times.
 *
 * Every figure of time is the median of RUNS passes over a file that is in the page cache. Exit 1: a target is missed.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/units.h"
#include "formats/format.h"
#include "traces/program.h"

enum { RUNS = 7 };
#define RATE_TARGET 25e6

struct figures {
    uint64_t event_count;
    double bytes_per_event;
    double bytes_target;
    double decode_rate; /* events per second */
    double compile_rate;
    double timed_rate;     /* decoded with times; 0: the trace has none */
    bool is_fine;          /* times that differ from event to event are not what bytes_target speaks of */
    uint64_t reader_bytes; /* heap held by the reader, at most */
};

static int double_order(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double rate_median(double times[RUNS], uint64_t event_count) {
    qsort(times, RUNS, sizeof *times, double_order);
    return (double)event_count * 1e9 / times[RUNS / 2];
}

static uint64_t heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* One pass; *peak is raised to the heap in use at any block. */
static enum err decode(struct trace_reader *reader, bool timed, uint64_t *events, uint64_t *peak, struct diag *diag) {
    struct event_source source;
    struct event_block block = {.count = 1};
    enum err err = (timed ? trace_reader_timed_events : trace_reader_events)(reader, &source, diag);
    *events = 0;
    while (!err && block.count) {
        err = source.next(source.ctx, &block, diag);
        *events += block.count;
        if (peak && heap_bytes() > *peak)
            *peak = heap_bytes();
    }
    return err;
}

static enum err rate_measure(struct trace_reader *reader, bool timed, double *rate, struct diag *diag) {
    double times[RUNS];
    uint64_t event_count = 0;
    enum err err = ERR_OK;
    for (int run = 0; run < RUNS && !err; run++) {
        uint64_t start = clock_now_ns();
        err = decode(reader, timed, &event_count, NULL, diag);
        times[run] = (double)(clock_now_ns() - start);
    }
    if (!err)
        *rate = rate_median(times, event_count);
    return err;
}

static enum err decode_measure(struct trace_reader *reader, uint64_t heap_before, struct figures *out,
                               struct diag *diag) {
    uint64_t peak = 0;
    enum err err = decode(reader, false, &out->event_count, &peak, diag);
    out->reader_bytes = peak - heap_before;
    if (!err)
        err = rate_measure(reader, false, &out->decode_rate, diag);
    if (!err && trace_reader_info(reader)->summary.timed_count)
        err = rate_measure(reader, true, &out->timed_rate, diag);
    return err;
}

static enum err compile_measure(struct trace_reader *reader, struct figures *out, struct diag *diag) {
    double times[RUNS];
    for (int run = 0; run < RUNS; run++) {
        struct event_source source;
        struct program program;
        uint64_t start = clock_now_ns();
        enum err err = trace_reader_events(reader, &source, diag);
        if (!err)
            err = program_compile(&source, &program, diag);
        if (err)
            return err;
        times[run] = (double)(clock_now_ns() - start);
        program_close(&program);
    }
    out->compile_rate = rate_median(times, out->event_count);
    return ERR_OK;
}

static enum err trace_measure(const char *path, struct figures *out, struct diag *diag) {
    struct trace_reader *reader;
    uint64_t heap_before = heap_bytes();
    enum err err = trace_reader_open(path, &reader, diag);
    if (err)
        return err;
    const struct trace_info *info = trace_reader_info(reader);
    err = decode_measure(reader, heap_before, out, diag);
    if (!err)
        err = compile_measure(reader, out, diag);
    if (!err) {
        out->bytes_per_event = (double)info->events_bytes / (double)(out->event_count ? out->event_count : 1);
        out->bytes_target = strcmp(info->name, "python-batch") == 0 ? 0.70 : 0.90;
        out->is_fine = info->capture_clock && strcmp(info->capture_clock, "CLOCK_MONOTONIC") == 0;
    }
    trace_reader_close(reader);
    return err;
}

static const char *trace_name(const char *path, char name[64]) {
    const char *slash = strrchr(path, '/');
    snprintf(name, 64, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot)
        *dot = '\0';
    return name;
}

static bool figures_print(const char *path, const struct figures *figures) {
    char name[64], count[UNITS_TEXT_BYTES], bytes[UNITS_TEXT_BYTES];
    bool small = figures->bytes_per_event <= figures->bytes_target || figures->is_fine;
    bool quick = figures->compile_rate >= RATE_TARGET;
    printf("%-16s %12s   %6.4f  <= %.2f %-4s   %7.1f   %7.1f  >= %.0f %-4s   %9s\n", trace_name(path, name),
           units_format_count(figures->event_count, count), figures->bytes_per_event, figures->bytes_target,
           small ? "ok" : "MISS", figures->decode_rate / 1e6, figures->compile_rate / 1e6, RATE_TARGET / 1e6,
           quick ? "ok" : "MISS", units_format_bytes(figures->reader_bytes, bytes));
    if (figures->timed_rate > 0)
        printf("%-16s %12s   %21s   %7.1f\n", "  with its times", "", "", figures->timed_rate / 1e6);
    return small && quick;
}

int main(int count, char **arguments) {
    bool met = true;
    if (count < 2) {
        fprintf(stderr, "usage: bench_format NAME.yaml...\n");
        return 2;
    }
    printf("%-16s %12s   %21s   %7s   %21s   %9s\n", "trace", "events", "bytes/event  target", "decode",
           "+ compile  target", "reader");
    printf("%-16s %12s   %21s   %7s   %21s   %9s\n", "", "", "", "M ev/s", "M ev/s", "memory");
    for (int i = 1; i < count; i++) {
        struct figures figures = {.event_count = 0};
        struct diag diag;
        char message[sizeof diag];
        if (trace_measure(arguments[i], &figures, &diag)) {
            diag_format(&diag, message, sizeof message);
            fprintf(stderr, "bench_format: %s\n", message);
            return 2;
        }
        met = figures_print(arguments[i], &figures) && met;
    }
    return met ? 0 : 1;
}
