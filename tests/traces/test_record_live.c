/* Traces that begin in the middle of a process: what is alive then is made at their head, and everything finds its
 * block. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/traces/heard.h"

static uint64_t in_domain(uint64_t kind, uint64_t domain) {
    return kind | domain << (RECORD_DOMAIN_SHIFT - RECORD_KIND_SHIFT);
}

static void assert_event(const struct heard *heard, size_t at, unsigned kind, unsigned domain, uint64_t bytes,
                         uint64_t block) {
    assert_true(at < heard->all.count);
    const struct event *event = &heard->all.events[at];
    assert_int_equal(event->kind, kind);
    assert_int_equal(event->domain, domain);
    assert_int_equal(event->size_bytes, bytes);
    assert_int_equal(event->block, block);
}

/* A parent with two threads: blocks 1000 (calloc), 2000 (freed again), 3000 (aligned, of the other thread), and 4000,
 * which was born first and became 4400 by realloc last. */
static void parent_live(struct namer *parent) {
    heard_put(parent, RECORD_IMAGE, 0, 0, 1);
    heard_put(parent, in_domain(RECORD_MALLOC, DOMAIN_OBJ), 0x4000, 40, 1);
    heard_put(parent, in_domain(RECORD_CALLOC, DOMAIN_RAW), 0x1000, 10, 1);
    heard_put(parent, RECORD_MALLOC, 0x2000, 20, 2);
    heard_put(parent, RECORD_ALIGNED | (uint64_t)6 << (RECORD_ALIGN_SHIFT - RECORD_KIND_SHIFT), 0x3000, 30, 2);
    heard_put(parent, RECORD_FREE, 0x2000, 0, 1);
    heard_put(parent, RECORD_REALLOC_BEGIN, 0x4000, 0, 2);
    heard_put(parent, in_domain(RECORD_REALLOC_END, DOMAIN_OBJ), 0x4400, 44, 2);
}

static void a_child_begins_with_what_its_parent_had_in_order_of_birth(void **state) {
    (void)state;
    struct heard heard = {0}, child_heard = {0};
    struct namer *parent = heard_namer(&heard, true), *child = heard_namer(&child_heard, false);
    struct live_set live;
    parent_live(parent);
    assert_int_equal(namer_live_take(parent, &live), ERR_OK);
    assert_int_equal(live.count, 3);
    assert_int_equal(live.bytes, 10 + 30 + 44);
    namer_inherit(child, &live);
    assert_null(live.blocks);
    heard_put(child, RECORD_IMAGE, 0, 0, 1);
    heard_put(child, RECORD_FREE, 0x3000, 0, 1);
    heard_put(child, RECORD_REALLOC_BEGIN, 0x4400, 0, 1);
    heard_put(child, RECORD_REALLOC_END, 0x4400, 50, 1);
    heard_put(child, RECORD_FREE, 0x1000, 0, 2);
    assert_int_equal(namer_flush(child, NULL), ERR_OK);
    assert_int_equal(child_heard.all.count, 8);
    assert_event(&child_heard, 0, EVENT_THREAD_START, 0, 0, 0);
    assert_event(&child_heard, 1, EVENT_CALLOC, DOMAIN_RAW, 10, 0);
    assert_event(&child_heard, 2, EVENT_ALIGNED_ALLOC, DOMAIN_C, 30, 0);
    assert_int_equal(child_heard.all.events[2].align_log2, 6);
    assert_event(&child_heard, 3, EVENT_MALLOC, DOMAIN_OBJ, 44, 0);
    assert_event(&child_heard, 4, EVENT_FREE, 0, 0, event_block_name(0, 2));
    assert_event(&child_heard, 5, EVENT_REALLOC, 0, 50, event_block_name(0, 3));
    assert_event(&child_heard, 7, EVENT_FREE, 0, 0, event_block_name(0, 1));
    assert_int_equal(namer_counts(child).unknown_free_count, 0);
    assert_int_equal(namer_counts(child).inherited_block_count, 3);
    assert_int_equal(namer_counts(child).inherited_bytes, 84);
    namer_destroy(parent);
    namer_destroy(child);
    heard_clear(&heard);
    heard_clear(&child_heard);
}

