#include "traces/record/pointer_map.h"

#include <string.h>
#include <sys/mman.h>

enum {
    LINES_LOG2_MIN = 8,
    LINE_BYTES = POINTER_LINE_ENTRIES * sizeof(struct pointer_entry),
    RELEASED_BYTES = 1 << 21 /* at a time, while a table is moved: a huge page */
};
_Static_assert(LINE_BYTES == 64, "a line is a cache line");
_Static_assert(sizeof(struct pointer_detail) == sizeof(struct pointer_entry), "both tables are of one size");

/* A count that has come this far stays: how many it would be is not known any more. */
#define PASSED_MAX ((uint64_t)UINT16_MAX)

static size_t table_bytes(const struct pointer_map *map) {
    return (map->line_mask + 1) * LINE_BYTES;
}

/* Zero, and not resident before it is written to. */
static void *table_make(size_t bytes) {
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return table == MAP_FAILED ? NULL : table;
}

static enum err map_make(struct pointer_map *map, unsigned log2, bool keeps_details) {
    struct pointer_map made = {.line_mask = ((uint64_t)1 << log2) - 1, .shift = 64 - log2};
    made.entries = table_make(table_bytes(&made));
    made.details = made.entries && keeps_details ? table_make(table_bytes(&made)) : NULL;
    if (!made.entries || (keeps_details && !made.details)) {
        pointer_map_free(&made);
        return ERR_NOMEM;
    }
    *map = made;
    return ERR_OK;
}

enum err pointer_map_init(struct pointer_map *map, bool keeps_details) {
    return map_make(map, LINES_LOG2_MIN, keeps_details);
}

void pointer_map_free(struct pointer_map *map) {
    if (map->entries)
        munmap(map->entries, table_bytes(map));
    if (map->details)
        munmap(map->details, table_bytes(map));
}

enum err pointer_map_detail(struct pointer_map *map) {
    if (!map->details)
        map->details = table_make(table_bytes(map));
    return map->details ? ERR_OK : ERR_NOMEM;
}

void pointer_map_clear(struct pointer_map *map) {
    memset(map->entries, 0, (map->line_mask + 1) * LINE_BYTES);
    map->count = 0;
}

/* What lies before place `end`, up to RELEASED_BYTES of each table, is not needed any more. */
static void tables_release(const struct pointer_map *map, uint64_t end) {
    enum { PLACES = RELEASED_BYTES / sizeof(struct pointer_entry) };
    if (end % PLACES)
        return;
    madvise(&map->entries[end - PLACES], RELEASED_BYTES, MADV_DONTNEED);
    if (map->details)
        madvise(&map->details[end - PLACES], RELEASED_BYTES, MADV_DONTNEED);
}

/* A line's entries go to the two lines of twice its number, nearly always: one table goes as the other one comes. */
enum err pointer_map_grow(struct pointer_map *map) {
    struct pointer_map larger;
    if (map_make(&larger, 64 - map->shift + 1, map->details != NULL))
        return ERR_NOMEM;
    for (uint64_t i = 0; i < pointer_map_places(map); i++) {
        uint64_t pointer = pointer_entry_pointer(&map->entries[i]);
        if (i)
            tables_release(map, i);
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
