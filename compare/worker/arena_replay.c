#include "compare/worker/arena_replay.h"

#include <string.h>
#include <sys/mman.h>

#include "core/pages.h"
#include "traces/arena_runs.h"

/* Shared, so that it does not count as the allocator's memory. */
static void *table_map(size_t bytes) {
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return table == MAP_FAILED ? NULL : table;
}

static char *space_reserve(uint64_t bytes) {
    char *reserved = pages_reserve(bytes + ARENA_RUNS_MODULUS_BYTES);
    if (!reserved)
        return NULL;
    size_t before = -(uintptr_t)reserved & (ARENA_RUNS_MODULUS_BYTES - 1);
    pages_unmap(before ? reserved : NULL, before);
    pages_unmap(reserved + before + bytes, ARENA_RUNS_MODULUS_BYTES - before);
    return reserved + before;
}

static uint64_t slot_count(const struct arena_replay *replay) {
    return replay->space_bytes / replay->arena_bytes + 1;
}

static enum err space_make(struct arena_replay *replay, const struct worker_request *request, struct diag *diag) {
    /* The last arena may reach beyond the places' own span. */
    uint64_t bytes;
    if (__builtin_add_overflow(request->recorded_span_bytes, ARENA_RUNS_MODULUS_BYTES, &bytes) || bytes >> 47 ||
        request->recorded_bytes != replay->arena_bytes || replay->arena_bytes > ARENA_RUNS_MODULUS_BYTES)
        return diag_set(diag, ERR_INVALID, NULL, "the recorded arenas do not fit the pool's");
    for (uint64_t i = 0; i < replay->place_count; i++)
        if (replay->places[i] >= request->recorded_span_bytes || replay->places[i] % pages_size_bytes())
            return diag_set(diag, ERR_INVALID, NULL, "a recorded arena lies outside of the recorded span");
    replay->space_bytes = bytes;
    replay->base = space_reserve(bytes);
    replay->begun = table_map(slot_count(replay) * sizeof *replay->begun);
    if (replay->base && replay->begun)
        return ERR_OK;
    diag_errno(diag, ERR_NOMEM, NULL,
               "cannot reserve address space to put arenas where they were recorded (is it limited, ulimit -v?); "
               "with residues=0 they are aligned");
    arena_replay_destroy(replay);
    return ERR_NOMEM;
}

enum err arena_replay_create(struct arena_replay *replay, const struct worker_request *request, const uint64_t *places,
                             const struct pool_config *config, struct diag *diag) {
    *replay = (struct arena_replay){.how = (enum worker_arenas)request->arenas,
                                    .places = places,
                                    .place_count = request->recorded_count,
                                    .arena_bytes = config->arena_bytes,
                                    .pool_bytes = config->pool_bytes};
    return replay->how == WORKER_ARENAS_RECORDED ? space_make(replay, request, diag) : ERR_OK;
}

void arena_replay_destroy(struct arena_replay *replay) {
    if (replay->begun)
        munmap(replay->begun, slot_count(replay) * sizeof *replay->begun);
    if (replay->base)
        munmap(replay->base, replay->space_bytes);
    memset(replay, 0, sizeof *replay);
}

/* No other arena of this size may begin less than one before it or behind it. */
static bool place_is_free(const struct arena_replay *replay, uint64_t place) {
    uint64_t slot = place / replay->arena_bytes;
    if (replay->begun[slot] || (slot && replay->begun[slot - 1] > place - replay->arena_bytes + 1))
        return false;
    uint64_t next = slot + 1 < slot_count(replay) ? replay->begun[slot + 1] : 0;
    return !next || next - 1 >= place + replay->arena_bytes;
}

static void *place_map(struct arena_replay *replay, uint64_t place) {
    void *arena = mmap(replay->base + place, replay->arena_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (arena == MAP_FAILED)
        return NULL;
    replay->begun[place / replay->arena_bytes] = place + 1;
    return arena;
}

static void *arena_get(void *ctx, size_t bytes) {
    struct arena_replay *replay = ctx;
    uint64_t order = replay->obtained_count;
    uint64_t residue_bytes = 0;
    void *arena = NULL;
    bool strays = false;
    if (replay->how == WORKER_ARENAS_RECORDED) {
        strays = order >= replay->place_count || !place_is_free(replay, replay->places[order]);
        arena = strays ? NULL : place_map(replay, replay->places[order]);
        if (!arena && !strays)
            return NULL;
    } else if (replay->place_count) {
        residue_bytes = replay->places[order % replay->place_count] % replay->pool_bytes;
    }
    if (!arena)
        arena = pages_map_residue(bytes, replay->pool_bytes, residue_bytes);
    replay->obtained_count += arena != NULL;
    replay->strayed_count += arena && strays;
    replay->recorded_count += arena && !strays;
    return arena;
}

static void arena_put(void *ctx, void *arena, size_t bytes) {
    struct arena_replay *replay = ctx;
    uint64_t place = (uintptr_t)arena - (uintptr_t)replay->base;
    if (!replay->base || place >= replay->space_bytes) {
        pages_unmap(arena, bytes);
        return;
    }
    replay->begun[place / replay->arena_bytes] = 0;
    (void)mmap(arena, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

struct pool_arena_source arena_replay_source(struct arena_replay *replay) {
    return (struct pool_arena_source){replay, arena_get, arena_put};
}
