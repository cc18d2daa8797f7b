/* The live blocks of a recording by address: against a plain list, where lines overflow, and with counts that stay. */
#include <string.h>

#include "tests/support.h"
#include "traces/record/pointer_map.h"

enum { ADDRESSES = 4096, STEPS = 200000, LINE_FIRST = 64 };

static void assert_nothing_is_left(const struct pointer_map *map) {
    assert_int_equal(map->count, 0);
    for (uint64_t i = 0; i < pointer_map_places(map); i++)
        assert_int_equal(map->entries[i].word, 0);
}

static void flip(struct pointer_map *map, uint64_t pointer, uint64_t *name, uint64_t step) {
    struct pointer_entry *entry = pointer_map_find(map, pointer);
    if (*name) {
        assert_non_null(entry);
        assert_int_equal(entry->name, *name);
        assert_int_equal(pointer_entry_pointer(entry), pointer);
        if (map->details)
            assert_int_equal(pointer_map_detail_of(map, entry)->birth, *name);
        pointer_map_remove(map, entry, pointer);
        *name = 0;
    } else {
        assert_null(entry);
        assert_int_equal(pointer_map_reserve(map), ERR_OK);
        entry = pointer_map_add(map, pointer, step);
        if (map->details)
            *pointer_map_detail_of(map, entry) = (struct pointer_detail){.shape = ~step, .birth = step};
        *name = step;
    }
}

/* Addresses `gap_bytes` apart come and go; in the end all go, and with them every trace of their having been there. */
static void agree_with_list(uint64_t gap_bytes, bool keeps_details) {
    static uint64_t names[ADDRESSES];
    struct pointer_map map;
    uint64_t seed = support_seed(20260720), base = 0x7f0000000000u;
    memset(names, 0, sizeof names);
    assert_int_equal(pointer_map_init(&map, keeps_details), ERR_OK);
    for (uint64_t step = 1; step <= STEPS; step++) {
        uint64_t i = random_next(&seed) % ADDRESSES;
        flip(&map, base + i * gap_bytes, &names[i], step);
    }
    uint64_t live = 0;
    for (uint64_t i = 0; i < ADDRESSES; i++)
        live += names[i] != 0;
    assert_int_equal(map.count, live);
    for (uint64_t i = 0; i < ADDRESSES; i++)
        if (names[i])
            flip(&map, base + i * gap_bytes, &names[i], 0);
    assert_nothing_is_left(&map);
    pointer_map_free(&map);
}

static void every_address_is_found_by_its_name(void **state) {
    (void)state;
    const uint64_t gaps[] = {8, 16, 48, 64, 4096, (uint64_t)1 << 30};
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        agree_with_list(gaps[i], false);
        agree_with_list(gaps[i], true);
    }
}

/* Addresses whose home is one and the same line, of a table that does not grow meanwhile. */
static void homes_collect(const struct pointer_map *map, uint64_t *out, size_t count) {
    size_t found = 0;
    for (uint64_t pointer = LINE_FIRST; found < count; pointer += 64)
        if (pointer_map_home(map, pointer) == pointer_map_home(map, LINE_FIRST))
            out[found++] = pointer;
}

static void a_full_line_leads_on_to_the_next_ones(void **state) {
    (void)state;
    enum { COUNT = 60 };
    struct pointer_map map;
    uint64_t pointers[COUNT + 1];
    assert_int_equal(pointer_map_init(&map, false), ERR_OK);
    homes_collect(&map, pointers, COUNT + 1);
    for (uint64_t i = 0; i < COUNT; i++)
        pointer_map_add(&map, pointers[i], i + 1);
    for (uint64_t removed = 0; removed < COUNT; removed++) { /* the first ones first: what overflowed stays behind */
        for (uint64_t i = 0; i < COUNT; i++) {
            const struct pointer_entry *entry = pointer_map_find(&map, pointers[i]);
            assert_true(i < removed ? !entry : entry && entry->name == i + 1);
        }
        assert_null(pointer_map_find(&map, pointers[COUNT]));
        pointer_map_remove(&map, pointer_map_find(&map, pointers[removed]), pointers[removed]);
    }
    assert_nothing_is_left(&map);
    pointer_map_free(&map);
}

static void a_count_that_is_full_never_hides_anything(void **state) {
    (void)state;
    enum { COUNT = 12 };
    struct pointer_map map;
    uint64_t pointers[COUNT];
    assert_int_equal(pointer_map_init(&map, false), ERR_OK);
    homes_collect(&map, pointers, COUNT);
    struct pointer_entry *home = &map.entries[pointer_map_home(&map, LINE_FIRST) * POINTER_LINE_ENTRIES];
    home->word |= (uint64_t)UINT16_MAX << POINTER_BITS;
    for (uint64_t i = 0; i < COUNT; i++)
        pointer_map_add(&map, pointers[i], i + 1);
    for (uint64_t i = 0; i < COUNT - 1; i++)
        pointer_map_remove(&map, pointer_map_find(&map, pointers[i]), pointers[i]);
    assert_int_equal(pointer_map_find(&map, pointers[COUNT - 1])->name, COUNT);
    assert_int_equal(home->word >> POINTER_BITS, UINT16_MAX);
    pointer_map_free(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_is_found_by_its_name),
        cmocka_unit_test(a_full_line_leads_on_to_the_next_ones),
        cmocka_unit_test(a_count_that_is_full_never_hides_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
