#include "traces/synthetic.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/nearest.h"
#include "core/base/units.h"
#include "traces/python_sizes.h"
#include "traces/tracker.h"

enum { EVENTS_PER_RUN = 1024, OPERATIONS_DEFAULT = 4000000, OPERATIONS_PER_LIVE = 8 };

const struct synthetic_model_info synthetic_models[SYNTHETIC_MODEL_COUNT] = {
    [SYNTHETIC_PAIR] = {"pair", "malloc, free, again and again", 1, false},
    [SYNTHETIC_LIFO] = {"lifo", "a stack that fills and empties", 10000, true},
    [SYNTHETIC_FIFO] = {"fifo", "a queue: the oldest goes, a new one comes", 10000, false},
    [SYNTHETIC_REPLACE] = {"replace", "a random one goes, a new one comes", 100000, false},
    [SYNTHETIC_RAMP] = {"ramp", "grow, then shrink to nothing or to every k-th, in cycles", 200000, true},
};

const char *const synthetic_order_names[SYNTHETIC_ORDER_COUNT] = {
    [SYNTHETIC_ORDER_RANDOM] = "random",
    [SYNTHETIC_ORDER_NEWEST] = "newest",
    [SYNTHETIC_ORDER_OLDEST] = "oldest",
};

/* ---- settings ---- */

enum err synthetic_model_parse(const char *text, enum synthetic_model *out, struct diag *diag) {
    const char *names[SYNTHETIC_MODEL_COUNT];
    for (size_t i = 0; i < SYNTHETIC_MODEL_COUNT; i++) {
        names[i] = synthetic_models[i].name;
        if (strcmp(text, names[i]) == 0) {
            *out = (enum synthetic_model)i;
            return ERR_OK;
        }
    }
    const char *nearest = word_nearest(text, names, SYNTHETIC_MODEL_COUNT);
    if (nearest)
        return diag_set(diag, ERR_USAGE, NULL, "unknown model '%s'; did you mean '%s'?", text, nearest);
    return diag_set(diag, ERR_USAGE, NULL, "unknown model '%s'; there are pair, lifo, fifo, replace and ramp", text);
}

enum err synthetic_order_parse(const char *text, enum synthetic_order *out, struct diag *diag) {
    for (size_t i = 0; i < SYNTHETIC_ORDER_COUNT; i++)
        if (strcmp(text, synthetic_order_names[i]) == 0) {
            *out = (enum synthetic_order)i;
            return ERR_OK;
        }
    return diag_set(diag, ERR_USAGE, NULL, "an order is random, newest or oldest, not '%s'", text);
}

/* `text` up to `length` as bytes. */
static enum err bytes_parse(const char *text, size_t length, uint64_t *out) {
    char copy[UNITS_TEXT_BYTES];
    if (length >= sizeof copy)
        return ERR_FORMAT;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return units_parse_bytes(copy, out);
}

enum err synthetic_sizes_parse(const char *text, struct synthetic_sizes *out, struct diag *diag) {
    struct synthetic_sizes sizes = {0};
    if (strcmp(text, "python") == 0) {
        *out = (struct synthetic_sizes){.is_python = true};
        return ERR_OK;
    }
    size_t dash = strcspn(text, "-");
    enum err err = bytes_parse(text, dash, &sizes.min_bytes);
    sizes.max_bytes = sizes.min_bytes;
    if (!err && text[dash])
        err = bytes_parse(text + dash + 1, strlen(text + dash + 1), &sizes.max_bytes);
    if (err)
        return diag_set(diag, ERR_USAGE, NULL, "sizes are a size (64), a range (16-512) or 'python', not '%s'", text);
    if (sizes.min_bytes > sizes.max_bytes)
        return diag_set(diag, ERR_USAGE, NULL, "the range of sizes '%s' ends before it begins", text);
    if (sizes.max_bytes > EVENT_SIZE_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "a request has at most 2^%d bytes; '%s' has more", EVENT_SIZE_BITS,
                        text);
    *out = sizes;
    return ERR_OK;
}

static enum err settings_fit_model(const struct synthetic_settings *settings, struct diag *diag) {
    const struct synthetic_model_info *model = &synthetic_models[settings->model];
    if (settings->cycle_count && !model->has_cycles)
        return diag_set(diag, ERR_USAGE, NULL, "%s has no cycles; say how many operations it shall have", model->name);
    if (settings->cycle_count && settings->operation_count)
        return diag_set(diag, ERR_USAGE, NULL, "either a number of operations or of cycles, not both");
    if (settings->model != SYNTHETIC_RAMP && (settings->keep_every || settings->order))
        return diag_set(diag, ERR_USAGE, NULL, "only ramp keeps blocks and chooses the order of its frees, not %s",
                        model->name);
    if (settings->keep_every == 1)
        return diag_set(diag, ERR_USAGE, NULL, "keeping every block frees none; keep every 2nd or fewer");
    return ERR_OK;
}

