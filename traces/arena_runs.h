/**
 * arena_runs.h: where the arenas of a recorded interpreter began, in the order in which they were obtained.
 *
 * CPython's arenas lie wherever mmap puts them. Their places decide how many pools each has (one less when it does not
 * begin on a multiple of the pool size) and, since 3.10, how many nodes the arena map has. So whoever wants to repeat
 * the interpreter's statistics exactly needs them. Kept are distances only, and the first arena's place within 256 GiB:
 * enough for both, and for the order of addresses; where the process lay is not kept.
 *
 * As text, a word an arena: the first one's place, then steps from one arena to the next, `*N` behind a step that comes
 * N times: "262123K -1M*60 +3M". Memory: 16 bytes per run of equal steps.
 */
#ifndef MMREPLAY_TRACES_ARENA_RUNS_H
#define MMREPLAY_TRACES_ARENA_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "core/base/err.h"

/**
 * Places are kept modulo this: what a middle node of the arena map covers in CPython 3.10 (256 GiB). In 3.11 and newer
 * a bottom node covers 16 GiB, and a middle node more than a process has.
 */
#define ARENA_RUNS_MODULUS_BYTES ((uint64_t)1 << 38)

/** The longest text made: half of what a whole description may have. */
enum { ARENA_RUNS_TEXT_MAX = 1 << 19 };

/** The most arenas that a text may stand for when it is read. */
enum { ARENA_RUNS_COUNT_MAX = 1 << 26 };

struct arena_run {
    int64_t step_bytes;
    uint64_t count;
};

struct arena_runs {
    struct arena_run *runs; /**< owned */
    size_t run_count;
    size_t run_capacity;
    uint64_t arena_count;
    uint64_t last_address;
};

/** The next arena. Cost O(1). @return ERR_OK or ERR_NOMEM, then without it. */
enum err arena_runs_add(struct arena_runs *runs, uint64_t address);

/** Frees and zeroes. */
void arena_runs_clear(struct arena_runs *runs);

/**
 * The text of as many arenas as fit into ARENA_RUNS_TEXT_MAX bytes.
 * @return ERR_OK and *out owned by the caller (free): "" when there are none; ERR_NOMEM.
 */
enum err arena_runs_format(const struct arena_runs *runs, char **out);

/** The arenas of a text: places in a space of their own that begins at 0, one and the same distance below all of them.
 */
struct arena_list {
    uint64_t *places_bytes; /**< owned; multiples of 4 KiB wherever the system's pages are */
    uint64_t count;
    uint64_t span_bytes; /**< of all places, a multiple of ARENA_RUNS_MODULUS_BYTES; an arena may reach beyond it */
};

/**
 * Reads a text. The distance taken off is a multiple of ARENA_RUNS_MODULUS_BYTES.
 * @param path of the file it is from, for the diag; may be NULL.
 * @return ERR_OK and *out to be cleared by arena_list_clear; ERR_FORMAT (told), ERR_LIMIT (more arenas, or further
 * apart, than is possible), ERR_NOMEM.
 */
enum err arena_list_parse(const char *path, const char *text, struct arena_list *out, struct diag *diag);

void arena_list_clear(struct arena_list *list);

#endif
