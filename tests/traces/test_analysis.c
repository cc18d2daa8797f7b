#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/analysis.h"
#include "traces/tracker.h"

/* The same figures the slow way: every question is answered by going over the events again. */

struct life {
    uint64_t name; /* now */
    uint64_t first_bytes;
    uint64_t size_bytes;
    uint32_t allocator;
    uint8_t domain;
    size_t born;  /* index of the event */
    size_t freed; /* or the number of events */
    uint32_t realloc_count;
};

struct oracle {
    const struct event *events;
    const uint64_t *times_ns; /* NULL: none */
    uint64_t inherited_count;
    size_t count;
    struct life *lives;
    size_t life_count;
    uint64_t made[64]; /* blocks, by thread */
};

static struct life *life_find(struct oracle *oracle, uint64_t name) {
    for (size_t i = oracle->life_count; i-- > 0;)
        if (oracle->lives[i].name == name && oracle->lives[i].freed == oracle->count)
            return &oracle->lives[i];
    fail_msg("no such block");
    return NULL;
}

/* What lived until after event `until`, and its state then. */
static void oracle_run(struct oracle *oracle, size_t until) {
    oracle->life_count = 0;
    memset(oracle->made, 0, sizeof oracle->made);
    for (size_t i = 0; i < until; i++) {
        const struct event *event = &oracle->events[i];
        if (!event_is_operation(event->kind))
            continue;
        struct life *life = event->block ? life_find(oracle, event->block) : NULL;
        if (event->kind == EVENT_FREE) {
            if (life)
                life->freed = i;
            continue;
        }
        uint64_t name = event_block_name(event->thread, ++oracle->made[event->thread]);
        if (!life) {
            life = &oracle->lives[oracle->life_count++];
            *life = (struct life){.first_bytes = event->size_bytes,
                                  .allocator = event->thread,
                                  .domain = event->domain,
                                  .born = i,
                                  .freed = oracle->count};
        } else {
            life->realloc_count++;
        }
        life->name = name;
        life->size_bytes = event->size_bytes;
    }
}

/* A random trace, and what is said of it besides. */
struct sample {
    const struct event *events;
    const uint64_t *times_ns; /* NULL: none */
    size_t count;
    size_t run;
    uint64_t inherited_count;
    enum size_scheme scheme;
};

static uint64_t time_slowly(const struct oracle *oracle, size_t event) {
    return oracle->times_ns ? oracle->times_ns[event] : 0;
}

static struct oracle oracle_of(const struct sample *sample) {
    size_t count = sample->count;
    struct oracle oracle = {.events = sample->events,
                            .times_ns = sample->times_ns,
                            .inherited_count = sample->inherited_count,
                            .count = count,
                            .lives = calloc(count + 1, sizeof *oracle.lives)};
    assert_non_null(oracle.lives);
    oracle_run(&oracle, count);
    return oracle;
}

static struct analysis *analysis_of(const struct sample *sample) {
    struct analysis *analysis = NULL;
    struct array_source array = {
        .events = sample->events, .times_ns = sample->times_ns, .count = sample->count, .run = sample->run};
    struct event_source source = array_source_events(&array);
    assert_int_equal(analysis_create(sample->scheme, sample->inherited_count, &analysis), ERR_OK);
    assert_int_equal(analysis_run(analysis, &source, NULL), ERR_OK);
    return analysis;
}

static bool is_allocation(const struct event *event) {
    return event_makes_block(event->kind) && !(event->kind == EVENT_REALLOC && event->block);
}

static uint32_t class_slowly(const struct size_classes *classes, uint64_t size) {
    uint32_t class = 0;
    while (classes->upper_bytes[class] < size)
        class ++;
    return class;
}

static uint64_t life_slowly(const struct oracle *oracle, const struct life *life, enum life_clock clock) {
    uint64_t sum = 0;
    if (clock == LIFE_TIME)
        return time_slowly(oracle, life->freed) - time_slowly(oracle, life->born);
    for (size_t i = life->born + 1; i < life->freed; i++)
        if (clock == LIFE_ALLOCATIONS)
            sum += is_allocation(&oracle->events[i]);
        else if (event_makes_block(oracle->events[i].kind))
            sum += oracle->events[i].size_bytes;
    return sum;
}

static uint32_t octave_slowly(uint64_t value) {
    uint32_t octave = 0;
    for (; value; value >>= 1)
        octave++;
    return octave;
}