enum err synthetic_complete(struct synthetic_settings *settings, struct diag *diag) {
    enum err err = settings_fit_model(settings, diag);
    if (err)
        return err;
    uint64_t live = settings->live_count ? settings->live_count : synthetic_models[settings->model].live_default_count;
    uint64_t operations = settings->operation_count;
    if (live > TRACKER_SLOT_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "at most %u blocks can be live", TRACKER_SLOT_MAX);
    if (!operations)
        operations = live * OPERATIONS_PER_LIVE > OPERATIONS_DEFAULT ? live * OPERATIONS_PER_LIVE : OPERATIONS_DEFAULT;
    if (operations < live && !settings->cycle_count)
        return diag_set(diag, ERR_USAGE, NULL,
                        "%llu operations cannot make %llu live blocks; ask for more operations or fewer blocks",
                        (unsigned long long)operations, (unsigned long long)live);
    uint64_t cycles = settings->cycle_count ? settings->cycle_count : operations / live; /* may be rounded up by one */
    if (cycles >= ((uint64_t)1 << (EVENT_BLOCK_SEQ_BITS - 1)) / live)
        return diag_set(diag, ERR_LIMIT, NULL, "a trace has at most 2^%d blocks", EVENT_BLOCK_SEQ_BITS - 1);
    settings->live_count = live;
    settings->operation_count = settings->cycle_count ? 0 : operations;
    return ERR_OK;
}

/* ---- events ---- */

