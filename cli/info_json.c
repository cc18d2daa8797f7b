#include "cli/info_json.h"

#include <stdlib.h>

#include "compare/json_values.h"

static const char *const quantile_keys[ANALYSIS_QUANTILE_COUNT] = {"p50", "p90", "p99"};

/* Members of an object in the order given; a member that cannot be made makes the object NULL in the end. */
static void member_set(json_t *object, const char *key, json_t *value) {
    json_object_set_new(object, key, value);
}

static void count_set(json_t *object, const char *key, uint64_t count) {
    member_set(object, key, count_json(count));
}

/* Of nothing there is no quantile and no largest. */
static void count_or_null_set(json_t *object, const char *key, uint64_t value, uint64_t count) {
    member_set(object, key, count ? count_json(value) : json_null());
}

static void text_set(json_t *object, const char *key, const char *text) {
    member_set(object, key, text_json(text));
}

/* ---- what the description says ---- */

static json_t *program_json(const struct trace_info *info) {
    json_t *object = json_object();
    text_set(object, "command", info->program_command);
    text_set(object, "version", info->program_version);
    text_set(object, "interpreter", info->program_interpreter);
    return object;
}

static json_t *arenas_json(const struct trace_info *info) {
    if (!info->capture_arena_count)
        return json_null();
    json_t *object = json_object();
    count_set(object, "bytes", info->capture_arena_bytes);
    count_set(object, "count", info->capture_arena_count);
    text_set(object, "places", info->capture_arena_places);
    return object;
}

static json_t *capture_json(const struct trace_info *info) {
    json_t *object = json_object();
    text_set(object, "date", info->capture_date);
    text_set(object, "tool", info->capture_tool);
    text_set(object, "end", info->capture_end);
    count_set(object, "lost_count", info->capture_lost_count);
    count_set(object, "refused_count", info->capture_refused_count);
    count_set(object, "inherited_blocks", info->capture_inherited_blocks);
    count_set(object, "inherited_bytes", info->capture_inherited_bytes);
    text_set(object, "clock", info->capture_clock);
    count_or_null_set(object, "clock_resolution_ns", info->capture_clock_resolution_ns,
                      info->capture_clock_resolution_ns);
    member_set(object, "arenas", arenas_json(info));
    text_set(object, "cpu", info->capture_cpu);
    text_set(object, "kernel", info->capture_kernel);
    text_set(object, "libc", info->capture_libc);
    member_set(object, "page_bytes", info->capture_page_bytes ? count_json(info->capture_page_bytes) : json_null());
    return object;
}

static json_t *events_json(const struct trace_info *info) {
    if (!info->events_file)
        return json_null();
    json_t *object = json_object();
    text_set(object, "file", info->events_file);
    count_set(object, "bytes", info->events_bytes);
    text_set(object, "sha256", info->events_sha256);
    return object;
}

/* Counts by name: {"malloc": 1, …}. */
static json_t *named_counts_json(const char *const *names, const uint64_t *counts, size_t count) {
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++)
        count_set(object, names[i], counts[i]);
    return object;
}

static json_t *summary_json(const struct trace_summary *summary) {
    json_t *object = json_object();
    count_set(object, "events", summary->event_count);
    count_set(object, "operations", summary->operation_count);
    count_set(object, "threads", summary->thread_count);
    member_set(object, "kinds", named_counts_json(event_kind_names, summary->kind_counts, EVENT_KIND_COUNT));
    member_set(object, "domains", named_counts_json(domain_names, summary->domain_counts, DOMAIN_COUNT));
    count_set(object, "free_null_count", summary->free_null_count);
    count_set(object, "realloc_null_count", summary->realloc_null_count);
    count_set(object, "cross_thread_count", summary->cross_thread_count);
    count_set(object, "requested_bytes", summary->requested_bytes);
    count_set(object, "largest_request_bytes", summary->largest_request_bytes);
    count_set(object, "live_peak_bytes", summary->live_peak_bytes);
    count_set(object, "live_peak_blocks", summary->live_peak_blocks);
    count_set(object, "live_end_bytes", summary->live_end_bytes);
    count_set(object, "live_end_blocks", summary->live_end_blocks);
    count_set(object, "timed_count", summary->timed_count);
    return object;
}

/* ---- what the events say ---- */

static json_t *live_json(const struct analysis_live *live) {
    return json_pack("{s:o, s:o}", "blocks", count_json(live->blocks), "bytes", count_json(live->bytes));
}

