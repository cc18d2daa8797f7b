/* The debug hooks: every byte of the layout, every fault, and random use against a shadow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "tests/core/counted_source.h"
#include "tests/core/random_source.h"
#include "tests/core/recorder.h"

static struct recorder recorder;

/* Hooks over the recorder, and the last fault they told. */
struct bench {
    struct debug_hooks hooks;
    struct debug_layer layer;
    struct domain_allocator calls;
    struct debug_fault fault;
    size_t told_count;
    bool unlocked;
};

static void fault_keep(void *ctx, const struct debug_fault *fault) {
    struct bench *bench = ctx;
    bench->fault = *fault;
    bench->told_count++;
}

static bool lock_ask(void *ctx) {
    return !((struct bench *)ctx)->unlocked;
}

static void bench_open(struct bench *bench, enum domain_id domain, bool serial_numbers) {
    struct domain_allocator below = recorder_allocator(&recorder);
    recorder_clear(&recorder);
    *bench = (struct bench){.unlocked = false};
    bench->hooks.settings = debug_settings_default();
    bench->hooks.settings.serial_numbers = serial_numbers;
    bench->hooks.settings.report = fault_keep;
    bench->hooks.settings.report_ctx = bench;
    debug_layer_init(&bench->layer, &bench->hooks, domain, &below);
    bench->calls = debug_layer_allocator(&bench->layer);
}

static uint8_t *bench_malloc(struct bench *bench, size_t bytes) {
    return bench->calls.malloc(bench->calls.ctx, bytes);
}

static uint8_t *bench_realloc(struct bench *bench, void *block, size_t bytes) {
    return bench->calls.realloc(bench->calls.ctx, block, bytes);
}

static void bench_free(struct bench *bench, void *block) {
    bench->calls.free(bench->calls.ctx, block);
}

static void run_assert(const uint8_t *at, size_t count, uint8_t value) {
    for (size_t i = 0; i < count; i++)
        if (at[i] != value)
            fail_msg("byte %zu is %#x, not %#x", i, at[i], value);
}

/* What lies around a block of `bytes` bytes, written down by hand. */
static void decorations_assert(const uint8_t *data, uint64_t bytes, char letter, const struct debug_bytes *values,
                               uint64_t serial) {
    for (int i = 0; i < 8; i++)
        assert_int_equal(data[-16 + i], bytes >> (56 - 8 * i) & 0xff);
    assert_int_equal(data[-8], letter);
    run_assert(data - 7, 7, values->forbidden);
    run_assert(data + bytes, 8, values->forbidden);
    for (int i = 0; serial && i < 8; i++)
        assert_int_equal(data[bytes + 8 + (uint64_t)i], serial >> (56 - 8 * i) & 0xff);
}

static void blocks_are_decorated_as_laid_down(void **state) {
    (void)state;
    static const struct debug_bytes values = {0xcd, 0xdd, 0xfd};
    for (int domain = 0; domain < DOMAIN_ID_COUNT; domain++)
        for (int serial = 0; serial <= 1; serial++) {
            struct bench bench;
            bench_open(&bench, (enum domain_id)domain, serial);
            uint8_t *a = bench_malloc(&bench, 300);
            assert_int_equal(recorder.block_bytes[0], 300 + 24 + 8 * serial);
            assert_ptr_equal(a, recorder.buffer + 16);
            decorations_assert(a, 300, "rmo"[domain], &values, (uint64_t)serial);
            run_assert(a, 300, 0xcd);
            uint8_t *b = bench.calls.calloc(bench.calls.ctx, 7, 11);
            decorations_assert(b, 77, "rmo"[domain], &values, 2 * (uint64_t)serial);
            run_assert(b, 77, 0);
            uint8_t *nothing = bench_malloc(&bench, 0);
            decorations_assert(nothing, 0, "rmo"[domain], &values, 3 * (uint64_t)serial);
            assert_int_equal(debug_extra_bytes(&bench.hooks.settings), 24 + 8 * serial);
        }
}

