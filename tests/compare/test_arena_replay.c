/*
 * Arenas at recorded places: which pools take them, and where they really go.
 */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/trace_arenas.h"
#include "compare/worker/arena_replay.h"
#include "core/pool_internal.h"

enum { ARENA = 1 << 20, PAGE = 4096 };

static struct diag diag;

static struct trace_arenas arenas_make(const char *interpreter, uint64_t arena_bytes, const char *places) {
    struct trace_arenas arenas;
    struct trace_info info = {.program_interpreter = (char *)(uintptr_t)interpreter,
                              .capture_arena_bytes = arena_bytes,
                              .capture_arena_places = (char *)(uintptr_t)places};
    if (trace_arenas_read("t.yaml", &info, &arenas, &diag))
        fail_msg("%s", diag.text);
    return arenas;
}

static struct worker_request request_make(const struct trace_arenas *arenas, enum worker_arenas how) {
    return (struct worker_request){.arenas = how,
                                   .recorded_count = arenas->list.count,
                                   .recorded_bytes = arenas->arena_bytes,
                                   .recorded_span_bytes = arenas->list.span_bytes};
}

static void replay_make(const struct trace_arenas *arenas, enum worker_arenas how, const char *profile,
                        struct arena_replay *out) {
    struct worker_request request = request_make(arenas, how);
#ifdef __SANITIZE_THREAD__
    if (how == WORKER_ARENAS_RECORDED)
        skip(); /* its shadow leaves too few addresses */
#endif
    if (arena_replay_create(out, &request, arenas->list.places_bytes, pool_profile_find(profile), &diag))
        fail_msg("%s", diag.text);
}

static void arenas_go_where_they_were_recorded(void **state) {
    (void)state;
    struct trace_arenas arenas = arenas_make("CPython 3.11.2", ARENA, "262143M -1M*2 -1332K +8M +0");
    struct arena_replay replay;
    char *made[6];
    replay_make(&arenas, WORKER_ARENAS_RECORDED, "3.11", &replay);
    struct pool_arena_source source = arena_replay_source(&replay);
    assert_int_equal((uintptr_t)replay.base % ARENA_RUNS_MODULUS_BYTES, 0);
    for (size_t i = 0; i < 6; i++) {
        if (i == 5)
            source.free(source.ctx, made[4], ARENA); /* the last one was recorded at the place of the one before */
        made[i] = source.alloc(source.ctx, ARENA);
        assert_ptr_equal(made[i], replay.base + arenas.list.places_bytes[i]);
        assert_int_equal(made[i][0] + made[i][ARENA - 1], 0);
        made[i][0] = made[i][ARENA - 1] = 1;
    }
    assert_int_equal(replay.recorded_count, 6);
    assert_int_equal(replay.strayed_count, 0);
    arena_replay_destroy(&replay);
    trace_arenas_clear(&arenas);
}

/* Another rule than the interpreter's would need places that are taken; nothing is ever mapped over a living arena. */
static void an_arena_that_was_not_recorded_so_goes_elsewhere(void **state) {
    (void)state;
    static const char *const overlaps[] = {"8M +0", "8M +4K", "8M -4K", "8M +1020K", "8M -1020K"};
    for (size_t i = 0; i < sizeof overlaps / sizeof overlaps[0]; i++) {
        struct trace_arenas arenas = arenas_make("CPython 3.11.2", ARENA, overlaps[i]);
        struct arena_replay replay;
        replay_make(&arenas, WORKER_ARENAS_RECORDED, "3.11", &replay);
        struct pool_arena_source source = arena_replay_source(&replay);
        char *first = source.alloc(source.ctx, ARENA);
        memset(first, 1, ARENA);
        char *second = source.alloc(source.ctx, ARENA), *third = source.alloc(source.ctx, ARENA);
        assert_non_null(second);
        memset(second, 2, ARENA);
        memset(third, 2, ARENA);
        for (size_t k = 0; k < ARENA; k++)
            assert_int_equal(first[k], 1);
        assert_int_equal((uintptr_t)second % 16384, 0);
        assert_int_equal(replay.recorded_count, 1);
        assert_int_equal(replay.strayed_count, 2);
        source.free(source.ctx, third, ARENA);
        source.free(source.ctx, second, ARENA);
        source.free(source.ctx, first, ARENA);
        arena_replay_destroy(&replay);
        trace_arenas_clear(&arenas);
    }
}

static void neighbours_do_not_overlap(void **state) {
    (void)state;
    struct trace_arenas arenas = arenas_make("CPython 3.11.2", ARENA, "8196K +1M -2M");
    struct arena_replay replay;
    replay_make(&arenas, WORKER_ARENAS_RECORDED, "3.11", &replay);
    struct pool_arena_source source = arena_replay_source(&replay);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(source.alloc(source.ctx, ARENA));
    assert_int_equal(replay.recorded_count, 3);
    arena_replay_destroy(&replay);
    trace_arenas_clear(&arenas);
}