static int u64_compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void quantiles_check(const struct log_histogram *histogram, uint64_t *values, size_t count) {
    qsort(values, count, sizeof *values, u64_compare);
    for (uint32_t per_mille = 1; count && per_mille <= 1000; per_mille += 37) {
        size_t rank = (count * per_mille + 999) / 1000;
        uint64_t exact = values[rank - 1], told = log_histogram_quantile(histogram, per_mille);
        assert_true(told >= exact && told - exact <= exact / 16);
        assert_true(exact >= 32 || told == exact);
    }
    assert_int_equal(histogram->max, count ? values[count - 1] : 0);
}

static void lives_check(const struct oracle *oracle, const struct analysis_result *result, enum life_clock clock) {
    uint64_t octaves[LOG_OCTAVE_COUNT] = {0}, bytes[LOG_OCTAVE_COUNT] = {0}, told[LOG_OCTAVE_COUNT];
    uint64_t *values = calloc(oracle->life_count + 1, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < oracle->life_count; i++) {
        const struct life *life = &oracle->lives[i];
        if (life->freed == oracle->count)
            continue;
        uint64_t value = life_slowly(oracle, life, clock);
        values[count++] = value;
        octaves[octave_slowly(value)]++;
        bytes[octave_slowly(value)] += life->size_bytes;
    }
    log_histogram_octaves(&result->lives[clock].histogram, told);
    assert_memory_equal(told, octaves, sizeof told);
    assert_memory_equal(result->lives[clock].bytes, bytes, sizeof bytes);
    assert_int_equal(result->lives[clock].histogram.count, count);
    quantiles_check(&result->lives[clock].histogram, values, count);
    free(values);
}

static void classes_check(const struct oracle *oracle, const struct analysis_result *result) {
    struct analysis_class *wanted = calloc(SIZE_CLASS_MAX, sizeof *wanted);
    for (size_t i = 0; i < oracle->count; i++) {
        const struct event *event = &oracle->events[i];
        if (!event_makes_block(event->kind))
            continue;
        struct analysis_class *class = &wanted[class_slowly(&result->classes, event->size_bytes)];
        class->request_count++;
        class->requested_bytes += event->size_bytes;
    }
    for (size_t i = 0; i < oracle->life_count; i++) {
        const struct life *life = &oracle->lives[i];
        struct analysis_class *class = &wanted[class_slowly(&result->classes, life->size_bytes)];
        if (life->freed == oracle->count) {
            class->end.blocks++;
            class->end.bytes += life->size_bytes;
        } else {
            class->freed_count++;
            class->life_octaves[octave_slowly(life_slowly(oracle, life, LIFE_ALLOCATIONS))]++;
        }
    }
    for (uint32_t i = 0; i < result->classes.count; i++) {
        const struct analysis_class *told = &result->per_class[i];
        assert_int_equal(told->request_count, wanted[i].request_count);
        assert_int_equal(told->requested_bytes, wanted[i].requested_bytes);
        assert_int_equal(told->freed_count, wanted[i].freed_count);
        assert_memory_equal(&told->end, &wanted[i].end, sizeof told->end);
        assert_memory_equal(told->life_octaves, wanted[i].life_octaves, sizeof told->life_octaves);
    }
    free(wanted);
}

static struct analysis_live live_slowly(const struct oracle *oracle) {
    struct analysis_live live = {0};
    for (size_t i = 0; i < oracle->life_count; i++)
        if (oracle->lives[i].freed == oracle->count) {
            live.blocks++;
            live.bytes += oracle->lives[i].size_bytes;
        }
    return live;
}

