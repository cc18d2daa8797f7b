#include "traces/tracker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where a block's slot is found. Most blocks die young, so each thread has a ring of its latest births, indexed by
 * birth number, that doubles up to RING_LOG2_MAX; a live block that falls out of its ring moves into one hash map of
 * old blocks (open addressing, linear probing, backward-shift deletion). A birth or a death in the ring is one array
 * access that the cache usually holds.
 */
struct live_entry {
    uint64_t name; /* 0 = empty: block numbers start from 1 */
    uint32_t slot;
    uint32_t unused;
};

struct live_map {
    struct live_entry *entries;
    uint64_t mask;
    uint64_t count;
    unsigned shift; /* 64 − log2(lines) */
};

struct thread_births {
    uint64_t count;  /* blocks made */
    uint32_t *slots; /* ring: slot of birth number seq at seq & mask; 0 = dead */
    uint32_t mask;
};

struct slot_state {
    uint64_t size_bytes : 48; /* of the block in it; of a vacant slot: the next vacant one (0 = none) */
    uint64_t domain : 8;
};

struct tracker {
    struct live_map old;
    struct thread_births *threads;
    uint32_t thread_capacity;
    uint32_t vacant;   /* the most recently vacated slot, head of a list through slots; 0 = none */
    uint32_t slot_top; /* slots 1 … slot_top have been used */
    size_t slot_capacity;
    struct slot_state *slots;
    struct trace_summary summary; /* its live_end_* are what is live now */
};

enum {
    MAP_LOG2_MIN = 14,
    RING_LOG2_MIN = 6,
    RING_LOG2_MAX = 16,
    RUN_MAX = 4096,
    PREFETCH_EVENTS = 12,
    PREFETCH_BIRTHS = 8
};
_Static_assert(2 * (2 * RUN_MAX) <= 1 << MAP_LOG2_MIN, "a doubled map takes a whole run");

/* Four consecutive names share a 64-byte line: blocks born together often die together. */
enum { LINE_LOG2 = 2 };

static uint64_t map_home(const struct live_map *map, uint64_t name) {
    uint64_t line = (name >> LINE_LOG2) * 0x9e3779b97f4a7c15u >> map->shift;
    return line << LINE_LOG2 | (name & ((1u << LINE_LOG2) - 1));
}

static void map_prefetch(const struct live_map *map, uint64_t name) {
    __builtin_prefetch(&map->entries[map_home(map, name)]);
}

static enum err map_init(struct live_map *map, unsigned log2) {
    map->entries = calloc((size_t)1 << log2, sizeof *map->entries);
    if (!map->entries)
        return ERR_NOMEM;
    map->mask = ((uint64_t)1 << log2) - 1;
    map->count = 0;
    map->shift = 64 - (log2 - LINE_LOG2);
    return ERR_OK;
}

static void map_insert(struct live_map *map, uint64_t name, uint32_t slot) {
    uint64_t i = map_home(map, name);
    while (map->entries[i].name)
        i = (i + 1) & map->mask;
    map->entries[i].name = name;
    map->entries[i].slot = slot;
    map->count++;
}

/* Index of `name`, or -1. */
static int64_t map_find(const struct live_map *map, uint64_t name) {
    for (uint64_t i = map_home(map, name);; i = (i + 1) & map->mask) {
        if (map->entries[i].name == name)
            return (int64_t)i;
        if (!map->entries[i].name)
            return -1;
    }
}

/* Empties entry `hole`, moving back what probed past it. */
static void map_remove(struct live_map *map, uint64_t hole) {
    map->count--;
    for (uint64_t i = (hole + 1) & map->mask; map->entries[i].name; i = (i + 1) & map->mask) {
        uint64_t home = map_home(map, map->entries[i].name);
        if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole].name = 0;
}

/* Room for `more` insertions at a load of at most one half. */
static enum err map_reserve(struct live_map *map, size_t more) {
    if ((map->count + more) * 2 <= map->mask)
        return ERR_OK;
    struct live_map larger;
    enum err err = map_init(&larger, 64 - map->shift + LINE_LOG2 + 1);
    if (err)
        return err;
    for (uint64_t i = 0; i <= map->mask; i++)
        if (map->entries[i].name)
            map_insert(&larger, map->entries[i].name, map->entries[i].slot);
    free(map->entries);
    *map = larger;
    return ERR_OK;
}

