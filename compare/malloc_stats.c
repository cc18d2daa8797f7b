#include "compare/malloc_stats.h"

#include <string.h>

#include "core/base/units.h"

static enum err operations_check(const struct launch *launch, const uint64_t *at, uint32_t count, struct diag *diag) {
    uint64_t last = launch->program->header->summary.operation_count;
    char asked[UNITS_TEXT_BYTES], there[UNITS_TEXT_BYTES];
    if (count > WORKER_STATS_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "at most %d statistics texts at once", WORKER_STATS_MAX);
    for (uint32_t i = 0; i < count; i++)
        if (at[i] > last)
            return diag_set(diag, ERR_USAGE, NULL, "there is no operation %s: the trace has %s",
                            units_format_count(at[i], asked), units_format_count(last, there));
    return ERR_OK;
}

static enum err texts_keep(const struct launch *launch, const struct launch_result *run, uint32_t count,
                           struct worker_text *out, struct diag *diag) {
    const struct worker_text *texts = worker_texts(run->shared);
    if (run->status == RUN_INTERRUPTED)
        return diag_set(diag, ERR_INTERRUPTED, NULL, "%s", run->text);
    if (run->status != RUN_DONE)
        return diag_set(diag, run->status == RUN_REFUSED ? run->err : ERR_CHILD, NULL, "allocator '%s': %s",
                        launch->allocator->name, run->text);
    for (uint32_t i = 0; i < count; i++)
        if (!texts[i].bytes || texts[i].bytes > WORKER_STATS_BYTES)
            return diag_set(diag, ERR_UNSUPPORTED, NULL, "allocator '%s' has no statistics text",
                            launch->allocator->name);
    memcpy(out, texts, count * sizeof *out);
    return ERR_OK;
}

enum err malloc_stats_take(const struct launch *launch, const uint64_t *at, uint32_t count, struct worker_text *out,
                           struct diag *diag) {
    struct launch stats = *launch;
    struct launch_result run;
    enum err err = operations_check(launch, at, count, diag);
    if (err)
        return err;
    stats.pass = WORKER_STATS;
    stats.stats_at = at;
    stats.stats_count = count;
    err = launch_run(&stats, &run, diag);
    if (err)
        return err;
    err = texts_keep(launch, &run, count, out, diag);
    launch_result_release(&run);
    return err;
}