/* The state after each event is made from the start again: the peaks, the curve, what was live at the peak. */
static void live_check(struct oracle *oracle, const struct analysis_result *result) {
    struct analysis_peak bytes = {0}, blocks = {0};
    struct live_point point = {0};
    size_t peak_at = 0, operation = 0, points = 0;
    double sum = 0;
    for (size_t i = 0; i < oracle->count; i++) {
        if (!event_is_operation(oracle->events[i].kind))
            continue;
        oracle_run(oracle, i + 1);
        struct analysis_live live = live_slowly(oracle);
        if (operation % result->curve.step == 0)
            point = (struct live_point){.min_bytes = UINT64_MAX};
        operation++;
        if (live.bytes > bytes.live.bytes) {
            bytes = (struct analysis_peak){live, operation, time_slowly(oracle, i)};
            peak_at = i + 1;
        }
        if (live.blocks > blocks.live.blocks)
            blocks = (struct analysis_peak){live, operation, time_slowly(oracle, i)};
        point.min_bytes = live.bytes < point.min_bytes ? live.bytes : point.min_bytes;
        point.max_bytes = live.bytes > point.max_bytes ? live.bytes : point.max_bytes;
        point.end_bytes = live.bytes;
        point.end_blocks = live.blocks;
        point.end_time_ns = time_slowly(oracle, i);
        sum += (double)live.bytes;
        if (operation % result->curve.step == 0 || operation == result->summary.operation_count)
            assert_memory_equal(&point, &result->curve.points[points++], sizeof point);
    }
    assert_int_equal(points, result->curve.count);
    assert_memory_equal(&bytes, &result->peak_bytes, sizeof bytes);
    assert_memory_equal(&blocks, &result->peak_blocks, sizeof blocks);
    assert_true(sum * 0.999999 <= result->live_mean_bytes * (double)operation &&
                result->live_mean_bytes * (double)operation <= sum * 1.000001);
    oracle_run(oracle, peak_at);
    struct analysis_live classes[SIZE_CLASS_MAX] = {0}, domains[DOMAIN_COUNT] = {0};
    for (size_t i = 0; i < oracle->life_count; i++) {
        const struct life *life = &oracle->lives[i];
        if (life->freed != oracle->count)
            continue;
        struct analysis_live *class = &classes[class_slowly(&result->classes, life->size_bytes)];
        class->blocks++;
        class->bytes += life->size_bytes;
        domains[life->domain].blocks++;
        domains[life->domain].bytes += life->size_bytes;
    }
    for (uint32_t i = 0; i < result->classes.count; i++)
        assert_memory_equal(&classes[i], &result->per_class[i].peak, sizeof classes[i]);
    for (size_t i = 0; i < DOMAIN_COUNT; i++)
        assert_memory_equal(&domains[i], &result->domains[i].peak, sizeof domains[i]);
    oracle_run(oracle, oracle->count);
}

static void inherited_check(const struct oracle *oracle, const struct analysis_result *result) {
    struct analysis_live freed = {0};
    for (size_t i = 0; i < oracle->life_count && i < oracle->inherited_count; i++)
        if (oracle->lives[i].freed < oracle->count) {
            freed.blocks++;
            freed.bytes += oracle->lives[i].size_bytes;
        }
    assert_int_equal(result->inherited_freed_count, freed.blocks);
    assert_int_equal(result->inherited_freed_bytes, freed.bytes);
}

static void lifo_check(const struct oracle *oracle, const struct analysis_result *result) {
    uint64_t wanted = 0;
    for (size_t i = 0; i < oracle->life_count; i++) {
        const struct life *life = &oracle->lives[i];
        bool youngest = life->freed < oracle->count;
        for (size_t j = i + 1; j < oracle->life_count && youngest; j++) {
            const struct life *other = &oracle->lives[j];
            youngest = other->allocator != life->allocator || other->born > life->freed || other->freed < life->freed;
        }
        wanted += youngest;
    }
    assert_int_equal(result->lifo_count, wanted);
}

/* By the ratio as a real number: exact here, since the thresholds are short binary fractions and sizes below 2^48. */
static enum size_change change_slowly(uint64_t old_bytes, uint64_t new_bytes) {
    if (old_bytes == new_bytes)
        return SIZE_CHANGE_SAME;
    long double ratio = old_bytes ? (long double)new_bytes / (long double)old_bytes : 1000;
    return ratio < 0.5L     ? SIZE_CHANGE_BELOW_HALF
           : ratio < 1      ? SIZE_CHANGE_SHRINK
           : ratio <= 1.125 ? SIZE_CHANGE_TO_9_8
           : ratio <= 1.25  ? SIZE_CHANGE_TO_5_4
           : ratio <= 1.5   ? SIZE_CHANGE_TO_3_2
           : ratio <= 2     ? SIZE_CHANGE_TO_2
           : ratio <= 4     ? SIZE_CHANGE_TO_4
           : ratio <= 16    ? SIZE_CHANGE_TO_16
                            : SIZE_CHANGE_ABOVE_16;
}

