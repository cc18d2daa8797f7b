/*
 * Which sizes CPython programs ask their small-block allocator for: writes traces/python_sizes.h.
 *
 *     python_sizes TRACE…        e.g. build/release/tests/bench/python_sizes traces/samples/python-*.yaml
 *
 * Counted are the requests of the domains mem and obj (malloc, calloc, realloc) up to 512 bytes, in steps of 8; each
 * trace weighs the same, however long it is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/format.h"

enum { STEP_BYTES = 8, STEP_COUNT = 64, TOTAL = 100000, PER_LINE = 16 };

struct tally {
    uint64_t counts[STEP_COUNT];
    uint64_t count;
};

/* A realloc's domain is its block's, which is not followed here: CPython reallocates next to nothing in raw. */
static void event_count(struct tally *tally, const struct event *event) {
    bool is_python = event->domain == DOMAIN_MEM || event->domain == DOMAIN_OBJ || event->kind == EVENT_REALLOC;
    if (!event_makes_block(event->kind) || !is_python || event->size_bytes > STEP_COUNT * STEP_BYTES)
        return;
    tally->counts[event->size_bytes ? (event->size_bytes - 1) / STEP_BYTES : 0]++;
    tally->count++;
}

static enum err trace_count(const char *path, struct tally *tally, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct event_source events;
    struct event_block block = {.count = 0};
    enum err err = trace_reader_open(path, &reader, diag);
    if (!err)
        err = trace_reader_events(reader, &events, diag);
    while (!err && !(err = events.next(events.ctx, &block, diag)) && block.count)
        for (size_t i = 0; i < block.count; i++)
            event_count(tally, &block.events[i]);
    trace_reader_close(reader);
    if (!err && !tally->count)
        err = diag_set(diag, ERR_INVALID, path, "no request of a CPython domain in it");
    return err;
}

/* Shares as whole numbers of sum TOTAL: what rounding down loses goes to the largest remainders. */
static void shares_round(const double shares[STEP_COUNT], uint32_t weights[STEP_COUNT]) {
    uint32_t left = TOTAL;
    double remainders[STEP_COUNT];
    for (int i = 0; i < STEP_COUNT; i++) {
        weights[i] = (uint32_t)(shares[i] * TOTAL);
        remainders[i] = shares[i] * TOTAL - weights[i];
        left -= weights[i];
    }
    for (; left; left--) {
        int best = 0;
        for (int i = 1; i < STEP_COUNT; i++)
            if (remainders[i] > remainders[best])
                best = i;
        weights[best]++;
        remainders[best] = -1;
    }
}

static void names_print(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        const char *slash = strrchr(paths[i], '/');
        const char *name = slash ? slash + 1 : paths[i];
        printf("%s%.*s", i == 0 ? "" : i + 1 < count ? ", " : " and ", (int)strcspn(name, "."), name);
    }
}

static void header_print(int count, char **paths, const uint32_t weights[STEP_COUNT]) {
    printf("/**\n * python_sizes.h: how often CPython programs ask for which size, measured; written by "
           "tests/bench/python_sizes.c.\n *\n * From the traces ");
    names_print(count, paths);
    printf(
        ", each weighing the same:\n * requests of 0 to %d bytes in the domains mem and obj. Weight i is the share of "
        "(%d i, %d i + %d] bytes; 0 bytes\n * count as 1.\n */\n",
        STEP_COUNT * STEP_BYTES, STEP_BYTES, STEP_BYTES, STEP_BYTES);
    printf("#ifndef MMREPLAY_TRACES_PYTHON_SIZES_H\n#define MMREPLAY_TRACES_PYTHON_SIZES_H\n\n#include <stdint.h>\n\n"
           "enum { PYTHON_SIZES_STEP_BYTES = %d, PYTHON_SIZES_COUNT = %d, PYTHON_SIZES_TOTAL = %d };\n\n"
           "// clang-format off\nstatic const uint32_t python_size_weights[PYTHON_SIZES_COUNT] = {",
           STEP_BYTES, STEP_COUNT, TOTAL);
    for (int i = 0; i < STEP_COUNT; i++)
        printf("%s%" PRIu32 ",", i % PER_LINE ? " " : "\n    ", weights[i]);
    printf("\n};\n// clang-format on\n\n#endif\n");
}

int main(int argc, char **argv) {
    double shares[STEP_COUNT] = {0};
    uint32_t weights[STEP_COUNT];
    if (argc < 2) {
        fprintf(stderr, "usage: %s TRACE…\n", argv[0]);
        return EXIT_FAILURE;
    }
    for (int i = 1; i < argc; i++) {
        struct tally tally = {.count = 0};
        struct diag diag;
        char line[sizeof diag.path + sizeof diag.text];
        if (trace_count(argv[i], &tally, &diag)) {
            diag_format(&diag, line, sizeof line);
            fprintf(stderr, "%s\n", line);
            return EXIT_FAILURE;
        }
        for (int step = 0; step < STEP_COUNT; step++)
            shares[step] += (double)tally.counts[step] / (double)tally.count / (argc - 1);
    }
    shares_round(shares, weights);
    header_print(argc - 1, argv + 1, weights);
    return EXIT_SUCCESS;
}
