#include "traces/sample_plan.h"

#include <stdlib.h>
#include <string.h>

static enum err sample_append(struct sample_list *list, const struct program_sample *sample) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct program_sample *samples = realloc(list->samples, capacity * sizeof *samples);
        if (!samples)
            return ERR_NOMEM;
        list->samples = samples;
        list->capacity = capacity;
    }
    list->samples[list->count++] = *sample;
    return ERR_OK;
}

void sample_plan_step(struct sample_plan *plan, const struct program_sample *now) {
    if (plan->grid_count == SAMPLE_GRID_MAX) {
        /* Sample i lies at (i + 1) steps: the odd ones lie on the grid of the doubled step. */
        for (size_t i = 0; i < SAMPLE_GRID_MAX / 2; i++)
            plan->grid[i] = plan->grid[2 * i + 1];
        plan->grid_count = SAMPLE_GRID_MAX / 2;
        plan->grid_step *= 2;
    }
    if (now->operation_index % plan->grid_step == 0)
        plan->grid[plan->grid_count++] = *now;
    plan->grid_next = (now->operation_index / plan->grid_step + 1) * plan->grid_step;
}

enum err sample_plan_rise(struct sample_plan *plan, const struct program_sample *now) {
    plan->rise_bytes = now->live_bytes + now->live_bytes / 100;
    return sample_append(&plan->rises, now);
}

static enum err samples_collect(const struct sample_plan *plan, const struct program_sample *end,
                                struct sample_list *out) {
    const struct program_sample start = {0};
    enum err err = sample_append(out, &start);
    for (size_t i = 0; !err && i < plan->grid_count; i++)
        err = sample_append(out, &plan->grid[i]);
    for (size_t i = 0; !err && i < plan->rises.count; i++)
        if (plan->rises.samples[i].live_bytes >= plan->peak.live_bytes / 16)
            err = sample_append(out, &plan->rises.samples[i]);
    if (!err)
        err = sample_append(out, &plan->peak);
    return err ? err : sample_append(out, end);
}

static int sample_compare(const void *a, const void *b) {
    const struct program_sample *left = a, *right = b;
    return (left->word_index > right->word_index) - (left->word_index < right->word_index);
}

static void samples_sort(struct sample_list *list) {
    qsort(list->samples, list->count, sizeof *list->samples, sample_compare);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++)
        if (list->samples[i].word_index != list->samples[kept - 1].word_index)
            list->samples[kept++] = list->samples[i];
    list->count = kept;
}

enum err sample_plan_gather(const struct sample_plan *plan, const struct program_sample *end, struct sample_list *out,
                            uint32_t *peak_index) {
    struct sample_list list = {0};
    enum err err = samples_collect(plan, end, &list);
    if (err) {
        free(list.samples);
        return err;
    }
    samples_sort(&list);
    uint32_t at = 0;
    while (list.samples[at].word_index != plan->peak.word_index)
        at++;
    *peak_index = at;
    *out = list;
    return ERR_OK;
}

void sample_plan_clear(struct sample_plan *plan) {
    free(plan->rises.samples);
    memset(plan, 0, sizeof *plan);
}