static void reallocs_check(struct oracle *oracle, const struct analysis_result *result) {
    uint64_t changes[SIZE_CHANGE_COUNT] = {0}, block_changes[SIZE_CHANGE_COUNT] = {0}, kept = 0;
    uint64_t *chains = calloc(oracle->life_count + 1, sizeof *chains);
    size_t chain_count = 0;
    for (size_t i = 0; i < oracle->life_count; i++) {
        const struct life *life = &oracle->lives[i];
        if (!life->realloc_count)
            continue;
        chains[chain_count++] = life->realloc_count;
        block_changes[change_slowly(life->first_bytes, life->size_bytes)]++;
    }
    assert_int_equal(result->reallocs.per_block.count, chain_count);
    quantiles_check(&result->reallocs.per_block, chains, chain_count);
    free(chains);
    for (size_t i = 0; i < oracle->count; i++) {
        const struct event *event = &oracle->events[i];
        if (event->kind != EVENT_REALLOC || !event->block)
            continue;
        oracle_run(oracle, i);
        uint64_t old_bytes = life_find(oracle, event->block)->size_bytes;
        changes[change_slowly(old_bytes, event->size_bytes)]++;
        kept += old_bytes < event->size_bytes ? old_bytes : event->size_bytes;
    }
    oracle_run(oracle, oracle->count);
    assert_memory_equal(changes, result->reallocs.changes, sizeof changes);
    assert_memory_equal(block_changes, result->reallocs.block_changes, sizeof block_changes);
    assert_int_equal(result->reallocs.kept_bytes, kept);
}

static void never_freed_check(const struct oracle *oracle, const struct analysis_result *result) {
    struct analysis_live wanted[ANALYSIS_BIRTH_PARTS] = {0};
    for (size_t i = 0; i < oracle->life_count; i++)
        if (oracle->lives[i].freed == oracle->count) {
            struct analysis_live *part = &wanted[i * ANALYSIS_BIRTH_PARTS / oracle->life_count];
            part->blocks++;
            part->bytes += oracle->lives[i].size_bytes;
        }
    assert_memory_equal(wanted, result->never_freed, sizeof wanted);
    assert_int_equal(result->allocation_count, oracle->life_count);
}

static void threads_check(struct oracle *oracle, const struct analysis_result *result) {
    enum { THREADS = 16 };
    static uint64_t pairs[THREADS][THREADS];
    uint64_t kinds[THREADS][EVENT_KIND_COUNT] = {0}, requested[THREADS] = {0}, bytes = 0;
    size_t distinct = 0;
    memset(pairs, 0, sizeof pairs);
    for (size_t i = 0; i < oracle->count; i++) {
        const struct event *event = &oracle->events[i];
        kinds[event->thread][event->kind]++;
        if (event_makes_block(event->kind))
            requested[event->thread] += event->size_bytes;
        if (!event->block || event_block_thread(event->block) == event->thread)
            continue;
        oracle_run(oracle, i);
        bytes += life_find(oracle, event->block)->size_bytes;
        distinct += !pairs[event_block_thread(event->block)][event->thread]++;
    }
    oracle_run(oracle, oracle->count);
    for (uint32_t i = 0; i < result->summary.thread_count; i++) {
        uint64_t given = 0, taken = 0;
        for (size_t j = 0; j < THREADS; j++) {
            given += pairs[i][j];
            taken += pairs[j][i];
        }
        assert_memory_equal(kinds[i], result->threads[i].kind_counts, sizeof kinds[i]);
        assert_int_equal(requested[i], result->threads[i].requested_bytes);
        assert_int_equal(given, result->threads[i].given_count);
        assert_int_equal(taken, result->threads[i].foreign_count);
    }
    assert_int_equal(result->cross_thread_bytes, bytes);
    assert_int_equal(result->pair_distinct_count, distinct);
    assert_int_equal(result->pair_count, distinct < ANALYSIS_PAIRS ? distinct : ANALYSIS_PAIRS);
    for (size_t i = 0; i < result->pair_count; i++)
        assert_int_equal(result->pairs[i].count, pairs[result->pairs[i].key >> 32][(uint32_t)result->pairs[i].key]);
    for (size_t i = 1; i < result->pair_count; i++)
        assert_true(result->pairs[i - 1].count >= result->pairs[i].count);
}

static int falling_compare(const void *a, const void *b) {
    return u64_compare(b, a);
}

