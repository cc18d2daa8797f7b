#include <assert.h>
#include <inttypes.h>

#include "core/pool_check.h"

/* How a pool is called in messages. */
#define POOL_NAME            "pool %" PRIu32 " of arena %" PRIu32
#define POOL_NAME_ARGS(view) (view)->pool_index, (view)->slot

/* A pool on the bench. */
struct pool_view {
    const struct pool_header *header;
    uintptr_t base; /* of the pool */
    uint32_t slot;
    uint32_t pool_index;
    size_t block_bytes;
    uint32_t carved_count; /* blocks ever carved */
};

static enum err header_check(struct pool_checker *checker, struct pool_view *view) {
    const struct pool *pool = checker->pool;
    const struct pool_header *header = view->header;
    if ((uintptr_t)pool_base_of(pool, header) != view->base)
        return CHECK_BROKEN(checker, POOL_NAME ": its header is another pool's", POOL_NAME_ARGS(view));
    if (header->arena_index != view->slot)
        return CHECK_BROKEN(checker, POOL_NAME ": states arena %u", POOL_NAME_ARGS(view), header->arena_index);
    if (header->class_index >= pool->class_count)
        return CHECK_BROKEN(checker, POOL_NAME ": size class %u of %u", POOL_NAME_ARGS(view), header->class_index,
                            pool->class_count);
    view->block_bytes = pool_class_bytes(pool, header->class_index);
    size_t carved_bytes = header->next_offset - pool->header_bytes;
    if (header->last_offset != pool->config.pool_bytes - view->block_bytes)
        return CHECK_BROKEN(checker, POOL_NAME ": last offset %u", POOL_NAME_ARGS(view), header->last_offset);
    if (header->next_offset < pool->header_bytes || header->next_offset > pool->config.pool_bytes ||
        carved_bytes % view->block_bytes)
        return CHECK_BROKEN(checker, POOL_NAME ": next offset %u is no block boundary", POOL_NAME_ARGS(view),
                            header->next_offset);
    view->carved_count = (uint32_t)(carved_bytes / view->block_bytes);
    if (view->carved_count < 2 || header->count > view->carved_count)
        return CHECK_BROKEN(checker, POOL_NAME ": %u blocks in use, %u carved", POOL_NAME_ARGS(view), header->count,
                            view->carved_count);
    return ERR_OK;
}

/* Every entry is a carved block of this pool, none comes twice, and with the blocks in use they are all of them. */
static enum err free_list_check(struct pool_checker *checker, const struct pool_view *view) {
    const struct pool *pool = checker->pool;
    uint32_t count = 0;
    assert(view->block_bytes);
    checker_marks_clear(checker);
    for (const void *block = view->header->free; block; block = *(void *const *)block, count++) {
        uintptr_t offset = (uintptr_t)block - view->base;
        if (offset < pool->header_bytes || offset >= view->header->next_offset)
            return CHECK_BROKEN(checker, POOL_NAME ": free list entry %u lies outside the carved blocks",
                                POOL_NAME_ARGS(view), count);
        if ((offset - pool->header_bytes) % view->block_bytes)
            return CHECK_BROKEN(checker, POOL_NAME ": free list entry %u is no block boundary", POOL_NAME_ARGS(view),
                                count);
        if (!checker_mark(checker, (offset - pool->header_bytes) / view->block_bytes))
            return CHECK_BROKEN(checker, POOL_NAME ": the free list comes back to offset %zu", POOL_NAME_ARGS(view),
                                (size_t)offset);
    }
    if (count + view->header->count != view->carved_count)
        return CHECK_BROKEN(checker, POOL_NAME ": %u blocks in use + %u free != %u carved", POOL_NAME_ARGS(view),
                            view->header->count, count, view->carved_count);
    return ERR_OK;
}

/* A pool without a free block must be full: one more is carved as soon as the last is taken. */
static enum err fullness_check(struct pool_checker *checker, const struct pool_view *view) {
    bool full = view->header->count == pool_class_capacity(checker->pool, view->header->class_index);
    if (!view->header->free && !full)
        return CHECK_BROKEN(checker, POOL_NAME ": no free block, but %u of %u in use", POOL_NAME_ARGS(view),
                            view->header->count, pool_class_capacity(checker->pool, view->header->class_index));
    if (view->header->count && !full)
        checker->partly_used[view->header->class_index]++;
    return ERR_OK;
}

