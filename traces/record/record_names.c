#include "traces/record/record_names.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "traces/arena_runs.h"
#include "traces/record/pointer_map.h"

enum {
    EVENTS_PER_RUN = 1024,
    EXPECT_LINES_LEAST = 4096, /* a smaller table, of 256 KiB, stays in the cache by itself */
    PENDING_COUNT = 3,         /* reallocs under way in one thread: its own and those of signal handlers */
    THREAD_COUNT_MAX = 1 << EVENT_THREAD_BITS
};

/* A block that has been taken out of the map. */
struct named_block {
    uint64_t name; /* 0 = nobody saw it being made */
    struct pointer_detail detail;
};

struct named_thread {
    uint64_t births;
    uint32_t number; /* + 1; 0 = none yet */
    uint32_t pending_count;
    struct named_block pending[PENDING_COUNT]; /* blocks whose realloc has begun */
};

struct namer {
    struct record_output output;
    struct event_sink sink;
    bool has_sink;
    struct pointer_map map;
    struct named_thread *threads; /* by serial */
    uint64_t thread_capacity;
    uint32_t thread_count;
    uint64_t birth_count; /* of all threads */
    struct live_set inheritance;
    bool inherits; /* the first thread of the coming trace makes the blocks of `inheritance` */
    struct namer_counts counts;
    struct arena_runs arenas; /* of the current image, all of them from the first on, or none */
    uint8_t arena_log2;
    bool has_lost_arena;
    bool is_timed;
    uint64_t start_ns; /* what is 0 to the trace */
    uint64_t now_ns;   /* the time of the event under way, since then */
    uint64_t time_mask;
    size_t run_count;
    struct event run[EVENTS_PER_RUN];
    uint64_t times_ns[EVENTS_PER_RUN];
};

enum err namer_create(const struct record_output *output, struct namer **out) {
    struct namer *namer = calloc(1, sizeof *namer);
    if (!namer)
        return ERR_NOMEM;
    if (pointer_map_init(&namer->map, false)) {
        free(namer);
        return ERR_NOMEM;
    }
    namer->output = *output;
    *out = namer;
    return ERR_OK;
}

void namer_destroy(struct namer *namer) {
    if (!namer)
        return;
    pointer_map_free(&namer->map);
    live_set_clear(&namer->inheritance);
    free(namer->threads);
    arena_runs_clear(&namer->arenas);
    free(namer);
}

/* A gap (the child of a fork has one at the beginning) makes the rest worthless: places come by their number. */
static enum err arena_note(struct namer *namer, const struct merged_record *record, struct diag *diag) {
    if (record->size_bytes != namer->arenas.arena_count)
        namer->has_lost_arena = true;
    if (namer->has_lost_arena)
        return ERR_OK;
    namer->arena_log2 = (uint8_t)(record->what >> RECORD_ALIGN_SHIFT & 63);
    if (arena_runs_add(&namer->arenas, record->what & RECORD_POINTER_MASK))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory for the places of %" PRIu64 " arenas",
                        namer->arenas.arena_count);
    return ERR_OK;
}

static void arenas_forget(struct namer *namer) {
    arena_runs_clear(&namer->arenas);
    namer->has_lost_arena = false;
}

uint64_t namer_arena_count(const struct namer *namer) {
    return namer->has_lost_arena ? 0 : namer->arenas.arena_count;
}

enum err namer_arenas_describe(const struct namer *namer, struct trace_info *info) {
    char *places = NULL;
    if (!namer_arena_count(namer))
        return ERR_OK;
    enum err err = arena_runs_format(&namer->arenas, &places);
    if (err)
        return err;
    free(info->capture_arena_places);
    info->capture_arena_places = places;
    info->capture_arena_count = namer->arenas.arena_count;
    info->capture_arena_bytes = (uint64_t)1 << namer->arena_log2;
    return ERR_OK;
}

void namer_time_keep(struct namer *namer, uint64_t start_ns, uint64_t unit_ns) {
    namer->is_timed = true;
    namer->time_mask = ~(unit_ns - 1);
    namer->start_ns = start_ns;
}