static void old_releases_byte_values_can_be_had(void **state) {
    (void)state;
    struct bench bench;
    bench_open(&bench, DOMAIN_ID_OBJ, true);
    bench.hooks.settings.bytes = DEBUG_BYTES_OLD;
    uint8_t *block = bench_malloc(&bench, 20);
    decorations_assert(block, 20, 'o', &(struct debug_bytes){0xcb, 0xdb, 0xfb}, 1);
    run_assert(block, 20, 0xcb);
    bench_free(&bench, block);
    run_assert(block - 16, 20 + 32, 0xdb);
    bench_free(&bench, block);
    assert_int_equal(bench.fault.kind, DEBUG_FAULT_FREED);
}

static void freed_blocks_are_dead_from_end_to_end(void **state) {
    (void)state;
    for (int serial = 0; serial <= 1; serial++) {
        struct bench bench;
        bench_open(&bench, DOMAIN_ID_MEM, serial);
        uint8_t *block = bench_malloc(&bench, 100);
        bench_free(&bench, block);
        run_assert(recorder.buffer, 124 + 8 * (size_t)serial, 0xdd);
        run_assert(recorder.buffer + 124 + 8 * (size_t)serial, 8, 0);
        bench_free(&bench, NULL);
        assert_int_equal(recorder.call_count, 2);
        assert_int_equal(bench.told_count, 0);
    }
}

/* From `from` to `to` bytes: the old place erased at its ends during the call, the data whole after it. */
static void resize_assert(size_t from, size_t to, bool serial, bool refused) {
    struct bench bench;
    bench_open(&bench, DOMAIN_ID_OBJ, serial);
    uint8_t *block = bench_malloc(&bench, from);
    for (size_t i = 0; i < from; i++)
        block[i] = (uint8_t)(i + 1);
    recorder.refuses = refused;
    uint8_t *moved = bench_realloc(&bench, block, to);
    const uint8_t *seen = recorder.log + recorder.log_bytes - (from + debug_extra_bytes(&bench.hooks.settings));
    size_t ends = from <= 128 ? from : 64;
    run_assert(seen, 16 + ends, 0xdd);
    for (size_t i = ends; i < from - ends; i++)
        assert_int_equal(seen[16 + i], (uint8_t)(i + 1));
    run_assert(seen + 16 + from - (from <= 128 ? 0 : 64), (from <= 128 ? 0 : 64) + 8 + 8 * (size_t)serial, 0xdd);
    const uint8_t *now = refused ? block : moved;
    size_t bytes = refused ? from : to;
    decorations_assert(now, bytes, 'o', &DEBUG_BYTES_DEFAULT, serial ? 2 - (uint64_t)refused : 0);
    for (size_t i = 0; i < from && i < bytes; i++)
        assert_int_equal(now[i], (uint8_t)(i + 1));
    if (bytes > from)
        run_assert(now + from, bytes - from, 0xcd);
    assert_int_equal(moved == NULL, refused);
    assert_int_equal(bench.told_count, 0);
}

static void realloc_hides_the_old_place_and_brings_the_data(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 127, 128, 129, 130, 190, 192, 193, 500};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
            for (int flags = 0; flags < 4; flags++)
                resize_assert(sizes[i], sizes[j], flags & 1, flags & 2);
}

static void impossible_sizes_are_refused_and_nothing_is_touched(void **state) {
    (void)state;
    struct bench bench;
    bench_open(&bench, DOMAIN_ID_RAW, true);
    uint8_t *block = bench_malloc(&bench, 50);
    assert_null(bench_malloc(&bench, (size_t)PTRDIFF_MAX - 31));
    assert_null(bench_realloc(&bench, block, (size_t)PTRDIFF_MAX - 31));
    assert_null(bench.calls.calloc(bench.calls.ctx, SIZE_MAX / 2, 3));
    assert_int_equal(recorder.call_count, 1);
    recorder.refuses = true;
    assert_null(bench_malloc(&bench, 10));
    assert_null(bench.calls.calloc(bench.calls.ctx, 10, 10));
    decorations_assert(block, 50, 'r', &DEBUG_BYTES_DEFAULT, 1);
    assert_int_equal(bench.told_count, 0);
}

