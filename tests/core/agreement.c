#include "tests/core/agreement.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OURS, REAL, SIDE_COUNT };

bool agreement_begin(struct agreement *agreement, const struct real_pool *real,
                     const struct agreement_settings *settings) {
    static struct pool_arena_source sources[SIDE_COUNT];
    memset(agreement, 0, sizeof *agreement);
    agreement->real = real;
    agreement->slot_count = settings->slot_count;
    agreement->compare_every = settings->compare_every;
    const struct pool_config *config = real->config;
    for (int side = 0; side < SIDE_COUNT; side++) {
        struct arena_region *region = &agreement->regions[side];
        agreement->blocks[side] = calloc(settings->slot_count, sizeof(void *));
        if (!agreement->blocks[side] || !arena_region_create(region, config->arena_bytes))
            return false;
        region->residue_step_bytes = config->pool_bytes / 4;
        region->residue_bytes = settings->residue_steps * region->residue_step_bytes;
        region->residues_mixed = settings->residues_mixed;
        region->spread = settings->spread;
        sources[side] = arena_region_source(region);
    }
    real_pool_source_set(real, &sources[REAL]);
    return pool_create(config, &sources[OURS], &agreement->pool, NULL) == ERR_OK;
}

static void disagree(struct agreement *agreement, const char *what) {
    fprintf(stderr, "disagreement at operation %" PRIu64 ": %s\n", agreement->operation_count, what);
    agreement->failed = true;
}

static void place_print(const char *who, bool in_arena, uint32_t order, size_t offset) {
    if (in_arena)
        fprintf(stderr, "  %s: arena %" PRIu32 ", offset %#zx\n", who, order, offset);
    else
        fprintf(stderr, "  %s: in no arena\n", who);
}

/* The two blocks of a slot, just made, and the count of operations that goes with it. */
static void answers_compare(struct agreement *agreement, const char *what, uint32_t slot) {
    void *blocks[SIDE_COUNT] = {agreement->blocks[OURS][slot], agreement->blocks[REAL][slot]};
    uint32_t order[SIDE_COUNT] = {0, 0};
    size_t offset[SIDE_COUNT] = {0, 0};
    bool in_arena[SIDE_COUNT];
    for (int side = 0; side < SIDE_COUNT; side++)
        in_arena[side] = arena_region_place(&agreement->regions[side], blocks[side], &order[side], &offset[side]);
    if (in_arena[OURS] != in_arena[REAL] || order[OURS] != order[REAL] || offset[OURS] != offset[REAL] ||
        !blocks[OURS] != !blocks[REAL]) {
        disagree(agreement, what);
        place_print("ours", in_arena[OURS], order[OURS], offset[OURS]);
        place_print("real", in_arena[REAL], order[REAL], offset[REAL]);
    }
}

static void operation_done(struct agreement *agreement) {
    if (++agreement->operation_count % agreement->compare_every == 0 && !agreement->failed)
        agreement_compare(agreement);
}

void agreement_malloc(struct agreement *agreement, uint32_t slot, size_t bytes) {
    if (agreement->failed)
        return;
    agreement->blocks[OURS][slot] = pool_malloc(agreement->pool, bytes);
    agreement->blocks[REAL][slot] = agreement->real->calls.malloc(agreement->real->calls.ctx, bytes);
    answers_compare(agreement, "malloc", slot);
    operation_done(agreement);
}

void agreement_calloc(struct agreement *agreement, uint32_t slot, size_t bytes) {
    if (agreement->failed)
        return;
    agreement->blocks[OURS][slot] = pool_calloc(agreement->pool, 1, bytes);
    agreement->blocks[REAL][slot] = agreement->real->calls.calloc(agreement->real->calls.ctx, 1, bytes);
    answers_compare(agreement, "calloc", slot);
    operation_done(agreement);
}

void agreement_realloc(struct agreement *agreement, uint32_t slot, size_t bytes) {
    if (agreement->failed)
        return;
    void **ours = &agreement->blocks[OURS][slot], **real = &agreement->blocks[REAL][slot];
    *ours = pool_realloc(agreement->pool, *ours, bytes);
    *real = agreement->real->calls.realloc(agreement->real->calls.ctx, *real, bytes);
    answers_compare(agreement, "realloc", slot);
    operation_done(agreement);
}

