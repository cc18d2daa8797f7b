#include "traces/analysis.h"

#include <stdlib.h>
#include <string.h>

#include "traces/tracker.h"

enum { RUN_EVENTS = 1 << 10, PREFETCH_EVENTS = 8, EXACT_SIZE_BYTES = 1 << 16, SMALL_REQUEST_BYTES = 512 };

const uint32_t analysis_quantiles[ANALYSIS_QUANTILE_COUNT] = {500, 900, 990};

const struct life_clock_info life_clocks[LIFE_CLOCK_COUNT] = {
    [LIFE_ALLOCATIONS] = {"allocations", "allocations"},
    [LIFE_BYTES] = {"requested_bytes", "bytes"},
    [LIFE_TIME] = {"time_ns", "ns"},
};

const char *const size_change_keys[SIZE_CHANGE_COUNT] = {
    [SIZE_CHANGE_BELOW_HALF] = "below_0.5",
    [SIZE_CHANGE_SHRINK] = "below_1",
    [SIZE_CHANGE_SAME] = "1",
    [SIZE_CHANGE_TO_9_8] = "to_1.125",
    [SIZE_CHANGE_TO_5_4] = "to_1.25",
    [SIZE_CHANGE_TO_3_2] = "to_1.5",
    [SIZE_CHANGE_TO_2] = "to_2",
    [SIZE_CHANGE_TO_4] = "to_4",
    [SIZE_CHANGE_TO_16] = "to_16",
    [SIZE_CHANGE_ABOVE_16] = "above_16",
};

/* What is known of the block in a slot: one cache line. */
struct block_record {
    uint64_t size_bytes;
    uint64_t first_bytes;              /* its size when it was allocated */
    uint64_t births[LIFE_CLOCK_COUNT]; /* what the clocks said then */
    uint32_t realloc_count;
    uint32_t maker;          /* the thread whose request gave it its present size: its name's */
    uint32_t allocator;      /* the thread that allocated it */
    uint32_t older, younger; /* neighbours among the live blocks of `allocator`, by birth; slots, 0 = none */
    uint8_t class;
    uint8_t domain;
    uint8_t live;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct block_record) == 64, "a record is a cache line");

struct live_state {
    struct analysis_live classes[SIZE_CLASS_MAX];
    struct analysis_live domains[DOMAIN_COUNT];
};

struct analysis {
    struct analysis_result result;
    struct tracker *tracker;
    struct block_record *records;
    size_t record_capacity;
    size_t thread_capacity;
    uint64_t clocks[LIFE_CLOCK_COUNT]; /* LIFE_TIME: of the event now taken in */
    uint64_t inherited_count;
    uint64_t operation_count;
    unsigned __int128 live_sum_bytes;
    struct live_state now;
    struct live_state peak;
    bool peak_waits; /* `now` is the peak: to be copied before it changes */
    struct tally large_sizes;
    struct tally pairs;
    struct log_histogram large;           /* sizes above the table */
    uint64_t exact[EXACT_SIZE_BYTES + 1]; /* requests of each size */
    struct placement placements[RUN_EVENTS];
};

enum err analysis_create(enum size_scheme scheme, uint64_t inherited_count, struct analysis **out) {
    struct analysis *analysis = calloc(1, sizeof *analysis);
    if (!analysis)
        return ERR_NOMEM;
    analysis->inherited_count = inherited_count;
    size_classes_init(&analysis->result.classes, scheme);
    analysis->result.per_class = calloc(SIZE_CLASS_MAX, sizeof *analysis->result.per_class);
    if (!analysis->result.per_class || tracker_create(&analysis->tracker)) {
        analysis_destroy(analysis);
        return ERR_NOMEM;
    }
    *out = analysis;
    return ERR_OK;
}

void analysis_destroy(struct analysis *analysis) {
    if (!analysis)
        return;
    tracker_destroy(analysis->tracker);
    tally_clear(&analysis->large_sizes);
    tally_clear(&analysis->pairs);
    free(analysis->records);
    free(analysis->result.threads);
    free(analysis->result.per_class);
    free(analysis);
}