static void requests_check(const struct oracle *oracle, const struct analysis_result *result) {
    uint64_t *sizes = calloc(oracle->count + 1, sizeof *sizes);
    size_t count = 0, distinct = 0;
    for (size_t i = 0; i < oracle->count; i++)
        if (event_makes_block(oracle->events[i].kind))
            sizes[count++] = oracle->events[i].size_bytes;
    qsort(sizes, count, sizeof *sizes, falling_compare);
    assert_int_equal(result->largest_count, count < ANALYSIS_TOP ? count : ANALYSIS_TOP);
    for (size_t i = 0; i < result->largest_count; i++)
        assert_int_equal(result->largest[i].size_bytes, sizes[i]);
    for (size_t i = 0; i < result->largest_count; i++) { /* of equals, the first: those of the list and no others */
        uint64_t operation = 0, earlier = 0, listed = 0;
        for (size_t j = 0; operation + 1 < result->largest[i].operation; j++) {
            operation += event_is_operation(oracle->events[j].kind);
            earlier += event_makes_block(oracle->events[j].kind) && oracle->events[j].size_bytes == sizes[i];
        }
        for (size_t j = 0; j < i; j++)
            listed += result->largest[j].size_bytes == sizes[i];
        assert_int_equal(earlier, listed);
    }
    struct tally_entry *tallies = calloc(count + 1, sizeof *tallies);
    for (size_t i = 0; i < count; i++) {
        distinct += !i || sizes[i] != sizes[i - 1];
        tallies[distinct - 1].key = sizes[i];
        tallies[distinct - 1].count++;
    }
    assert_int_equal(result->size_distinct_count, distinct);
    for (size_t i = 0; i < result->size_count; i++) {
        size_t above = 0; /* those that must stand before it */
        uint64_t found = 0;
        for (size_t j = 0; j < distinct; j++) {
            above += tallies[j].count > result->sizes[i].count ||
                     (tallies[j].count == result->sizes[i].count && tallies[j].key < result->sizes[i].key);
            if (tallies[j].key == result->sizes[i].key)
                found = tallies[j].count;
        }
        assert_int_equal(found, result->sizes[i].count);
        assert_int_equal(above, i);
    }
    for (size_t i = 0; i < ANALYSIS_QUANTILE_COUNT && count; i++) {
        uint64_t exact = sizes[count - (count * analysis_quantiles[i] + 999) / 1000], told = result->size_quantiles[i];
        assert_true(exact <= 65536 ? told == exact : told >= exact && told - exact <= exact / 16);
    }
    free(tallies);
    free(sizes);
}

/* Every breakdown adds up to what it breaks down. */
static void sums_check(const struct analysis_result *result) {
    const struct trace_summary *summary = &result->summary;
    struct analysis_live end = {0}, peak = {0}, never = {0};
    uint64_t requests = 0, requested = 0, freed = 0, lives[LIFE_CLOCK_COUNT] = {0}, life_bytes[LIFE_CLOCK_COUNT] = {0};
    for (uint32_t i = 0; i < result->classes.count; i++) {
        const struct analysis_class *class = &result->per_class[i];
        uint64_t by_domain = 0, by_life = 0;
        for (size_t j = 0; j < DOMAIN_COUNT; j++)
            by_domain += class->domain_request_counts[j];
        for (size_t j = 0; j < LOG_OCTAVE_COUNT; j++)
            by_life += class->life_octaves[j];
        assert_int_equal(by_domain, class->request_count);
        assert_int_equal(by_life, class->freed_count);
        requests += class->request_count;
        requested += class->requested_bytes;
        freed += class->freed_count;
        end.blocks += class->end.blocks;
        end.bytes += class->end.bytes;
        peak.blocks += class->peak.blocks;
        peak.bytes += class->peak.bytes;
    }
    assert_int_equal(requests, result->request_count);
    assert_int_equal(requests, summary->kind_counts[EVENT_MALLOC] + summary->kind_counts[EVENT_CALLOC] +
                                   summary->kind_counts[EVENT_ALIGNED_ALLOC] + summary->kind_counts[EVENT_REALLOC]);
    assert_int_equal(requested, summary->requested_bytes);
    assert_int_equal(freed, summary->kind_counts[EVENT_FREE] - summary->free_null_count);
    assert_int_equal(freed, result->freed_count);
    assert_int_equal(result->allocation_count, freed + summary->live_end_blocks);
    assert_int_equal(end.blocks, summary->live_end_blocks);
    assert_int_equal(end.bytes, summary->live_end_bytes);
    assert_int_equal(peak.bytes, summary->live_peak_bytes);
    assert_int_equal(peak.blocks, result->peak_bytes.live.blocks);
    assert_int_equal(result->peak_blocks.live.blocks, summary->live_peak_blocks);
    for (size_t clock = 0; clock < LIFE_CLOCK_COUNT; clock++)
        for (size_t i = 0; i < LOG_OCTAVE_COUNT; i++)
            life_bytes[clock] += result->lives[clock].bytes[i];
    for (size_t clock = 0; clock < LIFE_CLOCK_COUNT; clock++) {
        lives[clock] = result->lives[clock].histogram.count;
        assert_int_equal(lives[clock], freed);
        assert_int_equal(life_bytes[clock], result->freed_bytes);
    }
    for (size_t i = 0; i < ANALYSIS_BIRTH_PARTS; i++) {
        never.blocks += result->never_freed[i].blocks;
        never.bytes += result->never_freed[i].bytes;
    }
    assert_memory_equal(&never, &end, sizeof never);
}