enum err tracker_create(struct tracker **out) {
    struct tracker *tracker = calloc(1, sizeof *tracker);
    if (!tracker)
        return ERR_NOMEM;
    if (map_init(&tracker->old, MAP_LOG2_MIN)) {
        free(tracker);
        return ERR_NOMEM;
    }
    *out = tracker;
    return ERR_OK;
}

void tracker_destroy(struct tracker *tracker) {
    if (!tracker)
        return;
    free(tracker->old.entries);
    for (uint32_t i = 0; i < tracker->thread_capacity; i++)
        free(tracker->threads[i].slots);
    free(tracker->threads);
    free(tracker->slots);
    free(tracker);
}

static enum err threads_reserve(struct tracker *tracker, uint32_t thread) {
    if (thread < tracker->thread_capacity)
        return ERR_OK;
    uint32_t capacity = tracker->thread_capacity ? tracker->thread_capacity * 2 : 16;
    struct thread_births *threads = realloc(tracker->threads, capacity * sizeof *threads);
    if (!threads)
        return ERR_NOMEM;
    memset(threads + tracker->thread_capacity, 0, (capacity - tracker->thread_capacity) * sizeof *threads);
    tracker->threads = threads;
    tracker->thread_capacity = capacity;
    return ERR_OK;
}

/* Room in the ring for the next birth: doubles it while that is allowed. Cost: amortised constant. */
static enum err ring_grow(struct thread_births *births) {
    uint32_t entries = births->slots ? (births->mask + 1) * 2 : 1 << RING_LOG2_MIN;
    uint32_t *slots = calloc(entries, sizeof *slots);
    if (!slots)
        return ERR_NOMEM;
    for (uint64_t seq = 1; seq <= births->count; seq++) /* not one has fallen out yet */
        slots[seq & (entries - 1)] = births->slots[seq & births->mask];
    free(births->slots);
    births->slots = slots;
    births->mask = entries - 1;
    return ERR_OK;
}

static enum err ring_reserve(struct thread_births *births) {
    if (births->slots && (births->count < births->mask || births->mask + 1 == 1 << RING_LOG2_MAX))
        return ERR_OK;
    return ring_grow(births);
}

/* Room for `more` new slots. */
static enum err slots_reserve(struct tracker *tracker, size_t more) {
    if (tracker->slot_top + more < tracker->slot_capacity)
        return ERR_OK;
    size_t capacity = tracker->slot_capacity ? tracker->slot_capacity * 2 : 2 * RUN_MAX;
    struct slot_state *slots = realloc(tracker->slots, capacity * sizeof *slots);
    if (!slots)
        return ERR_NOMEM;
    tracker->slots = slots;
    tracker->slot_capacity = capacity;
    return ERR_OK;
}

static enum err birth_admit(struct tracker *tracker, const struct event *event) {
    struct thread_births *births = &tracker->threads[event->thread];
    if (event->size_bytes > EVENT_SIZE_MAX || births->count + 1 >= (uint64_t)1 << EVENT_BLOCK_SEQ_BITS ||
        (!tracker->vacant && tracker->slot_top == TRACKER_SLOT_MAX))
        return ERR_LIMIT;
    if (event->size_bytes > UINT64_MAX - tracker->summary.requested_bytes)
        return ERR_LIMIT; /* so live bytes, at most all that was requested, cannot overflow either */
    return ring_reserve(births);
}

/* Everything that can fail, before anything changes. */
static enum err event_admit(struct tracker *tracker, const struct event *event) {
    if (event->kind >= EVENT_KIND_COUNT || event->domain >= DOMAIN_COUNT || event->align_log2 > EVENT_ALIGN_LOG2_MAX)
        return ERR_INVALID;
    if (event->thread > tracker->summary.thread_count)
        return ERR_INVALID;
    if (event->thread >> EVENT_THREAD_BITS)
        return ERR_LIMIT;
    if (event->thread >= tracker->thread_capacity) {
        enum err err = threads_reserve(tracker, event->thread);
        if (err)
            return err;
    }
    return event_makes_block(event->kind) ? birth_admit(tracker, event) : ERR_OK;
}

static uint32_t slot_take(struct tracker *tracker) {
    uint32_t slot = tracker->vacant;
    if (!slot)
        return ++tracker->slot_top;
    tracker->vacant = (uint32_t)tracker->slots[slot].size_bytes;
    return slot;
}

