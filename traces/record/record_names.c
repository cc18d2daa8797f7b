#include "traces/record/record_names.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "traces/arena_runs.h"

enum {
    EVENTS_PER_RUN = 1024,
    MAP_LOG2_MIN = 14,
    LINE_LOG2 = 2,     /* blocks that lie within 64 bytes of each other share a line of the table */
    GRAIN_LOG2 = 4,    /* blocks lie 16 bytes apart, nearly always */
    PENDING_COUNT = 3, /* reallocs under way in one thread: its own and those of signal handlers */
    THREAD_COUNT_MAX = 1 << EVENT_THREAD_BITS
};

struct live_pointer {
    uint64_t pointer; /* 0 = empty */
    uint64_t name;
};

struct pointer_map {
    struct live_pointer *entries;
    uint64_t mask;
    uint64_t count;
    unsigned shift;
};

struct named_thread {
    uint64_t births;
    uint32_t number; /* + 1; 0 = none yet */
    uint32_t pending_count;
    uint64_t pending[PENDING_COUNT]; /* names of blocks whose realloc has begun; 0 = of an unknown block */
};

struct namer {
    struct record_output output;
    struct event_sink sink;
    bool has_sink;
    struct pointer_map map;
    struct named_thread *threads; /* by serial */
    uint64_t thread_capacity;
    uint32_t thread_count;
    struct namer_counts counts;
    struct arena_runs arenas; /* of the current image, all of them from the first on, or none */
    uint8_t arena_log2;
    bool has_lost_arena;
    size_t run_count;
    struct event run[EVENTS_PER_RUN];
};

static uint64_t map_home(const struct pointer_map *map, uint64_t pointer) {
    uint64_t grain = pointer >> GRAIN_LOG2;
    uint64_t line = (grain >> LINE_LOG2) * 0x9e3779b97f4a7c15u >> map->shift;
    return line << LINE_LOG2 | (grain & ((1u << LINE_LOG2) - 1));
}

static enum err map_init(struct pointer_map *map, unsigned log2) {
    map->entries = calloc((size_t)1 << log2, sizeof *map->entries);
    if (!map->entries)
        return ERR_NOMEM;
    map->mask = ((uint64_t)1 << log2) - 1;
    map->count = 0;
    map->shift = 64 - (log2 - LINE_LOG2);
    return ERR_OK;
}

static struct live_pointer *map_find(const struct pointer_map *map, uint64_t pointer) {
    uint64_t i = map_home(map, pointer);
    while (map->entries[i].pointer && map->entries[i].pointer != pointer)
        i = (i + 1) & map->mask;
    return &map->entries[i];
}

static void map_remove(struct pointer_map *map, struct live_pointer *entry) {
    uint64_t hole = (uint64_t)(entry - map->entries);
    map->count--;
    for (uint64_t i = (hole + 1) & map->mask; map->entries[i].pointer; i = (i + 1) & map->mask) {
        uint64_t home = map_home(map, map->entries[i].pointer);
        if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole].pointer = 0;
}

static enum err map_reserve(struct pointer_map *map) {
    if (map->count * 2 <= map->mask)
        return ERR_OK;
    struct pointer_map larger;
    if (map_init(&larger, 64 - map->shift + LINE_LOG2 + 1))
        return ERR_NOMEM;
    for (uint64_t i = 0; i <= map->mask; i++)
        if (map->entries[i].pointer)
            *map_find(&larger, map->entries[i].pointer) = map->entries[i];
    larger.count = map->count;
    free(map->entries);
    *map = larger;
    return ERR_OK;
}

