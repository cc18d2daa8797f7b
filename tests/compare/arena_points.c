/*
 * Where a trace is to be looked at: prints, for each arena that a pool obtains, the number of operations done before
 * the one that needs it; and for each raw request of a given size, the number of operations done before it. So a test
 * knows at which operations the interpreter printed its statistics.
 *
 *     arena_points TRACE SETTINGS MARK_BYTES   ->   "arena 1234", "mark 5678", …, in order
 *
 * The arenas begin as far into a pool as the recorded ones: else they would hold more pools, and be fewer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/pages.h"
#include "core/pool.h"
#include "formats/format.h"
#include "traces/arena_runs.h"
#include "traces/program.h"

static uint64_t operations_done;

struct arenas {
    struct arena_list recorded;
    uint64_t count;
    size_t pool_bytes;
};

static void *arena_get(void *ctx, size_t bytes) {
    struct arenas *arenas = ctx;
    uint64_t place = arenas->count < arenas->recorded.count ? arenas->recorded.places_bytes[arenas->count] : 0;
    printf("arena %llu\n", (unsigned long long)operations_done);
    arenas->count++;
    return pages_map_residue(bytes, arenas->pool_bytes, place % arenas->pool_bytes);
}

static void arena_put(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    pages_unmap(arena, bytes);
}

static void *make(struct pool *pool, unsigned kind, void *block, size_t bytes) {
    if (kind == EVENT_REALLOC)
        return pool_realloc(pool, block, bytes);
    return kind == EVENT_CALLOC ? pool_calloc(pool, 1, bytes) : pool_malloc(pool, bytes);
}

static void operation_do(struct pool *pool, void **slots, uint64_t op, size_t bytes, uint64_t mark_bytes) {
    void **slot = &slots[op_slot(op)];
    if (op_domain(op) == DOMAIN_RAW) {
        if (op_kind(op) == EVENT_MALLOC && bytes == mark_bytes)
            printf("mark %llu\n", (unsigned long long)operations_done);
    } else if (op_kind(op) == EVENT_FREE) {
        pool_free(pool, *slot);
        *slot = NULL;
    } else {
        *slot = make(pool, op_kind(op), *slot, bytes);
    }
}

static enum err trace_compile(const char *path, struct program *out, struct arena_list *arenas, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct event_source events;
    enum err err = trace_reader_open(path, &reader, diag);
    if (!err && trace_reader_info(reader)->capture_arena_places)
        err = arena_list_parse(path, trace_reader_info(reader)->capture_arena_places, arenas, diag);
    if (!err)
        err = trace_reader_events(reader, &events, diag);
    if (!err)
        err = program_compile(&events, out, diag);
    trace_reader_close(reader);
    return err;
}

int main(int argc, char **argv) {
    struct diag diag;
    struct program program;
    struct pool_config config;
    struct pool *pool = NULL;
    struct arenas arenas = {0};
    const struct pool_arena_source source = {&arenas, arena_get, arena_put};
    if (argc != 4 || trace_compile(argv[1], &program, &arenas.recorded, &diag) ||
        pool_config_parse(argv[2], &config, &diag) || pool_create(&config, &source, &pool, &diag)) {
        fprintf(stderr, "arena_points: %s\n", argc == 4 ? diag.text : "TRACE SETTINGS MARK_BYTES");
        return 2;
    }
    arenas.pool_bytes = config.pool_bytes;
    uint64_t mark_bytes = strtoull(argv[3], NULL, 0);
    void **slots = calloc(program.header->slot_count, sizeof *slots);
    for (uint64_t at = 0; slots && at < program.header->word_count; at++, operations_done++) {
        uint64_t op = program.ops[at];
        size_t bytes = op_is_wide(op) ? op_wide_size(program.ops[++at]) : op_size(op);
        operation_do(pool, slots, op, bytes, mark_bytes);
    }
    for (uint32_t slot = 0; slots && slot < program.header->slot_count; slot++)
        pool_free(pool, slots[slot]);
    free(slots);
    pool_destroy(pool);
    program_close(&program);
    arena_list_clear(&arenas.recorded);
    return 0;
}
