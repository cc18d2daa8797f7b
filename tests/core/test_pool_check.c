#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/pool_internal.h"
#include "tests/core/counted_source.h"

/*
 * A pool in a rich state (several arenas, full, partly used, empty and reused pools, returned arenas) is broken in one
 * place; pool_check must say so, in words that name the part. The place is mended again before the pool is destroyed.
 */
enum { BLOCKS = 9000 };

static struct counted_source source;
static struct pool *pool;
static void *blocks[BLOCKS];

static int rich_pool_begin(void **state) {
    (void)state;
    source = (struct counted_source){.residue_bytes = 4096};
    pool = counted_pool_create(pool_profile_find("3.11"), &source);
    for (uint32_t i = 0; i < BLOCKS; i++)
        blocks[i] = pool_malloc(pool, 512);
    for (uint32_t i = 0; i < 2500; i++) /* the first arena, and some of the second */
        pool_free(pool, blocks[i]);
    for (uint32_t i = 4000; i < 7000; i += 2)
        pool_free(pool, blocks[i]);
    for (uint32_t i = 8200; i < 8300; i++)
        pool_free(pool, blocks[i]);
    for (uint32_t i = 0; i < 100; i++)
        blocks[i] = pool_malloc(pool, 1 + i);
    pool_check_assert(pool);
    return 0;
}

static int rich_pool_end(void **state) {
    (void)state;
    pool_check_assert(pool);
    pool_destroy(pool);
    return 0;
}

/* pool_check must fail, with `word` in what it says. */
static void broken_assert(const char *word) {
    struct diag diag = {.err = ERR_OK};
    assert_int_equal(pool_check(pool, &diag), ERR_INVALID);
    if (!strstr(diag.text, word))
        fail_msg("said \"%s\", not \"%s\"", diag.text, word);
    assert_int_equal(pool_check(pool, NULL), ERR_INVALID);
}

/* Writes `value` to an lvalue, expects the check to fail with `word`, and mends it. */
#define BREAK(lvalue, value, word)                                                                                     \
    do {                                                                                                               \
        __typeof__(lvalue) kept = (lvalue);                                                                            \
        (lvalue) = (value);                                                                                            \
        broken_assert(word);                                                                                           \
        (lvalue) = kept;                                                                                               \
        pool_check_assert(pool);                                                                                       \
    } while (0)

static struct arena *live_arena(void) {
    for (uint32_t i = 0; i < pool->arena_slot_count; i++)
        if (pool->arenas[i].address)
            return &pool->arenas[i];
    fail();
    return NULL;
}

static struct pool_header *header_of(const void *block) {
    return (struct pool_header *)((uintptr_t)block & ~pool->shape.pool_mask);
}

static struct pool_header *partly_used(void) {
    return pool_of_link(pool->used[31].next);
}

static struct pool_header *full_pool(void) {
    return header_of(blocks[3500]);
}

static struct pool_header *empty_pool(void) {
    for (struct arena *arena = pool->usable_arenas; arena; arena = arena->next)
        if (arena->free_pools)
            return pool_of_link(arena->free_pools);
    fail();
    return NULL;
}

static void counters_are_checked(void **state) {
    (void)state;
    BREAK(pool->arenas_count, pool->arenas_count + 1, "counters");
    BREAK(pool->arenas_peak_count, pool->arenas_count - 1, "counters");
    BREAK(pool->arenas_mapped_count, 0, "counters");
}

static void arena_numbers_are_checked(void **state) {
    (void)state;
    struct arena *arena = live_arena();
    BREAK(arena->total_pool_count, 64, "its address allows 63");
    BREAK(arena->free_pool_count, 64, "64 free pools of 63");
    BREAK(arena->carve_address, arena->carve_address + 16, "carve address");
    BREAK(arena->carve_address, arena->address + (4 << 20), "carve address");
    BREAK(pool->arenas[2], pool->arenas[1], "overlap");
}

static void unused_arenas_are_checked(void **state) {
    (void)state;
    struct arena *unused = pool->unused_arenas;
    BREAK(pool->unused_arenas, unused->next, "unused arenas");
    BREAK(pool->unused_arenas, live_arena(), "holds an arena");
    BREAK(unused->next->next, unused, "comes back");
    BREAK(unused->next, (struct arena *)(void *)blocks, "no slot");
}

static void usable_arenas_are_checked(void **state) {
    (void)state;
    struct arena *first = pool->usable_arenas, *second = first->next;
    assert_non_null(second);
    BREAK(pool->usable_arenas, second, "does not point back");
    BREAK(second->prev, NULL, "does not point back");
    BREAK(second->next, first, "comes back");
    BREAK(first->next, NULL, "on the list");
    BREAK(first->next, (struct arena *)((char *)second + 8), "no slot");
    BREAK(first->next, pool->unused_arenas, "holds no arena");
}