static enum err records_reserve(struct analysis *analysis, size_t count) {
    if (count <= analysis->record_capacity)
        return ERR_OK;
    size_t capacity = analysis->record_capacity ? analysis->record_capacity : RUN_EVENTS;
    while (capacity < count)
        capacity *= 2;
    struct block_record *records = aligned_alloc(sizeof *records, capacity * sizeof *records);
    if (!records)
        return ERR_NOMEM;
    size_t used = analysis->record_capacity;
    if (used)
        memcpy(records, analysis->records, used * sizeof *records);
    memset(records + used, 0, (capacity - used) * sizeof *records);
    free(analysis->records);
    analysis->records = records;
    analysis->record_capacity = capacity;
    return ERR_OK;
}

static enum err threads_reserve(struct analysis *analysis, size_t count) {
    if (count <= analysis->thread_capacity)
        return ERR_OK;
    size_t capacity = analysis->thread_capacity ? analysis->thread_capacity : 16;
    while (capacity < count)
        capacity *= 2;
    struct analysis_thread *threads = realloc(analysis->result.threads, capacity * sizeof *threads);
    if (!threads)
        return ERR_NOMEM;
    memset(threads + analysis->thread_capacity, 0, (capacity - analysis->thread_capacity) * sizeof *threads);
    analysis->result.threads = threads;
    analysis->thread_capacity = capacity;
    return ERR_OK;
}

static inline void live_add(struct analysis *analysis, const struct block_record *record) {
    struct analysis_live *class = &analysis->now.classes[record->class];
    struct analysis_live *domain = &analysis->now.domains[record->domain];
    class->blocks++;
    domain->blocks++;
    class->bytes += record->size_bytes;
    domain->bytes += record->size_bytes;
}

static inline void live_remove(struct analysis *analysis, const struct block_record *record) {
    struct analysis_live *class = &analysis->now.classes[record->class];
    struct analysis_live *domain = &analysis->now.domains[record->domain];
    class->blocks--;
    domain->blocks--;
    class->bytes -= record->size_bytes;
    domain->bytes -= record->size_bytes;
}

static void largest_insert(struct analysis_result *result, const struct event *event, uint8_t domain,
                           uint64_t operation) {
    size_t at = result->largest_count;
    while (at && event->size_bytes > result->largest[at - 1].size_bytes)
        at--;
    if (at == ANALYSIS_TOP)
        return;
    result->largest_count += result->largest_count < ANALYSIS_TOP;
    memmove(result->largest + at + 1, result->largest + at, (result->largest_count - at - 1) * sizeof *result->largest);
    result->largest[at] = (struct analysis_request){.size_bytes = event->size_bytes,
                                                    .operation = operation,
                                                    .thread = event->thread,
                                                    .kind = event->kind,
                                                    .domain = domain,
                                                    .align_log2 = event->align_log2};
}

/* Any request, of a block in `domain`. @return the class of its size. */
static inline enum err request_count(struct analysis *analysis, const struct event *event, uint8_t domain) {
    struct analysis_result *result = &analysis->result;
    uint64_t size = event->size_bytes;
    struct analysis_class *class = &result->per_class[size_class_of(&result->classes, size)];
    class->request_count++;
    class->requested_bytes += size;
    class->domain_request_counts[domain]++;
    result->domains[domain].requested_bytes += size;
    result->threads[event->thread].requested_bytes += size;
    result->request_count++;
    if (size <= SMALL_REQUEST_BYTES) {
        result->small_count++;
        result->small_bytes += size;
    }
    if (event->kind == EVENT_ALIGNED_ALLOC)
        result->aligned[event->align_log2]++;
    if (result->largest_count < ANALYSIS_TOP || size > result->largest[ANALYSIS_TOP - 1].size_bytes)
        largest_insert(result, event, domain, analysis->operation_count);
    if (__builtin_expect(size <= EXACT_SIZE_BYTES, 1)) {
        analysis->exact[size]++;
        return ERR_OK;
    }
    log_histogram_add(&analysis->large, size);
    if (tally_reserve(&analysis->large_sizes))
        return ERR_NOMEM;
    tally_add(&analysis->large_sizes, size, size);
    return ERR_OK;
}