static json_t *peak_json(const struct analysis_peak *peak, bool timed) {
    json_t *object = live_json(&peak->live);
    count_set(object, "operation", peak->operation);
    if (timed)
        count_set(object, "time_ns", peak->time_ns);
    return object;
}

static json_t *curve_json(const struct live_curve *curve, bool timed) {
    json_t *min = json_array(), *max = json_array(), *end = json_array(), *blocks = json_array();
    json_t *times = timed ? json_array() : json_null();
    for (size_t i = 0; i < curve->count; i++) {
        json_array_append_new(min, count_json(curve->points[i].min_bytes));
        json_array_append_new(max, count_json(curve->points[i].max_bytes));
        json_array_append_new(end, count_json(curve->points[i].end_bytes));
        json_array_append_new(blocks, count_json(curve->points[i].end_blocks));
        if (timed)
            json_array_append_new(times, count_json(curve->points[i].end_time_ns));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "step_operations", count_json(curve->step), "min_bytes", min,
                     "max_bytes", max, "end_bytes", end, "end_blocks", blocks, "end_time_ns", times);
}

static json_t *live_section_json(const struct analysis_result *result) {
    json_t *object = json_object();
    json_t *quarters = json_array();
    bool timed = result->summary.timed_count;
    double slope = 0;
    size_t points = live_curve_slope(&result->curve, &slope);
    for (size_t i = 0; i < 4; i++) {
        struct live_point part;
        json_array_append_new(quarters, live_curve_part(&result->curve, i, i + 1, 4, &part) ? count_json(part.min_bytes)
                                                                                            : json_null());
    }
    member_set(object, "peak_bytes", peak_json(&result->peak_bytes, timed));
    member_set(object, "peak_blocks", peak_json(&result->peak_blocks, timed));
    member_set(object, "end",
               json_pack("{s:o, s:o}", "blocks", count_json(result->summary.live_end_blocks), "bytes",
                         count_json(result->summary.live_end_bytes)));
    member_set(object, "mean_bytes", number_json(result->live_mean_bytes));
    member_set(object, "quarter_min_bytes", quarters);
    member_set(object, "last_quarter_bytes_per_operation", points < 8 ? json_null() : number_json(slope));
    member_set(object, "curve", curve_json(&result->curve, timed));
    return object;
}

static json_t *octaves_json(const uint64_t octaves[LOG_OCTAVE_COUNT]) {
    size_t count = LOG_OCTAVE_COUNT;
    while (count && !octaves[count - 1])
        count--;
    return counts_json(octaves, count);
}

static json_t *class_json(const struct analysis_result *result, uint32_t index) {
    const struct analysis_class *class = &result->per_class[index];
    json_t *object = json_object();
    count_set(object, "min_bytes", size_class_lower(&result->classes, index));
    count_set(object, "max_bytes", result->classes.upper_bytes[index]);
    count_set(object, "requests", class->request_count);
    count_set(object, "requested_bytes", class->requested_bytes);
    member_set(object, "domains", named_counts_json(domain_names, class->domain_request_counts, DOMAIN_COUNT));
    member_set(object, "live_at_peak", live_json(&class->peak));
    member_set(object, "live_at_end", live_json(&class->end));
    count_set(object, "freed_blocks", class->freed_count);
    member_set(object, "lifetime_allocations_log2", octaves_json(class->life_octaves));
    return object;
}

static json_t *tops_json(const struct tally_entry *entries, size_t count) {
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_pack("{s:o, s:o}", "bytes", count_json(entries[i].key), "requests",
                                               count_json(entries[i].count)));
    return array;
}

static json_t *largest_json(const struct analysis_result *result) {
    json_t *array = json_array();
    for (size_t i = 0; i < result->largest_count; i++) {
        const struct analysis_request *request = &result->largest[i];
        json_array_append_new(array, json_pack("{s:o, s:s, s:s, s:o, s:o}", "bytes", count_json(request->size_bytes),
                                               "kind", event_kind_names[request->kind], "domain",
                                               domain_names[request->domain], "thread", count_json(request->thread),
                                               "operation", count_json(request->operation)));
    }
    return array;
}