struct namer_counts namer_counts(const struct namer *namer) {
    return namer->counts;
}

enum err namer_flush(struct namer *namer, struct diag *diag) {
    size_t count = namer->run_count;
    namer->run_count = 0;
    return count ? event_sink_put(&namer->sink, namer->run, namer->is_timed ? namer->times_ns : NULL, count, diag)
                 : ERR_OK;
}

enum err namer_sync(struct namer *namer, struct diag *diag) {
    enum err err = namer_flush(namer, diag);
    return err || !namer->has_sink || !namer->sink.flush ? err : namer->sink.flush(namer->sink.ctx, diag);
}

/* A trace begins, and with it every count; threads get new numbers as they appear. */
static enum err trace_begin(struct namer *namer, struct diag *diag) {
    namer->run_count = 0;
    pointer_map_clear(&namer->map);
    namer->thread_count = 0;
    namer->counts = (struct namer_counts){0};
    arenas_forget(namer);
    namer->has_sink = true;
    return namer->output.begin(namer->output.ctx, &namer->sink, diag);
}

static void inheritance_clear(struct namer *namer) {
    live_set_clear(&namer->inheritance);
    namer->inherits = false;
}

static enum err image_begin(struct namer *namer, struct diag *diag) {
    if (namer->has_sink) /* an exec: nothing is left of what the process had */
        inheritance_clear(namer);
    if (namer->threads)
        memset(namer->threads, 0, namer->thread_capacity * sizeof *namer->threads);
    return trace_begin(namer, diag);
}

static enum err threads_reserve(struct namer *namer, uint64_t serial) {
    if (serial < namer->thread_capacity)
        return ERR_OK;
    uint64_t capacity = namer->thread_capacity ? namer->thread_capacity : 64;
    while (capacity <= serial)
        capacity *= 2;
    struct named_thread *threads = realloc(namer->threads, capacity * sizeof *threads);
    if (!threads)
        return ERR_NOMEM;
    memset(threads + namer->thread_capacity, 0, (capacity - namer->thread_capacity) * sizeof *threads);
    namer->threads = threads;
    namer->thread_capacity = capacity;
    return ERR_OK;
}

/* The event to come, put together where it will stay; event_push makes it one. */
static inline struct event *event_next(struct namer *namer, uint32_t number, enum event_kind kind) {
    struct event *event = &namer->run[namer->run_count];
    *event = (struct event){.thread = number, .kind = (uint8_t)kind};
    return event;
}

static inline enum err event_push(struct namer *namer, struct diag *diag) {
    const struct event *event = &namer->run[namer->run_count];
    namer->times_ns[namer->run_count++] = namer->now_ns & namer->time_mask;
    namer->counts.event_count++;
    namer->counts.operation_count += (uint64_t)event_is_operation(event->kind);
    return namer->run_count == EVENTS_PER_RUN ? namer_flush(namer, diag) : ERR_OK;
}

/* The entry of a block that ends; NULL: nobody saw it being made. */
static inline struct pointer_entry *block_find(struct namer *namer, uint64_t pointer) {
    struct pointer_entry *entry = pointer ? pointer_map_find(&namer->map, pointer) : NULL;
    namer->counts.unknown_free_count += !entry;
    return entry;
}

/* The block at `pointer` ends, for now: it is moving. */
static struct named_block block_take(struct namer *namer, uint64_t pointer) {
    struct pointer_entry *entry = block_find(namer, pointer);
    struct named_block taken = {0};
    if (!entry)
        return taken;
    taken.name = entry->name;
    if (namer->map.details)
        taken.detail = *pointer_map_detail_of(&namer->map, entry);
    pointer_map_remove(&namer->map, entry, pointer);
    return taken;
}

/* The block's name from here on is `name`; `entry` is what may be known there by that address, and is over. Room was
 * made. @return the entry. */
static inline struct pointer_entry *block_enter(struct namer *namer, struct pointer_entry *entry, uint64_t pointer,
                                                uint64_t name) {
    if (!entry)
        return pointer_map_add(&namer->map, pointer, name);
    entry->name = name;
    return entry;
}