static void totals_check(const struct analysis_result *result) {
    const struct trace_summary *summary = &result->summary;
    uint64_t kinds[EVENT_KIND_COUNT] = {0}, domain_kinds[EVENT_KIND_COUNT] = {0}, requested = 0, pairs = 0, changes = 0;
    uint64_t block_changes = 0, aligned = 0, allocations = 0;
    for (uint32_t i = 0; i < summary->thread_count; i++) {
        for (size_t j = 0; j < EVENT_KIND_COUNT; j++)
            kinds[j] += result->threads[i].kind_counts[j];
        requested += result->threads[i].requested_bytes;
        allocations += result->threads[i].allocation_count;
    }
    for (size_t i = 0; i < DOMAIN_COUNT; i++) {
        uint64_t operations = 0;
        for (size_t j = 0; j <= EVENT_FREE; j++) {
            domain_kinds[j] += result->domains[i].kind_counts[j];
            operations += result->domains[i].kind_counts[j];
        }
        assert_int_equal(operations, summary->domain_counts[i]);
    }
    for (size_t i = 0; i < result->pair_count; i++)
        pairs += result->pairs[i].count;
    for (size_t i = 0; i < SIZE_CHANGE_COUNT; i++) {
        changes += result->reallocs.changes[i];
        block_changes += result->reallocs.block_changes[i];
    }
    for (size_t i = 0; i <= EVENT_ALIGN_LOG2_MAX; i++)
        aligned += result->aligned[i];
    assert_memory_equal(kinds, summary->kind_counts, sizeof kinds);
    assert_memory_equal(domain_kinds, summary->kind_counts, (EVENT_FREE + 1) * sizeof *kinds);
    assert_int_equal(requested, summary->requested_bytes);
    assert_int_equal(allocations, result->allocation_count);
    if (result->pair_distinct_count <= ANALYSIS_PAIRS)
        assert_int_equal(pairs + result->pair_missed_count, summary->cross_thread_count);
    assert_int_equal(changes + result->reallocs.null_count, summary->kind_counts[EVENT_REALLOC]);
    assert_int_equal(block_changes, result->reallocs.per_block.count);
    assert_int_equal(aligned, summary->kind_counts[EVENT_ALIGNED_ALLOC]);
}

static void all_check(const struct sample *sample) {
    struct oracle oracle = oracle_of(sample);
    struct analysis *analysis = analysis_of(sample);
    const struct analysis_result *result = analysis_finish(analysis);
    sums_check(result);
    totals_check(result);
    for (size_t clock = 0; clock < LIFE_CLOCK_COUNT; clock++)
        lives_check(&oracle, result, (enum life_clock)clock);
    classes_check(&oracle, result);
    live_check(&oracle, result);
    inherited_check(&oracle, result);
    lifo_check(&oracle, result);
    reallocs_check(&oracle, result);
    never_freed_check(&oracle, result);
    threads_check(&oracle, result);
    requests_check(&oracle, result);
    analysis_destroy(analysis);
    free(oracle.lives);
}

/* Times that stand still, step and leap. */
static uint64_t *random_times_make(uint64_t *seed, size_t count) {
    uint64_t *times_ns = calloc(count + 1, sizeof *times_ns);
    uint64_t now = random_below(seed, 1000);
    for (size_t i = 0; i < count; i++) {
        now += random_below(seed, 3) ? random_below(seed, 40) : random_next(seed) >> 24 >> random_below(seed, 40);
        times_ns[i] = now;
    }
    return times_ns;
}

