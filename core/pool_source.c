/* The arena sources that settings can ask for. */
#include "core/pages.h"
#include "core/pool_internal.h"
#include "core/raw.h"

/* As CPython without mmap: wherever malloc puts it. */
static void *arena_malloc(void *ctx, size_t bytes) {
    (void)ctx;
    return raw_malloc(bytes);
}

static void arena_malloc_free(void *ctx, void *arena, size_t bytes) {
    (void)ctx, (void)bytes;
    raw_free(arena);
}

static void *arena_map(void *ctx, size_t bytes) {
    const struct pool *pool = ctx;
    const struct pool_config *config = &pool->config;
    size_t residue_bytes =
        config->residue_count ? config->residues_bytes[pool->arenas_mapped_count % config->residue_count] : 0;
    return pages_map_residue(bytes, config->pool_bytes, residue_bytes);
}

/* Real huge pages when there are some, as CPython 3.15 under PYTHON_PYMALLOC_HUGEPAGES=1; else ordinary ones. */
static void *arena_map_huge(void *ctx, size_t bytes) {
    void *arena = pages_map_huge(bytes);
    return arena ? arena : arena_map(ctx, bytes);
}

static void *arena_map_advised(void *ctx, size_t bytes) {
    void *arena = arena_map(ctx, bytes);
    if (arena)
        pages_advise_huge(arena, bytes);
    return arena;
}

static void arena_unmap(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    pages_unmap(arena, bytes);
}

struct pool_arena_source pool_source_of(struct pool *pool) {
    static void *(*const maps[POOL_HUGEPAGES_COUNT])(void *, size_t) = {
        [POOL_HUGEPAGES_NO] = arena_map,
        [POOL_HUGEPAGES_ADVISE] = arena_map_advised,
        [POOL_HUGEPAGES_MAP] = arena_map_huge,
    };
    if (pool->config.source == POOL_SOURCE_MALLOC)
        return (struct pool_arena_source){pool, arena_malloc, arena_malloc_free};
    return (struct pool_arena_source){pool, maps[pool->config.hugepages], arena_unmap};
}