static enum err block_insert(struct namer *namer, uint64_t pointer, const struct named_block *block) {
    if (pointer_map_reserve(&namer->map))
        return ERR_NOMEM;
    struct pointer_entry *entry = block_enter(namer, pointer_map_find(&namer->map, pointer), pointer, block->name);
    if (namer->map.details)
        *pointer_map_detail_of(&namer->map, entry) = block->detail;
    return ERR_OK;
}

/* An address that is handed out while we hold it for live was freed behind our back: say so, and let it go first. */
static __attribute__((noinline)) enum err block_let_go(struct namer *namer, uint64_t name, struct event **event,
                                                       struct diag *diag) {
    struct event made = **event;
    event_next(namer, made.thread, EVENT_FREE)->block = name;
    namer->counts.missed_free_count++;
    enum err err = event_push(namer, diag);
    *event = &namer->run[namer->run_count];
    **event = made;
    return err;
}

/* `event`, the next one, makes a block; `domain` is the block's own: that of the event may be left out. */
static inline enum err block_make(struct namer *namer, struct named_thread *thread, struct event *event,
                                  uint64_t pointer, unsigned domain, struct diag *diag) {
    if (event->size_bytes > EVENT_SIZE_MAX)
        return diag_set(diag, ERR_CHILD, NULL, "the recorder's shared memory holds a request of %" PRIu64 " bytes",
                        event->size_bytes);
    if (!pointer)
        return diag_set(diag, ERR_CHILD, NULL, "the recorder's shared memory holds a block at address 0");
    if (pointer_map_reserve(&namer->map))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory while following %" PRIu64 " live blocks",
                        namer->map.count);
    struct pointer_entry *entry = pointer_map_find(&namer->map, pointer);
    enum err err = entry ? block_let_go(namer, entry->name, &event, diag) : ERR_OK;
    if (err)
        return err;
    unsigned kind = event->kind == EVENT_REALLOC ? EVENT_MALLOC : event->kind;
    entry = block_enter(namer, entry, pointer, event_block_name(event->thread, ++thread->births));
    if (namer->map.details)
        *pointer_map_detail_of(&namer->map, entry) = (struct pointer_detail){
            live_shape(kind, domain, event->align_log2, event->size_bytes), ++namer->birth_count};
    return event_push(namer, diag);
}

static void pending_push(struct named_thread *thread, const struct named_block *block) {
    if (thread->pending_count == PENDING_COUNT) {
        memmove(thread->pending, thread->pending + 1, (PENDING_COUNT - 1) * sizeof thread->pending[0]);
        thread->pending_count--;
    }
    thread->pending[thread->pending_count++] = *block;
}

static struct named_block pending_pop(struct named_thread *thread) {
    return thread->pending_count ? thread->pending[--thread->pending_count] : (struct named_block){0};
}

static inline enum err block_free(struct namer *namer, struct event *event, uint64_t pointer, struct diag *diag) {
    event->size_bytes = 0;
    if (!pointer)
        return event_push(namer, diag);
    struct pointer_entry *entry = block_find(namer, pointer);
    if (!entry)
        return ERR_OK;
    event->domain = 0;
    event->block = entry->name;
    pointer_map_remove(&namer->map, entry, pointer);
    return event_push(namer, diag);
}

/* A realloc's second half. */
static enum err realloc_finish(struct namer *namer, struct named_thread *thread, unsigned kind, struct event *event,
                               uint64_t pointer, struct diag *diag) {
    struct named_block old = pending_pop(thread);
    event->block = old.name;
    if (kind == RECORD_REALLOC_FREED) {
        event->kind = EVENT_FREE;
        event->domain = 0;
        event->size_bytes = 0;
        return event->block ? event_push(namer, diag) : ERR_OK;
    }
    if (kind == RECORD_REALLOC_FAILED) {
        if (old.name && block_insert(namer, pointer, &old))
            return diag_set(diag, ERR_NOMEM, NULL, "out of memory while following live blocks");
        return ERR_OK;
    }
    event->kind = EVENT_REALLOC;
    unsigned domain = old.name && namer->map.details ? live_shape_domain(old.detail.shape) : event->domain;
    event->domain = old.name ? 0 : event->domain;
    return block_make(namer, thread, event, pointer, domain, diag);
}