static void slot_vacate(struct tracker *tracker, uint32_t slot) {
    tracker->slots[slot].size_bytes = tracker->vacant;
    tracker->vacant = slot;
}

static void block_birth(struct tracker *tracker, const struct event *event, uint32_t slot, uint8_t domain) {
    struct thread_births *births = &tracker->threads[event->thread];
    uint64_t seq = ++births->count;
    uint32_t *entry = &births->slots[seq & births->mask];
    if (*entry)
        map_insert(&tracker->old, event_block_name(event->thread, seq - births->mask - 1), *entry);
    *entry = slot;
    if (births->slots[(seq + PREFETCH_BIRTHS) & births->mask]) /* will fall out soon */
        map_prefetch(&tracker->old, event_block_name(event->thread, seq + PREFETCH_BIRTHS - births->mask - 1));
    tracker->slots[slot] = (struct slot_state){.size_bytes = event->size_bytes, .domain = domain};

    struct trace_summary *summary = &tracker->summary;
    summary->requested_bytes += event->size_bytes;
    if (event->size_bytes > summary->largest_request_bytes)
        summary->largest_request_bytes = event->size_bytes;
    summary->live_end_bytes += event->size_bytes;
    if (summary->live_end_bytes > summary->live_peak_bytes)
        summary->live_peak_bytes = summary->live_end_bytes;
    if (++summary->live_end_blocks > summary->live_peak_blocks)
        summary->live_peak_blocks = summary->live_end_blocks;
}

/* Forgets the block `name`. @return its slot, or 0 when there is no such live block. */
static uint32_t block_death(struct tracker *tracker, uint64_t name) {
    uint32_t thread = event_block_thread(name);
    uint64_t seq = event_block_seq(name);
    uint32_t slot = 0;
    if (thread >= tracker->thread_capacity || !seq || seq > tracker->threads[thread].count)
        return 0;
    const struct thread_births *births = &tracker->threads[thread];
    if (births->count - seq <= births->mask) {
        slot = births->slots[seq & births->mask];
        births->slots[seq & births->mask] = 0;
    } else {
        int64_t entry = map_find(&tracker->old, name);
        if (entry >= 0) {
            slot = tracker->old.entries[entry].slot;
            map_remove(&tracker->old, (uint64_t)entry);
        }
    }
    if (slot) {
        tracker->summary.live_end_bytes -= tracker->slots[slot].size_bytes;
        tracker->summary.live_end_blocks--;
    }
    return slot;
}

static void event_count(struct tracker *tracker, const struct event *event, uint8_t domain) {
    struct trace_summary *summary = &tracker->summary;
    summary->kind_counts[event->kind]++;
    if (event->thread == summary->thread_count)
        summary->thread_count++;
    if (!event_is_operation(event->kind))
        return;
    summary->operation_count++;
    summary->domain_counts[domain]++;
    if (event->kind < EVENT_REALLOC)
        return;
    if (event->block)
        summary->cross_thread_count += event_block_thread(event->block) != event->thread;
    else if (event->kind == EVENT_FREE)
        summary->free_null_count++;
    else
        summary->realloc_null_count++;
}

static inline enum err event_apply(struct tracker *tracker, const struct event *event, struct placement *out) {
    enum err err = event_admit(tracker, event);
    if (err)
        return err;
    uint32_t slot = 0;
    uint8_t domain = event->domain;
    if (event->block && (event->kind == EVENT_FREE || event->kind == EVENT_REALLOC)) {
        slot = block_death(tracker, event->block);
        if (!slot)
            return ERR_INVALID;
        domain = tracker->slots[slot].domain;
        if (event->kind == EVENT_FREE)
            slot_vacate(tracker, slot);
    }
    if (event_makes_block(event->kind)) {
        if (!slot)
            slot = slot_take(tracker);
        block_birth(tracker, event, slot, domain);
    }
    event_count(tracker, event, domain);
    *out = (struct placement){.slot = slot,
                              .domain = domain,
                              .live_blocks = (uint32_t)tracker->summary.live_end_blocks,
                              .live_bytes = tracker->summary.live_end_bytes};
    return ERR_OK;
}

