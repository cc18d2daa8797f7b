#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/events_decoder.h"
#include "formats/events_encoder.h"
#include "formats/events_layout.h"
#include "tests/formats/random_trace.h"

enum { ROOM = 64 };

static size_t hex_read(const char *hex, uint8_t *to) {
    size_t count = 0;
    unsigned value;
    int used;
    for (; sscanf(hex, "%2x%n", &value, &used) == 1; hex += used)
        to[count++] = (uint8_t)value;
    return count;
}

/* Decodes one member; the bytes behind it are 0xff, which nothing may depend on. */
static enum err member_decode(struct events_decoder *decoder, uint32_t event_count, const char *hex,
                              const char **fault) {
    uint8_t bytes[256];
    struct event events[ROOM];
    size_t made;
    memset(bytes, 0xff, sizeof bytes);
    enum err err = events_decoder_begin(decoder, bytes, hex_read(hex, bytes), event_count, false, fault);
    return err ? err : events_decoder_run(decoder, events, ROOM, &made, fault);
}

struct fault_case {
    uint32_t event_count;
    const char *hex;
    const char *fault; /* part of the text; "": any, as it depends on what lies behind a cut; NULL: none */
};

/* Threads; table; schedule; bits; streams. */
static const struct fault_case fault_cases[] = {
    {1, "01 00 00 02  00  02 00 00  00  08 01", NULL},
    {2, "01 00 00 02  01 08 01  02 00 01  00  30 30", NULL},
    {1, "", "number of threads"},
    {1, "00  00  02 00 00  00", "number of threads"},
    {1, "ff ff ff ff 0f", "number of threads"},
    {1, "01 01 00 02  00  02 00 00  00  08 01", "before its time"},
    {1, "02 00 00 02 00 00 00  00  02 00 00  00  08 01", "listed twice"},
    {1, "01 00 05 02  00  02 00 00  00  08 01", "disagree with the members before"},
    {1, "01 80 80 80 08 00 02  00  02 00 00  00  08 01", "out of range"},
    {1, "01 00 00 ff ff ff 7f  00  02 00 00  00  08 01", "out of range"},
    {1, "01 00", ""},
    {1, "01 00 00 02  d1 01", "table entries is out of range"},
    {1, "01 00 00 02  01 30  02 00 00  00  08 01", "itself a token"},
    {1, "01 00 00 02  01 28  02 00 00  00  08 01", "unknown opcode"},
    {1, "01 00 00 02  01 08", ""},
    {1, "01 00 00 02  00  09 00 00  00  08 01", "longer than the member"},
    {1, "01 00 00 02  00  02 00 00  09  08 01", "longer than the member"},
    {1, "01 00 00 03  00  02 00 00  00  08 01", "streams of the threads are longer"},
    {1, "01 00 00 01  00  02 00 00  00  08 01", "behind its last stream"},
    {1, "01 00 00 01  00  02 00 00  00  30", "does not define"},
    {1, "01 00 00 01  01 08 01  02 00 00  00  31", "does not define"},
    {1, "01 00 00 01  00  02 00 00  00  02", "unknown opcode"},
    {1, "01 00 00 02  00  02 00 00  00  1b 00", "unknown opcode"},
    {1, "01 00 00 01  00  02 00 00  00  28", "unknown opcode"},
    {1, "01 00 00 01  00  02 00 00  00  2f", "unknown opcode"},
    {1, "01 00 00 02  00  02 01 00  00  08 01", "run of events is out of range"},
    {1, "01 00 00 04  00  02 00 01  00  08 01 08 01", "run of events is out of range"},
    {1, "01 00 00 02  00  01 00  00  08 01", "run of events is out of range"},
    {2, "01 00 00 04  00  02 00 00  00  08 01 08 01", "schedule ends before"},
    {1, "01 00 00 02  00  04 00 00 00 00  00  08 01", "go on behind the last event"},
    {1, "01 00 00 02  00  02 00 00  01 00  08 01", "go on behind the last event"},
    {1, "01 00 00 03  00  02 00 00  00  1c 01 00", "of a thread that the member does not list"},
    {1, "01 00 00 02  00  02 00 00  00  18 00", "never made"},
    {2, "01 00 00 04  00  02 00 01  00  08 01 18 01", "never made"},
    {2, "01 00 00 04  00  02 00 01  00  08 01 1a 00", "never made"},
    {2, "01 00 00 04  00  02 00 01  00  08 01 19 01", "never made"},
    {2, "01 00 00 04  00  02 00 01  00  08 01 19 00", NULL},
    {2, "01 00 00 04  00  02 00 01  00  08 01 18 04", "never made"}, /* no bits */
    {1, "01 00 00 02  00  02 00 00  00  18 2a", "distance is out of range"},
    {7, "01 00 00 03  01 08 01  02 00 05  01 01  30 30 30", "ends before its events"},
    {7, "01 00 00 08  01 08 01  02 00 06  01 01  30 30 30 30 30 30 18 04", NULL},         /* age 5 */
    {7, "01 00 00 08  01 08 01  02 00 06  01 03  30 30 30 30 30 30 18 04", "never made"}, /* age 7 */
    {1, "01 00 00 08  00  02 00 00  00  08 81 80 80 80 80 80 20", "larger than 2^47"},
    {1, "01 00 00 08  00  02 00 00  00  08 80 80 80 80 80 80 20", NULL},
    {1, "01 00 00 0b  00  02 00 00  00  08 ff ff ff ff ff ff ff ff ff 02", "larger than 2^47"},
    {1, "01 00 00 03  00  02 00 00  00  10 2f 01", "alignment"},
    {1, "01 00 00 03  00  02 00 00  00  10 2e 01", NULL},
    {1, "01 00 00 02  00  02 00 00  00  08 80", ""},
    {1, "01 00 00 03  00  02 00 00  00  08 01 00", "goes on behind its last event"},
};