/* Writes `value` at `offset` of a fresh block, gives it to free or realloc, and returns what was told. */
static struct debug_fault fault_provoke(bool serial, size_t bytes, int64_t offset, uint8_t value, bool resized) {
    struct bench bench;
    bench_open(&bench, DOMAIN_ID_OBJ, serial);
    bench_malloc(&bench, 5);
    uint8_t *block = bench_malloc(&bench, bytes);
    block[offset] = value;
    uint64_t calls = recorder.call_count;
    if (resized)
        assert_null(bench_realloc(&bench, block, bytes + 1));
    else
        bench_free(&bench, block);
    assert_int_equal(recorder.call_count, calls); /* abandoned */
    assert_int_equal(bench.told_count, 1);
    assert_int_equal(bench.hooks.fault_count, 1);
    assert_ptr_equal(bench.fault.block, block);
    assert_int_equal(bench.fault.letter, 'o');
    assert_int_equal(bench.fault.call, resized ? DEBUG_CALL_REALLOC : DEBUG_CALL_FREE);
    return bench.fault;
}

static void every_byte_of_the_trailing_pad_is_watched(void **state) {
    (void)state;
    for (int64_t i = 0; i < 8; i++)
        for (int flags = 0; flags < 4; flags++) {
            struct debug_fault fault = fault_provoke(flags & 1, 24, 24 + i, 0x78, flags & 2);
            assert_int_equal(fault.kind, DEBUG_FAULT_OVERRUN);
            assert_int_equal(fault.offset, 24 + i);
            assert_int_equal(fault.found, 0x78);
            assert_int_equal(fault.expected, 0xfd);
            assert_int_equal(fault.size_bytes, 24);
            assert_true(fault.has_tail);
            assert_int_equal(fault.has_serial, flags & 1);
            if (flags & 1)
                assert_int_equal(fault.serial, 2);
        }
}

static void every_byte_of_the_leading_pad_is_watched(void **state) {
    (void)state;
    for (int64_t i = -7; i < 0; i++) {
        struct debug_fault fault = fault_provoke(false, 24, i, 0, i % 2);
        assert_int_equal(fault.kind, DEBUG_FAULT_UNDERRUN);
        assert_int_equal(fault.offset, i);
        assert_int_equal(fault.found, 0);
        assert_int_equal(fault.expected, 0xfd);
        assert_false(fault.has_tail);
    }
}

static void marks_tell_wrong_domain_from_freed_and_foreign(void **state) {
    (void)state;
    struct debug_fault fault = fault_provoke(false, 24, -8, 'm', false);
    assert_int_equal(fault.kind, DEBUG_FAULT_WRONG_DOMAIN);
    assert_int_equal(fault.found_letter, 'm');
    assert_int_equal(fault_provoke(false, 24, -8, 'r', true).kind, DEBUG_FAULT_WRONG_DOMAIN);
    assert_int_equal(fault_provoke(false, 24, -8, 0xdd, false).kind, DEBUG_FAULT_FREED);
    assert_int_equal(fault_provoke(false, 24, -8, 'O', false).kind, DEBUG_FAULT_FOREIGN);
    assert_int_equal(fault_provoke(false, 24, -8, 0xdb, true).kind, DEBUG_FAULT_FOREIGN);
}

static void impossible_recorded_size_is_told_and_not_followed(void **state) {
    (void)state;
    struct debug_fault fault = fault_provoke(true, 24, -16, 0x80, false);
    assert_int_equal(fault.kind, DEBUG_FAULT_SIZE);
    assert_int_equal(fault.size_bytes, (UINT64_C(0x80) << 56) + 24);
    assert_false(fault.has_tail);
}

