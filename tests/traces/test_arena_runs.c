/*
 * Places of arenas as a text and back.
 */
#include "tests/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/arena_runs.h"

#define MODULUS ARENA_RUNS_MODULUS_BYTES

static struct diag diag;

static struct arena_list list_assert(const char *text) {
    struct arena_list list;
    if (arena_list_parse("t.yaml", text, &list, &diag))
        fail_msg("'%s': %s", text, diag.text);
    return list;
}

static void equal_steps_are_one_word(void **state) {
    (void)state;
    static const uint64_t addresses[] = {0x7f0000600000, 0x7f0000500000, 0x7f0000400000, 0x7f00003ff000,
                                         0x7f00003ff000, 0x7f00003ff000, 0x7f00005ff010};
    struct arena_runs runs = {0};
    char *text;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        assert_int_equal(arena_runs_add(&runs, addresses[i]), ERR_OK);
    assert_int_equal(runs.arena_count, 7);
    assert_int_equal(arena_runs_format(&runs, &text), ERR_OK);
    assert_string_equal(text, "6M -1M*2 -4K +0*2 +2097168");
    free(text);
    arena_runs_clear(&runs);
    assert_int_equal(arena_runs_format(&runs, &text), ERR_OK);
    assert_string_equal(text, "");
    free(text);
}

/* What the arena map's nodes and pools' boundaries see of an address survives, and so do distances. */
static void random_places_survive_the_text(void **state) {
    (void)state;
    uint64_t random = support_seed(21);
    for (int round = 0; round < 200; round++) {
        uint64_t addresses[300];
        uint64_t count = 1 + random_below(&random, 300), near = random_below(&random, (uint64_t)1 << 46) & ~0xfffull;
        struct arena_runs runs = {0};
        char *text;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t step = random_below(&random, 3) ? 1 << 20 : random_below(&random, (uint64_t)1 << 34) & ~0xfffull;
            near = random_below(&random, 4) && near > step ? near - step : near + step;
            addresses[i] = near;
            assert_int_equal(arena_runs_add(&runs, near), ERR_OK);
        }
        assert_int_equal(arena_runs_format(&runs, &text), ERR_OK);
        struct arena_list list = list_assert(text);
        assert_int_equal(list.count, count);
        uint64_t below = addresses[0] - list.places_bytes[0], lowest = UINT64_MAX;
        assert_int_equal(below % MODULUS, 0);
        for (uint64_t i = 0; i < count; i++) {
            assert_int_equal(list.places_bytes[i], addresses[i] - below);
            assert_true(list.places_bytes[i] < list.span_bytes);
            lowest = list.places_bytes[i] < lowest ? list.places_bytes[i] : lowest;
        }
        assert_true(lowest < MODULUS);
        assert_int_equal(list.span_bytes % MODULUS, 0);
        arena_list_clear(&list);
        arena_runs_clear(&runs);
        free(text);
    }
}

static void steps_below_the_first_place_begin_a_space_below_it(void **state) {
    (void)state;
    struct arena_list list = list_assert("1M -3M +4M");
    assert_int_equal(list.count, 3);
    assert_int_equal(list.places_bytes[0], MODULUS + (1 << 20));
    assert_int_equal(list.places_bytes[1], MODULUS - (2 << 20));
    assert_int_equal(list.places_bytes[2], MODULUS + (2 << 20));
    assert_int_equal(list.span_bytes, 2 * MODULUS);
    arena_list_clear(&list);
    list = list_assert("0");
    assert_int_equal(list.places_bytes[0], 0);
    assert_int_equal(list.span_bytes, MODULUS);
    arena_list_clear(&list);
    list = list_assert("");
    assert_int_equal(list.count, 0);
    arena_list_clear(&list);
}

/* Half a million arenas, no two steps equal: the text ends at a whole word, and what it holds is right. */
static void a_text_never_outgrows_its_limit(void **state) {
    (void)state;
    enum { COUNT = 500000 };
    struct arena_runs runs = {0};
    char *text;
    uint64_t address = (uint64_t)1 << 45;
    for (uint64_t i = 0; i < COUNT; i++) {
        address += i % 2 ? (i << 12) : -(i << 12);
        assert_int_equal(arena_runs_add(&runs, address), ERR_OK);
    }
    assert_int_equal(runs.arena_count, COUNT);
    assert_int_equal(arena_runs_format(&runs, &text), ERR_OK);
    assert_true(strlen(text) <= ARENA_RUNS_TEXT_MAX);
    assert_true(strlen(text) > ARENA_RUNS_TEXT_MAX - 100);
    struct arena_list list = list_assert(text);
    assert_true(list.count < COUNT);
    for (uint64_t i = 1; i < list.count; i++)
        assert_int_equal(list.places_bytes[i] - list.places_bytes[i - 1], i % 2 ? (i << 12) : -(i << 12));
    arena_list_clear(&list);
    arena_runs_clear(&runs);
    free(text);
}

static void millions_of_arenas_at_few_places_are_a_few_words(void **state) {
    (void)state;
    struct arena_list list = list_assert("4G -1M*100 +0*5000000");
    assert_int_equal(list.count, 5000101);
    assert_int_equal(list.places_bytes[5000100], ((uint64_t)4 << 30) - ((uint64_t)100 << 20));
    arena_list_clear(&list);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"x", ERR_FORMAT},
        {"+1M", ERR_FORMAT}, /* the first has no sign, all others have one */
        {"-1M", ERR_FORMAT},
        {"1M 1M", ERR_FORMAT},
        {"1M*2", ERR_FORMAT},
        {"1M +1M*", ERR_FORMAT},
        {"1M +1M*0", ERR_FORMAT},
        {"1M +1M*-1", ERR_FORMAT},
        {"1M +1M*2x", ERR_FORMAT},
        {"1M +", ERR_FORMAT},
        {"1M +-1M", ERR_FORMAT},
        {"1M +1.5M", ERR_FORMAT},
        {"1M +99999999999999999999", ERR_FORMAT},
        {"1M +1M*99999999999999999999", ERR_FORMAT},
        {"1M +0*67108864", ERR_LIMIT},
        {"1M +0*67108865", ERR_LIMIT},
        {"1M +512T", ERR_LIMIT},
        {"1M +16T*2", ERR_LIMIT},
        {"1M -16T*1000000", ERR_LIMIT},
        {"1M +1000000000000000000000000000000000000000000000000000M", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena_list list;
        enum err err = arena_list_parse("t.yaml", cases[i].text, &list, &diag);
        if (err != cases[i].err)
            fail_msg("'%s': %d, not %d", cases[i].text, err, cases[i].err);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_steps_are_one_word),
        cmocka_unit_test(random_places_survive_the_text),
        cmocka_unit_test(steps_below_the_first_place_begin_a_space_below_it),
        cmocka_unit_test(a_text_never_outgrows_its_limit),
        cmocka_unit_test(millions_of_arenas_at_few_places_are_a_few_words),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