static void every_broken_rule_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof fault_cases / sizeof fault_cases[0]; i++) {
        struct events_decoder *decoder;
        const char *fault = NULL;
        assert_int_equal(events_decoder_create(true, &decoder), ERR_OK);
        enum err err = member_decode(decoder, fault_cases[i].event_count, fault_cases[i].hex, &fault);
        if (!fault_cases[i].fault != !err || (err && !strstr(fault, fault_cases[i].fault)))
            fail_msg("case %zu (%s): %s", i, fault_cases[i].hex, fault ? fault : "no fault");
        events_decoder_destroy(decoder);
    }
}

static void members_must_agree_on_the_blocks_made(void **state) {
    (void)state;
    static const char *const seconds[] = {
        "01 00 02 02  00  02 00 00  00  08 01", "01 00 01 02  00  02 00 00  00  08 01",
        "01 01 00 02  00  02 00 00  00  08 01", "02 01 00 02 00 02 00  00  02 00 00  00  08 01",
        "01 02 00 02  00  02 00 00  00  08 01"};
    static const bool fine[] = {true, false, true, true, false};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        struct events_decoder *anchored, *loose;
        const char *fault = NULL;
        assert_int_equal(events_decoder_create(true, &anchored), ERR_OK);
        assert_int_equal(events_decoder_create(false, &loose), ERR_OK);
        assert_int_equal(member_decode(anchored, 2, "01 00 00 04  00  02 00 01  00  08 01 08 01", &fault), ERR_OK);
        assert_int_equal(member_decode(anchored, 1, seconds[i], &fault), fine[i] ? ERR_OK : ERR_FORMAT);
        assert_int_equal(member_decode(loose, 1, seconds[i], &fault), ERR_OK);
        events_decoder_destroy(anchored);
        events_decoder_destroy(loose);
    }
}

static void classes_cover_every_distance(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < EVENT_BLOCK_SEQ_BITS; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t distance = ((uint64_t)1 << bit) + (uint64_t)(int64_t)delta;
            unsigned class = distance_class(distance);
            assert_true(class <= DISTANCE_CLASS_MAX);
            assert_true(distance >= distance_base(class));
            assert_int_equal((distance - distance_base(class)) >> distance_extra_bits(class), 0);
        }
    }
}

/* However little room there is for events. */
static void portions_do_not_matter(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct random_trace settings = {
            .seed = seed, .thread_count = 40, .event_count = COUNT, .live_limit = 100, .wild_percent = 30};
        struct event *expected = random_trace_make(&settings);
        struct event made[ROOM];
        struct events_encoder *encoder;
        struct events_decoder *decoder;
        const uint8_t *raw;
        const char *fault;
        size_t raw_bytes, seen = 0, count;
        uint64_t random = seed;
        assert_int_equal(events_encoder_create(&encoder), ERR_OK);
        assert_int_equal(events_decoder_create(true, &decoder), ERR_OK);
        assert_int_equal(events_encoder_add(encoder, expected, NULL, COUNT, &count), ERR_OK);
        assert_int_equal(count, COUNT);
        assert_int_equal(events_encoder_take(encoder, &raw, &raw_bytes), ERR_OK);
        uint8_t *padded = calloc(1, raw_bytes + DECODER_SLACK_BYTES);
        memcpy(padded, raw, raw_bytes);
        assert_int_equal(events_decoder_begin(decoder, padded, raw_bytes, COUNT, false, &fault), ERR_OK);
        while (!events_decoder_done(decoder)) {
            assert_int_equal(events_decoder_run(decoder, made, 1 + random_next(&random) % ROOM, &count, &fault),
                             ERR_OK);
            assert_memory_equal(made, expected + seen, count * sizeof *made);
            seen += count;
        }
        assert_int_equal(seen, COUNT);
        events_encoder_destroy(encoder);
        events_decoder_destroy(decoder);
        free(padded);
        free(expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broken_rule_is_told),
        cmocka_unit_test(members_must_agree_on_the_blocks_made),
        cmocka_unit_test(classes_cover_every_distance),
        cmocka_unit_test(portions_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