/* A trace on its way. `live` holds live_count blocks' numbers, in an order that is the model's affair. */
struct synthesis {
    const struct synthetic_settings *settings;
    const struct event_sink *sink;
    struct diag *diag;
    uint64_t random;
    uint64_t block_count; /* made so far: the newest block's number */
    uint64_t operation_count;
    uint64_t *live;
    size_t run_count;
    enum err err; /* of the sink; nothing more is put then */
    struct event run[EVENTS_PER_RUN];
};

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014). */
static uint64_t random_next(struct synthesis *synthesis) {
    uint64_t z = synthesis->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Uniform below `bound` but for a bias of bound / 2^64: Lemire's product, without its rejection. */
static uint64_t random_below(struct synthesis *synthesis, uint64_t bound) {
    return (uint64_t)((unsigned __int128)random_next(synthesis) * bound >> 64);
}

static uint64_t python_size(struct synthesis *synthesis) {
    uint32_t die = (uint32_t)random_below(synthesis, PYTHON_SIZES_TOTAL), sum = 0;
    size_t step = 0;
    while ((sum += python_size_weights[step]) <= die)
        step++;
    return (step + 1) * PYTHON_SIZES_STEP_BYTES;
}

static uint64_t size_draw(struct synthesis *synthesis) {
    const struct synthetic_sizes *sizes = &synthesis->settings->sizes;
    if (sizes->is_python)
        return python_size(synthesis);
    return sizes->min_bytes + random_below(synthesis, sizes->max_bytes - sizes->min_bytes + 1);
}

static void run_flush(struct synthesis *synthesis) {
    if (synthesis->run_count && !synthesis->err)
        synthesis->err =
            synthesis->sink->put(synthesis->sink->ctx, synthesis->run, synthesis->run_count, synthesis->diag);
    synthesis->run_count = 0;
}

static void event_add(struct synthesis *synthesis, struct event event) {
    synthesis->run[synthesis->run_count++] = event;
    synthesis->operation_count++;
    if (synthesis->run_count == EVENTS_PER_RUN)
        run_flush(synthesis);
}

/* @return the new block's number. */
static uint64_t block_make(struct synthesis *synthesis) {
    event_add(synthesis, (struct event){.kind = EVENT_MALLOC,
                                        .domain = (uint8_t)synthesis->settings->domain,
                                        .size_bytes = size_draw(synthesis)});
    return ++synthesis->block_count;
}

static void block_end(struct synthesis *synthesis, uint64_t block) {
    event_add(synthesis, (struct event){.kind = EVENT_FREE, .block = event_block_name(0, block)});
}

/* Makes blocks into the places [from, live). */
static void places_fill(struct synthesis *synthesis, uint64_t from) {
    for (uint64_t at = from; at < synthesis->settings->live_count; at++)
        synthesis->live[at] = block_make(synthesis);
}

/* ---- models ---- */

/* True while the trace is shorter than asked for. */
static bool is_short(const struct synthesis *synthesis) {
    return !synthesis->err && synthesis->operation_count < synthesis->settings->operation_count;
}

/* The same for whole cycles, of which `done` are there; a cycle is at least one. */
static bool is_cycle_due(const struct synthesis *synthesis, uint64_t done) {
    if (synthesis->settings->cycle_count)
        return !synthesis->err && done < synthesis->settings->cycle_count;
    return is_short(synthesis);
}

static void pair_write(struct synthesis *synthesis) {
    for (uint64_t standing = 1; standing < synthesis->settings->live_count; standing++)
        block_make(synthesis);
    while (is_short(synthesis))
        block_end(synthesis, block_make(synthesis));
}

static void lifo_write(struct synthesis *synthesis) {
    for (uint64_t cycle = 0; is_cycle_due(synthesis, cycle); cycle++) {
        places_fill(synthesis, 0);
        for (uint64_t at = synthesis->settings->live_count; at-- > 0;)
            block_end(synthesis, synthesis->live[at]);
    }
}

/* The oldest block's number is known: all were made and freed in order. */
static void fifo_write(struct synthesis *synthesis) {
    places_fill(synthesis, 0);
    for (uint64_t oldest = 1; is_short(synthesis); oldest++) {
        block_end(synthesis, oldest);
        block_make(synthesis);
    }
}

static void replace_write(struct synthesis *synthesis) {
    places_fill(synthesis, 0);
    while (is_short(synthesis)) {
        uint64_t *place = &synthesis->live[random_below(synthesis, synthesis->settings->live_count)];
        block_end(synthesis, *place);
        *place = block_make(synthesis);
    }
}

/* Fisher and Yates. */
static void places_shuffle(struct synthesis *synthesis, uint64_t from, uint64_t to) {
    for (uint64_t left = to - from; left > 1; left--) {
        uint64_t *last = &synthesis->live[from + left - 1];
        uint64_t *other = &synthesis->live[from + random_below(synthesis, left)];
        uint64_t block = *last;
        *last = *other;
        *other = block;
    }
}

/* Moves every k-th of the live blocks to the front; both parts stay in the order of birth. @return how many. */
static uint64_t survivors_choose(struct synthesis *synthesis) {
    uint64_t every = synthesis->settings->keep_every, live_count = synthesis->settings->live_count;
    uint64_t *victims = synthesis->live + live_count; /* room for as many again */
    uint64_t kept = 0, victim_count = 0;
    if (!every)
        return 0;
    for (uint64_t at = 0; at < live_count; at++)
        if (at % every)
            victims[victim_count++] = synthesis->live[at];
        else
            synthesis->live[kept++] = synthesis->live[at];
    memcpy(synthesis->live + kept, victims, victim_count * sizeof *victims);
    return kept;
}

static void ramp_write(struct synthesis *synthesis) {
    uint64_t kept = 0, live_count = synthesis->settings->live_count;
    for (uint64_t cycle = 0; is_cycle_due(synthesis, cycle); cycle++) {
        places_fill(synthesis, kept);
        kept = survivors_choose(synthesis);
        if (synthesis->settings->order == SYNTHETIC_ORDER_RANDOM)
            places_shuffle(synthesis, kept, live_count);
        bool newest = synthesis->settings->order == SYNTHETIC_ORDER_NEWEST;
        for (uint64_t at = kept; at < live_count; at++)
            block_end(synthesis, synthesis->live[newest ? live_count - 1 - (at - kept) : at]);
    }
}

static void (*const model_writers[SYNTHETIC_MODEL_COUNT])(struct synthesis *) = {
    [SYNTHETIC_PAIR] = pair_write,       [SYNTHETIC_LIFO] = lifo_write, [SYNTHETIC_FIFO] = fifo_write,
    [SYNTHETIC_REPLACE] = replace_write, [SYNTHETIC_RAMP] = ramp_write,
};

enum err synthetic_write(const struct synthetic_settings *settings, const struct event_sink *sink, struct diag *diag) {
    struct synthesis *synthesis = calloc(1, sizeof *synthesis);
    uint64_t *live = calloc(settings->live_count, 2 * sizeof *live);
    enum err err = ERR_NOMEM;
    assert(settings->live_count && (settings->operation_count || settings->cycle_count));
    if (!synthesis || !live) {
        diag_set(diag, err, NULL, "out of memory");
        goto cleanup;
    }
    *synthesis =
        (struct synthesis){.settings = settings, .sink = sink, .diag = diag, .random = settings->seed, .live = live};
    model_writers[settings->model](synthesis);
    run_flush(synthesis);
    err = synthesis->err;
cleanup:
    free(live);
    free(synthesis);
    return err;
}
