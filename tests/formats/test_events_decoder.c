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

/* Decodes one member in one piece; the bytes behind it are 0xff, which nothing may depend on. */
static enum err member_decode(struct events_decoder *decoder, uint32_t event_count, const char *hex,
                              const char **fault) {
    uint8_t bytes[256];
    struct event events[ROOM];
    size_t made;
    memset(bytes, 0xff, sizeof bytes);
    struct decoder_piece piece = {.from = bytes, .end = bytes + hex_read(hex, bytes), .last = true};
    events_decoder_begin(decoder, event_count);
    return events_decoder_run(decoder, &piece, events, ROOM, &made, fault);
}

struct fault_case {
    uint32_t event_count;
    const char *hex;
    const char *fault; /* part of the text; "": any, as it depends on what lies behind a cut; NULL: none */
};

static const struct fault_case fault_cases[] = {
    {1, "01 00 00  00  08 01", NULL},
    {2, "01 00 00  01 08 01  30 30", NULL},
    {1, "", "fewer events"},
    {1, "00  00  08 01", "number of threads"},
    {1, "ff ff ff ff 0f", "number of threads"},
    {1, "01 01 00  00  08 01", "before its time"},
    {1, "02 00 00 00 00  00  08 01", "listed twice"},
    {1, "01 00 05  00  08 01", "disagree with the members before"},
    {1, "01 80 80 80 08 00  00  08 01", "out of range"},
    {1, "01 00", ""},
    {1, "01 00 00  d1 01", "table entries is out of range"},
    {1, "01 00 00  01 30  08 01", "itself a token"},
    {1, "01 00 00  01 28  08 01", "unknown opcode"},
    {1, "01 00 00  01 08", ""},
    {1, "01 00 00  00  30", "does not define"},
    {1, "01 00 00  01 08 01  31", "does not define"},
    {1, "01 00 00  00  03", "unknown opcode"},
    {1, "01 00 00  00  1b 00", "unknown opcode"},
    {1, "01 00 00  00  28", "unknown opcode"},
    {1, "01 00 00  00  2f", "unknown opcode"},
    {1, "01 00 00  00  00 01  08 01", "switch to a thread"},
    {1, "01 00 00  00  1c 01 00", "of a thread that the member does not list"},
    {1, "01 00 00  00  18 00", "never made"},
    {2, "01 00 00  00  08 01  18 01", "never made"},
    {2, "01 00 00  00  08 01  1a 00", "never made"},
    {2, "01 00 00  00  08 01  19 01", "never made"},
    {2, "01 00 00  00  08 01  19 00", NULL},
    {1, "01 00 00  00  18 80 80 80 80 80 20", "block is out of range"},
    {1, "01 00 00  00  08 81 80 80 80 80 80 20", "larger than 2^47"},
    {1, "01 00 00  00  08 80 80 80 80 80 80 20", NULL},
    {1, "01 00 00  00  08 ff ff ff ff ff ff ff ff ff 02", "larger than 2^47"},
    {1, "01 00 00  00  10 2f 01", "alignment"},
    {1, "01 00 00  00  10 2e 01", NULL},
    {1, "01 00 00  00  08 80", ""},
    {2, "01 00 00  00  08 01", "fewer events"},
    {1, "01 00 00  00  08 01 00", "goes on behind"},
    {1, "01 00 00  00  08 01 08 01", "goes on behind"},
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
    static const char *const seconds[] = {"01 00 02  00  08 01", "01 00 01  00  08 01", "01 01 00  00  08 01",
                                          "02 01 00 02 00  00  08 01", "01 02 00  00  08 01"};
    static const bool fine[] = {true, false, true, true, false};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        struct events_decoder *anchored, *loose;
        const char *fault = NULL;
        assert_int_equal(events_decoder_create(true, &anchored), ERR_OK);
        assert_int_equal(events_decoder_create(false, &loose), ERR_OK);
        assert_int_equal(member_decode(anchored, 2, "01 00 00  00  08 01 08 01", &fault), ERR_OK);
        assert_int_equal(member_decode(anchored, 1, seconds[i], &fault), fine[i] ? ERR_OK : ERR_FORMAT);
        assert_int_equal(member_decode(loose, 1, seconds[i], &fault), ERR_OK);
        events_decoder_destroy(anchored);
        events_decoder_destroy(loose);
    }
}

/* However the raw bytes are cut and however little room there is for events. */
static void pieces_do_not_matter(void **state) {
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
        size_t raw_bytes, given = 0, seen = 0, count;
        uint64_t random = seed;
        assert_int_equal(events_encoder_create(&encoder), ERR_OK);
        assert_int_equal(events_decoder_create(true, &decoder), ERR_OK);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(events_encoder_add(encoder, &expected[i]), ERR_OK);
        assert_int_equal(events_encoder_take(encoder, &raw, &raw_bytes), ERR_OK);
        uint8_t *padded = calloc(1, raw_bytes + ITEM_BYTES_MAX);
        memcpy(padded, raw, raw_bytes);
        events_decoder_begin(decoder, COUNT);
        while (seen < COUNT || given < raw_bytes) {
            size_t piece_bytes = ITEM_BYTES_MAX + 1 + random_next(&random) % 60;
            bool last = piece_bytes >= raw_bytes - given;
            struct decoder_piece piece = {
                .from = padded + given, .end = padded + (last ? raw_bytes : given + piece_bytes), .last = last};
            assert_int_equal(events_decoder_run(decoder, &piece, made, 1 + random_next(&random) % ROOM, &count, &fault),
                             ERR_OK);
            assert_memory_equal(made, expected + seen, count * sizeof *made);
            seen += count;
            given = (size_t)(piece.from - padded);
        }
        assert_true(events_decoder_done(decoder));
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
        cmocka_unit_test(pieces_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