static void random_traces_are_analysed_as_the_slow_way_does(void **state) {
    (void)state;
    uint64_t seed = support_seed(1);
    for (size_t i = 0; i < 30; i++) {
        size_t count = random_below(&seed, 700);
        uint32_t threads = 1 + (uint32_t)random_below(&seed, 12);
        struct event *events = random_trace_make(random_next(&seed), count, threads);
        uint64_t *times_ns = i % 2 ? random_times_make(&seed, count) : NULL;
        all_check(&(struct sample){events, times_ns, count, 1 + random_below(&seed, 300), i % 3 ? 0 : i,
                                   (enum size_scheme)(i % SIZE_SCHEME_COUNT)});
        free(times_ns);
        free(events);
    }
}

/* Small sizes and few blocks: many equal peaks, sizes and lifetimes. */
static void traces_full_of_ties_are_analysed_as_the_slow_way_does(void **state) {
    (void)state;
    uint64_t seed = support_seed(2);
    for (size_t i = 0; i < 10; i++) {
        struct event *events = random_trace_make(random_next(&seed), 600, 3);
        for (size_t j = 0; j < 600; j++)
            if (event_makes_block(events[j].kind))
                events[j].size_bytes = random_below(&seed, 4) * 8;
        all_check(&(struct sample){events, NULL, 600, 64, 0, (enum size_scheme)(i % SIZE_SCHEME_COUNT)});
        free(events);
    }
}

static void a_trace_longer_than_the_curve_keeps_every_extreme(void **state) {
    (void)state;
    uint64_t seed = support_seed(3);
    struct event *events = random_trace_make(random_next(&seed), 2600, 4);
    uint64_t *times_ns = random_times_make(&seed, 2600);
    all_check(&(struct sample){events, times_ns, 2600, 1024, 0, SIZE_SCHEME_LOG2});
    free(times_ns);
    free(events);
}

static void a_long_trace_adds_up(void **state) {
    (void)state;
    struct event *events = random_trace_make(support_seed(4), 40000, 60);
    struct analysis *analysis = analysis_of(&(struct sample){events, NULL, 40000, 1 << 16, 0, SIZE_SCHEME_PYMALLOC});
    const struct analysis_result *result = analysis_finish(analysis);
    struct tracker *tracker = NULL;
    struct array_source array = {.events = events, .count = 40000};
    struct event_source source = array_source_events(&array);
    assert_int_equal(tracker_create(&tracker), ERR_OK);
    assert_int_equal(tracker_run(tracker, &source, NULL), ERR_OK);
    assert_memory_equal(tracker_summary(tracker), &result->summary, sizeof result->summary);
    tracker_destroy(tracker);
    sums_check(result);
    totals_check(result);
    analysis_destroy(analysis);
    free(events);
}

static void an_empty_trace_is_all_zeroes(void **state) {
    (void)state;
    all_check(&(struct sample){NULL, NULL, 0, 1, 0, SIZE_SCHEME_PYMALLOC});
}

static void what_came_before_a_fault_is_analysed(void **state) {
    (void)state;
    enum { GOOD = 3000 };
    struct event *events = random_trace_make(support_seed(5), GOOD + 1, 3);
    events[GOOD] = (struct event){.kind = EVENT_FREE, .block = event_block_name(40, 1)};
    struct analysis *broken = NULL, *whole = analysis_of(&(struct sample){events, NULL, GOOD, 0, 0, SIZE_SCHEME_LOG2});
    struct array_source array = {.events = events, .count = GOOD + 1};
    struct event_source source = array_source_events(&array);
    struct diag diag;
    assert_int_equal(analysis_create(SIZE_SCHEME_LOG2, 0, &broken), ERR_OK);
    assert_int_equal(analysis_run(broken, &source, &diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "event 3000: free of block 1 of thread 40"));
    const struct analysis_result *left = analysis_finish(broken), *right = analysis_finish(whole);
    assert_int_equal(left->summary.event_count, GOOD);
    assert_memory_equal(&left->summary, &right->summary, sizeof left->summary);
    assert_memory_equal(&left->curve, &right->curve, sizeof left->curve);
    assert_memory_equal(left->lives, right->lives, sizeof left->lives);
    sums_check(left);
    analysis_destroy(broken);
    analysis_destroy(whole);
    free(events);
}