static void other_settings_repeat_only_the_distance_within_a_pool(void **state) {
    (void)state;
    struct trace_arenas arenas = arenas_make("CPython 3.11.2", ARENA, "8M +1028K +1032K");
    static const uintptr_t residues[] = {0, PAGE, 3 * PAGE};
    struct arena_replay replay;
    replay_make(&arenas, WORKER_ARENAS_RESIDUES, "3.11", &replay);
    struct pool_arena_source source = arena_replay_source(&replay);
    for (size_t i = 0; i < 6; i++) {
        char *arena = source.alloc(source.ctx, ARENA / 4);
        assert_int_equal((uintptr_t)arena % 16384, residues[i % 3]);
        source.free(source.ctx, arena, ARENA / 4);
    }
    arena_replay_destroy(&replay);
    trace_arenas_clear(&arenas);
}

/* A place per node: the pool's arena map has the nodes that the interpreter's had. */
static void the_arena_map_has_the_recorded_nodes(void **state) {
    (void)state;
    static const struct {
        const char *profile, *interpreter, *places;
        uint32_t mid_count, bottom_count;
    } cases[] = {
        {"3.11", "CPython 3.11.7", "16G -1M", 1, 2}, /* a bottom node covers 16 GiB */
        {"3.11", "CPython 3.11.7", "16383M +2M", 1, 2},
        {"3.11", "CPython 3.11.7", "16777212K", 1, 2}, /* one arena across the boundary */
        {"3.11", "CPython 3.11.7", "16382M +1M", 1, 1},
        {"3.10", "CPython 3.10.13", "256M -1M", 1, 2}, /* 256 MiB, and a middle node 256 GiB */
        {"3.10", "CPython 3.10.13", "262143M +1M", 2, 2},
        {"3.10", "CPython 3.10.13", "268435452K", 2, 2},
        {"3.10", "CPython 3.10.13", "1M -2M", 2, 2},
        {"3.10", "CPython 3.10.13", "254M +1M", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace_arenas arenas = arenas_make(cases[i].interpreter, ARENA, cases[i].places);
        struct arena_replay replay;
        struct pool *pool;
        replay_make(&arenas, WORKER_ARENAS_RECORDED, cases[i].profile, &replay);
        struct pool_arena_source source = arena_replay_source(&replay);
        assert_int_equal(pool_create(pool_profile_find(cases[i].profile), &source, &pool, NULL), ERR_OK);
        for (uint64_t k = 0; replay.obtained_count < arenas.list.count && k < 100000; k++)
            assert_non_null(pool_malloc(pool, 512));
        assert_int_equal(replay.strayed_count, 0);
        bool counted = pool->config.arena_map == POOL_ARENA_MAP_48;
        assert_int_equal(counted ? pool->map.mid_count : pool->radix.mid_count, cases[i].mid_count);
        assert_int_equal(counted ? pool->map.bottom_count : pool->radix.bottom_count, cases[i].bottom_count);
        pool_destroy(pool);
        arena_replay_destroy(&replay);
        trace_arenas_clear(&arenas);
    }
}

static void a_request_that_contradicts_itself_is_refused(void **state) {
    (void)state;
    struct trace_arenas arenas = arenas_make("CPython 3.11.2", ARENA, "8M +1M");
    const struct pool_config *config = pool_profile_find("3.11");
    struct arena_replay replay;
    struct worker_request request = request_make(&arenas, WORKER_ARENAS_RECORDED);
    request.recorded_bytes = ARENA / 4;
    assert_int_equal(arena_replay_create(&replay, &request, arenas.list.places_bytes, config, &diag), ERR_INVALID);
    request = request_make(&arenas, WORKER_ARENAS_RECORDED);
    request.recorded_span_bytes = 8 << 20;
    assert_int_equal(arena_replay_create(&replay, &request, arenas.list.places_bytes, config, &diag), ERR_INVALID);
    request.recorded_span_bytes = UINT64_MAX;
    assert_int_equal(arena_replay_create(&replay, &request, arenas.list.places_bytes, config, &diag), ERR_INVALID);
    arenas.list.places_bytes[1] += 16;
    request = request_make(&arenas, WORKER_ARENAS_RECORDED);
    assert_int_equal(arena_replay_create(&replay, &request, arenas.list.places_bytes, config, &diag), ERR_INVALID);
    trace_arenas_clear(&arenas);
}

static enum worker_arenas choice(const struct trace_arenas *arenas, const char *name) {
    struct allocator allocator = {.backend = WORKER_POOL};
    enum worker_arenas how = WORKER_ARENAS_COUNT;
    if (allocator_parse(name, &allocator, &diag) || trace_arenas_choose(arenas, &allocator, &how, &diag))
        fail_msg("%s: %s", name, diag.text);
    return how;
}

static void only_the_interpreters_own_settings_take_its_places(void **state) {
    (void)state;
    struct trace_arenas arenas = arenas_make("CPython 3.11.2", ARENA, "8M +1028K");
    assert_int_equal(choice(&arenas, "pool:3.11"), WORKER_ARENAS_RECORDED);
    assert_int_equal(choice(&arenas, "pool:3.11,residues=trace"), WORKER_ARENAS_RECORDED);
    assert_int_equal(choice(&arenas, "pool"), WORKER_ARENAS_RECORDED); /* 3.14 has the same settings */
    assert_int_equal(choice(&arenas, "pool:3.10"), WORKER_ARENAS_OWN); /* another arena map */
    assert_int_equal(choice(&arenas, "pool:3.9"), WORKER_ARENAS_OWN);
    assert_int_equal(choice(&arenas, "pool:3.11,keep=2"), WORKER_ARENAS_OWN);
    assert_int_equal(choice(&arenas, "pool:3.11,residues=0"), WORKER_ARENAS_OWN);
    assert_int_equal(choice(&arenas, "pool:3.11,residues=0x1000"), WORKER_ARENAS_OWN);
    assert_int_equal(choice(&arenas, "pool:3.11,keep=2,residues=trace"), WORKER_ARENAS_RESIDUES);
    assert_int_equal(choice(&arenas, "pool:3.9,residues=trace"), WORKER_ARENAS_RESIDUES);
    assert_int_equal(choice(&arenas, "pool:fast"), WORKER_ARENAS_OWN);
    assert_int_equal(choice(&arenas, "system"), WORKER_ARENAS_OWN);
    struct allocator debug = {.backend = WORKER_POOL, .settings = "3.11", .debug_hooks = true};
    enum worker_arenas how = WORKER_ARENAS_RECORDED;
    assert_int_equal(trace_arenas_choose(&arenas, &debug, &how, &diag), ERR_OK);
    assert_int_equal(how, WORKER_ARENAS_OWN); /* larger blocks, other arenas */
    trace_arenas_clear(&arenas);
    arenas = arenas_make("CPython 3.8.18", 256 << 10, "8M +256K");
    assert_int_equal(choice(&arenas, "pool:3.8"), WORKER_ARENAS_RECORDED);
    assert_int_equal(choice(&arenas, "pool"), WORKER_ARENAS_OWN);
    trace_arenas_clear(&arenas);
}

static void residues_of_a_trace_that_has_none_are_refused(void **state) {
    (void)state;
    struct trace_info info = {0};
    struct trace_arenas arenas;
    struct allocator allocator;
    enum worker_arenas how;
    assert_int_equal(trace_arenas_read("t.yaml", &info, &arenas, &diag), ERR_OK);
    assert_int_equal(allocator_parse("pool:3.11,residues=trace", &allocator, &diag), ERR_OK);
    assert_int_equal(trace_arenas_choose(&arenas, &allocator, &how, &diag), ERR_USAGE);
    assert_non_null(strstr(diag.text, "the trace does not tell where its program's arenas lay"));
    assert_int_equal(choice(&arenas, "pool:3.11"), WORKER_ARENAS_OWN);
    assert_int_equal(choice(NULL, "pool:3.11"), WORKER_ARENAS_OWN);
}

static void places_inside_of_pages_are_no_places(void **state) {
    (void)state;
    struct trace_arenas arenas = arenas_make("CPython 3.11.2", ARENA, "8388624 +1M");
    assert_int_equal(arenas.list.count, 0);
    assert_int_equal(choice(&arenas, "pool:3.11"), WORKER_ARENAS_OWN);
    trace_arenas_clear(&arenas);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas_go_where_they_were_recorded),
        cmocka_unit_test(an_arena_that_was_not_recorded_so_goes_elsewhere),
        cmocka_unit_test(neighbours_do_not_overlap),
        cmocka_unit_test(other_settings_repeat_only_the_distance_within_a_pool),
        cmocka_unit_test(the_arena_map_has_the_recorded_nodes),
        cmocka_unit_test(a_request_that_contradicts_itself_is_refused),
        cmocka_unit_test(only_the_interpreters_own_settings_take_its_places),
        cmocka_unit_test(residues_of_a_trace_that_has_none_are_refused),
        cmocka_unit_test(places_inside_of_pages_are_no_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