static void second_free_of_a_pool_block_is_told_as_such(void **state) {
    (void)state;
    struct bench bench = {.unlocked = false};
    struct debug_settings debug = debug_settings_default();
    debug.report = fault_keep;
    debug.report_ctx = &bench;
    struct memory_settings settings = {
        .choice = {.pool = true, .debug = true}, .pool = pool_profile_find("3.11"), .debug = &debug};
    struct memory *memory;
    assert_int_equal(memory_create(&settings, &memory, NULL), ERR_OK);
    void *keep = memory_malloc(memory, DOMAIN_ID_OBJ, 40), *block = memory_malloc(memory, DOMAIN_ID_OBJ, 40);
    memory_free(memory, DOMAIN_ID_MEM, block);
    assert_int_equal(bench.fault.kind, DEBUG_FAULT_WRONG_DOMAIN);
    memory_free(memory, DOMAIN_ID_OBJ, block);
    assert_int_equal(bench.told_count, 1);
    memory_free(memory, DOMAIN_ID_OBJ, block);
    assert_int_equal(bench.fault.kind, DEBUG_FAULT_FREED);
    assert_null(memory_realloc(memory, DOMAIN_ID_OBJ, block, 50));
    assert_int_equal(bench.fault.call, DEBUG_CALL_REALLOC);
    assert_int_equal(memory_fault_count(memory), 3);
    assert_int_equal(memory_blocks_count(memory), 1);
    memory_free(memory, DOMAIN_ID_OBJ, keep);
    memory_destroy(memory);
}

static void lock_is_asked_for_in_mem_and_obj_alone(void **state) {
    (void)state;
    for (int domain = 0; domain < DOMAIN_ID_COUNT; domain++) {
        struct bench bench;
        bench_open(&bench, (enum domain_id)domain, false);
        bench.hooks.settings.lock_held = lock_ask;
        bench.hooks.settings.lock_ctx = &bench;
        void *block = bench_malloc(&bench, 10);
        bench.unlocked = true;
        void *other = bench_malloc(&bench, 10);
        void *zeroed = bench.calls.calloc(bench.calls.ctx, 1, 10);
        void *moved = bench_realloc(&bench, block, 20);
        bool checked = domain != DOMAIN_ID_RAW;
        assert_int_equal(!other, checked);
        assert_int_equal(!zeroed, checked);
        assert_int_equal(!moved, checked);
        bench_free(&bench, moved ? moved : block);
        assert_int_equal(bench.told_count, checked ? 4 : 0);
        if (checked)
            assert_int_equal(bench.fault.kind, DEBUG_FAULT_UNLOCKED);
    }
}

static void hooks_are_installed_once_however_often_asked(void **state) {
    (void)state;
    struct memory_settings settings = {.choice = {.pool = true}, .pool = pool_profile_find("3.11")};
    struct memory *memory;
    struct domain_allocator hooked, again, plain;
    struct diag diag;
    assert_int_equal(memory_create(&settings, &memory, NULL), ERR_OK);
    memory_allocator_get(memory, DOMAIN_ID_OBJ, &plain);
    assert_int_equal(memory_debug_install(memory, NULL), ERR_OK);
    memory_allocator_get(memory, DOMAIN_ID_OBJ, &hooked);
    assert_int_equal(memory_debug_install(memory, NULL), ERR_OK);
    memory_allocator_get(memory, DOMAIN_ID_OBJ, &again);
    assert_memory_equal(&hooked, &again, sizeof hooked);
    enum err err = ERR_OK;
    for (int i = 0; i < MEMORY_LAYERS_MAX - DOMAIN_ID_COUNT; i++) {
        memory_allocator_set(memory, DOMAIN_ID_OBJ, &plain);
        assert_int_equal(memory_debug_install(memory, &diag), ERR_OK);
    }
    memory_allocator_set(memory, DOMAIN_ID_OBJ, &plain);
    err = memory_debug_install(memory, &diag);
    assert_int_equal(err, ERR_LIMIT);
    memory_destroy(memory);
}

