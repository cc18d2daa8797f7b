#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "formats/events_index.h"
#include "formats/events_layout.h"
#include "formats/events_salvage.h"
#include "tests/formats/events_file.h"
#include "tests/formats/random_trace.h"

enum { COUNT = 120, PER_MEMBER = 25 };

struct sample {
    struct event *events;
    struct events_file file;
    struct events_index index;
};

static int sample_make(void **state) {
    struct sample *sample = calloc(1, sizeof *sample);
    struct random_trace settings = {
        .seed = 4242, .thread_count = 3, .event_count = COUNT, .live_limit = 20, .wild_percent = 15};
    sample->events = random_trace_make(&settings);
    sample->file = events_file_make(sample->events, COUNT, PER_MEMBER);
    *state = sample;
    return events_index_load(events_file_path(sample->file.bytes, sample->file.count), &sample->index, NULL);
}

static int sample_drop(void **state) {
    struct sample *sample = *state;
    events_index_clear(&sample->index);
    events_file_clear(&sample->file);
    free(sample->events);
    free(sample);
    return 0;
}

/* Reads with and without what the description would say. */
static enum err bytes_read(const struct sample *sample, const uint8_t *bytes, size_t count, bool described,
                           struct diag *diag) {
    size_t seen;
    return events_file_read(events_file_path(bytes, count), described ? sample->file.sha256 : NULL, sample->events,
                            COUNT, &seen, diag);
}

static size_t whole_members(const struct sample *sample, size_t bytes) {
    size_t whole = 0;
    while (whole < sample->index.count &&
           sample->index.entries[whole].byte + sample->index.entries[whole].member_bytes <= bytes)
        whole++;
    return whole;
}

static void every_cut_is_an_error_that_names_byte_and_whole_members(void **state) {
    const struct sample *sample = *state;
    for (size_t cut = 1; cut < sample->file.count; cut++) {
        struct diag diag = {.err = ERR_OK};
        char whole[64];
        assert_int_equal(bytes_read(sample, sample->file.bytes, cut, true, &diag), ERR_TRUNCATED);
        assert_int_equal(diag.err, ERR_TRUNCATED);
        assert_int_equal(diag.place, DIAG_BYTE);
        assert_int_equal(diag.byte, cut);
        assert_null(strchr(diag.text, '\n'));
        if (cut < MEMBER_HEADER_BYTES)
            continue; /* refused when opened */
        snprintf(whole, sizeof whole, "; %zu whole members", whole_members(sample, cut));
        assert_non_null(strstr(diag.text, whole));
        assert_non_null(strstr(diag.text, "sha256 does not match"));
    }
}

static void empty_file_is_said_to_be_empty(void **state) {
    struct diag diag;
    assert_int_equal(bytes_read(*state, (const uint8_t *)"", 0, true, &diag), ERR_TRUNCATED);
    assert_non_null(strstr(diag.text, "is empty"));
}

static void every_cut_yields_all_whole_members(void **state) {
    const struct sample *sample = *state;
    for (size_t cut = MEMBER_HEADER_BYTES; cut <= sample->file.count; cut++) {
        struct events_salvage salvage;
        struct events_reader *reader;
        struct event_block block;
        const char *path = events_file_path(sample->file.bytes, cut);
        assert_int_equal(events_salvage_scan(path, &salvage, NULL), ERR_OK);
        assert_int_equal(salvage.found.member_count, whole_members(sample, cut));
        assert_int_equal(salvage.fault.err, cut == sample->file.count ? ERR_OK : ERR_TRUNCATED);
        assert_int_equal(events_salvage_open(path, &salvage, &reader, NULL), ERR_OK);
        size_t seen = 0;
        while (assert_int_equal(events_reader_next(reader, &block, NULL), ERR_OK), block.count) {
            assert_memory_equal(block.events, sample->events + seen, block.count * sizeof *block.events);
            seen += block.count;
        }
        assert_int_equal(seen, salvage.found.event_count);
        events_reader_close(reader);
    }
}

static void every_altered_byte_is_noticed(void **state) {
    const struct sample *sample = *state;
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    for (size_t at = 0; at < sample->file.count; at++) {
        for (size_t i = 0; i < sizeof masks; i++) {
            struct diag diag = {.err = ERR_OK};
            sample->file.bytes[at] ^= masks[i];
            enum err err = events_file_read(events_file_path(sample->file.bytes, sample->file.count),
                                            sample->file.sha256, sample->events, COUNT, &(size_t){0}, &diag);
            sample->file.bytes[at] ^= masks[i];
            if (!err)
                print_error("byte %zu ^ 0x%02x\n", at, masks[i]);
            assert_int_not_equal(err, ERR_OK);
            assert_int_equal(diag.err, err);
            assert_null(strchr(diag.text, '\n'));
        }
    }
}

