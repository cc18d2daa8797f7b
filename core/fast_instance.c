/* How an instance comes to be: its range of addresses, its tables, its size classes. */
#include <assert.h>

#include "core/fast_internal.h"
#include "core/pages.h"

const struct pool_config *fast_config_get(void) {
    static const struct pool_config config = {.name = "fast",
                                              .align_bytes = FAST_ALIGN_BYTES,
                                              .threshold_bytes = FAST_LIMIT_BYTES,
                                              .pool_bytes = FAST_UNIT_BYTES,
                                              .arena_bytes = FAST_ARENA_BYTES,
                                              .keep_count = FAST_EMPTY_ARENAS_KEPT,
                                              .order = POOL_ORDER_FULLEST,
                                              .reentry = POOL_REENTRY_BACK,
                                              .headers = POOL_HEADERS_SIDE,
                                              .source = POOL_SOURCE_MMAP};
    return &config;
}

/* ---- size classes ---- */

/* The class of the smallest blocks of at least `bytes` that fill a span: the size is what an even division leaves. The
   first span length that wastes no more than a sixteenth of a block is taken, else the best. */
static struct fast_class class_fit(uint32_t bytes) {
    struct fast_class best = {.block_bytes = UINT32_MAX};
    for (uint32_t units = fast_units_for(bytes); units <= FAST_SPAN_UNITS_MAX; units++) {
        uint32_t span_bytes = units * FAST_UNIT_BYTES;
        uint32_t block_bytes = span_bytes / (span_bytes / bytes) & ~(uint32_t)(FAST_ALIGN_BYTES - 1);
        if (block_bytes < best.block_bytes)
            best = (struct fast_class){.block_bytes = block_bytes, .units = units};
        if (bytes <= FAST_SMALL_BYTES || best.block_bytes <= bytes + bytes / 16)
            break;
    }
    return best;
}

static void class_add(struct fast *fast, struct fast_class class) {
    const struct fast_class *last = fast->class_count ? &fast->classes[fast->class_count - 1] : NULL;
    if (last && last->block_bytes >= class.block_bytes)
        return;
    uint32_t span_bytes = class.units * FAST_UNIT_BYTES, covered = class.block_bytes / FAST_ALIGN_BYTES;
    class.capacity = span_bytes / class.block_bytes;
    class.limit = (class.capacity - 1) * class.block_bytes;
    class.relist = class.capacity > FAST_RELIST_SHARE ? class.capacity / FAST_RELIST_SHARE : 1;
    class.first_step = (uint16_t)(last ? last->last_step + 1 : 0);
    class.last_step = (uint16_t)(covered < FAST_SMALL_STEPS ? covered : FAST_SMALL_STEPS - 1);
    fast->classes[fast->class_count++] = class;
    if (class.first_step <= class.last_step)
        fast->small_class_count = fast->class_count;
}

static void classes_make(struct fast *fast) {
    for (uint32_t bytes = FAST_ALIGN_BYTES; bytes <= FAST_DENSE_BYTES; bytes += FAST_ALIGN_BYTES)
        class_add(fast, (struct fast_class){.block_bytes = bytes, .units = 1});
    for (uint32_t power = FAST_DENSE_BYTES; power < FAST_CLASS_BYTES; power *= 2)
        for (uint32_t i = 1; i <= FAST_DOUBLING_CLASSES; i++)
            class_add(fast, class_fit(power + power / FAST_DOUBLING_CLASSES * i));
    assert(fast->class_count <= FAST_CLASS_MAX);
    for (uint32_t i = 0; i < fast->class_count; i++) {
        struct fast_span *head = fast_ring_head(fast, i);
        head->class_index = (uint16_t)i;
        head->next = head->prev = fast_span_index(fast, head);
        for (unsigned step = fast->classes[i].first_step; step <= fast->classes[i].last_step; step++)
            fast->current[step] = head;
    }
}

/* ---- the range and the tables ---- */

static bool default_obtain(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    return pages_commit(arena, bytes);
}

static void default_give_back(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    pages_decommit(arena, bytes);
}

static size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

/* Offsets of the tables behind the struct, all in one mapping of which only what is touched costs memory. */
struct layout {
    size_t spans, arenas, returned, bytes;
};

static struct layout layout_for(size_t arena_count) {
    struct layout layout;
    layout.spans = round_up(sizeof(struct fast), 64) + FAST_CLASS_MAX * sizeof(struct fast_span);
    layout.arenas = layout.spans + arena_count * FAST_ARENA_UNITS * sizeof(struct fast_span);
    layout.returned = layout.arenas + arena_count * sizeof(struct fast_arena);
    layout.bytes = round_up(layout.returned + arena_count * sizeof(uint32_t), pages_size_bytes());
    return layout;
}

/* @return NULL when there is no room for a range of that many arenas and its tables. */
static struct fast *instance_map(size_t arena_count) {
    struct layout layout = layout_for(arena_count);
    size_t range_bytes = (arena_count + 1) * FAST_ARENA_BYTES;
    char *range = pages_reserve(range_bytes);
    struct fast *fast = range ? pages_map_sparse(layout.bytes) : NULL;
    if (!fast) {
        pages_unmap(range, range_bytes);
        return NULL;
    }
    fast->range_pages = range;
    fast->range_pages_bytes = range_bytes;
    fast->instance_bytes = layout.bytes;
    fast->base = round_up((uintptr_t)range, FAST_ARENA_BYTES);
    fast->range_bytes = arena_count * FAST_ARENA_BYTES;
    fast->arena_limit = (uint32_t)arena_count;
    fast->spans = (struct fast_span *)((char *)fast + layout.spans);
    fast->arenas = (struct fast_arena *)((char *)fast + layout.arenas);
    fast->returned = (uint32_t *)((char *)fast + layout.returned);
    return fast;
}

enum { RANGE_ARENAS_MAX = 128 << 10, RANGE_ARENAS_MIN = 128 };

enum err fast_create(const struct fast_source *source, struct fast **out, struct diag *diag) {
    struct fast *fast = NULL;
    for (size_t count = RANGE_ARENAS_MAX; !fast && count >= RANGE_ARENAS_MIN; count /= 2)
        fast = instance_map(count);
    if (!fast)
        return diag_errno(diag, ERR_NOMEM, NULL, "pool:fast: cannot reserve %d MiB of addresses",
                          RANGE_ARENAS_MIN * (FAST_ARENA_BYTES >> 10) / 1024);
    for (unsigned kind = 0; kind < ARENA_KIND_COUNT; kind++)
        for (unsigned fill = 0; fill < FAST_ARENA_UNITS; fill++)
            fast->first[kind][fill] = FAST_ARENA_NONE;
    fast->source = source ? *source : (struct fast_source){NULL, default_obtain, default_give_back};
    classes_make(fast);
    *out = fast;
    return ERR_OK;
}

void fast_destroy(struct fast *fast) {
    if (!fast)
        return;
    fast_arena_clear(fast);
    pages_unmap(fast->range_pages, fast->range_pages_bytes);
    pages_unmap(fast, fast->instance_bytes);
}
