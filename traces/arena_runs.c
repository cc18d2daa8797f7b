#include "traces/arena_runs.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text_stream.h"
#include "core/base/units.h"

enum { WORD_BYTES_MAX = 48, CAPACITY_FIRST = 64 };

/* What a recorded address has room for. */
#define STEP_BYTES_MAX ((uint64_t)1 << 48)

/* Where arenas may lie apart from each other: less than the address space, for it is to be reserved. */
#define SPAN_BYTES_MAX ((uint64_t)1 << 45)

static enum err runs_reserve(struct arena_runs *runs) {
    if (runs->run_count < runs->run_capacity)
        return ERR_OK;
    size_t capacity = runs->run_capacity ? 2 * runs->run_capacity : CAPACITY_FIRST;
    struct arena_run *larger = realloc(runs->runs, capacity * sizeof *larger);
    if (!larger)
        return ERR_NOMEM;
    runs->runs = larger;
    runs->run_capacity = capacity;
    return ERR_OK;
}

enum err arena_runs_add(struct arena_runs *runs, uint64_t address) {
    uint64_t before = runs->arena_count ? runs->last_address : 0;
    uint64_t now = runs->arena_count ? address : address % ARENA_RUNS_MODULUS_BYTES;
    int64_t step_bytes = (int64_t)(now - before);
    bool goes_on = runs->run_count > 1 && runs->runs[runs->run_count - 1].step_bytes == step_bytes;
    if (!goes_on && runs_reserve(runs))
        return ERR_NOMEM;
    if (goes_on)
        runs->runs[runs->run_count - 1].count++;
    else
        runs->runs[runs->run_count++] = (struct arena_run){step_bytes, 1};
    runs->arena_count++;
    runs->last_address = address;
    return ERR_OK;
}

void arena_runs_clear(struct arena_runs *runs) {
    free(runs->runs);
    memset(runs, 0, sizeof *runs);
}

/* `+3M`, `-1044K*2`: in the largest unit that leaves no rest. */
static void word_write(FILE *out, const struct arena_run *run, bool is_first) {
    static const char *const units[] = {"", "K", "M", "G"};
    uint64_t bytes = run->step_bytes < 0 ? 0 - (uint64_t)run->step_bytes : (uint64_t)run->step_bytes;
    size_t unit = 0;
    for (; bytes && bytes % 1024 == 0 && unit < sizeof units / sizeof units[0] - 1; unit++)
        bytes /= 1024;
    fprintf(out, "%s%s%" PRIu64 "%s", is_first ? "" : " ",
            is_first              ? ""
            : run->step_bytes < 0 ? "-"
                                  : "+",
            bytes, units[unit]);
    if (run->count > 1)
        fprintf(out, "*%" PRIu64, run->count);
}

enum err arena_runs_format(const struct arena_runs *runs, char **out) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = text_stream_memory(&text, &bytes);
    if (!stream)
        return ERR_NOMEM;
    for (size_t i = 0; i < runs->run_count && ftell(stream) < ARENA_RUNS_TEXT_MAX - WORD_BYTES_MAX; i++)
        word_write(stream, &runs->runs[i], i == 0);
    if (text_stream_close(stream)) {
        free(text);
        return ERR_NOMEM;
    }
    *out = text;
    return ERR_OK;
}

static enum err word_refuse(const char *path, const char *word, struct diag *diag) {
    return diag_set(diag, ERR_FORMAT, path, "arena places: '%.40s' is not a step such as -1M or +12K*3", word);
}