static json_t *sizes_json(const struct analysis_result *result) {
    json_t *object = json_object();
    json_t *classes = json_array();
    json_t *aligned = json_array();
    for (uint32_t i = 0; i < result->classes.count; i++)
        if (result->per_class[i].request_count)
            json_array_append_new(classes, class_json(result, i));
    for (int i = 0; i <= EVENT_ALIGN_LOG2_MAX; i++)
        if (result->aligned[i])
            json_array_append_new(aligned, json_pack("{s:o, s:o}", "align_bytes", count_json((uint64_t)1 << i),
                                                     "requests", count_json(result->aligned[i])));
    text_set(object, "scheme", size_scheme_names[result->classes.scheme]);
    for (size_t i = 0; i < ANALYSIS_QUANTILE_COUNT; i++)
        count_or_null_set(object, quantile_keys[i], result->size_quantiles[i], result->request_count);
    count_or_null_set(object, "max", result->summary.largest_request_bytes, result->request_count);
    count_set(object, "small_requests", result->small_count);
    count_set(object, "small_bytes", result->small_bytes);
    count_set(object, "distinct_count", result->size_distinct_count);
    count_set(object, "uncounted_requests", result->size_missed_count);
    member_set(object, "classes", classes);
    member_set(object, "most_frequent", tops_json(result->sizes, result->size_count));
    member_set(object, "largest", largest_json(result));
    member_set(object, "aligned", aligned);
    return object;
}

static json_t *histogram_json(const struct log_histogram *histogram) {
    uint64_t octaves[LOG_OCTAVE_COUNT];
    log_histogram_octaves(histogram, octaves);
    json_t *object = json_object();
    count_set(object, "count", histogram->count);
    for (size_t i = 0; i < ANALYSIS_QUANTILE_COUNT; i++)
        count_or_null_set(object, quantile_keys[i], log_histogram_quantile(histogram, analysis_quantiles[i]),
                          histogram->count);
    count_or_null_set(object, "max", histogram->max, histogram->count);
    member_set(object, "log2", octaves_json(octaves));
    return object;
}

static json_t *lifetimes_json(const struct analysis_result *result) {
    json_t *object = json_object();
    json_t *never = json_array();
    count_set(object, "allocation_count", result->allocation_count);
    count_set(object, "freed_blocks", result->freed_count);
    count_set(object, "freed_bytes", result->freed_bytes);
    count_set(object, "immediate_count", result->lives[LIFE_ALLOCATIONS].histogram.cells[0]);
    count_set(object, "lifo_count", result->lifo_count);
    count_set(object, "inherited_freed_blocks", result->inherited_freed_count);
    count_set(object, "inherited_freed_bytes", result->inherited_freed_bytes);
    for (size_t clock = 0; clock < LIFE_CLOCK_COUNT; clock++) {
        if (clock == LIFE_TIME && !result->summary.timed_count) {
            member_set(object, life_clocks[clock].key, json_null());
            continue;
        }
        json_t *lives = histogram_json(&result->lives[clock].histogram);
        member_set(lives, "log2_bytes", octaves_json(result->lives[clock].bytes));
        member_set(object, life_clocks[clock].key, lives);
    }
    for (size_t i = 0; i < ANALYSIS_BIRTH_PARTS; i++)
        json_array_append_new(never, live_json(&result->never_freed[i]));
    member_set(object, "never_freed_by_birth_tenth", never);
    return object;
}

static json_t *reallocs_json(const struct analysis_result *result) {
    const struct analysis_reallocs *reallocs = &result->reallocs;
    json_t *object = json_object();
    count_set(object, "null_count", reallocs->null_count);
    member_set(object, "changes", named_counts_json(size_change_keys, reallocs->changes, SIZE_CHANGE_COUNT));
    count_set(object, "copy_bound_bytes", reallocs->kept_bytes);
    member_set(object, "per_block", histogram_json(&reallocs->per_block));
    member_set(object, "block_changes",
               named_counts_json(size_change_keys, reallocs->block_changes, SIZE_CHANGE_COUNT));
    return object;
}

static json_t *thread_json(const struct analysis_thread *thread) {
    json_t *object = named_counts_json(event_kind_names, thread->kind_counts, EVENT_KIND_COUNT);
    count_set(object, "requested_bytes", thread->requested_bytes);
    count_set(object, "taken_over_count", thread->foreign_count);
    count_set(object, "given_away_count", thread->given_count);
    return object;
}

