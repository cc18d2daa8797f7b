#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/fast_internal.h"
#include "tests/core/fast_support.h"

/* Each test breaks one thing in a sound instance, and sees that it is told; then mends it. */
static struct fast_counted_source source;
static struct fast *fast;
static void *small[300], *medium[20], *run;

static int setup(void **state) {
    (void)state;
    memset(&source, 0, sizeof source);
    fast = fast_counted_create(&source);
    for (int i = 0; i < 300; i++)
        small[i] = fast_malloc(fast, 100);
    for (int i = 0; i < 20; i++)
        medium[i] = fast_malloc(fast, 9000);
    run = fast_malloc(fast, 50000);
    fast_free(fast, small[1]);
    fast_free(fast, small[2]);
    fast_free(fast, small[299]);
    fast_free(fast, medium[4]);
    fast_check_assert(fast);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fast_check_assert(fast);
    fast_destroy(fast);
    return 0;
}

/* What is written where; put back at the end. */
#define BROKEN(place, value)                                                                                           \
    do {                                                                                                               \
        __typeof__(place) was = (place);                                                                               \
        (place) = (value);                                                                                             \
        struct diag diag = {0};                                                                                        \
        if (fast_check(fast, &diag) != ERR_INVALID)                                                                    \
            fail_msg(#place " = " #value " is not seen");                                                              \
        assert_true(diag.text[0] != '\0');                                                                             \
        assert_int_equal(fast_check(fast, NULL), ERR_INVALID);                                                         \
        (place) = was;                                                                                                 \
        fast_check_assert(fast);                                                                                       \
    } while (0)

static void broken_spans_are_seen(void **state) {
    (void)state;
    struct fast_span *span = fast_span_of(fast, small[0]);
    BROKEN(span->count, span->count + 1);
    BROKEN(span->count, 0);
    BROKEN(span->carve, span->carve + 16);
    BROKEN(span->carve, span->carve + 112);
    BROKEN(span->class_index, fast->class_count);
    BROKEN(span->class_index, span->class_index + 1);
    BROKEN(span->units, 2);
    BROKEN(span->state, SPAN_RUN);
    BROKEN(span->state, SPAN_FREE);
    BROKEN(span->state, SPAN_TAIL);
    BROKEN(span->listed, !span->listed);
    BROKEN(span->held, 5);
}

static void broken_free_lists_are_seen(void **state) {
    (void)state;
    struct fast_span *span = fast_span_of(fast, small[1]);
    void *stray = NULL;
    BROKEN(span->free, NULL);
    BROKEN(span->free, small[1]);
    BROKEN(span->free, (void *)((char *)small[1] + 8));
    BROKEN(span->free, (void *)&stray);
    BROKEN(*(void **)small[1], small[2]); /* a ring */
    BROKEN(*(void **)small[2], medium[0]);
}

static void broken_units_are_seen(void **state) {
    (void)state;
    struct fast_span *first = fast_span_of(fast, medium[0]), *large = fast_span_of(fast, run);
    BROKEN(first[1].state, SPAN_BLOCKS);
    BROKEN(first[1].state, SPAN_FREE);
    BROKEN(first[1].units, 2);
    BROKEN(first[1].free, medium[4]);
    BROKEN(first->units, 1);
    BROKEN(large->units, 3);
    BROKEN(large->units, 40);
    BROKEN(large->count, 2);
    BROKEN(large->listed, 1);
}

static void broken_arenas_are_seen(void **state) {
    (void)state;
    struct fast_arena *arena = &fast->arenas[0];
    BROKEN(arena->free_units, arena->free_units | 1);
    BROKEN(arena->free_units, arena->free_units & (arena->free_units - 1));
    BROKEN(arena->free_units, (uint64_t)1 << FAST_ARENA_UNITS | arena->free_units);
    BROKEN(arena->clean_units, arena->clean_units | 1);
    BROKEN(arena->kind, ARENA_LARGE);
    BROKEN(arena->kind, 7);
    BROKEN(arena->mapped, 0);
    BROKEN(arena->next, 1);
    BROKEN(arena->next, 0);
    BROKEN(arena->prev, 1);
    BROKEN(fast->arenas[1].kind, ARENA_SMALL);
}

static void broken_lists_and_counters_are_seen(void **state) {
    (void)state;
    struct fast_span *span = fast_span_of(fast, small[298]);
    unsigned fill = (unsigned)__builtin_popcountll(fast->arenas[0].free_units) - 1;
    BROKEN(fast->fills[ARENA_SMALL], 0);
    BROKEN(fast->fills[ARENA_LARGE], fast->fills[ARENA_LARGE] << 1);
    BROKEN(fast->first[ARENA_SMALL][fill], FAST_ARENA_NONE);
    BROKEN(fast->first[ARENA_SMALL][fill], 1);
    BROKEN(fast->empty_count, 1);
    BROKEN(fast->arenas_count, 3);
    BROKEN(fast->arenas_peak_count, 1);
    BROKEN(fast->returned_count, 1);
    BROKEN(fast->arena_frontier, fast->arena_limit + 1);
    BROKEN(fast->current[7], fast_ring_head(fast, 6));
    BROKEN(fast_ring_head(fast, 6)->next, -7);
    BROKEN(fast_ring_head(fast, 6)->next, 2000000000);
    BROKEN(fast_ring_head(fast, 6)->prev, -7);
    BROKEN(fast_ring_head(fast, 6)->free, small[1]);
    BROKEN(span->next, fast_span_index(fast, span));
    BROKEN(span->prev, -3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(broken_spans_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_free_lists_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_units_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_arenas_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_lists_and_counters_are_seen, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
