/**
 * pointer_map.h: from the address of a live block to its name.
 *
 * A hash table of lines, four entries to a cache line. Addresses within 64 bytes of each other share a line, so that
 * neighbours, which live and die together, are one cache miss; a line is searched by four comparisons without a branch,
 * for what branch predictors cannot know is which of the four it is. An entry whose line is full goes to the next one
 * that is not, and every full line that it passed counts it: a search goes on past a line only while that count is not
 * 0, and a removal leaves no tombstone and moves nothing.
 *
 * Memory: 16 bytes per place, 32 with details, in pages of the system's own; the table doubles at a load of 3/4, so
 * that is 21 to 43 bytes per address, 43 to 85 with details, and no more than that while it doubles. Cost: 5 to 10 ns
 * where the line is in the cache.
 */
#ifndef MMREPLAY_TRACES_RECORD_POINTER_MAP_H
#define MMREPLAY_TRACES_RECORD_POINTER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"

enum {
    POINTER_BITS = 48,       /**< of an address; 0 is none */
    POINTER_LINE_ENTRIES = 4 /**< of 16 bytes: a cache line */
};

struct pointer_entry {
    uint64_t word; /**< bits 0 … 47: the address, 0 = vacant; 48 … 63 of a line's first entry: how many passed it */
    uint64_t name;
};

/** What a trace that begins later has to know of a block, beside its address. */
struct pointer_detail {
    uint64_t shape; /**< live_shape() */
    uint64_t birth;
};

struct pointer_map {
    struct pointer_entry *entries;  /**< aligned to a cache line */
    struct pointer_detail *details; /**< beside each entry; NULL: not kept */
    uint64_t line_mask;
    uint64_t count;
    unsigned shift;
};

/** @return ERR_OK, ERR_NOMEM. */
enum err pointer_map_init(struct pointer_map *map, bool keeps_details);
void pointer_map_free(struct pointer_map *map);

/** Keeps details from here on; those of what is in it are undefined. @return ERR_OK, ERR_NOMEM. */
enum err pointer_map_detail(struct pointer_map *map);

/** Empties the map. Its memory stays. */
void pointer_map_clear(struct pointer_map *map);

/** Doubles the table. @return ERR_OK; ERR_NOMEM: it is as before. */
enum err pointer_map_grow(struct pointer_map *map);

/** What pointer_map_find and pointer_map_add do beyond the home line of an address. */
struct pointer_entry *pointer_map_find_far(const struct pointer_map *map, uint64_t line, uint64_t pointer);
struct pointer_entry *pointer_map_add_far(struct pointer_map *map, uint64_t line);
void pointer_map_remove_far(struct pointer_map *map, uint64_t line, uint64_t until);

#define POINTER_MASK (((uint64_t)1 << POINTER_BITS) - 1)

/** Places in the table: entries 0 … this − 1, vacant ones among them. */
static inline uint64_t pointer_map_places(const struct pointer_map *map) {
    return (map->line_mask + 1) * POINTER_LINE_ENTRIES;
}

static inline uint64_t pointer_entry_pointer(const struct pointer_entry *entry) {
    return entry->word & POINTER_MASK;
}

static inline struct pointer_detail *pointer_map_detail_of(const struct pointer_map *map,
                                                           const struct pointer_entry *entry) {
    return &map->details[entry - map->entries];
}

/* Fibonacci hashing of the 64 bytes that an address lies in. */
static inline uint64_t pointer_map_home(const struct pointer_map *map, uint64_t pointer) {
    return (pointer >> 6) * 0x9e3779b97f4a7c15u >> map->shift;
}

/* Which of a line's entries hold `pointer`, a bit each. */
static inline unsigned pointer_line_match(const struct pointer_entry *line, uint64_t pointer) {
    return (unsigned)(pointer_entry_pointer(&line[0]) == pointer) | (unsigned)(line[1].word == pointer) << 1 |
           (unsigned)(line[2].word == pointer) << 2 | (unsigned)(line[3].word == pointer) << 3;
}

static inline bool pointer_line_is_passed(const struct pointer_entry *line) {
    return line[0].word >> POINTER_BITS != 0;
}

/** @param pointer not 0. @return its entry, or NULL. */
static inline struct pointer_entry *pointer_map_find(const struct pointer_map *map, uint64_t pointer) {
    uint64_t home = pointer_map_home(map, pointer);
    struct pointer_entry *line = &map->entries[home * POINTER_LINE_ENTRIES];
    unsigned match = pointer_line_match(line, pointer);
    if (__builtin_expect(match != 0, 1))
        return &line[__builtin_ctz(match)];
    return __builtin_expect(pointer_line_is_passed(line), 0) ? pointer_map_find_far(map, home, pointer) : NULL;
}

/** Makes room for one more. @return ERR_OK, ERR_NOMEM. */
static inline enum err pointer_map_reserve(struct pointer_map *map) {
    return map->count < 3 * (map->line_mask + 1) ? ERR_OK : pointer_map_grow(map);
}

/** Adds an address that is not in it; room was made. @return its entry; a detail is for the caller to set. */
static inline struct pointer_entry *pointer_map_add(struct pointer_map *map, uint64_t pointer, uint64_t name) {
    uint64_t home = pointer_map_home(map, pointer);
    struct pointer_entry *entry = &map->entries[home * POINTER_LINE_ENTRIES];
    unsigned vacant = pointer_line_match(entry, 0);
    entry = __builtin_expect(vacant != 0, 1) ? entry + __builtin_ctz(vacant) : pointer_map_add_far(map, home);
    entry->word |= pointer;
    entry->name = name;
    map->count++;
    return entry;
}

/** @param entry of `pointer`, as found. */
static inline void pointer_map_remove(struct pointer_map *map, struct pointer_entry *entry, uint64_t pointer) {
    uint64_t home = pointer_map_home(map, pointer);
    uint64_t line = (uint64_t)(entry - map->entries) / POINTER_LINE_ENTRIES;
    entry->word &= ~POINTER_MASK;
    map->count--;
    if (__builtin_expect(line != home, 0))
        pointer_map_remove_far(map, home, line);
}

/** Fetches the line where `pointer` will be looked up. */
static inline void pointer_map_expect(const struct pointer_map *map, uint64_t pointer) {
    uint64_t home = pointer_map_home(map, pointer);
    __builtin_prefetch(&map->entries[home * POINTER_LINE_ENTRIES], 1);
    if (map->details)
        __builtin_prefetch(&map->details[home * POINTER_LINE_ENTRIES], 1);
}

#endif
