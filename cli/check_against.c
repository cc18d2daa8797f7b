#include "cli/check_against.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "compare/side_by_side.h"
#include "core/base/units.h"
#include "core/pages.h"
#include "formats/format.h"

static enum err residue_add(struct check_against *against, const char *text, struct diag *diag) {
    uint64_t *residue = &against->residues[against->residue_count];
    if (against->residue_count == WORKER_RESIDUE_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "check: --residues takes at most %d", WORKER_RESIDUE_MAX);
    if (units_parse_bytes(text, residue) || *residue % pages_size_bytes())
        return diag_set(diag, ERR_USAGE, NULL, "check: --residues wants multiples of the page size, %zu, not '%s'",
                        pages_size_bytes(), text);
    against->residue_count++;
    return ERR_OK;
}

static enum err residues_parse(const char *text, struct check_against *against, struct diag *diag) {
    char *copy = strdup(text), *rest = NULL;
    if (!copy)
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    enum err err = ERR_OK;
    for (char *item = strtok_r(copy, ",", &rest); item && !err; item = strtok_r(NULL, ",", &rest))
        err = residue_add(against, item, diag);
    free(copy);
    return err;
}

enum err check_against_open(const char *name, const char *settings, const char *residues, struct check_against *out,
                            struct diag *diag) {
    struct pool_config config;
    enum err err = allocator_parse(name, &out->allocator, diag);
    if (!err && out->allocator.backend != WORKER_CPYTHON)
        err = diag_set(diag, ERR_USAGE, NULL,
                       "check: --against wants cpython:3.11 or cpython:/path/libpython3.11.so.1.0, not '%s'", name);
    if (!err && settings)
        err = pool_config_parse(settings, &config, diag);
    if (!err && settings)
        pool_config_format(&config, out->allocator.settings);
    if (!err && residues)
        err = residues_parse(residues, out, diag);
    if (!err)
        err = libexec_path("mmreplay-worker", out->worker_path, sizeof out->worker_path, diag);
    return err;
}

static enum err trace_compile(const char *path, struct program *out, struct trace_arenas *arenas, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct event_source events;
    enum err err = trace_reader_open(path, &reader, diag);
    if (!err)
        err = trace_arenas_read(path, trace_reader_info(reader), arenas, diag);
    if (!err)
        err = trace_reader_events(reader, &events, diag);
    if (!err)
        err = program_compile(&events, out, diag);
    trace_reader_close(reader);
    return err;
}

static void agreement_print(const char *path, const struct side_by_side *sides) {
    const struct worker_lockstep *result = &sides->result;
    const struct {
        uint64_t count;
        const char *what;
    } parts[] = {
        {result->replayed_count, " operations and "},
        {result->drained_count, " frees of what they left alive, every address in "},
        {result->arena_count[0], " arenas, "},
        {result->compared_count, " statistics texts; "},
        {result->raw_count, " raw-domain operations ignored\n"},
    };
    shown_print(path);
    printf(": agrees with %s, %s: ", sides->version, sides->library);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char count[UNITS_TEXT_BYTES];
        printf("%s%s", units_format_count(parts[i].count, count), parts[i].what);
    }
}

static void place_print(const char *who, const struct worker_place *place) {
    if (place->refused)
        printf("  %s: refused\n", who);
    else if (place->in_arena)
        printf("  %s: arena %" PRIu64 " + 0x%" PRIx64 "\n", who, place->arena_order, place->offset_bytes);
    else
        printf("  %s: in no arena\n", who);
}

/* True when `text` has the line that begins at `line`, `length` long. */
static bool line_is_in(const char *text, const char *line, size_t length) {
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (strcspn(text, "\n") == length && memcmp(text, line, length) == 0)
            return true;
    return false;
}

/* The lines of `text` that `other` has not. */
static void own_lines_print(const char *who, const char *text, const char *other) {
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        size_t length = strcspn(text, "\n");
        if (!line_is_in(other, text, length))
            printf("  %s: %.*s\n", who, (int)length, text);
    }
}

static void operation_print(const struct worker_lockstep *result) {
    char number[UNITS_TEXT_BYTES], bytes[UNITS_TEXT_BYTES];
    if (result->drained) {
        printf(", after the trace, when what it left alive was freed: ");
    } else {
        printf(" at operation %s, ", units_format_count(result->operation_count, number));
        if (result->op_kind == EVENT_FREE)
            printf("a free in domain %s: ", domain_names[result->op_domain % DOMAIN_COUNT]);
        else
            printf("%s of %s bytes in domain %s: ", event_kind_names[result->op_kind % EVENT_KIND_COUNT],
                   units_format_count(result->op_bytes, bytes), domain_names[result->op_domain % DOMAIN_COUNT]);
    }
}

static void difference_print(const char *path, const struct side_by_side *sides) {
    static const char *const what[WORKER_DIFFERENCE_COUNT] = {
        [WORKER_DIFFERENT_PLACE] = "the block lies elsewhere",
        [WORKER_DIFFERENT_STATISTICS] = "the statistics differ",
        [WORKER_DIFFERENT_COUNT] = "the numbers of live blocks differ",
        [WORKER_BROKEN_POOL] = "an invariant of the pool is broken",
    };
    const struct worker_lockstep *result = &sides->result;
    shown_print(path);
    printf(": differs from %s, %s,", sides->version, sides->library);
    operation_print(result);
    printf("%s\n", what[result->difference % WORKER_DIFFERENCE_COUNT]);
    if (result->difference == WORKER_DIFFERENT_PLACE) {
        place_print("pool", &result->place[0]);
        place_print("real", &result->place[1]);
    } else if (result->difference == WORKER_DIFFERENT_COUNT) {
        printf("  pool: %" PRIu64 "\n  real: %" PRIu64 "\n", result->block_count[0], result->block_count[1]);
    }
    if (strcmp(sides->text[0], sides->text[1]) == 0) {
        printf("  statistics after it: equal\n");
        return;
    }
    printf("statistics after it, where they differ:\n");
    own_lines_print("pool", sides->text[0], sides->text[1]);
    own_lines_print("real", sides->text[1], sides->text[0]);
}

int check_against_run(const struct check_against *against, const char *path) {
    static struct side_by_side sides;
    struct program program;
    struct trace_arenas arenas = {0};
    struct diag diag;
    enum err err = trace_compile(path, &program, &arenas, &diag);
    if (err) {
        trace_arenas_clear(&arenas);
        return message_error(&diag);
    }
    struct launch launch = {.worker_path = against->worker_path,
                            .program = &program,
                            .allocator = &against->allocator,
                            .compare_every = against->stats_every,
                            .residues = against->residues,
                            .residue_count = against->residue_count,
                            .arenas = &arenas,
                            .cpu = -1};
    err = side_by_side_run(&launch, &sides, &diag);
    program_close(&program);
    trace_arenas_clear(&arenas);
    if (err)
        return message_error(&diag);
    if (sides.result.difference)
        difference_print(path, &sides);
    else if (!against->quiet)
        agreement_print(path, &sides);
    return sides.result.difference ? EXIT_CODE_NO : EXIT_CODE_DONE;
}
