#include "traces/record/pointer_map.h"

#include <stdlib.h>
#include <string.h>

enum { LINES_LOG2_MIN = 8, LINE_BYTES = POINTER_LINE_ENTRIES * sizeof(struct pointer_entry) };
_Static_assert(LINE_BYTES == 64, "a line is a cache line");

/* A count that has come this far stays: how many it would be is not known any more. */
#define PASSED_MAX ((uint64_t)UINT16_MAX)

static enum err map_make(struct pointer_map *map, unsigned log2, bool keeps_details) {
    size_t lines = (size_t)1 << log2;
    struct pointer_map made = {.line_mask = lines - 1, .shift = 64 - log2};
    made.entries = aligned_alloc(LINE_BYTES, lines * LINE_BYTES);
    if (made.entries && keeps_details)
        made.details = malloc(lines * POINTER_LINE_ENTRIES * sizeof *made.details);
    if (!made.entries || (keeps_details && !made.details)) {
        pointer_map_free(&made);
        return ERR_NOMEM;
    }
    memset(made.entries, 0, lines * LINE_BYTES);
    *map = made;
    return ERR_OK;
}

enum err pointer_map_init(struct pointer_map *map, bool keeps_details) {
    return map_make(map, LINES_LOG2_MIN, keeps_details);
}

void pointer_map_free(struct pointer_map *map) {
    free(map->entries);
    free(map->details);
}

enum err pointer_map_detail(struct pointer_map *map) {
    if (!map->details)
        map->details = malloc(pointer_map_places(map) * sizeof *map->details);
    return map->details ? ERR_OK : ERR_NOMEM;
}

void pointer_map_clear(struct pointer_map *map) {
    memset(map->entries, 0, (map->line_mask + 1) * LINE_BYTES);
    map->count = 0;
}

enum err pointer_map_grow(struct pointer_map *map) {
    struct pointer_map larger;
    if (map_make(&larger, 64 - map->shift + 1, map->details != NULL))
        return ERR_NOMEM;
    for (uint64_t i = 0; i < pointer_map_places(map); i++) {
        uint64_t pointer = pointer_entry_pointer(&map->entries[i]);
        if (!pointer)
            continue;
        const struct pointer_entry *entry = pointer_map_add(&larger, pointer, map->entries[i].name);
        if (map->details)
            *pointer_map_detail_of(&larger, entry) = map->details[i];
    }
    pointer_map_free(map);
    *map = larger;
    return ERR_OK;
}

static struct pointer_entry *line_at(const struct pointer_map *map, uint64_t line) {
    return &map->entries[line * POINTER_LINE_ENTRIES];
}

struct pointer_entry *pointer_map_find_far(const struct pointer_map *map, uint64_t line, uint64_t pointer) {
    while (pointer_line_is_passed(line_at(map, line))) {
        line = (line + 1) & map->line_mask;
        unsigned match = pointer_line_match(line_at(map, line), pointer);
        if (match)
            return line_at(map, line) + __builtin_ctz(match);
    }
    return NULL;
}

struct pointer_entry *pointer_map_add_far(struct pointer_map *map, uint64_t line) {
    unsigned vacant;
    for (; !(vacant = pointer_line_match(line_at(map, line), 0)); line = (line + 1) & map->line_mask)
        if (line_at(map, line)->word >> POINTER_BITS < PASSED_MAX)
            line_at(map, line)->word += (uint64_t)1 << POINTER_BITS;
    return line_at(map, line) + __builtin_ctz(vacant);
}

void pointer_map_remove_far(struct pointer_map *map, uint64_t line, uint64_t until) {
    for (; line != until; line = (line + 1) & map->line_mask)
        if (line_at(map, line)->word >> POINTER_BITS < PASSED_MAX)
            line_at(map, line)->word -= (uint64_t)1 << POINTER_BITS;
}