static void wrong_checksum_alone_says_that_the_events_decode(void **state) {
    const struct sample *sample = *state;
    struct diag diag;
    char wrong[SHA256_TEXT_BYTES];
    size_t seen;
    memset(wrong, 'a', sizeof wrong - 1);
    wrong[sizeof wrong - 1] = '\0';
    const char *path = events_file_path(sample->file.bytes, sample->file.count);
    assert_int_equal(events_file_read(path, wrong, sample->events, COUNT, &seen, &diag), ERR_CHECKSUM);
    assert_int_equal(seen, COUNT);
    assert_non_null(strstr(diag.text, "can be decoded"));
    assert_non_null(strstr(diag.text, "aaaaaaaaaaaaaaaa"));
}

static void damage_says_where_decoding_failed_and_that_the_checksum_is_wrong(void **state) {
    const struct sample *sample = *state;
    struct diag diag;
    size_t at = sample->index.entries[2].byte + MEMBER_HEADER_BYTES + 20;
    sample->file.bytes[at] ^= 0x55;
    enum err err = bytes_read(sample, sample->file.bytes, sample->file.count, true, &diag);
    enum err alone = bytes_read(sample, sample->file.bytes, sample->file.count, false, NULL);
    sample->file.bytes[at] ^= 0x55;
    assert_int_equal(err, ERR_CHECKSUM);
    assert_int_equal(alone, ERR_FORMAT);
    assert_int_equal(diag.place, DIAG_BYTE);
    assert_non_null(strstr(diag.text, "2 whole members"));
    assert_non_null(strstr(diag.text, "sha256 does not match"));
}

static void junk_behind_the_end_is_noticed(void **state) {
    const struct sample *sample = *state;
    size_t count = sample->file.count;
    uint8_t *longer = malloc(count + 1);
    struct diag diag;
    memcpy(longer, sample->file.bytes, count);
    longer[count] = 0;
    assert_int_equal(bytes_read(sample, longer, count + 1, false, &diag), ERR_FORMAT);
    assert_int_equal(diag.byte, count);
    assert_non_null(strstr(diag.text, "junk"));
    struct events_index index;
    assert_int_equal(events_index_load(events_file_path(longer, count + 1), &index, NULL), ERR_TRUNCATED);
    free(longer);
}

static void member_left_out_is_noticed(void **state) {
    const struct sample *sample = *state;
    const struct events_index_entry *gone = &sample->index.entries[1];
    size_t rest = sample->file.count - gone->byte - gone->member_bytes;
    uint8_t *bytes = malloc(sample->file.count);
    struct diag diag;
    memcpy(bytes, sample->file.bytes, gone->byte);
    memcpy(bytes + gone->byte, sample->file.bytes + gone->byte + gone->member_bytes, rest);
    assert_int_equal(bytes_read(sample, bytes, gone->byte + rest, false, &diag), ERR_FORMAT);
    assert_int_equal(diag.byte, gone->byte);
    assert_non_null(strstr(diag.text, "does not continue"));
    free(bytes);
}

static void other_number_of_events_than_described_is_noticed(void **state) {
    const struct sample *sample = *state;
    const struct events_expected expected = {.sha256 = sample->file.sha256, .event_count = COUNT + 1};
    struct events_reader *reader;
    struct event_block block = {.count = 1};
    struct diag diag;
    enum err err;
    const char *path = events_file_path(sample->file.bytes, sample->file.count);
    assert_int_equal(events_reader_open(path, &expected, &reader, NULL), ERR_OK);
    while (!(err = events_reader_next(reader, &block, &diag)) && block.count)
        ;
    assert_int_equal(err, ERR_INVALID);
    assert_non_null(strstr(diag.text, "120 events where the description says 121"));
    assert_int_equal(events_reader_next(reader, &block, &diag), ERR_INVALID);
    events_reader_close(reader);
}

struct lie {
    const char *what;
    int member; /* −1: the index, −2: the end */
    size_t at;
    uint8_t value;
    const char *fault; /* part of the text */
};

/* Headers with good checksums that contradict the rest of the file. */
static void headers_that_lie_are_noticed(void **state) {
    const struct sample *sample = *state;
    static const struct lie lies[] = {
        {"size 0", 1, 20, 0, ""},
        {"huge size", 1, 23, 0xff, "shorter than its header"},
        {"size of one less", 1, 20, 1, ""},
        {"first event", 1, 24, 0, "does not continue"},
        {"no events", 1, 32, 0, "out of range"},
        {"one event", 1, 32, 1, ""},
        {"many events", 1, 33, 1, "ends before"},
        {"2^24 events and more", 1, 35, 1, "out of range"},
        {"events as index", 1, 17, 1, "the index lists"},
        {"events as end", 1, 17, 2, "not in its place"},
        {"index as events", -1, 17, 0, ""},
        {"members in the index", -1, 32, 1, "the index lists"},
        {"end as index", -2, 17, 1, "not in its place"},
        {"end as events", -2, 17, 0, "not in its place"},
        {"place of the index", -2, 32, 0xff, "does not point"},
        {"size of the end", -2, 21, 1, "does not point"},
        {"times", 1, 18, 1, "other features"},
        {"times in the index", -1, 18, 1, "other features"},
        {"times at the end", -2, 18, 1, "other features"},
    };
    const struct events_index_entry *last = &sample->index.entries[sample->index.count - 1];
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        size_t byte = lies[i].member >= 0    ? sample->index.entries[lies[i].member].byte
                      : lies[i].member == -1 ? last->byte + last->member_bytes
                                             : sample->file.count - MEMBER_END_BYTES;
        uint8_t header[MEMBER_HEADER_BYTES], *at = sample->file.bytes + byte;
        struct diag diag = {.err = ERR_OK};
        memcpy(header, at, sizeof header);
        at[lies[i].at] = lies[i].value;
        little_write(at + MEMBER_HEADER_BYTES - 4, crc32(0, at, MEMBER_HEADER_BYTES - 4), 4);
        enum err err = bytes_read(sample, sample->file.bytes, sample->file.count, false, &diag);
        memcpy(at, header, sizeof header);
        if (!err || !strstr(diag.text, lies[i].fault))
            fail_msg("%s: %s", lies[i].what, err ? diag.text : "no fault");
    }
}