static void the_order_of_usable_arenas_is_checked(void **state) {
    (void)state;
    struct arena *first = pool->usable_arenas, *second = first->next;
    uint32_t a = first->free_pool_count, b = second->free_pool_count;
    assert_true(a < b);
    first->free_pool_count = b;
    second->free_pool_count = a;
    struct arena *finger = pool->last_with[b];
    pool->last_with[b] = first;
    broken_assert("not sorted");
    pool->last_with[b] = finger;
    first->free_pool_count = a;
    second->free_pool_count = b;
}

static void fingers_are_checked(void **state) {
    (void)state;
    struct arena *first = pool->usable_arenas;
    BREAK(pool->last_with[first->free_pool_count], NULL, "finger");
    BREAK(pool->last_with[first->free_pool_count], first->next, "finger");
    BREAK(pool->last_with[0], first, "finger");
    BREAK(pool->last_with[60], first, "finger");
}

static void the_radix_tree_is_checked(void **state) {
    (void)state;
    uintptr_t address = live_arena()->address;
    uint64_t *leaf = radix_leaf_find(&pool->radix, address);
    BREAK(*leaf, *leaf & (*leaf - 1), "pools are marked, the arenas hold");
    BREAK(*leaf, 0, "pools are marked, the arenas hold");
    uint64_t lost_bit = radix_pool_bit(&pool->radix, address); /* the arena begins inside this pool-sized piece */
    BREAK(*leaf, *leaf | lost_bit, "no pool of an arena");
    uint64_t *foreign = radix_leaf_find(&pool->radix, address ^ (1u << 30));
    assert_non_null(foreign);
    BREAK(*foreign, 4, "no pool of an arena");
    BREAK(pool->radix.fast_key, 7, "fast key");
    BREAK(pool->radix.bottom_count, 9, "radix");
    BREAK(pool->radix.mid_count, 9, "radix");
    BREAK(pool->radix.hot, pool->radix.hot + 1, "hot node");
}

static void pool_headers_are_checked(void **state) {
    (void)state;
    struct pool_header *headers[] = {partly_used(), full_pool(), empty_pool()};
    for (int i = 0; i < 3; i++) {
        BREAK(headers[i]->arena_index, headers[i]->arena_index + 1, "states arena");
        BREAK(headers[i]->class_index, 32, "size class 32 of 32");
        BREAK(headers[i]->class_index, 0, "last offset");
        BREAK(headers[i]->last_offset, headers[i]->last_offset + 16, "last offset");
        BREAK(headers[i]->next_offset, headers[i]->next_offset + 16, "block boundary");
        BREAK(headers[i]->next_offset, 0, "block boundary");
        BREAK(headers[i]->next_offset, 1u << 30, "block boundary");
        BREAK(headers[i]->count, headers[i]->count + 1, "carved");
    }
    BREAK(partly_used()->count, partly_used()->count - 1, "carved");
}

static void free_lists_are_checked(void **state) {
    (void)state;
    struct pool_header *header = partly_used();
    void **first = header->free, **second = *first;
    assert_non_null(second);
    BREAK(*second, (void *)first, "comes back");
    BREAK(*first, NULL, "carved");
    BREAK(header->free, NULL, "carved");
    BREAK(*first, (void *)((char *)second + 16), "no block boundary");
    BREAK(*first, (void *)((char *)header + header->next_offset), "outside the carved blocks");
    BREAK(*first, (void *)(uintptr_t)0x10, "outside the carved blocks");
    BREAK(*first, (void *)header, "outside the carved blocks");
    BREAK(full_pool()->free, blocks[3500], "carved");
}

/* A pool whose free list ran dry although there is room to carve. */
static void a_dry_pool_that_is_not_full_is_found(void **state) {
    (void)state;
    struct pool_header *header = header_of(blocks[0]);
    void *kept = header->free;
    uint32_t next_offset = header->next_offset;
    assert_true(header->count == 16 && kept);
    header->free = NULL;
    header->next_offset = (uint32_t)((char *)kept - (char *)header); /* the blocks out lie below it */
    broken_assert("no free block");
    header->free = kept;
    header->next_offset = next_offset;
}

static void lists_of_empty_pools_are_checked(void **state) {
    (void)state;
    struct pool_header *header = empty_pool();
    struct arena *arena = &pool->arenas[header->arena_index];
    BREAK(arena->free_pools, NULL, "empty pools");
    BREAK(header->link.next, &header->link, "a cycle?");
    BREAK(header->link.next, &full_pool()->link, "empty pools");
    BREAK(arena->free_pools, (struct pool_link *)(void *)&source, "no pool of it");
    BREAK(arena->free_pools, (struct pool_link *)((char *)&header->link + 16), "no pool of it");
}

