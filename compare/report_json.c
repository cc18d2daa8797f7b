#include "compare/report_json.h"

#include "compare/arena_parts.h"
#include "compare/json_values.h"
#include <stdlib.h>

enum { JSON_SCHEMA = 1 };

struct report_json {
    json_t *root;
    json_t *traces; /* borrowed from root */
};

enum err report_json_create(struct report_json **out) {
    struct report_json *json = calloc(1, sizeof *json);
    if (!json)
        return ERR_NOMEM;
    json->traces = json_array();
    json->root = document_json(JSON_SCHEMA);
    if (json_object_set_new(json->root, "traces", json->traces)) {
        json_decref(json->root);
        free(json);
        return ERR_NOMEM;
    }
    *out = json;
    return ERR_OK;
}

void report_json_destroy(struct report_json *json) {
    if (!json)
        return;
    json_decref(json->root);
    free(json);
}

enum err report_json_write(const struct report_json *json, FILE *out) {
    return document_json_write(json->root, out);
}

static json_t *context_json(const struct experiment *experiment) {
    const struct environment *environment = &experiment->environment;
    const struct experiment_options *options = &experiment->options;
    json_t *pinned = environment->pinned_cpu < 0 ? json_null() : json_integer(environment->pinned_cpu);
    json_t *load = environment->has_load ? json_real(environment->load_average) : json_null();
    return json_pack(
        "{s:o, s:o, s:i, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:b, s:I, s:I}}",
        "host", text_json(environment->host), "cpu", text_json(environment->cpu), "cpu_count", environment->cpu_count,
        "virtual_machine", environment->virtual_machine, "kernel", text_json(environment->kernel), "governor",
        text_json(environment->governor), "turbo", text_json(environment->turbo), "aslr", text_json(environment->aslr),
        "thp", text_json(environment->thp), "libc", text_json(environment->libc), "compiler",
        text_json(environment->compiler), "pinned_cpu", pinned, "started", text_json(environment->started),
        "load_average", load, "allocator_settings", text_json(environment->settings), "options", "rounds",
        (json_int_t)options->rounds, "memory_rounds", (json_int_t)options->memory_rounds, "touch", options->touch,
        "drain_wait_ns", (json_int_t)options->drain_wait_ns, "seed", (json_int_t)options->seed);
}

static json_t *samples_json(const struct metric_value *value) {
    json_t *array = json_array();
    for (size_t i = 0; i < value->sample_count; i++)
        json_array_append_new(array, number_json(value->samples[i]));
    return array;
}

static json_t *interval_json(const struct estimate *estimate) {
    if (!estimate->has_interval)
        return json_null();
    return json_pack("[o, o]", number_json(estimate->low), number_json(estimate->high));
}

static json_t *metric_json(const struct metric_info *info, const struct metric_value *value) {
    json_t *object =
        json_pack("{s:s, s:s}", "class", info->class == METRIC_EXACT ? "exact" : "noisy", "unit", info->unit);
    const char *key = info->class == METRIC_EXACT ? "value" : "median";
    if (value->reason) {
        json_object_set_new(object, key, json_null());
        json_object_set_new(object, "reason", json_string(value->reason));
        return object;
    }
    json_object_set_new(object, key, number_json(value->estimate.value));
    if (info->class == METRIC_EXACT)
        return object;
    json_object_set_new(object, "ci95", interval_json(&value->estimate));
    if (value->estimate.has_interval)
        json_object_set_new(object, "coverage", json_real(value->estimate.coverage));
    json_object_set_new(object, "outliers", count_json(value->estimate.outlier_count));
    json_object_set_new(object, "samples", samples_json(value));
    return object;
}

static json_t *metrics_json(const struct metric_set *set) {
    json_t *object = json_object();
    for (size_t i = 0; i < METRIC_COUNT; i++)
        json_object_set_new(object, metric_infos[i].key, metric_json(&metric_infos[i], &set->values[i]));
    return object;
}