static void reports_say_what_where_and_how_it_looks(void **state) {
    (void)state;
    char text[DEBUG_FAULT_TEXT_BYTES], address[32];
    struct debug_fault fault = fault_provoke(true, 24, 26, 0x78, false);
    snprintf(address, sizeof address, "%p", fault.block);
    debug_fault_report(&fault, text);
    assert_non_null(strstr(text, address));
    assert_non_null(strstr(text, "overrun in free of domain 'o'"));
    assert_non_null(strstr(text, "the byte 2 behind its 24 bytes is 0x78 instead of 0xfd\n"));
    assert_non_null(strstr(text, "  mark: 'o'\n  leading pad: 7 bytes of 0xfd, as it should be\n"));
    assert_non_null(strstr(text, "  size: 24 bytes requested\n  trailing pad: not all of its 8 bytes are 0xfd\n"));
    assert_non_null(strstr(text, "    at +25: 0xfd\n    at +26: 0x78  <-- overwritten\n    at +27: 0xfd\n"));
    assert_non_null(
        strstr(text, "  serial: made by call 2\n  data: cd cd cd cd cd cd cd cd ... cd cd cd cd cd cd cd cd\n"));
    fault = fault_provoke(false, 3, -2, 0, true);
    debug_fault_report(&fault, text);
    assert_non_null(strstr(text, "underrun in realloc"));
    assert_non_null(strstr(text, "the byte 2 before its data is 0x00"));
    assert_non_null(strstr(text, "    at -2: 0x00  <-- overwritten\n"));
    assert_null(strstr(text, "trailing"));
    for (int kind = 0; kind < DEBUG_FAULT_KIND_COUNT; kind++) {
        fault.kind = (enum debug_fault_kind)kind;
        assert_non_null(strstr(debug_fault_line(&fault, text), debug_fault_kind_name(fault.kind)));
        assert_null(strchr(text, '\n'));
        debug_fault_report(&fault, text);
    }
}

/* ---- random use ---- */

enum { SLOTS = 4000, OPERATIONS = 150000, CHECK_EVERY = 5000 };

struct shadow {
    uint8_t *block;
    size_t bytes;
    enum domain_id domain;
    uint8_t pattern;
};

static struct shadow shadows[SLOTS];

static void pattern_assert(const struct shadow *shadow, size_t bytes) {
    run_assert(shadow->block, bytes, shadow->pattern);
}

static void shadow_step(struct memory *memory, struct random_source *random) {
    struct shadow *shadow = &shadows[random_below(random, SLOTS)];
    size_t bytes = random_below(random, random_below(random, 10) ? 512 : 3000), old_bytes = shadow->bytes;
    bool zeroed = random_below(random, 3) == 0;
    if (!shadow->block) {
        shadow->domain = (enum domain_id)random_below(random, DOMAIN_ID_COUNT);
        shadow->block =
            zeroed ? memory_calloc(memory, shadow->domain, 1, bytes) : memory_malloc(memory, shadow->domain, bytes);
        assert_non_null(shadow->block);
        run_assert(shadow->block, bytes, zeroed ? 0 : 0xcd);
    } else if (random_below(random, 2)) {
        shadow->block = memory_realloc(memory, shadow->domain, shadow->block, bytes);
        assert_non_null(shadow->block);
        pattern_assert(shadow, bytes < old_bytes ? bytes : old_bytes);
        if (bytes > old_bytes)
            run_assert(shadow->block + old_bytes, bytes - old_bytes, 0xcd);
    } else {
        pattern_assert(shadow, old_bytes);
        memory_free(memory, shadow->domain, shadow->block);
        *shadow = (struct shadow){.block = NULL};
        return;
    }
    shadow->bytes = bytes;
    shadow->pattern = (uint8_t)random_next(random);
    memset(shadow->block, shadow->pattern, bytes);
    assert_int_equal((uintptr_t)shadow->block % 16, 0);
}

