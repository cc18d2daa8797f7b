#include "cli/replay_stats.h"

#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "compare/malloc_stats.h"
#include "core/base/text_stream.h"
#include "core/base/units.h"

static int operation_order(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static enum err operation_add(struct replay_stats *stats, const char *text, struct diag *diag) {
    if (stats->at_count == WORKER_STATS_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "replay: --at takes at most %d operations", WORKER_STATS_MAX);
    if (units_parse_u64(text, &stats->at[stats->at_count]))
        return diag_set(diag, ERR_USAGE, NULL, "replay: --at wants operation numbers, not '%s'", text);
    stats->at_count++;
    return ERR_OK;
}

static enum err operations_parse(const char *text, struct replay_stats *stats, struct diag *diag) {
    char *copy = strdup(text), *rest = NULL;
    if (!copy)
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    enum err err = ERR_OK;
    for (char *item = strtok_r(copy, ",", &rest); item && !err; item = strtok_r(NULL, ",", &rest))
        err = operation_add(stats, item, diag);
    free(copy);
    if (!err && !stats->at_count)
        err = diag_set(diag, ERR_USAGE, NULL, "replay: --at wants operation numbers, not '%s'", text);
    qsort(stats->at, stats->at_count, sizeof *stats->at, operation_order);
    return err;
}

enum err replay_stats_open(const char *file, const char *at, struct replay_stats *out, struct diag *diag) {
    enum err err = at ? operations_parse(at, out, diag) : ERR_OK;
    if (err || (!file && !at))
        return err;
    bool to_stdout = !file || !*file || strcmp(file, "-") == 0;
    out->path = to_stdout ? NULL : file;
    out->out = to_stdout ? stdout : fopen(file, "we");
    return out->out ? ERR_OK : diag_errno(diag, ERR_IO, file, "cannot write the statistics");
}

static enum err allocator_tell(const struct replay_stats *stats, const char *trace_name, const struct program *program,
                               const struct trace_arenas *arenas, const struct allocator *allocator,
                               struct diag *diag) {
    static struct worker_text texts[WORKER_STATS_MAX];
    uint64_t end = program->header->summary.operation_count;
    uint32_t count = stats->at_count ? stats->at_count : 1;
    struct launch launch = {.worker_path = stats->worker_path,
                            .program = program,
                            .allocator = allocator,
                            .arenas = arenas,
                            .cpu = -1,
                            .timeout_ns = stats->timeout_ns,
                            .interrupted = stats->interrupted};
    enum worker_arenas how = WORKER_ARENAS_OWN;
    enum err err = trace_arenas_choose(arenas, allocator, &how, diag);
    if (!err)
        err = malloc_stats_take(&launch, stats->at_count ? stats->at : &end, count, texts, diag);
    if (err == ERR_UNSUPPORTED) {
        message_note("%s", diag->text);
        return ERR_OK;
    }
    for (uint32_t i = 0; i < count && !err; i++) {
        char operation[UNITS_TEXT_BYTES], all[UNITS_TEXT_BYTES];
        fprintf(stats->out, "\n# %s on %s, after operation %s of %s%s\n", trace_name, allocator->name,
                units_format_count(texts[i].operation_index, operation), units_format_count(end, all),
                how == WORKER_ARENAS_RECORDED ? ", arenas where they were recorded" : "");
        fwrite(texts[i].text, 1, texts[i].bytes, stats->out);
    }
    return err;
}

enum err replay_stats_tell(const struct replay_stats *stats, const char *trace_name, const struct program *program,
                           const struct trace_arenas *arenas, const struct allocator_list *list, struct diag *diag) {
    enum err err = ERR_OK;
    if (!stats->out)
        return ERR_OK;
    for (size_t i = 0; i < list->count && !err; i++)
        if (worker_backend_has_arenas(list->items[i].backend))
            err = allocator_tell(stats, trace_name, program, arenas, &list->items[i], diag);
    return err;
}

enum err replay_stats_close(struct replay_stats *stats, struct diag *diag) {
    FILE *file = stats->path ? stats->out : NULL;
    stats->out = NULL;
    if (!file)
        return ERR_OK;
    return text_stream_close(file) ? diag_errno(diag, ERR_IO, stats->path, "cannot write the statistics") : ERR_OK;
}