static uint64_t operation_get(const struct worker_sample *sample) {
    return sample->operation_index;
}
static uint64_t live_get(const struct worker_sample *sample) {
    return sample->live_bytes;
}
static uint64_t usable_get(const struct worker_sample *sample) {
    return sample->usable_bytes;
}
static uint64_t resident_get(const struct worker_sample *sample) {
    return sample->resident_bytes;
}
static uint64_t arenas_get(const struct worker_sample *sample) {
    return sample->counts.arenas_count;
}

static json_t *curve_json(const struct memory_run *run, size_t count, uint64_t (*get)(const struct worker_sample *)) {
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, count_json(get(&run->samples[i])));
    return array;
}

/* The first memory pass's curves; a curve that cannot be had is null. */
static json_t *curves_json(const struct report *report, size_t index) {
    const struct allocator_result *result = &report->experiment->results[index];
    size_t count = report->experiment->program->header->sample_count;
    if (!result->memory_count)
        return json_null();
    const struct memory_run *run = &result->memories[0];
    json_t *object = json_object();
    json_object_set_new(object, "operation", curve_json(run, count, operation_get));
    json_object_set_new(object, "live_bytes", curve_json(run, count, live_get));
    json_object_set_new(object, "usable_bytes",
                        run->reply.has_usable_size ? curve_json(run, count, usable_get) : json_null());
    json_object_set_new(object, "resident_bytes",
                        run->reply.has_resident ? curve_json(run, count, resident_get) : json_null());
    if (!worker_backend_has_arenas(result->allocator.backend))
        return object;
    json_object_set_new(object, "arenas_count", curve_json(run, count, arenas_get));
    json_t *split = json_object();
    for (size_t i = 0; i < ARENA_PART_COUNT; i++)
        json_object_set_new(split, arena_parts[i].key, curve_json(run, count, arena_parts[i].get));
    json_object_set_new(object, "arena_split", split);
    return object;
}

static json_t *pins_json(const struct worker_pins *pins, size_t align_bytes) {
    if (!pins->taken)
        return json_null();
    json_t *object = json_pack("{s:o, s:o, s:o, s:o}", "operation", count_json(pins->operation_index), "arenas",
                               count_json(pins->arena_count), "empty", count_json(pins->empty_count),
                               "occupancy_tenths", counts_json(pins->occupancy, WORKER_OCCUPANCY_STEPS));
    json_t *classes = json_array();
    for (size_t i = 0; i < pins->class_count && i < WORKER_CLASS_MAX; i++)
        if (pins->class_blocks[i])
            json_array_append_new(
                classes, json_pack("{s:o, s:o, s:o, s:o}", "block_bytes", count_json((i + 1) * align_bytes), "blocks",
                                   count_json(pins->class_blocks[i]), "arenas", count_json(pins->class_arenas[i]),
                                   "sole_arenas", count_json(pins->class_sole_arenas[i])));
    json_object_set_new(object, "classes", classes);
    return object;
}

static json_t *pinned_json(const struct allocator_result *result) {
    if (!worker_backend_has_arenas(result->allocator.backend) || !result->memory_count)
        return json_null();
    const struct worker_reply *reply = &result->memories[0].reply;
    size_t align_bytes = result->probe.pool.align_bytes;
    return json_pack("{s:o, s:o}", "at_trough", pins_json(&reply->pins_at_trough, align_bytes), "at_end",
                     pins_json(&reply->pins_at_end, align_bytes));
}

/* "own": as the settings say. */
static json_t *arena_places_json(const struct allocator_result *result) {
    static const char *const places[WORKER_ARENAS_COUNT] = {"own", "recorded_residues", "recorded"};
    return json_string(places[result->probe.arenas % WORKER_ARENAS_COUNT]);
}