static void shadow_run(uint64_t seed, bool serial_numbers, bool refuses) {
    struct bench bench = {.unlocked = false};
    struct counted_source source = {.pool_bytes = 16384, .residue_bytes = 4096, .refuse_from = refuses ? 2 : 0};
    struct pool_arena_source arenas = counted_source_get(&source);
    struct debug_settings debug = debug_settings_default();
    struct random_source random = random_seeded(seed);
    debug.serial_numbers = serial_numbers;
    debug.report = fault_keep;
    debug.report_ctx = &bench;
    struct memory_settings settings = {
        .choice = {.pool = true, .debug = true}, .pool = pool_profile_find("3.11"), .arenas = &arenas, .debug = &debug};
    struct memory *memory;
    assert_int_equal(memory_create(&settings, &memory, NULL), ERR_OK);
    for (size_t i = 0; i < OPERATIONS; i++) {
        shadow_step(memory, &random);
        if (i % CHECK_EVERY == 0)
            pool_check_assert(memory_pool(memory));
    }
    uint64_t live = 0;
    for (size_t i = 0; i < SLOTS; i++)
        live += shadows[i].block && shadows[i].domain != DOMAIN_ID_RAW;
    assert_int_equal(memory_blocks_count(memory), live);
    for (size_t i = 0; i < SLOTS; i++) {
        if (shadows[i].block)
            pattern_assert(&shadows[i], shadows[i].bytes);
        memory_free(memory, shadows[i].domain, shadows[i].block);
        shadows[i] = (struct shadow){.block = NULL};
    }
    assert_int_equal(memory_blocks_count(memory), 0);
    assert_int_equal(memory_fault_count(memory), 0);
    memory_destroy(memory);
}

static void random_use_under_hooks_loses_nothing_and_tells_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        print_message("seed %d\n", (int)seed);
        shadow_run(seed, seed % 2, seed > 2);
    }
}

/* Writes beside a random block now and then: exactly those calls are told, with the place. */
static void random_damage_is_found_where_it_was_done(void **state) {
    (void)state;
    struct random_source random = random_seeded(7);
    for (int i = 0; i < 4000; i++) {
        size_t bytes = random_below(&random, 200);
        int64_t offset = random_below(&random, 2) ? (int64_t)bytes + random_below(&random, 8)
                                                  : -8 + (int64_t)random_below(&random, 8);
        uint8_t value = (uint8_t)random_next(&random);
        if (value == (offset == -8 ? 'o' : 0xfd))
            continue;
        struct debug_fault fault = fault_provoke(i % 2, bytes, offset, value, i % 3 == 0);
        assert_int_equal(fault.offset, offset);
        assert_int_equal(fault.found, value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_decorated_as_laid_down),
        cmocka_unit_test(old_releases_byte_values_can_be_had),
        cmocka_unit_test(freed_blocks_are_dead_from_end_to_end),
        cmocka_unit_test(realloc_hides_the_old_place_and_brings_the_data),
        cmocka_unit_test(impossible_sizes_are_refused_and_nothing_is_touched),
        cmocka_unit_test(every_byte_of_the_trailing_pad_is_watched),
        cmocka_unit_test(every_byte_of_the_leading_pad_is_watched),
        cmocka_unit_test(marks_tell_wrong_domain_from_freed_and_foreign),
        cmocka_unit_test(impossible_recorded_size_is_told_and_not_followed),
        cmocka_unit_test(second_free_of_a_pool_block_is_told_as_such),
        cmocka_unit_test(lock_is_asked_for_in_mem_and_obj_alone),
        cmocka_unit_test(hooks_are_installed_once_however_often_asked),
        cmocka_unit_test(reports_say_what_where_and_how_it_looks),
        cmocka_unit_test(random_use_under_hooks_loses_nothing_and_tells_nothing),
        cmocka_unit_test(random_damage_is_found_where_it_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