static inline enum err block_allocate(struct analysis *analysis, const struct event *event, uint32_t slot,
                                      uint8_t domain) {
    struct analysis_result *result = &analysis->result;
    struct analysis_thread *thread = &result->threads[event->thread];
    struct block_record *record = &analysis->records[slot];
    /* Copied as they are computed: loading them back as one would wait for all stores before it, cold ones too. */
    uint64_t allocations = ++analysis->clocks[LIFE_ALLOCATIONS];
    uint64_t bytes = analysis->clocks[LIFE_BYTES] += event->size_bytes;
    *record = (struct block_record){
        .size_bytes = event->size_bytes,
        .first_bytes = event->size_bytes,
        .births = {[LIFE_ALLOCATIONS] = allocations, [LIFE_BYTES] = bytes, [LIFE_TIME] = analysis->clocks[LIFE_TIME]},
        .maker = event->thread,
        .allocator = event->thread,
        .older = thread->youngest,
        .class = (uint8_t)size_class_of(&result->classes, event->size_bytes),
        .domain = domain,
        .live = 1};
    if (thread->youngest)
        analysis->records[thread->youngest].younger = slot;
    thread->youngest = slot;
    thread->allocation_count++;
    live_add(analysis, record);
    return request_count(analysis, event, domain);
}

static enum size_change size_change_of(uint64_t old_bytes, uint64_t new_bytes) {
    if (new_bytes == old_bytes)
        return SIZE_CHANGE_SAME;
    if (new_bytes < old_bytes)
        return new_bytes * 2 < old_bytes ? SIZE_CHANGE_BELOW_HALF : SIZE_CHANGE_SHRINK;
    static const uint32_t eighths[] = {9, 10, 12, 16, 32, 128};
    enum size_change change = SIZE_CHANGE_TO_9_8;
    for (size_t i = 0; i < sizeof eighths / sizeof eighths[0] && new_bytes * 8 > old_bytes * eighths[i]; i++)
        change++;
    return change;
}

/* Whoever touches the block is not the thread that made it. */
static inline enum err hand_over_count(struct analysis *analysis, const struct event *event,
                                       const struct block_record *record) {
    if (event->thread == record->maker)
        return ERR_OK;
    analysis->result.threads[event->thread].foreign_count++;
    analysis->result.threads[record->maker].given_count++;
    analysis->result.cross_thread_bytes += record->size_bytes;
    if (tally_reserve(&analysis->pairs))
        return ERR_NOMEM;
    tally_add(&analysis->pairs, (uint64_t)record->maker << 32 | event->thread, record->size_bytes);
    return ERR_OK;
}

static enum err block_resize(struct analysis *analysis, const struct event *event, uint32_t slot) {
    struct analysis_result *result = &analysis->result;
    struct block_record *record = &analysis->records[slot];
    enum err err = hand_over_count(analysis, event, record);
    if (err)
        return err;
    uint64_t old_bytes = record->size_bytes, new_bytes = event->size_bytes;
    result->reallocs.changes[size_change_of(old_bytes, new_bytes)]++;
    result->reallocs.kept_bytes += old_bytes < new_bytes ? old_bytes : new_bytes;
    live_remove(analysis, record);
    record->size_bytes = new_bytes;
    record->class = (uint8_t)size_class_of(&result->classes, new_bytes);
    record->maker = event->thread;
    record->realloc_count += record->realloc_count < UINT32_MAX;
    live_add(analysis, record);
    analysis->clocks[LIFE_BYTES] += new_bytes;
    return request_count(analysis, event, record->domain);
}

/* The block's last size is known: it was freed, or the trace has ended. */
static void reallocs_close(struct analysis_result *result, const struct block_record *record) {
    if (!record->realloc_count)
        return;
    log_histogram_add(&result->reallocs.per_block, record->realloc_count);
    result->reallocs.block_changes[size_change_of(record->first_bytes, record->size_bytes)]++;
}

static inline void youth_unlink(struct analysis *analysis, const struct block_record *record) {
    if (record->older)
        analysis->records[record->older].younger = record->younger;
    if (record->younger) {
        analysis->records[record->younger].older = record->older;
    } else {
        analysis->result.threads[record->allocator].youngest = record->older;
        analysis->result.lifo_count++;
    }
}