static json_t *threads_json(const struct analysis_result *result) {
    json_t *object = json_object();
    json_t *threads = json_array();
    json_t *pairs = json_array();
    for (uint32_t i = 0; i < result->summary.thread_count && i < INFO_JSON_THREADS; i++)
        json_array_append_new(threads, thread_json(&result->threads[i]));
    for (size_t i = 0; i < result->pair_count; i++)
        json_array_append_new(pairs, json_pack("{s:o, s:o, s:o, s:o}", "from", count_json(result->pairs[i].key >> 32),
                                               "to", count_json(result->pairs[i].key & UINT32_MAX), "blocks",
                                               count_json(result->pairs[i].count), "bytes",
                                               count_json(result->pairs[i].bytes)));
    count_set(object, "count", result->summary.thread_count);
    member_set(object, "per_thread", threads);
    count_set(object, "cross_thread_count", result->summary.cross_thread_count);
    count_set(object, "cross_thread_bytes", result->cross_thread_bytes);
    count_set(object, "pair_count", result->pair_distinct_count);
    count_set(object, "uncounted_hand_overs", result->pair_missed_count);
    member_set(object, "pairs", pairs);
    return object;
}

static json_t *domains_json(const struct analysis_result *result) {
    json_t *object = json_object();
    for (size_t i = 0; i < DOMAIN_COUNT; i++) {
        const struct analysis_domain *domain = &result->domains[i];
        json_t *kinds = named_counts_json(event_kind_names, domain->kind_counts, EVENT_FREE + 1);
        count_set(kinds, "requested_bytes", domain->requested_bytes);
        member_set(kinds, "live_at_peak", live_json(&domain->peak));
        member_set(kinds, "live_at_end", live_json(&domain->end));
        member_set(object, domain_names[i], kinds);
    }
    return object;
}

/* Of a trace with times. */
static json_t *times_json(const struct trace_summary *summary) {
    if (!summary->timed_count)
        return json_null();
    json_t *object = json_object();
    double seconds = (double)(summary->time_last_ns - summary->time_first_ns) / 1e9;
    count_set(object, "first_ns", summary->time_first_ns);
    count_set(object, "last_ns", summary->time_last_ns);
    member_set(object, "operations_per_s", number_json((double)summary->operation_count / seconds));
    member_set(object, "requested_bytes_per_s", number_json((double)summary->requested_bytes / seconds));
    return object;
}

static json_t *analysis_json(const struct analysis_result *result) {
    json_t *object = json_object();
    member_set(object, "time", times_json(&result->summary));
    count_set(object, "requests", result->request_count);
    member_set(object, "domains", domains_json(result));
    member_set(object, "live", live_section_json(result));
    member_set(object, "sizes", sizes_json(result));
    member_set(object, "lifetimes", lifetimes_json(result));
    member_set(object, "reallocs", reallocs_json(result));
    member_set(object, "threads", threads_json(result));
    return object;
}

static json_t *fault_json(const struct diag *fault) {
    char text[sizeof fault->path + sizeof fault->text + 64];
    if (!fault)
        return json_null();
    diag_format(fault, text, sizeof text);
    return text_json(text);
}

json_t *info_json_trace(const struct info_trace *trace) {
    json_t *object = json_object();
    text_set(object, "path", trace->path);
    text_set(object, "name", trace->info->name);
    text_set(object, "description", trace->info->description);
    member_set(object, "program", program_json(trace->info));
    member_set(object, "capture", capture_json(trace->info));
    member_set(object, "events", events_json(trace->info));
    text_set(object, "provenance", trace->info->provenance);
    text_set(object, "licence", trace->info->licence);
    member_set(object, "fault", fault_json(trace->fault));
    member_set(object, "summary", trace->summary ? summary_json(trace->summary) : json_null());
    member_set(object, "analysis", trace->analysis ? analysis_json(trace->analysis) : json_null());
    return object;
}

static json_t *process_json(const struct tree_process *process) {
    json_t *object = json_object();
    count_set(object, "pid", process->pid);
    count_or_null_set(object, "parent", process->parent_pid, process->parent_pid);
    text_set(object, "came", tree_came_names[process->came]);
    text_set(object, "command", process->command);
    count_set(object, "began_us", process->begin_us);
    count_set(object, "ended_us", process->end_us);
    text_set(object, "end", process->end);
    count_set(object, "events", process->event_count);
    count_set(object, "inherited_blocks", process->inherited_blocks);
    count_set(object, "lost", process->lost_count);
    text_set(object, "file", process->file);
    text_set(object, "reason", process->reason);
    return object;
}

json_t *info_json_tree(const char *path, const struct trace_tree *tree) {
    json_t *object = json_object(), *processes = json_array();
    text_set(object, "path", path);
    text_set(object, "name", tree->name);
    text_set(object, "command", tree->command);
    text_set(object, "date", tree->date);
    text_set(object, "tool", tree->tool);
    for (size_t i = 0; i < tree->process_count; i++)
        json_array_append_new(processes, process_json(&tree->processes[i]));
    member_set(object, "processes", processes);
    return object;
}