static void used_lists_are_checked(void **state) {
    (void)state;
    struct pool_link *head = &pool->used[31], *first = head->next, *second = first->next;
    assert_true(second != head);
    BREAK(head->next, second, "does not point back");
    BREAK(second->prev, head, "does not point back");
    BREAK(first->next, head, "used pools");
    BREAK(head->prev, first, "used pools");
    BREAK(first->next, (struct pool_link *)(void *)&source, "is no pool");
    /* a full pool linked in */
    struct pool_header *full = full_pool();
    struct pool_link kept = full->link;
    full->link = (struct pool_link){first, head};
    head->next = first->prev = &full->link;
    broken_assert("full");
    head->next = first;
    first->prev = head;
    full->link = kept;
    /* a pool on the list of another class */
    pool->used[20].next = first;
    first->prev = &pool->used[20];
    broken_assert("used pools of class 20: entry 0 is of class 31");
    pool->used[20].next = &pool->used[20];
    first->prev = head;
    /* a cycle beside the head */
    struct pool_link second_kept = *second, first_kept = *first;
    second->next = first;
    first->prev = second;
    broken_assert("used pools of class 31");
    *second = second_kept;
    *first = first_kept;
}

/* ---- other settings ---- */

/* Of many arenas the first has lost more pools than the second. */
static int order_pool_begin(const char *settings) {
    struct pool_config config;
    assert_int_equal(pool_config_parse(settings, &config, NULL), ERR_OK);
    source = (struct counted_source){.residue_bytes = 1024};
    pool = counted_pool_create(&config, &source);
    for (uint32_t i = 0; i < BLOCKS; i++)
        blocks[i] = pool_malloc(pool, 512);
    for (uint32_t i = 0; i < 700; i += i == 299 ? 301 : 1) {
        pool_free(pool, blocks[i]);
        blocks[i] = NULL;
    }
    pool_check_assert(pool);
    return 0;
}

static int plain_pool_begin(void **state) {
    (void)state;
    return order_pool_begin("3.9");
}

static int emptiest_pool_begin(void **state) {
    (void)state;
    return order_pool_begin("3.9,order=emptiest");
}

static int address_pool_begin(void **state) {
    (void)state;
    return order_pool_begin("3.9,order=address");
}

static int side_pool_begin(void **state) {
    (void)state;
    return order_pool_begin("3.9,headers=side");
}

static void kept_arenas_are_counted(void **state) {
    (void)state;
    for (uint32_t i = 0; i < BLOCKS; i++)
        pool_free(pool, blocks[i]);
    pool_check_assert(pool);
    assert_int_equal(pool->usable_arenas->free_pool_count, 63);
    BREAK(pool->keep_count, 0, "should have been given back");
}

static void other_orders_are_checked(void **state) {
    (void)state;
    struct arena *first = pool->usable_arenas, *second = first->next, *third = second->next;
    assert_non_null(third);
    pool->usable_arenas = first->prev = second;
    second->prev = NULL;
    second->next = first;
    first->next = third;
    third->prev = first;
    broken_assert("not sorted");
    pool->usable_arenas = second->prev = first;
    first->prev = NULL;
    first->next = second;
    second->next = third;
    third->prev = second;
    BREAK(pool->last_with[3], first, "fingers");
}

static void tables_of_headers_are_checked(void **state) {
    (void)state;
    struct pool_side *side = (struct pool_side *)pool_header_at(pool, (uintptr_t)blocks[1000]);
    BREAK(side->base, side->base + 4096, "header is another pool's");
    BREAK(side->base, NULL, "header is another pool's");
    struct radix *radix = &pool->radix;
    BREAK(radix->side_count, radix->side_count + 1, "tables of headers");
    uint64_t *bottom = *radix_mid_entry(radix, (uintptr_t)blocks[1000]);
    struct pool_side **entry = radix_side_entry(radix, radix_leaf_find(radix, (uintptr_t)blocks[1000]), bottom);
    BREAK(*entry, NULL, "no table of headers");
    struct pool_link *head = &pool->used[31], *first = head->next;
    BREAK(head->next, (struct pool_link *)((char *)first + 8), "is no pool");
    BREAK(head->next, (struct pool_link *)(void *)&source, "is no pool");
}

int main(void) {
#define CORRUPTION_OF(begin, test) cmocka_unit_test_setup_teardown(test, begin, rich_pool_end)
#define CORRUPTION(test)           cmocka_unit_test_setup_teardown(test, rich_pool_begin, rich_pool_end)
    const struct CMUnitTest tests[] = {
        CORRUPTION(counters_are_checked),
        CORRUPTION(arena_numbers_are_checked),
        CORRUPTION(unused_arenas_are_checked),
        CORRUPTION(usable_arenas_are_checked),
        CORRUPTION(the_order_of_usable_arenas_is_checked),
        CORRUPTION(fingers_are_checked),
        CORRUPTION(the_radix_tree_is_checked),
        CORRUPTION(pool_headers_are_checked),
        CORRUPTION(free_lists_are_checked),
        CORRUPTION(a_dry_pool_that_is_not_full_is_found),
        CORRUPTION(lists_of_empty_pools_are_checked),
        CORRUPTION(used_lists_are_checked),
        CORRUPTION_OF(plain_pool_begin, kept_arenas_are_counted),
        CORRUPTION_OF(emptiest_pool_begin, other_orders_are_checked),
        CORRUPTION_OF(address_pool_begin, other_orders_are_checked),
        CORRUPTION_OF(side_pool_begin, tables_of_headers_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
