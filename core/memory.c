#include "core/memory.h"

#include <assert.h>
#include <string.h>

#include "core/base/nearest.h"
#include "core/pages.h"
#include "core/pool_internal.h"
#include "core/raw.h"

struct memory {
    struct domain_allocator domains[DOMAIN_ID_COUNT];
    struct pool *pool; /* NULL: no pool */
    size_t threshold_bytes;
    uint64_t raw_block_count; /* that the raw domain serves for mem and obj */
    struct debug_hooks hooks;
    struct debug_layer layers[MEMORY_LAYERS_MAX];
    uint32_t layer_count;
    size_t instance_bytes; /* of the mapping this struct begins */
};

/* ---- names ---- */

static const struct {
    const char *name;
    struct memory_choice choice;
} choices[] = {
    {"default", {.pool = true}},
    {"pymalloc", {.pool = true}},
    {"malloc", {.pool = false}},
    {"debug", {.pool = true, .debug = true}},
    {"pymalloc_debug", {.pool = true, .debug = true}},
    {"malloc_debug", {.pool = false, .debug = true}},
};

enum { CHOICE_COUNT = sizeof choices / sizeof choices[0] };

enum err memory_choice_parse(const char *name, struct memory_choice *out, struct diag *diag) {
    const char *names[CHOICE_COUNT];
    const char *wanted = name[0] ? name : "default";
    for (size_t i = 0; i < CHOICE_COUNT; i++) {
        names[i] = choices[i].name;
        if (strcmp(names[i], wanted) == 0) {
            *out = choices[i].choice;
            return ERR_OK;
        }
    }
    if (strncmp(name, "mimalloc", 8) == 0)
        return diag_set(diag, ERR_UNSUPPORTED, NULL, "'%s' is not built on pools; only CPython's pymalloc is here",
                        name);
    const char *nearest = word_nearest(name, names, CHOICE_COUNT);
    return diag_set(diag, ERR_USAGE, NULL, "unknown memory configuration '%s'%s%s%s", name,
                    nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* ---- mem and obj: the pool, and the raw domain for what is not small ---- */

static void *raw_counted(struct memory *memory, void *block) {
    memory->raw_block_count += block != NULL;
    return block;
}

static bool is_pooled(const struct memory *memory, size_t bytes) {
    return bytes - 1 < memory->threshold_bytes;
}

/*
 * The pool answers from libc when it can have no arena. That block must become the raw domain's, which may be somebody
 * else by now. @return `block`, or NULL when it was such a one.
 */
static void *pooled_only(struct memory *memory, void *block, uint64_t raw_blocks_before) {
    if (POOL_LIKELY(memory->pool->raw_block_count == raw_blocks_before))
        return block;
    pool_free(memory->pool, block);
    return NULL;
}

static void *pooled_malloc(void *ctx, size_t bytes) {
    struct memory *memory = ctx;
    uint64_t raw_blocks = memory->pool->raw_block_count;
    void *block = is_pooled(memory, bytes) ? pooled_only(memory, pool_malloc(memory->pool, bytes), raw_blocks) : NULL;
    return POOL_LIKELY(block != NULL) ? block : raw_counted(memory, memory_malloc(memory, DOMAIN_ID_RAW, bytes));
}

static void *pooled_calloc(void *ctx, size_t count, size_t bytes) {
    struct memory *memory = ctx;
    uint64_t raw_blocks = memory->pool->raw_block_count;
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *block =
        is_pooled(memory, total) ? pooled_only(memory, pool_calloc(memory->pool, 1, total), raw_blocks) : NULL;
    return block ? block : raw_counted(memory, memory_calloc(memory, DOMAIN_ID_RAW, count, bytes));
}

static void pooled_free(void *ctx, void *block) {
    struct memory *memory = ctx;
    if (!block)
        return;
    if (POOL_LIKELY(pool_owns(memory->pool, block))) {
        pool_free(memory->pool, block);
        return;
    }
    memory->raw_block_count--;
    memory_free(memory, DOMAIN_ID_RAW, block);
}

/* pool_realloc's rule, with pooled_malloc for what moves: a block of a pool may move into the raw domain. */
static void *pooled_realloc(void *ctx, void *block, size_t bytes) {
    struct memory *memory = ctx;
    if (!block)
        return pooled_malloc(ctx, bytes);
    if (!pool_owns(memory->pool, block))
        return memory_realloc(memory, DOMAIN_ID_RAW, block, bytes);
    size_t block_bytes = pool_usable_size(memory->pool, block);
    if (bytes <= block_bytes && 4 * bytes > 3 * block_bytes)
        return block;
    void *moved = pooled_malloc(ctx, bytes);
    if (moved) {
        memcpy(moved, block, bytes < block_bytes ? bytes : block_bytes);
        pool_free(memory->pool, block);
    }
    return moved;
}

/* ---- the calls ---- */

void *memory_malloc(struct memory *memory, enum domain_id domain, size_t bytes) {
    const struct domain_allocator *allocator = &memory->domains[domain];
    return bytes > PTRDIFF_MAX ? NULL : allocator->malloc(allocator->ctx, bytes);
}

void *memory_calloc(struct memory *memory, enum domain_id domain, size_t count, size_t bytes) {
    const struct domain_allocator *allocator = &memory->domains[domain];
    size_t total;
    if (checked_mul_size(count, bytes, &total) || total > PTRDIFF_MAX)
        return NULL;
    return allocator->calloc(allocator->ctx, count, bytes);
}

void *memory_realloc(struct memory *memory, enum domain_id domain, void *block, size_t bytes) {
    const struct domain_allocator *allocator = &memory->domains[domain];
    return bytes > PTRDIFF_MAX ? NULL : allocator->realloc(allocator->ctx, block, bytes);
}

void memory_free(struct memory *memory, enum domain_id domain, void *block) {
    const struct domain_allocator *allocator = &memory->domains[domain];
    allocator->free(allocator->ctx, block);
}

/* ---- what can be replaced ---- */

void memory_allocator_get(const struct memory *memory, enum domain_id domain, struct domain_allocator *out) {
    assert(domain < DOMAIN_ID_COUNT);
    *out = memory->domains[domain];
}

void memory_allocator_set(struct memory *memory, enum domain_id domain, const struct domain_allocator *allocator) {
    assert(domain < DOMAIN_ID_COUNT);
    memory->domains[domain] = *allocator;
}

void memory_arena_source_get(const struct memory *memory, struct pool_arena_source *out) {
    assert(memory->pool);
    *out = memory->pool->source;
}

void memory_arena_source_set(struct memory *memory, const struct pool_arena_source *source) {
    assert(memory->pool);
    memory->pool->source = *source;
}

enum err memory_debug_install(struct memory *memory, struct diag *diag) {
    for (int i = 0; i < DOMAIN_ID_COUNT; i++) {
        struct domain_allocator *allocator = &memory->domains[i];
        if (debug_layer_is(allocator))
            continue;
        if (memory->layer_count == MEMORY_LAYERS_MAX)
            return diag_set(diag, ERR_LIMIT, NULL, "an instance has room for %d layers of debug hooks",
                            MEMORY_LAYERS_MAX);
        struct debug_layer *layer = &memory->layers[memory->layer_count++];
        debug_layer_init(layer, &memory->hooks, (enum domain_id)i, allocator);
        *allocator = debug_layer_allocator(layer);
    }
    return ERR_OK;
}

/* ---- the instance ---- */

static enum err domains_fill(struct memory *memory, const struct memory_settings *settings, struct diag *diag) {
    const struct domain_allocator pooled = {memory, pooled_malloc, pooled_calloc, pooled_realloc, pooled_free};
    for (int i = 0; i < DOMAIN_ID_COUNT; i++)
        memory->domains[i] = domain_allocator_libc;
    if (settings->choice.pool) {
        enum err err = pool_create(settings->pool, settings->arenas, &memory->pool, diag);
        if (err)
            return err;
        memory->threshold_bytes = settings->pool->threshold_bytes;
        memory->domains[DOMAIN_ID_MEM] = memory->domains[DOMAIN_ID_OBJ] = pooled;
    }
    memory->hooks.settings = settings->debug ? *settings->debug : debug_settings_default();
    return settings->choice.debug ? memory_debug_install(memory, diag) : ERR_OK;
}

enum err memory_create(const struct memory_settings *settings, struct memory **out, struct diag *diag) {
    size_t page_bytes = pages_size_bytes();
    size_t instance_bytes = (sizeof(struct memory) + page_bytes - 1) / page_bytes * page_bytes;
    struct memory *memory = pages_map(instance_bytes, 1);
    if (!memory)
        return diag_errno(diag, ERR_NOMEM, NULL, "cannot map %zu bytes for a memory manager", instance_bytes);
    memory->instance_bytes = instance_bytes;
    enum err err = domains_fill(memory, settings, diag);
    if (err)
        memory_destroy(memory);
    else
        *out = memory;
    return err;
}

void memory_destroy(struct memory *memory) {
    if (!memory)
        return;
    pool_destroy(memory->pool);
    pages_unmap(memory, memory->instance_bytes);
}

/* ---- what is to be known ---- */

uint64_t memory_fault_count(const struct memory *memory) {
    return memory->hooks.fault_count;
}

uint64_t memory_raw_blocks_count(const struct memory *memory) {
    return memory->raw_block_count;
}

uint64_t memory_blocks_count(const struct memory *memory) {
    if (!memory->pool)
        return 0;
    struct pool_counts counts;
    pool_counts_get(memory->pool, &counts);
    return counts.blocks_count + counts.raw_blocks_count + memory->raw_block_count;
}

struct pool *memory_pool(const struct memory *memory) {
    return memory->pool;
}

size_t memory_footprint_bytes(const struct memory *memory, enum domain_id domain, const void *block) {
    const char *at = block;
    if (debug_layer_is(&memory->domains[domain]))
        at -= DEBUG_HEAD_BYTES;
    if (!memory->pool || domain == DOMAIN_ID_RAW)
        return raw_usable_size((void *)(uintptr_t)at);
    if (pool_owns(memory->pool, at))
        return pool_usable_size(memory->pool, at);
    if (debug_layer_is(&memory->domains[DOMAIN_ID_RAW]))
        at -= DEBUG_HEAD_BYTES;
    return raw_usable_size((void *)(uintptr_t)at);
}