static void a_time_that_goes_back_is_a_fault_and_the_sums_stand(void **state) {
    (void)state;
    enum { COUNT = 3000, BAD = 1500 };
    uint64_t seed = support_seed(6);
    struct event *events = random_trace_make(random_next(&seed), COUNT, 3);
    uint64_t *times_ns = random_times_make(&seed, COUNT);
    times_ns[BAD] = times_ns[0];
    times_ns[BAD - 1] = times_ns[0] + 1;
    for (size_t i = 1; i < BAD - 1; i++)
        times_ns[i] = times_ns[0];
    struct analysis *analysis = NULL;
    struct array_source array = {.events = events, .times_ns = times_ns, .count = COUNT, .run = 1000};
    struct event_source source = array_source_events(&array);
    struct diag diag;
    assert_int_equal(analysis_create(SIZE_SCHEME_LOG2, 0, &analysis), ERR_OK);
    assert_int_equal(analysis_run(analysis, &source, &diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "event 1500: its time"));
    const struct analysis_result *result = analysis_finish(analysis);
    assert_true(result->summary.event_count >= BAD);
    sums_check(result);
    totals_check(result);
    analysis_destroy(analysis);
    free(times_ns);
    free(events);
}

static void a_realloc_keeps_its_block_alive(void **state) {
    (void)state;
    const struct event events[] = {
        {.kind = EVENT_MALLOC, .size_bytes = 100},
        {.kind = EVENT_MALLOC, .size_bytes = 10},
        {.kind = EVENT_REALLOC, .block = event_block_name(0, 1), .size_bytes = 300},
        {.kind = EVENT_REALLOC, .block = event_block_name(0, 3), .size_bytes = 200},
        {.kind = EVENT_FREE, .block = event_block_name(0, 2)},
        {.kind = EVENT_FREE, .block = event_block_name(0, 4)},
    };
    struct analysis *analysis = analysis_of(&(struct sample){events, NULL, 6, 0, 0, SIZE_SCHEME_LOG2});
    const struct analysis_result *result = analysis_finish(analysis);
    assert_int_equal(result->allocation_count, 2);
    assert_int_equal(result->freed_count, 2);
    assert_int_equal(result->lives[LIFE_ALLOCATIONS].histogram.cells[log_cell_of(1)], 1);
    assert_int_equal(result->lives[LIFE_ALLOCATIONS].histogram.cells[log_cell_of(0)], 1);
    assert_int_equal(result->lives[LIFE_BYTES].histogram.max, 510);
    assert_int_equal(result->lifo_count, 2); /* the second block is the youngest all the time, whatever grows */
    assert_int_equal(result->reallocs.per_block.count, 1);
    assert_int_equal(result->reallocs.per_block.max, 2);
    assert_int_equal(result->reallocs.block_changes[SIZE_CHANGE_TO_2], 1);
    assert_int_equal(result->reallocs.kept_bytes, 300);
    assert_int_equal(result->peak_bytes.live.bytes, 310);
    assert_int_equal(result->peak_bytes.operation, 3);
    analysis_destroy(analysis);
}

static void a_steady_leak_has_its_slope_and_a_sawtooth_none(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    struct live_curve leak = {0}, saw = {0};
    for (uint64_t i = 0; i < COUNT; i++) {
        live_curve_see(&leak, 1000000 + 7 * i, i, 0);
        live_curve_see(&saw, 1000000 + i % 2 * 64, 1, 0);
    }
    double slope = 0;
    assert_true(live_curve_slope(&leak, &slope) >= 64);
    assert_true(slope > 6.999 && slope < 7.001);
    live_curve_slope(&saw, &slope);
    assert_true(slope > -0.001 && slope < 0.001);
    struct live_curve few = {0};
    for (uint64_t i = 0; i < 20; i++)
        live_curve_see(&few, i, 1, 0);
    slope = 42;
    assert_int_equal(live_curve_slope(&few, &slope), 5);
    assert_true(slope == 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_traces_are_analysed_as_the_slow_way_does),
        cmocka_unit_test(traces_full_of_ties_are_analysed_as_the_slow_way_does),
        cmocka_unit_test(a_trace_longer_than_the_curve_keeps_every_extreme),
        cmocka_unit_test(a_long_trace_adds_up),
        cmocka_unit_test(an_empty_trace_is_all_zeroes),
        cmocka_unit_test(what_came_before_a_fault_is_analysed),
        cmocka_unit_test(a_time_that_goes_back_is_a_fault_and_the_sums_stand),
        cmocka_unit_test(a_realloc_keeps_its_block_alive),
        cmocka_unit_test(a_steady_leak_has_its_slope_and_a_sawtooth_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
