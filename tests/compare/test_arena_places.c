/*
 * Arena sources with chosen addresses, and the counting one under a real allocator.
 */
#include "tests/support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/worker/arena_places.h"
#include "compare/worker/real_arenas.h"

enum { ARENA = 1 << 20, PAGE = 4096 };

static void two_asked_alike_answer_alike(void **state) {
    (void)state;
    static struct arena_places places[2];
    static const uint64_t residues[] = {0, PAGE, 3 * PAGE};
    uint64_t random = support_seed(3);
    char *arenas[2][64] = {{0}};
    for (int side = 0; side < 2; side++) {
        assert_int_equal(arena_places_create(&places[side], ARENA, NULL), ERR_OK);
        places[side].residues = residues;
        places[side].residue_count = 3;
    }
    for (uint64_t step = 0, order = 0; step < 2000; step++) {
        size_t at = random_below(&random, 64);
        uint64_t found_order[2] = {0}, offset[2] = {0};
        for (int side = 0; side < 2; side++) {
            struct pool_arena_source source = arena_places_source(&places[side]);
            if (arenas[side][at]) {
                source.free(source.ctx, arenas[side][at], ARENA);
                arenas[side][at] = NULL;
                continue;
            }
            char *arena = arenas[side][at] = source.alloc(source.ctx, ARENA);
            assert_non_null(arena);
            assert_int_equal((uintptr_t)arena % (4 * PAGE), residues[order % 3]);
            arena[0] = arena[ARENA - 1] = 1;
            assert_true(arena_places_find(&places[side], arena + 1234, &found_order[side], &offset[side]));
            assert_int_equal(offset[side], 1234);
            assert_int_equal(found_order[side], order);
        }
        order += arenas[0][at] != NULL;
        if (arenas[0][at])
            assert_int_equal(arenas[0][at] - places[0].base, arenas[1][at] - places[1].base);
    }
    for (int side = 0; side < 2; side++)
        arena_places_destroy(&places[side]);
}

static void what_is_in_no_arena_is_not_found(void **state) {
    (void)state;
    static struct arena_places places;
    uint64_t order, offset;
    assert_int_equal(arena_places_create(&places, 0, NULL), ERR_OK);
    struct pool_arena_source source = arena_places_source(&places);
    char *chunk = source.alloc(source.ctx, 4 * PAGE); /* before the arena size is known: an interpreter's */
    assert_non_null(chunk);
    arena_places_size(&places, ARENA);
    assert_false(arena_places_find(&places, chunk, &order, &offset));
    assert_false(arena_places_find(&places, &order, &order, &offset));
    assert_false(arena_places_find(&places, NULL, &order, &offset));
    assert_false(arena_places_find(&places, places.base, &order, &offset));
    assert_int_equal(places.obtained_count, 0);
    source.free(source.ctx, chunk, 4 * PAGE);
    arena_places_destroy(&places);
    arena_places_destroy(NULL);
}

static void an_arena_given_back_cannot_be_used(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        static struct arena_places places;
        if (arena_places_create(&places, ARENA, NULL))
            _exit(1);
        struct pool_arena_source source = arena_places_source(&places);
        volatile char *arena = source.alloc(source.ctx, ARENA);
        source.free(source.ctx, (void *)(uintptr_t)arena, ARENA);
        signal(SIGSEGV, SIG_DFL);
        arena[5] = 1;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void arenas_are_counted_and_held_and_other_mappings_pass(void **state) {
    (void)state;
    enum { COUNT = 40 };
    static struct real_arenas arenas;
    size_t align_bytes = 4 * PAGE;
    struct pool_arena_source below = real_arenas_aligned_pages(&align_bytes);
    assert_int_equal(real_arenas_create(&arenas, &below, NULL), ERR_OK);
    struct pool_arena_source source = real_arenas_source(&arenas);
    char *early = source.alloc(source.ctx, ARENA);
    assert_int_equal(arenas.mapped_count, 0);
    arenas.arena_bytes = ARENA;
    char *made[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        made[i] = source.alloc(source.ctx, ARENA);
        assert_non_null(made[i]);
        assert_int_equal((uintptr_t)made[i] % align_bytes, 0);
    }
    char *chunk = source.alloc(source.ctx, align_bytes);
    assert_false(real_arenas_hold(&arenas, chunk));
    assert_false(real_arenas_hold(&arenas, early));
    for (size_t i = 0; i < COUNT; i += 2)
        source.free(source.ctx, made[i], ARENA);
    for (size_t i = 1; i < COUNT; i += 2) {
        assert_true(real_arenas_hold(&arenas, made[i]));
        assert_true(real_arenas_hold(&arenas, made[i] + ARENA - 1));
    }
    for (size_t i = 0; i < COUNT; i += 2)
        assert_false(real_arenas_hold(&arenas, made[i] + 5));
    source.free(source.ctx, early, ARENA);
    source.free(source.ctx, chunk, align_bytes);
    assert_int_equal(arenas.mapped_count, COUNT);
    assert_int_equal(arenas.returned_count, COUNT / 2);
    assert_int_equal(arenas.peak_count, COUNT);
    assert_int_equal(arenas.count, COUNT / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_asked_alike_answer_alike),
        cmocka_unit_test(what_is_in_no_arena_is_not_found),
        cmocka_unit_test(an_arena_given_back_cannot_be_used),
        cmocka_unit_test(arenas_are_counted_and_held_and_other_mappings_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