static enum err pool_one_check(struct pool_checker *checker, struct pool_view *view) {
    enum err err = header_check(checker, view);
    if (!err)
        err = free_list_check(checker, view);
    if (!err)
        err = fullness_check(checker, view);
    return err;
}

/* The arena's list of empty pools: carved pools of this arena with count 0, all of them. */
static enum err empty_list_check(struct pool_checker *checker, uint32_t slot, uint32_t empty_count) {
    const struct arena *arena = &checker->pool->arenas[slot];
    uint32_t count = 0;
    for (const struct pool_link *link = arena->free_pools; link; link = link->next, count++) {
        const struct pool_header *header = checker_pool_find(checker, link);
        if (!header || header->arena_index != slot)
            return CHECK_BROKEN(checker, "empty pools of arena %u: entry %u is no pool of it", slot, count);
        if (header->count)
            return CHECK_BROKEN(checker, "empty pools of arena %u: entry %u has %u blocks in use", slot, count,
                                header->count);
        if (count == empty_count)
            return CHECK_BROKEN(checker, "empty pools of arena %u: more than the %u there are (a cycle?)", slot,
                                empty_count);
    }
    if (count != empty_count)
        return CHECK_BROKEN(checker, "empty pools of arena %u: %u on the list, %u there are", slot, count, empty_count);
    return ERR_OK;
}

enum err checker_pools_check(struct pool_checker *checker, uint32_t slot) {
    const struct pool *pool = checker->pool;
    const struct arena *arena = &pool->arenas[slot];
    uintptr_t first = pool_arena_first(pool, arena);
    uint32_t carved = (uint32_t)((arena->carve_address - first) / pool->config.pool_bytes), empty_count = 0;
    for (uint32_t i = 0; i < carved; i++) {
        struct pool_view view = {.header = pool_header_at(pool, first + i * pool->config.pool_bytes),
                                 .base = first + i * pool->config.pool_bytes,
                                 .slot = slot,
                                 .pool_index = i};
        enum err err = pool_one_check(checker, &view);
        if (err)
            return err;
        empty_count += view.header->count == 0;
    }
    if (empty_count + arena->total_pool_count - carved != arena->free_pool_count)
        return CHECK_BROKEN(checker, "arena %u: %u empty + %u never carved pools != %u free", slot, empty_count,
                            arena->total_pool_count - carved, arena->free_pool_count);
    return empty_list_check(checker, slot, empty_count);
}

/* One list of partly used pools. Their number bounds the walk, so a cycle beside the head is found. */
static enum err used_list_check(struct pool_checker *checker, uint32_t class_index) {
    const struct pool *pool = checker->pool;
    const struct pool_link *head = &pool->used[class_index], *prev = head;
    uint64_t count = 0;
    for (const struct pool_link *link = head->next; link != head; prev = link, link = link->next, count++) {
        const struct pool_header *header = checker_pool_find(checker, link);
        if (!header)
            return CHECK_BROKEN(checker, "used pools of class %u: entry %" PRIu64 " is no pool", class_index, count);
        if (link->prev != prev)
            return CHECK_BROKEN(checker, "used pools of class %u: entry %" PRIu64 " does not point back", class_index,
                                count);
        if (header->class_index != class_index)
            return CHECK_BROKEN(checker, "used pools of class %u: entry %" PRIu64 " is of class %u", class_index, count,
                                header->class_index);
        if (header->count == 0 || !header->free)
            return CHECK_BROKEN(checker, "used pools of class %u: entry %" PRIu64 " is %s", class_index, count,
                                header->count ? "full" : "empty");
        if (count == checker->partly_used[class_index])
            return CHECK_BROKEN(checker, "used pools of class %u: more than the %" PRIu64 " there are (a cycle?)",
                                class_index, count);
    }
    if (count != checker->partly_used[class_index] || head->prev != prev)
        return CHECK_BROKEN(checker, "used pools of class %u: %" PRIu64 " on the list, %" PRIu64 " are partly used",
                            class_index, count, checker->partly_used[class_index]);
    return ERR_OK;
}

enum err checker_used_check(struct pool_checker *checker) {
    for (uint32_t i = 0; i < checker->pool->class_count; i++) {
        enum err err = used_list_check(checker, i);
        if (err)
            return err;
    }
    return ERR_OK;
}