static inline enum err block_free(struct analysis *analysis, const struct event *event, uint32_t slot) {
    struct analysis_result *result = &analysis->result;
    struct block_record *record = &analysis->records[slot];
    struct analysis_class *class = &result->per_class[record->class];
    for (size_t clock = 0; clock < LIFE_CLOCK_COUNT; clock++) {
        uint64_t life = analysis->clocks[clock] - record->births[clock];
        log_histogram_add(&result->lives[clock].histogram, life);
        result->lives[clock].bytes[log_octave_of(life)] += record->size_bytes;
    }
    class->life_octaves[log_octave_of(analysis->clocks[LIFE_ALLOCATIONS] - record->births[LIFE_ALLOCATIONS])]++;
    class->freed_count++;
    result->freed_count++;
    result->freed_bytes += record->size_bytes;
    if (record->births[LIFE_ALLOCATIONS] <= analysis->inherited_count) { /* they are numbered from 1 */
        result->inherited_freed_count++;
        result->inherited_freed_bytes += record->size_bytes;
    }
    youth_unlink(analysis, record);
    live_remove(analysis, record);
    reallocs_close(result, record);
    record->live = 0;
    return hand_over_count(analysis, event, record);
}

static inline enum err operation_see(struct analysis *analysis, const struct event *event, uint32_t slot,
                                     uint8_t domain) {
    analysis->result.domains[domain].kind_counts[event->kind]++;
    if (event->kind == EVENT_FREE)
        return slot ? block_free(analysis, event, slot) : ERR_OK;
    return event->kind == EVENT_REALLOC && event->block ? block_resize(analysis, event, slot)
                                                        : block_allocate(analysis, event, slot, domain);
}

static void peak_copy(struct analysis *analysis) {
    if (!analysis->peak_waits)
        return;
    memcpy(analysis->peak.classes, analysis->now.classes,
           analysis->result.classes.count * sizeof *analysis->now.classes);
    memcpy(analysis->peak.domains, analysis->now.domains, sizeof analysis->now.domains);
    analysis->peak_waits = false;
}

static inline enum err event_see(struct analysis *analysis, const struct event *event,
                                 const struct placement *placement) {
    struct analysis_result *result = &analysis->result;
    result->threads[event->thread].kind_counts[event->kind]++;
    if (!event_is_operation(event->kind))
        return ERR_OK;
    analysis->operation_count++;
    const struct analysis_live live = {placement->live_blocks, placement->live_bytes};
    bool peaks = live.bytes > result->peak_bytes.live.bytes;
    if (!peaks)
        peak_copy(analysis);
    enum err err = operation_see(analysis, event, placement->slot, placement->domain);
    if (peaks) {
        result->peak_bytes = (struct analysis_peak){live, analysis->operation_count, analysis->clocks[LIFE_TIME]};
        analysis->peak_waits = true;
    }
    if (live.blocks > result->peak_blocks.live.blocks)
        result->peak_blocks = (struct analysis_peak){live, analysis->operation_count, analysis->clocks[LIFE_TIME]};
    analysis->live_sum_bytes += live.bytes;
    live_curve_see(&result->curve, live.bytes, live.blocks, analysis->clocks[LIFE_TIME]);
    return err;
}

/* @param times_ns of the first `timed` events; NULL: of none. */
static enum err run_see(struct analysis *analysis, const struct event *events, const uint64_t *times_ns, size_t timed,
                        size_t count) {
    enum err err = records_reserve(analysis, (size_t)tracker_slot_peak(analysis->tracker) + 1);
    if (!err)
        err = threads_reserve(analysis, tracker_summary(analysis->tracker)->thread_count);
    for (size_t i = 0; i < count && !err; i++) {
        if (i + PREFETCH_EVENTS < count)
            __builtin_prefetch(&analysis->records[analysis->placements[i + PREFETCH_EVENTS].slot], 1);
        if (i < timed)
            analysis->clocks[LIFE_TIME] = times_ns[i];
        err = event_see(analysis, &events[i], &analysis->placements[i]);
    }
    return err;
}

static enum err block_see(struct analysis *analysis, const struct event_block *block, struct diag *diag) {
    for (size_t i = 0; i < block->count;) {
        size_t run = block->count - i < RUN_EVENTS ? block->count - i : RUN_EVENTS, applied = 0, timed = 0;
        const uint64_t *times_ns = block->times_ns ? block->times_ns + i : NULL;
        enum err time_err = ERR_OK;
        enum err err = tracker_apply(analysis->tracker, block->events + i, run, analysis->placements, &applied);
        if (times_ns)
            time_err = tracker_apply_times(analysis->tracker, times_ns, applied, &timed);
        if (run_see(analysis, block->events + i, times_ns, timed, applied))
            return diag_set(diag, ERR_NOMEM, NULL, "out of memory while analysing the trace");
        if (time_err)
            return tracker_explain_time(analysis->tracker, block, i + timed, diag);
        if (err)
            return tracker_explain(analysis->tracker, err, block, i + applied, diag);
        i += run;
    }
    return ERR_OK;
}