static void events_that_make_no_sense_are_refused_with_the_reason(void **state) {
    (void)state;
    struct heard heard = {0};
    struct diag diag = {0};
    struct merged_record record = {.what = (uint64_t)RECORD_MALLOC << RECORD_KIND_SHIFT | 0x1000, .serial = 1};
    struct namer *namer = heard_namer(&heard, true);
    assert_int_equal(namer_put(namer, &record, &diag), ERR_CHILD);
    assert_string_equal(diag.text, "the recorder's shared memory makes no sense: an event comes before the start of "
                                   "its program");
    heard_put(namer, RECORD_IMAGE, 0, 0, 1);
    record.serial = 1u << EVENT_THREAD_BITS;
    assert_int_equal(namer_put(namer, &record, &diag), ERR_LIMIT);
    assert_non_null(strstr(diag.text, "threads"));
    namer_destroy(namer);
    heard_clear(&heard);
}

static void an_exec_before_the_first_event_inherits_nothing(void **state) {
    (void)state;
    struct heard heard = {0}, child_heard = {0};
    struct namer *parent = heard_namer(&heard, true), *child = heard_namer(&child_heard, true);
    struct live_set live, again;
    parent_live(parent);
    assert_int_equal(namer_live_take(parent, &live), ERR_OK);
    namer_inherit(child, &live);
    heard_put(child, RECORD_IMAGE, 0, 0, 1);
    assert_int_equal(namer_live_take(child, &again), ERR_OK); /* its own child would have the same */
    assert_int_equal(again.count, 3);
    live_set_clear(&again);
    heard_put(child, RECORD_IMAGE, 0, 0, 1);
    heard_put(child, RECORD_MALLOC, 0x1000, 1, 1);
    assert_int_equal(namer_flush(child, NULL), ERR_OK);
    assert_int_equal(child_heard.all.count, 2);
    assert_int_equal(namer_counts(child).inherited_block_count, 0);
    namer_destroy(parent);
    namer_destroy(child);
    heard_clear(&heard);
    heard_clear(&child_heard);
}

static void a_restart_keeps_a_realloc_that_is_under_way(void **state) {
    (void)state;
    struct heard heard = {0};
    struct namer *namer = heard_namer(&heard, true);
    parent_live(namer);
    heard_put(namer, RECORD_REALLOC_BEGIN, 0x3000, 0, 2);
    heard_put(namer, RECORD_REALLOC_BEGIN, 0x1000, 0, 1);
    assert_int_equal(namer_restart(namer, NULL), ERR_OK);
    assert_int_equal(heard.begun_count, 2);
    heard_put(namer, RECORD_REALLOC_END, 0x1000, 33, 2); /* where the other has just gone from */
    heard_put(namer, RECORD_REALLOC_FAILED, 0x5000, 0, 1);
    heard_put(namer, RECORD_FREE, 0x5000, 0, 1);
    assert_int_equal(namer_flush(namer, NULL), ERR_OK);
    assert_int_equal(heard.all.count, 7);
    assert_int_equal(heard.all.events[0].thread, 0);
    assert_event(&heard, 1, EVENT_CALLOC, DOMAIN_RAW, 10, 0);
    assert_event(&heard, 4, EVENT_REALLOC, 0, 33, event_block_name(0, 2));
    assert_int_equal(heard.all.events[4].thread, 0);
    assert_event(&heard, 6, EVENT_FREE, 0, 0, event_block_name(0, 1));
    assert_int_equal(heard.all.events[6].thread, 1);
    assert_int_equal(namer_counts(namer).unknown_free_count, 0);
    assert_int_equal(namer_counts(namer).inherited_block_count, 3);
    namer_destroy(namer);
    heard_clear(&heard);
}

/* Plays the same random records to both; addresses are 16 × a number below `room`. */
struct player {
    struct namer *namers[2];
    uint8_t *is_live;
    uint32_t room;
    uint64_t seed;
};

static void both_put(struct player *player, uint64_t kind, uint64_t pointer, uint64_t bytes, uint32_t serial) {
    heard_put(player->namers[0], kind, pointer, bytes, serial);
    heard_put(player->namers[1], kind, pointer, bytes, serial);
}