static inline enum err record_apply(struct namer *namer, struct named_thread *thread,
                                    const struct merged_record *record, struct diag *diag) {
    static const uint8_t plain_kinds[RECORD_STAMPED_COUNT] = {
        [RECORD_MALLOC] = EVENT_MALLOC,       [RECORD_CALLOC] = EVENT_CALLOC, [RECORD_ALIGNED] = EVENT_ALIGNED_ALLOC,
        [RECORD_REALLOC_NEW] = EVENT_REALLOC, [RECORD_FREE] = EVENT_FREE,     [RECORD_THREAD_END] = EVENT_THREAD_END};
    unsigned kind = (unsigned)(record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK);
    uint64_t pointer = record->what & RECORD_POINTER_MASK;
    struct event *event = event_next(namer, thread->number - 1, plain_kinds[kind]);
    event->size_bytes = record->size_bytes;
    event->domain = (uint8_t)(record->what >> RECORD_DOMAIN_SHIFT & 3);
    struct named_block block;
    switch (kind) {
    case RECORD_PROCESS: /* not of the allocation traffic */
        return ERR_OK;
    case RECORD_ALIGNED:
        event->align_log2 = (uint8_t)(record->what >> RECORD_ALIGN_SHIFT & 63);
        /* fall through */
    case RECORD_MALLOC:
    case RECORD_CALLOC:
    case RECORD_REALLOC_NEW:
        return block_make(namer, thread, event, pointer, event->domain, diag);
    case RECORD_FREE:
        return block_free(namer, event, pointer, diag);
    case RECORD_ARENA:
        return arena_note(namer, record, diag);
    case RECORD_REALLOC_BEGIN:
        block = block_take(namer, pointer);
        pending_push(thread, &block);
        return ERR_OK;
    case RECORD_REALLOC_END:
    case RECORD_REALLOC_FREED:
    case RECORD_REALLOC_FAILED:
        return realloc_finish(namer, thread, kind, event, pointer, diag);
    default:
        event->domain = 0;
        return event_push(namer, diag);
    }
}

/* Where the address of a block that is moving will be known by its name: its thread's realloc. */
static struct named_block *block_moving(struct namer *namer, uint64_t where) {
    uint64_t serial = (where & ~LIVE_MOVING) >> LIVE_SLOT_BITS;
    uint64_t place = where & ((1u << LIVE_SLOT_BITS) - 1);
    if (serial >= namer->thread_capacity || place >= namer->threads[serial].pending_count)
        return NULL;
    return &namer->threads[serial].pending[place];
}

static enum err block_inherit(struct namer *namer, struct named_thread *thread, const struct live_block *inherited,
                              struct diag *diag) {
    struct event *event = &namer->run[namer->run_count];
    *event = live_shape_event(inherited->shape);
    event->thread = thread->number - 1;
    if (!(inherited->pointer & LIVE_MOVING))
        return block_make(namer, thread, event, inherited->pointer, event->domain, diag);
    struct named_block *moving = block_moving(namer, inherited->pointer);
    const struct named_block block = {event_block_name(event->thread, ++thread->births),
                                      {inherited->shape, ++namer->birth_count}};
    if (moving)
        *moving = block;
    return event_push(namer, diag);
}

static enum err inheritance_make(struct namer *namer, struct named_thread *thread, struct diag *diag) {
    enum err err = ERR_OK;
    namer->inherits = false;
    for (uint64_t i = 0; i < namer->inheritance.count && !err; i++)
        err = block_inherit(namer, thread, &namer->inheritance.blocks[i], diag);
    namer->counts.inherited_block_count = namer->inheritance.count;
    namer->counts.inherited_bytes = namer->inheritance.bytes;
    live_set_clear(&namer->inheritance);
    return err;
}