enum err analysis_run(struct analysis *analysis, const struct event_source *source, struct diag *diag) {
    for (;;) {
        struct event_block block;
        enum err err = source->next(source->ctx, &block, diag);
        if (err || !block.count)
            return err;
        err = block_see(analysis, &block, diag);
        if (err)
            return err;
    }
}

static void survivors_see(struct analysis *analysis) {
    struct analysis_result *result = &analysis->result;
    uint32_t top = tracker_slot_peak(analysis->tracker);
    for (uint32_t slot = 1; slot <= top && slot < analysis->record_capacity; slot++) {
        const struct block_record *record = &analysis->records[slot];
        if (!record->live)
            continue;
        reallocs_close(result, record);
        unsigned __int128 born = record->births[LIFE_ALLOCATIONS] - 1;
        struct analysis_live *part = &result->never_freed[born * ANALYSIS_BIRTH_PARTS / result->allocation_count];
        part->blocks++;
        part->bytes += record->size_bytes;
    }
}

static void live_finish(struct analysis *analysis) {
    struct analysis_result *result = &analysis->result;
    peak_copy(analysis);
    for (uint32_t i = 0; i < result->classes.count; i++) {
        result->per_class[i].end = analysis->now.classes[i];
        result->per_class[i].peak = analysis->peak.classes[i];
    }
    for (size_t i = 0; i < DOMAIN_COUNT; i++) {
        result->domains[i].end = analysis->now.domains[i];
        result->domains[i].peak = analysis->peak.domains[i];
    }
    if (analysis->operation_count)
        result->live_mean_bytes = (double)analysis->live_sum_bytes / (double)analysis->operation_count;
}

static void sizes_finish(struct analysis *analysis) {
    struct analysis_result *result = &analysis->result;
    result->size_count = tally_top(&analysis->large_sizes, result->sizes, ANALYSIS_TOP);
    result->size_missed_count = analysis->large_sizes.missed_count;
    result->size_distinct_count = analysis->large_sizes.key_count;
    for (uint64_t size = 0; size <= EXACT_SIZE_BYTES; size++) {
        const struct tally_entry entry = {size, analysis->exact[size], analysis->exact[size] * size};
        if (!entry.count)
            continue;
        result->size_count = tally_top_insert(result->sizes, result->size_count, ANALYSIS_TOP, &entry);
        result->size_distinct_count++;
    }
}

/* The smallest size of the table that `wanted` requests do not exceed, or that of the sizes above it. */
static uint64_t size_quantile(const struct analysis *analysis, uint32_t per_mille) {
    uint64_t count = analysis->result.request_count, seen = 0;
    uint64_t wanted = (uint64_t)(((unsigned __int128)count * per_mille + 999) / 1000);
    for (uint64_t size = 0; size <= EXACT_SIZE_BYTES; size++) {
        seen += analysis->exact[size];
        if (seen && seen >= wanted)
            return size;
    }
    return log_histogram_rank(&analysis->large, wanted - seen);
}

const struct analysis_result *analysis_finish(struct analysis *analysis) {
    struct analysis_result *result = &analysis->result;
    result->summary = *tracker_summary(analysis->tracker);
    result->allocation_count = analysis->clocks[LIFE_ALLOCATIONS];
    result->reallocs.null_count = result->summary.realloc_null_count;
    result->pair_count = tally_top(&analysis->pairs, result->pairs, ANALYSIS_PAIRS);
    result->pair_missed_count = analysis->pairs.missed_count;
    result->pair_distinct_count = analysis->pairs.key_count;
    for (size_t i = 0; i < ANALYSIS_QUANTILE_COUNT; i++)
        result->size_quantiles[i] = size_quantile(analysis, analysis_quantiles[i]);
    survivors_see(analysis);
    live_finish(analysis);
    sizes_finish(analysis);
    return result;
}
