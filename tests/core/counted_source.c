#include "tests/core/counted_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pages.h"

static void *counted_alloc(void *ctx, size_t bytes) {
    struct counted_source *source = ctx;
    source->request_count++;
    if (source->refuse_from && source->request_count >= source->refuse_from)
        return NULL;
    char *pages = pages_map(bytes + source->pool_bytes, source->pool_bytes);
    if (!pages)
        return NULL;
    source->obtained_count++;
    return pages + source->residue_bytes;
}

static void counted_free(void *ctx, void *arena, size_t bytes) {
    struct counted_source *source = ctx;
    source->returned_count++;
    source->last_returned = arena;
    pages_unmap((char *)arena - source->residue_bytes, bytes + source->pool_bytes);
}

struct pool_arena_source counted_source_get(struct counted_source *source) {
    return (struct pool_arena_source){source, counted_alloc, counted_free};
}

struct pool *counted_pool_create(const struct pool_config *config, struct counted_source *source) {
    struct pool_arena_source arenas = counted_source_get(source);
    struct pool *pool;
    struct diag diag;
    source->pool_bytes = config->pool_bytes > 4096 ? config->pool_bytes : 4096;
    if (pool_create(config, &arenas, &pool, &diag))
        fail_msg("%s", diag.text);
    return pool;
}

void pool_check_assert(const struct pool *pool) {
    struct diag diag;
    if (pool_check(pool, &diag))
        fail_msg("%s", diag.text);
}