/* Whatever comes first from a thread begins it: a signal handler can get ahead of its RECORD_THREAD_START. */
static enum err thread_appear(struct namer *namer, struct named_thread *thread, struct diag *diag) {
    event_next(namer, namer->thread_count, EVENT_THREAD_START);
    thread->number = ++namer->thread_count;
    enum err err = event_push(namer, diag);
    return err || !namer->inherits ? err : inheritance_make(namer, thread, diag);
}

enum err namer_live_keep(struct namer *namer) {
    assert(!namer->has_sink);
    return pointer_map_detail(&namer->map);
}

static uint64_t moving_collect(const struct namer *namer, struct live_birth *out) {
    uint64_t count = 0;
    for (uint64_t serial = 0; serial < namer->thread_capacity; serial++) {
        const struct named_thread *thread = &namer->threads[serial];
        for (uint32_t place = 0; place < thread->pending_count; place++) {
            const struct named_block *block = &thread->pending[place];
            if (block->name && out)
                out[count] = (struct live_birth){{LIVE_MOVING | serial << LIVE_SLOT_BITS | place, block->detail.shape},
                                                 block->detail.birth};
            count += block->name != 0;
        }
    }
    return count;
}

enum err namer_live_take(const struct namer *namer, struct live_set *out) {
    const struct pointer_map *map = &namer->map;
    assert(map->details);
    if (namer->inherits) /* nothing has happened yet: not even the own inheritance is made */
        return live_set_copy(&namer->inheritance, out);
    uint64_t used = 0, count = map->count + moving_collect(namer, NULL);
    struct live_birth *births = malloc((count ? count : 1) * sizeof *births);
    if (!births)
        return ERR_NOMEM;
    for (uint64_t i = 0; i < pointer_map_places(map); i++) {
        uint64_t pointer = pointer_entry_pointer(&map->entries[i]);
        if (pointer)
            births[used++] = (struct live_birth){{pointer, map->details[i].shape}, map->details[i].birth};
    }
    used += moving_collect(namer, births + used);
    live_set_make(births, used, out);
    return ERR_OK;
}

void namer_inherit(struct namer *namer, struct live_set *set) {
    live_set_clear(&namer->inheritance);
    namer->inheritance = *set;
    namer->inherits = true;
    *set = (struct live_set){0};
}

enum err namer_restart(struct namer *namer, struct diag *diag) {
    struct live_set live;
    if (namer_live_take(namer, &live))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory for the %" PRIu64 " blocks that are alive",
                        namer->map.count);
    for (uint64_t serial = 0; serial < namer->thread_capacity; serial++)
        namer->threads[serial].births = namer->threads[serial].number = 0;
    namer_inherit(namer, &live);
    return trace_begin(namer, diag);
}

void namer_expect(void *ctx, uint64_t pointer) {
    const struct namer *namer = ctx;
    if (namer->map.line_mask >= EXPECT_LINES_LEAST)
        pointer_map_expect(&namer->map, pointer);
}

enum err namer_put(void *ctx, const struct merged_record *record, struct diag *diag) {
    struct namer *namer = ctx;
    if (record->time_ns > namer->start_ns + namer->now_ns)
        namer->now_ns = record->time_ns - namer->start_ns;
    if ((record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK) == RECORD_IMAGE)
        return image_begin(namer, diag);
    if (!namer->has_sink)
        return diag_set(diag, ERR_CHILD, NULL,
                        "the recorder's shared memory makes no sense: an event comes before the start of its program");
    if (record->serial >= THREAD_COUNT_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "the program has made more than 2^%d threads", EVENT_THREAD_BITS);
    if (threads_reserve(namer, record->serial))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory for thread %" PRIu32, record->serial);
    enum err err = ERR_OK;
    bool is_start = (record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK) == RECORD_THREAD_START;
    struct named_thread *thread = &namer->threads[record->serial];
    if (!thread->number)
        err = thread_appear(namer, thread, diag);
    return err || is_start ? err : record_apply(namer, thread, record, diag);
}