/* What the death of a block will touch, asked for in time: old blocks are cold. */
static inline void event_prefetch(const struct tracker *tracker, const struct event *event) {
    if (event->kind != EVENT_FREE && event->kind != EVENT_REALLOC)
        return;
    uint32_t thread = event_block_thread(event->block);
    if (thread >= tracker->thread_capacity)
        return;
    const struct thread_births *births = &tracker->threads[thread];
    if (!births->slots) /* a thread that has made nothing: free(NULL), or a name from nowhere */
        return;
    uint64_t seq = event_block_seq(event->block);
    if (births->count - seq > births->mask)
        map_prefetch(&tracker->old, event->block);
    else
        __builtin_prefetch(&tracker->slots[births->slots[seq & births->mask]]);
}

static enum err run_apply(struct tracker *tracker, const struct event *events, size_t count, struct placement *out,
                          size_t *applied) {
    enum err err = map_reserve(&tracker->old, count);
    if (!err)
        err = slots_reserve(tracker, count);
    size_t i = 0;
    for (; !err && i < count; i++) {
        if (i + PREFETCH_EVENTS < count)
            event_prefetch(tracker, &events[i + PREFETCH_EVENTS]);
        err = event_apply(tracker, &events[i], &out[i]);
        if (err)
            break;
    }
    tracker->summary.event_count += i;
    *applied = i;
    return err;
}

enum err tracker_apply(struct tracker *tracker, const struct event *events, size_t count, struct placement *out,
                       size_t *applied) {
    size_t done = 0;
    enum err err = ERR_OK;
    while (!err && done < count) {
        size_t run = count - done < RUN_MAX ? count - done : RUN_MAX;
        size_t run_applied = 0;
        err = run_apply(tracker, events + done, run, out + done, &run_applied);
        done += run_applied;
    }
    *applied = done;
    return err;
}

static enum err explain_block(const struct tracker *tracker, const struct event_block *block, size_t index,
                              struct diag *diag) {
    const struct event *event = &block->events[index];
    uint32_t owner = event_block_thread(event->block);
    uint64_t seq = event_block_seq(event->block);
    bool born = owner < tracker->summary.thread_count && seq && seq <= tracker->threads[owner].count;
    return diag_at_byte(diag, ERR_INVALID, block->path, block->byte,
                        "event %" PRIu64 ": %s of block %" PRIu64 " of thread %" PRIu32 ", which %s",
                        block->first_index + index, event_kind_names[event->kind], seq, owner,
                        born ? "was freed before (double free)" : "was never allocated");
}

enum err tracker_explain(const struct tracker *tracker, enum err err, const struct event_block *block, size_t index,
                         struct diag *diag) {
    const struct event *event = &block->events[index];
    uint64_t number = block->first_index + index;
    if (err == ERR_NOMEM)
        return diag_set(diag, err, NULL, "out of memory while following %" PRIu64 " live blocks",
                        tracker->summary.live_end_blocks);
    if (err == ERR_LIMIT && event->size_bytes > EVENT_SIZE_MAX)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": a request of %" PRIu64 " bytes is larger than 2^%d", number,
                            event->size_bytes, EVENT_SIZE_BITS);
    if (err == ERR_LIMIT)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": too many live blocks, threads or blocks per thread", number);
    if (event->kind >= EVENT_KIND_COUNT || event->domain >= DOMAIN_COUNT || event->align_log2 > EVENT_ALIGN_LOG2_MAX)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": kind %u, domain %u or alignment 2^%u is out of range", number,
                            event->kind, event->domain, event->align_log2);
    if (event->thread > tracker->summary.thread_count)
        return diag_at_byte(diag, err, block->path, block->byte,
                            "event %" PRIu64 ": thread %" PRIu32 " appears before thread %" PRIu32, number,
                            event->thread, tracker->summary.thread_count);
    return explain_block(tracker, block, index, diag);
}

enum err tracker_run(struct tracker *tracker, const struct event_source *source, struct diag *diag) {
    enum { RUN = 256 };
    struct placement placements[RUN];
    for (;;) {
        struct event_block block;
        enum err err = source->next(source->ctx, &block, diag);
        if (err || !block.count)
            return err;
        for (size_t i = 0; i < block.count;) {
            size_t run = block.count - i < RUN ? block.count - i : RUN;
            size_t applied = 0;
            err = tracker_apply(tracker, block.events + i, run, placements, &applied);
            if (err)
                return tracker_explain(tracker, err, &block, i + applied, diag);
            i += run;
        }
    }
}

const struct trace_summary *tracker_summary(const struct tracker *tracker) {
    return &tracker->summary;
}

uint32_t tracker_slot_peak(const struct tracker *tracker) {
    return tracker->slot_top;
}