static void player_step(struct player *player) {
    uint32_t at = 1 + (uint32_t)(random_next(&player->seed) % (player->room - 1));
    uint32_t other = 1 + (uint32_t)(random_next(&player->seed) % (player->room - 1));
    uint64_t serial = 1 + random_next(&player->seed) % 5, bytes = random_next(&player->seed) % 3000;
    uint64_t domain = random_next(&player->seed) % DOMAIN_COUNT;
    if (!player->is_live[at]) {
        both_put(player, in_domain(RECORD_MALLOC, domain), (uint64_t)at << 4, bytes, serial);
        player->is_live[at] = 1;
    } else if (!player->is_live[other]) {
        both_put(player, RECORD_REALLOC_BEGIN, (uint64_t)at << 4, 0, serial);
        both_put(player, RECORD_REALLOC_END, (uint64_t)other << 4, bytes, serial);
        player->is_live[at] = 0;
        player->is_live[other] = 1;
    } else {
        both_put(player, RECORD_FREE, (uint64_t)at << 4, 0, serial);
        player->is_live[at] = 0;
    }
}

static void assert_sets_equal(struct namer *left, struct namer *right) {
    struct live_set a, b;
    assert_int_equal(namer_live_take(left, &a), ERR_OK);
    assert_int_equal(namer_live_take(right, &b), ERR_OK);
    assert_int_equal(a.count, b.count);
    assert_int_equal(a.bytes, b.bytes);
    for (uint64_t i = 0; i < a.count; i++) {
        assert_int_equal(a.blocks[i].pointer, b.blocks[i].pointer);
        assert_int_equal(a.blocks[i].shape, b.blocks[i].shape);
    }
    live_set_clear(&a);
    live_set_clear(&b);
}

static void a_trace_begun_late_has_the_same_blocks_as_one_begun_early(void **state) {
    (void)state;
    struct heard heard[2] = {{.tracker = NULL}};
    struct player player = {.room = 40000, .seed = support_seed(20241120)};
    player.is_live = calloc(player.room, 1);
    for (int i = 0; i < 2; i++) {
        player.namers[i] = heard_namer(&heard[i], true);
        heard_put(player.namers[i], RECORD_IMAGE, 0, 0, 1);
    }
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 50000; i++)
            player_step(&player);
        assert_int_equal(namer_restart(player.namers[1], NULL), ERR_OK);
        player_step(&player);
        assert_sets_equal(player.namers[0], player.namers[1]);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(namer_flush(player.namers[i], NULL), ERR_OK);
    assert_int_equal(tracker_summary(heard[0].tracker)->live_end_bytes,
                     tracker_summary(heard[1].tracker)->live_end_bytes);
    assert_int_equal(tracker_summary(heard[0].tracker)->live_end_blocks,
                     tracker_summary(heard[1].tracker)->live_end_blocks);
    assert_int_equal(namer_counts(player.namers[1]).unknown_free_count, 0);
    assert_int_equal(namer_counts(player.namers[1]).missed_free_count, 0);
    for (int i = 0; i < 2; i++) {
        namer_destroy(player.namers[i]);
        heard_clear(&heard[i]);
    }
    free(player.is_live);
}

static void births_of_any_size_are_put_into_order(void **state) {
    (void)state;
    uint64_t seed = support_seed(20241120);
    for (uint64_t step = 1; step < (uint64_t)1 << 40; step *= 1021) {
        enum { COUNT = 5000 };
        struct live_birth *births = malloc(COUNT * sizeof *births);
        struct live_set set;
        for (uint64_t i = 0; i < COUNT; i++)
            births[i] = (struct live_birth){{i, live_shape(EVENT_MALLOC, DOMAIN_C, 0, i)}, i * step};
        for (uint64_t i = COUNT - 1; i; i--) {
            uint64_t other = random_next(&seed) % (i + 1);
            struct live_birth swapped = births[i];
            births[i] = births[other];
            births[other] = swapped;
        }
        live_set_make(births, COUNT, &set);
        assert_int_equal(set.bytes, (uint64_t)COUNT * (COUNT - 1) / 2);
        for (uint64_t i = 0; i < COUNT; i++)
            assert_int_equal(set.blocks[i].pointer, i);
        live_set_clear(&set);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_begins_with_what_its_parent_had_in_order_of_birth),
        cmocka_unit_test(events_that_make_no_sense_are_refused_with_the_reason),
        cmocka_unit_test(an_exec_before_the_first_event_inherits_nothing),
        cmocka_unit_test(a_restart_keeps_a_realloc_that_is_under_way),
        cmocka_unit_test(a_trace_begun_late_has_the_same_blocks_as_one_begun_early),
        cmocka_unit_test(births_of_any_size_are_put_into_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