/* The first member's header with one field changed and its checksum made good again. */
static enum err header_changed(const struct sample *sample, size_t at, uint8_t value, struct diag *diag) {
    uint8_t *bytes = malloc(sample->file.count);
    memcpy(bytes, sample->file.bytes, sample->file.count);
    bytes[at] = value;
    little_write(bytes + MEMBER_HEADER_BYTES - 4, crc32(0, bytes, MEMBER_HEADER_BYTES - 4), 4);
    enum err err = bytes_read(sample, bytes, sample->file.count, true, diag);
    free(bytes);
    return err;
}

static void unknown_version_feature_or_kind_is_a_clear_error(void **state) {
    struct diag diag;
    assert_int_equal(header_changed(*state, 16, 2, &diag), ERR_VERSION);
    assert_non_null(strstr(diag.text, "events of version 2; this build reads version 1"));
    assert_int_equal(header_changed(*state, 17, 3, &diag), ERR_VERSION);
    for (unsigned bit = 1; bit < 16; bit++) { /* bit 0, times, is known */
        char features[16];
        snprintf(features, sizeof features, "features 0x%04x", 1u << bit);
        assert_int_equal(header_changed(*state, 18 + bit / 8, (uint8_t)(1u << bit % 8), &diag), ERR_VERSION);
        assert_non_null(strstr(diag.text, features));
    }
}

static void foreign_gzip_is_not_taken_for_events(void **state) {
    const struct sample *sample = *state;
    static const uint8_t foreign[64] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    struct diag diag;
    assert_int_equal(bytes_read(sample, foreign, sizeof foreign, true, &diag), ERR_FORMAT);
    assert_non_null(strstr(diag.text, "without the header"));
    assert_int_equal(
        bytes_read(sample, (const uint8_t *)"0123456789012345678901234567890123456789012345678", 49, true, &diag),
        ERR_FORMAT);
    assert_non_null(strstr(diag.text, "no gzip member"));
}

/* Some bits say nothing: those behind the last one of the compressed data, and the end member's empty content. */
static void damaged_index_is_refused_or_still_says_the_same(void **state) {
    const struct sample *sample = *state;
    const struct events_index_entry *last = &sample->index.entries[sample->index.count - 1];
    size_t harmless = 0;
    for (size_t at = last->byte + last->member_bytes; at < sample->file.count; at++) {
        struct events_index index;
        sample->file.bytes[at] ^= 0x10;
        enum err err = events_index_load(events_file_path(sample->file.bytes, sample->file.count), &index, NULL);
        sample->file.bytes[at] ^= 0x10;
        if (err)
            continue;
        assert_int_equal(index.count, sample->index.count);
        assert_memory_equal(index.entries, sample->index.entries, index.count * sizeof *index.entries);
        events_index_clear(&index);
        harmless++;
    }
    assert_true(harmless <= 1 + MEMBER_END_BYTES - MEMBER_HEADER_BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_is_an_error_that_names_byte_and_whole_members),
        cmocka_unit_test(empty_file_is_said_to_be_empty),
        cmocka_unit_test(every_cut_yields_all_whole_members),
        cmocka_unit_test(every_altered_byte_is_noticed),
        cmocka_unit_test(wrong_checksum_alone_says_that_the_events_decode),
        cmocka_unit_test(damage_says_where_decoding_failed_and_that_the_checksum_is_wrong),
        cmocka_unit_test(junk_behind_the_end_is_noticed),
        cmocka_unit_test(member_left_out_is_noticed),
        cmocka_unit_test(other_number_of_events_than_described_is_noticed),
        cmocka_unit_test(headers_that_lie_are_noticed),
        cmocka_unit_test(unknown_version_feature_or_kind_is_a_clear_error),
        cmocka_unit_test(foreign_gzip_is_not_taken_for_events),
        cmocka_unit_test(damaged_index_is_refused_or_still_says_the_same),
    };
    return cmocka_run_group_tests(tests, sample_make, sample_drop);
}