static json_t *settings_json(const struct allocator_result *result) {
    struct pool_config config;
    if (result->allocator.backend == WORKER_CPYTHON)
        return json_pack("{s:o, s:o, s:o, s:o, s:b}", "align_bytes", count_json(result->probe.pool.align_bytes),
                         "threshold_bytes", count_json(result->probe.pool.threshold_bytes), "pool_bytes",
                         count_json(result->probe.pool.pool_bytes), "arena_bytes",
                         count_json(result->probe.pool.arena_bytes), "arenas_aligned",
                         result->allocator.arenas_aligned);
    if (!allocator_pool_config(&result->allocator, &config))
        return json_object();
    json_t *settings =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "profile", config.name, "text", result->allocator.settings,
                  "align_bytes", count_json(config.align_bytes), "threshold_bytes", count_json(config.threshold_bytes),
                  "pool_bytes", count_json(config.pool_bytes), "arena_bytes", count_json(config.arena_bytes),
                  "keep_count", count_json(config.keep_count));
    json_object_set_new(settings, "arena_places", arena_places_json(result));
    json_object_set_new(settings, "debug_hooks", json_boolean(result->allocator.debug_hooks));
    for (size_t i = 0; pool_setting_at(i); i++) {
        char value[POOL_CONFIG_TEXT_BYTES];
        if (pool_setting_is_choice(i))
            json_object_set_new(settings, pool_setting_at(i)->key, json_string(pool_setting_value(i, &config, value)));
    }
    return settings;
}

static json_t *warnings_json(const struct report *report, int index) {
    json_t *array = json_array();
    for (size_t i = 0; i < report->warning_count; i++)
        if (report->warnings[i].allocator == index)
            json_array_append_new(array, text_json(report->warnings[i].text));
    return array;
}

static json_t *ratio_json(const struct estimate *ratio) {
    if (!ratio->sample_count)
        return json_null();
    json_t *object = json_pack("{s:o, s:o}", "median", number_json(ratio->value), "ci95", interval_json(ratio));
    if (ratio->has_interval)
        json_object_set_new(object, "coverage", json_real(ratio->coverage));
    return object;
}

static json_t *allocator_json(const struct report *report, size_t index) {
    static const char *const statuses[RUN_STATUS_COUNT] = {"done", "refused", "crashed", "timed_out", "interrupted"};
    const struct allocator_result *result = &report->experiment->results[index];
    json_t *object = json_pack("{s:s, s:s, s:o, s:{s:o, s:o, s:o}, s:o}", "name", result->allocator.name, "status",
                               statuses[result->status], "failure", text_json(result->failure), "library", "path",
                               text_json(result->probe.library), "build_id", text_json(result->probe.build_id),
                               "version", text_json(result->probe.version), "settings", settings_json(result));
    json_object_set_new(object, "metrics", metrics_json(&report->sets[index]));
    json_object_set_new(object, "ns_per_op_ratio_to_first", ratio_json(&report->ratios[index]));
    json_object_set_new(object, "curves", curves_json(report, index));
    json_object_set_new(object, "pinned_arenas", pinned_json(result));
    json_object_set_new(object, "warnings", warnings_json(report, (int)index));
    return object;
}

static json_t *trace_json(const struct report *report) {
    const struct trace_info *info = report->info;
    const struct experiment *experiment = report->experiment;
    const struct trace_summary *summary = &experiment->program->header->summary;
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", text_json(info->name), "sha256",
                  text_json(info->events_sha256), "program", text_json(info->program_command), "interpreter",
                  text_json(info->program_interpreter), "operations", count_json(summary->operation_count), "threads",
                  count_json(summary->thread_count), "live_peak_bytes", count_json(summary->live_peak_bytes),
                  "live_peak_blocks", count_json(summary->live_peak_blocks), "live_end_bytes",
                  count_json(summary->live_end_bytes), "requested_bytes", count_json(summary->requested_bytes));
    json_t *allocators = json_array();
    for (size_t i = 0; i < experiment->count; i++)
        json_array_append_new(allocators, allocator_json(report, i));
    json_object_set_new(object, "replayed_threads", json_integer(1));
    json_object_set_new(object, "rounds", count_json(experiment->rounds_done));
    json_object_set_new(object, "interrupted", json_boolean(experiment->interrupted));
    json_object_set_new(object, "allocators", allocators);
    json_object_set_new(object, "warnings", warnings_json(report, -1));
    return object;
}

enum err report_json_add(struct report_json *json, const struct report *report) {
    if (!json_object_get(json->root, "context") &&
        json_object_set_new(json->root, "context", context_json(report->experiment)))
        return ERR_NOMEM;
    return json_array_append_new(json->traces, trace_json(report)) ? ERR_NOMEM : ERR_OK;
}