enum err namer_create(const struct record_output *output, struct namer **out) {
    struct namer *namer = calloc(1, sizeof *namer);
    if (!namer)
        return ERR_NOMEM;
    if (map_init(&namer->map, MAP_LOG2_MIN)) {
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
    free(namer->map.entries);
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

enum err namer_arenas_describe(const struct namer *namer, struct trace_info *info) {
    char *places = NULL;
    if (namer->has_lost_arena || !namer->arenas.arena_count)
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

struct namer_counts namer_counts(const struct namer *namer) {
    return namer->counts;
}

enum err namer_flush(struct namer *namer, struct diag *diag) {
    size_t count = namer->run_count;
    namer->run_count = 0;
    return count ? namer->sink.put(namer->sink.ctx, namer->run, count, diag) : ERR_OK;
}

static enum err image_begin(struct namer *namer, struct diag *diag) {
    namer->run_count = 0;
    memset(namer->map.entries, 0, (namer->map.mask + 1) * sizeof *namer->map.entries);
    namer->map.count = 0;
    if (namer->threads)
        memset(namer->threads, 0, namer->thread_capacity * sizeof *namer->threads);
    namer->thread_count = 0;
    namer->counts = (struct namer_counts){0};
    arenas_forget(namer);
    namer->has_sink = true;
    return namer->output.begin(namer->output.ctx, &namer->sink, diag);
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

static enum err event_push(struct namer *namer, const struct event *event, struct diag *diag) {
    namer->run[namer->run_count++] = *event;
    namer->counts.event_count++;
    namer->counts.operation_count += (uint64_t)event_is_operation(event->kind);
    return namer->run_count == EVENTS_PER_RUN ? namer_flush(namer, diag) : ERR_OK;
}

/* The block at `pointer` ends; its name, or 0 for one that nobody saw being made. */
static uint64_t block_end(struct namer *namer, uint64_t pointer) {
    struct live_pointer *entry = map_find(&namer->map, pointer);
    if (!entry->pointer) {
        namer->counts.unknown_free_count++;
        return 0;
    }
    uint64_t name = entry->name;
    map_remove(&namer->map, entry);
    return name;
}

static enum err block_insert(struct namer *namer, uint64_t pointer, uint64_t name) {
    if (map_reserve(&namer->map))
        return ERR_NOMEM;
    *map_find(&namer->map, pointer) = (struct live_pointer){pointer, name};
    namer->map.count++;
    return ERR_OK;
}

/* An address that is handed out while we hold it for live was freed behind our back: say so, and let it go first. */
static enum err block_clear(struct namer *namer, uint64_t pointer, uint32_t number, struct diag *diag) {
    struct live_pointer *entry = map_find(&namer->map, pointer);
    if (!entry->pointer)
        return ERR_OK;
    struct event event = {.kind = EVENT_FREE, .thread = number, .block = entry->name};
    map_remove(&namer->map, entry);
    namer->counts.missed_free_count++;
    return event_push(namer, &event, diag);
}

static enum err block_make(struct namer *namer, struct named_thread *thread, struct event *event, uint64_t pointer,
                           struct diag *diag) {
    enum err err = block_clear(namer, pointer, event->thread, diag);
    if (err)
        return err;
    if (event->size_bytes > EVENT_SIZE_MAX)
        return diag_set(diag, ERR_CHILD, NULL, "the recorder's shared memory holds a request of %" PRIu64 " bytes",
                        event->size_bytes);
    if (block_insert(namer, pointer, event_block_name(event->thread, ++thread->births)))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory while following %" PRIu64 " live blocks",
                        namer->map.count);
    return event_push(namer, event, diag);
}

static void pending_push(struct named_thread *thread, uint64_t name) {
    if (thread->pending_count == PENDING_COUNT) {
        memmove(thread->pending, thread->pending + 1, (PENDING_COUNT - 1) * sizeof thread->pending[0]);
        thread->pending_count--;
    }
    thread->pending[thread->pending_count++] = name;
}

static uint64_t pending_pop(struct named_thread *thread) {
    return thread->pending_count ? thread->pending[--thread->pending_count] : 0;
}

static enum err block_free(struct namer *namer, struct event *event, uint64_t pointer, struct diag *diag) {
    event->kind = EVENT_FREE;
    event->domain = pointer ? 0 : event->domain;
    event->size_bytes = 0;
    if (pointer && !(event->block = block_end(namer, pointer)))
        return ERR_OK;
    return event_push(namer, event, diag);
}

/* A realloc's second half. */
static enum err realloc_finish(struct namer *namer, struct named_thread *thread, unsigned kind, struct event *event,
                               uint64_t pointer, struct diag *diag) {
    event->block = pending_pop(thread);
    if (kind == RECORD_REALLOC_FREED) {
        event->kind = EVENT_FREE;
        event->domain = 0;
        event->size_bytes = 0;
        return event->block ? event_push(namer, event, diag) : ERR_OK;
    }
    if (kind == RECORD_REALLOC_FAILED) {
        if (event->block && block_insert(namer, pointer, event->block))
            return diag_set(diag, ERR_NOMEM, NULL, "out of memory while following live blocks");
        return ERR_OK;
    }
    event->kind = EVENT_REALLOC;
    event->domain = event->block ? 0 : event->domain;
    return block_make(namer, thread, event, pointer, diag);
}

static enum err record_apply(struct namer *namer, struct named_thread *thread, const struct merged_record *record,
                             struct diag *diag) {
    static const uint8_t plain_kinds[RECORD_STAMPED_COUNT] = {[RECORD_MALLOC] = EVENT_MALLOC,
                                                              [RECORD_CALLOC] = EVENT_CALLOC,
                                                              [RECORD_ALIGNED] = EVENT_ALIGNED_ALLOC,
                                                              [RECORD_REALLOC_NEW] = EVENT_REALLOC,
                                                              [RECORD_THREAD_END] = EVENT_THREAD_END};
    unsigned kind = (unsigned)(record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK);
    uint64_t pointer = record->what & RECORD_POINTER_MASK;
    struct event event = {.size_bytes = record->size_bytes,
                          .thread = thread->number - 1,
                          .kind = plain_kinds[kind],
                          .domain = (uint8_t)(record->what >> RECORD_DOMAIN_SHIFT & 3)};
    switch (kind) {
    case RECORD_ALIGNED:
        event.align_log2 = (uint8_t)(record->what >> RECORD_ALIGN_SHIFT & 63);
        /* fall through */
    case RECORD_MALLOC:
    case RECORD_CALLOC:
    case RECORD_REALLOC_NEW:
        return block_make(namer, thread, &event, pointer, diag);
    case RECORD_FREE:
        return block_free(namer, &event, pointer, diag);
    case RECORD_ARENA:
        return arena_note(namer, record, diag);
    case RECORD_REALLOC_BEGIN:
        pending_push(thread, block_end(namer, pointer));
        return ERR_OK;
    case RECORD_REALLOC_END:
    case RECORD_REALLOC_FREED:
    case RECORD_REALLOC_FAILED:
        return realloc_finish(namer, thread, kind, &event, pointer, diag);
    default:
        event.domain = 0;
        return event_push(namer, &event, diag);
    }
}

/* Whatever comes first from a thread begins it: a signal handler can get ahead of its RECORD_THREAD_START. */
static enum err thread_appear(struct namer *namer, struct named_thread *thread, struct diag *diag) {
    struct event event = {.kind = EVENT_THREAD_START, .thread = namer->thread_count};
    thread->number = ++namer->thread_count;
    return event_push(namer, &event, diag);
}

void namer_expect(void *ctx, uint64_t pointer) {
    const struct namer *namer = ctx;
    __builtin_prefetch(&namer->map.entries[map_home(&namer->map, pointer)], 1);
}

enum err namer_put(void *ctx, const struct merged_record *record, struct diag *diag) {
    struct namer *namer = ctx;
    if ((record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK) == RECORD_IMAGE)
        return image_begin(namer, diag);
    if (!namer->has_sink || record->serial >= THREAD_COUNT_MAX)
        return diag_set(diag, namer->has_sink ? ERR_LIMIT : ERR_CHILD, NULL,
                        namer->has_sink ? "the program has made more than 2^%d threads"
                                        : "the recorder's shared memory makes no sense (2^%d)",
                        EVENT_THREAD_BITS);
    if (threads_reserve(namer, record->serial))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory for thread %" PRIu64, record->serial);
    enum err err = ERR_OK;
    bool is_start = (record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK) == RECORD_THREAD_START;
    struct named_thread *thread = &namer->threads[record->serial];
    if (!thread->number)
        err = thread_appear(namer, thread, diag);
    return err || is_start ? err : record_apply(namer, thread, record, diag);
}