void agreement_free(struct agreement *agreement, uint32_t slot) {
    if (agreement->failed)
        return;
    pool_free(agreement->pool, agreement->blocks[OURS][slot]);
    agreement->real->calls.free(agreement->real->calls.ctx, agreement->blocks[REAL][slot]);
    agreement->blocks[OURS][slot] = agreement->blocks[REAL][slot] = NULL;
    operation_done(agreement);
}

static char *stats_text(const struct agreement *agreement, int side) {
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        abort();
    if (side == OURS)
        pool_stats_print(agreement->pool, out);
    else
        real_pool_stats_print(agreement->real, out);
    fclose(out);
    return text;
}

static void stats_compare(struct agreement *agreement) {
    char *text[SIDE_COUNT] = {stats_text(agreement, OURS), stats_text(agreement, REAL)};
    if (!text[REAL][0] || strcmp(text[OURS], text[REAL]) != 0) {
        disagree(agreement, "statistics");
        fprintf(stderr, "--- ours\n%s--- real\n%s", text[OURS], text[REAL]);
    }
    free(text[OURS]);
    free(text[REAL]);
    agreement->compared_count++;
}

static void block_count_compare(struct agreement *agreement) {
    struct pool_counts counts;
    if (!agreement->real->block_count)
        return;
    pool_counts_get(agreement->pool, &counts);
    uint64_t ours = counts.blocks_count + counts.raw_blocks_count, real = (uint64_t)agreement->real->block_count();
    if (ours != real) {
        disagree(agreement, "number of blocks");
        fprintf(stderr, "  ours: %" PRIu64 "\n  real: %" PRIu64 "\n", ours, real);
    }
}

void agreement_compare(struct agreement *agreement) {
    struct diag diag;
    stats_compare(agreement);
    block_count_compare(agreement);
    if (pool_check(agreement->pool, &diag))
        disagree(agreement, diag.text);
}

static void program_allocate(struct agreement *agreement, unsigned kind, uint32_t slot, size_t bytes,
                             unsigned align_log2) {
    if (kind == EVENT_CALLOC)
        agreement_calloc(agreement, slot, bytes);
    else if (kind == EVENT_REALLOC)
        agreement_realloc(agreement, slot, bytes);
    else if (kind == EVENT_ALIGNED_ALLOC && ((size_t)1 << align_log2) > pool_config_get(agreement->pool)->align_bytes &&
             bytes <= 512)
        agreement_malloc(agreement, slot, 513); /* CPython has no such call; for us it is the raw layer's */
    else
        agreement_malloc(agreement, slot, bytes);
}

void agreement_run_program(struct agreement *agreement, const struct program *program) {
    for (uint64_t i = 0; i < program->header->word_count && !agreement->failed; i++) {
        uint64_t op = program->ops[i], wide = op_is_wide(op) ? program->ops[++i] : 0;
        if (op_domain(op) == DOMAIN_RAW)
            continue;
        if (op_kind(op) == EVENT_FREE)
            agreement_free(agreement, op_slot(op));
        else
            program_allocate(agreement, op_kind(op), op_slot(op), op_is_wide(op) ? op_wide_size(wide) : op_size(op),
                             op_wide_align_log2(wide));
    }
}

bool agreement_end(struct agreement *agreement) {
    if (!agreement->failed)
        agreement_compare(agreement);
    /* The real one's blocks stay: its arenas are the region's. Large ones are given back for the leak checker. */
    for (uint32_t slot = 0; slot < agreement->slot_count && !agreement->failed; slot++)
        if (agreement->blocks[OURS][slot])
            agreement_free(agreement, slot);
    if (!agreement->failed)
        agreement_compare(agreement);
    pool_destroy(agreement->pool);
    for (int side = 0; side < SIDE_COUNT; side++)
        free(agreement->blocks[side]);
    arena_region_destroy(&agreement->regions[OURS]);
    return !agreement->failed;
}