/* @param is_first it has no sign. */
static enum err word_parse(const char *path, const char *word, bool is_first, struct arena_run *out,
                           struct diag *diag) {
    char text[WORD_BYTES_MAX];
    uint64_t bytes, count = 1;
    bool has_sign = *word == '+' || *word == '-';
    if (has_sign == is_first || strlen(word) >= sizeof text)
        return word_refuse(path, word, diag);
    snprintf(text, sizeof text, "%s", word + has_sign);
    char *times = strchr(text, '*');
    if (times)
        *times++ = '\0';
    if (units_parse_bytes(text, &bytes) || (times && (is_first || units_parse_u64(times, &count) || !count)))
        return word_refuse(path, word, diag);
    if (bytes >= STEP_BYTES_MAX || count > ARENA_RUNS_COUNT_MAX)
        return diag_set(diag, ERR_LIMIT, path, "arena places: '%.40s' is too large", word);
    *out = (struct arena_run){*word == '-' ? -(int64_t)bytes : (int64_t)bytes, count};
    return ERR_OK;
}

/* Places while they are read: signed, for steps may lead below the first one. */
struct reading {
    const char *path;
    int64_t *places;
    uint64_t count, capacity;
    int64_t at, lowest, highest;
};

static enum err places_reserve(struct reading *reading, uint64_t more) {
    if (reading->count + more <= reading->capacity)
        return ERR_OK;
    uint64_t capacity = 2 * (reading->count + more);
    int64_t *larger = realloc(reading->places, capacity * sizeof *larger);
    if (!larger)
        return ERR_NOMEM;
    reading->places = larger;
    reading->capacity = capacity;
    return ERR_OK;
}

static enum err run_take(struct reading *reading, const struct arena_run *run, struct diag *diag) {
    if (reading->count + run->count > ARENA_RUNS_COUNT_MAX)
        return diag_set(diag, ERR_LIMIT, reading->path, "arena places: more than 2^26 arenas");
    if (places_reserve(reading, run->count))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory for %" PRIu64 " arena places", run->count);
    for (uint64_t i = 0; i < run->count; i++) {
        reading->at += run->step_bytes;
        reading->lowest = reading->at < reading->lowest ? reading->at : reading->lowest;
        reading->highest = reading->at > reading->highest ? reading->at : reading->highest;
        if (reading->highest - reading->lowest >= (int64_t)SPAN_BYTES_MAX)
            return diag_set(diag, ERR_LIMIT, reading->path, "arena places: further apart than 32 TiB");
        reading->places[reading->count++] = reading->at;
    }
    return ERR_OK;
}

static enum err words_take(char *words, struct reading *reading, struct diag *diag) {
    char *rest = NULL;
    enum err err = ERR_OK;
    for (char *word = strtok_r(words, " \n", &rest); word && !err; word = strtok_r(NULL, " \n", &rest)) {
        struct arena_run run = {0};
        err = word_parse(reading->path, word, !reading->count, &run, diag);
        if (!err && !reading->count)
            reading->lowest = reading->highest = run.step_bytes;
        if (!err)
            err = run_take(reading, &run, diag);
    }
    return err;
}

/* The distance taken off leaves every place's position in the nodes of an arena map as it was. */
static void places_settle(struct reading *reading, struct arena_list *out) {
    int64_t modulus = (int64_t)ARENA_RUNS_MODULUS_BYTES;
    int64_t below = reading->lowest % modulus;
    int64_t base = reading->lowest - (below < 0 ? below + modulus : below);
    for (uint64_t i = 0; i < reading->count; i++)
        reading->places[i] -= base;
    *out = (struct arena_list){.places_bytes = (uint64_t *)reading->places,
                               .count = reading->count,
                               .span_bytes = (uint64_t)((reading->highest - base) / modulus + 1) * (uint64_t)modulus};
}

enum err arena_list_parse(const char *path, const char *text, struct arena_list *out, struct diag *diag) {
    struct reading reading = {.path = path};
    char *words = strdup(text);
    enum err err = words ? words_take(words, &reading, diag) : diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    free(words);
    if (err)
        free(reading.places);
    else
        places_settle(&reading, out);
    return err;
}

void arena_list_clear(struct arena_list *list) {
    if (!list)
        return;
    free(list->places_bytes);
    memset(list, 0, sizeof *list);
}
