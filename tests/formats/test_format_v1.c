/* What was once written must stay readable: the specification's example and the fixtures of version 1. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "formats/description.h"
#include "formats/events_decoder.h"
#include "formats/events_encoder.h"
#include "formats/events_index.h"
#include "formats/events_layout.h"
#include "formats/format.h"
#include "tests/formats/events_file.h"

#ifndef SOURCE_FOLDER
#error "SOURCE_FOLDER is the top of the source tree"
#endif
#define FIXTURE SOURCE_FOLDER "/tests/formats/fixtures/v1-small"

#define BLOCK(thread, seq) ((uint64_t)(thread) << EVENT_BLOCK_SEQ_BITS | (seq))

static const struct event example[] = {
    {.thread = 0, .kind = EVENT_MALLOC, .domain = DOMAIN_OBJ, .size_bytes = 64},
    {.thread = 0, .kind = EVENT_MALLOC, .domain = DOMAIN_OBJ, .size_bytes = 64},
    {.thread = 0, .kind = EVENT_MALLOC, .domain = DOMAIN_OBJ, .size_bytes = 64},
    {.thread = 0, .kind = EVENT_MALLOC, .domain = DOMAIN_OBJ, .size_bytes = 28},
    {.thread = 0, .kind = EVENT_MALLOC, .domain = DOMAIN_OBJ, .size_bytes = 200},
    {.thread = 0, .kind = EVENT_CALLOC, .domain = DOMAIN_MEM, .size_bytes = 300},
    {.thread = 0, .kind = EVENT_MALLOC, .domain = DOMAIN_OBJ, .size_bytes = 64},
    {.thread = 0, .kind = EVENT_FREE, .block = BLOCK(0, 2)},
    {.thread = 1, .kind = EVENT_THREAD_START},
    {.thread = 1, .kind = EVENT_ALIGNED_ALLOC, .domain = DOMAIN_RAW, .size_bytes = 1000, .align_log2 = 6},
    {.thread = 1, .kind = EVENT_FREE, .block = BLOCK(0, 6)},
    {.thread = 0, .kind = EVENT_REALLOC, .block = BLOCK(0, 5), .size_bytes = 400},
    {.thread = 0, .kind = EVENT_REALLOC, .domain = DOMAIN_MEM, .size_bytes = 40},
    {.thread = 0, .kind = EVENT_FREE, .domain = DOMAIN_MEM},
    {.thread = 0, .kind = EVENT_FREE, .block = BLOCK(0, 4)},
    {.thread = 1, .kind = EVENT_FREE, .block = BLOCK(1, 1)},
    {.thread = 1, .kind = EVENT_THREAD_END},
};
enum { EXAMPLE_EVENTS = sizeof example / sizeof example[0] };

static char *file_text(const char *path, size_t *bytes) {
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    *bytes = fread(text, 1, (1 << 20) - 1, in);
    fclose(in);
    return text;
}

/* The bytes of a fenced block in NATIVE.md: hexadecimal pairs up to a `#`. @return how many. */
static size_t specified_bytes(const char *fence, uint8_t *to) {
    size_t bytes, count = 0;
    char *text = file_text(SOURCE_FOLDER "/formats/NATIVE.md", &bytes);
    char *save, *start = strstr(text, fence);
    assert_non_null(start);
    start = strchr(start, '\n') + 1;
    *strstr(start, "```") = '\0';
    for (char *line = strtok_r(start, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        line[strcspn(line, "#")] = '\0';
        unsigned value;
        int used;
        for (; sscanf(line, "%2x%n", &value, &used) == 1; line += used)
            to[count++] = (uint8_t)value;
    }
    free(text);
    return count;
}

static void specified_example_is_what_the_encoder_makes(void **state) {
    (void)state;
    uint8_t specified[256];
    const uint8_t *bytes;
    size_t count;
    struct events_encoder *encoder;
    assert_int_equal(events_encoder_create(&encoder), ERR_OK);
    assert_int_equal(events_encoder_add(encoder, example, NULL, EXAMPLE_EVENTS, &count), ERR_OK);
    assert_int_equal(events_encoder_take(encoder, &bytes, &count), ERR_OK);
    assert_int_equal(count, specified_bytes("```bytes-member", specified));
    assert_memory_equal(bytes, specified, count);
    events_encoder_destroy(encoder);
}

static void specified_example_decodes_to_its_events(void **state) {
    (void)state;
    uint8_t bytes[256 + DECODER_SLACK_BYTES] = {0};
    struct event events[EXAMPLE_EVENTS];
    struct events_decoder *decoder;
    const char *fault = NULL;
    size_t made;
    size_t count = specified_bytes("```bytes-member", bytes);
    assert_int_equal(events_decoder_create(true, &decoder), ERR_OK);
    assert_int_equal(events_decoder_begin(decoder, bytes, count, EXAMPLE_EVENTS, false, &fault), ERR_OK);
    assert_int_equal(events_decoder_run(decoder, events, EXAMPLE_EVENTS, &made, &fault), ERR_OK);
    assert_int_equal(made, EXAMPLE_EVENTS);
    assert_true(events_decoder_done(decoder));
    assert_memory_equal(events, example, sizeof example);
    events_decoder_destroy(decoder);
}

static const uint64_t example_times_ns[EXAMPLE_EVENTS] = {1000000, 1000000, 1000000, 1000000, 1000016, 1000048,
                                                          1000048, 1000048, 1000048, 5000000, 5000000, 5000000,
                                                          5000000, 5000000, 5000000, 5000000, 5000000};

/* The specified member with the specified times between its bits and its streams. */
static size_t specified_timed_member(uint8_t to[512]) {
    enum { STREAM_BYTES = 23 + 11 };
    uint8_t times[64], member[256];
    size_t times_bytes = specified_bytes("```bytes-times", times);
    size_t bytes = specified_bytes("```bytes-member", member);
    size_t before = bytes - STREAM_BYTES;
    memcpy(to, member, before);
    memcpy(to + before, times, times_bytes);
    memcpy(to + before + times_bytes, member + before, STREAM_BYTES);
    return bytes + times_bytes;
}

static void specified_times_are_what_the_encoder_makes(void **state) {
    (void)state;
    uint8_t specified[512];
    const uint8_t *bytes;
    size_t count;
    struct events_encoder *encoder;
    assert_int_equal(events_encoder_create(&encoder), ERR_OK);
    assert_int_equal(events_encoder_add(encoder, example, example_times_ns, EXAMPLE_EVENTS, &count), ERR_OK);
    assert_int_equal(events_encoder_take(encoder, &bytes, &count), ERR_OK);
    assert_int_equal(count, specified_timed_member(specified));
    assert_memory_equal(bytes, specified, count);
    events_encoder_destroy(encoder);
}

static void specified_times_decode_beside_the_events(void **state) {
    (void)state;
    uint8_t bytes[512 + DECODER_SLACK_BYTES] = {0};
    struct event events[EXAMPLE_EVENTS];
    uint64_t times_ns[EXAMPLE_EVENTS];
    struct events_decoder *decoder;
    const char *fault = NULL;
    size_t made;
    size_t count = specified_timed_member(bytes);
    assert_int_equal(events_decoder_create(true, &decoder), ERR_OK);
    assert_int_equal(events_decoder_begin(decoder, bytes, count, EXAMPLE_EVENTS, true, &fault), ERR_OK);
    assert_int_equal(events_decoder_times(decoder, times_ns, 5, &fault), ERR_OK);
    assert_int_equal(events_decoder_run(decoder, events, EXAMPLE_EVENTS, &made, &fault), ERR_OK);
    assert_int_equal(events_decoder_times(decoder, times_ns + 5, EXAMPLE_EVENTS - 5, &fault), ERR_OK);
    assert_memory_equal(events, example, sizeof example);
    assert_memory_equal(times_ns, example_times_ns, sizeof times_ns);
    assert_int_equal(events_decoder_begin(decoder, bytes, count, EXAMPLE_EVENTS, false, &fault), ERR_FORMAT);
    events_decoder_destroy(decoder);
}

static void specified_end_member_is_what_is_written(void **state) {
    (void)state;
    uint8_t specified[256], written[MEMBER_END_BYTES] = {0};
    const struct member_header header = {
        .kind = MEMBER_END, .member_bytes = MEMBER_END_BYTES, .events_before = EXAMPLE_EVENTS, .value = 163};
    assert_int_equal(specified_bytes("```bytes-end", specified), MEMBER_END_BYTES);
    member_header_write(&header, written);
    written[MEMBER_HEADER_BYTES] = 3;
    assert_memory_equal(specified, written, MEMBER_END_BYTES);

    struct events_file empty = events_file_make(NULL, 0, 0);
    assert_memory_equal(empty.bytes + empty.count - 10, specified + MEMBER_HEADER_BYTES, 10);
    events_file_clear(&empty);
}

/* A listing that says every field of every event. */
static char *events_list(struct trace_reader *reader, struct event **events, size_t *count) {
    struct event_source source;
    struct event_block block;
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    *events = NULL;
    *count = 0;
    assert_int_equal(trace_reader_events(reader, &source, NULL), ERR_OK);
    while (assert_int_equal(source.next(source.ctx, &block, NULL), ERR_OK), block.count) {
        *events = realloc(*events, (*count + block.count) * sizeof **events);
        memcpy(*events + *count, block.events, block.count * sizeof **events);
        *count += block.count;
        for (size_t i = 0; i < block.count; i++) {
            const struct event *event = &block.events[i];
            fprintf(out, "%" PRIu32 " %s %s %" PRIu64 " 2^%u %" PRIu32 ":%" PRIu64 "\n", event->thread,
                    event_kind_names[event->kind], domain_names[event->domain], event->size_bytes, event->align_log2,
                    event_block_thread(event->block), event_block_seq(event->block));
        }
    }
    fclose(out);
    return text;
}

static void fixture_reads_as_ever(void **state) {
    (void)state;
    struct trace_reader *reader;
    struct event *events;
    struct diag diag;
    size_t bytes, count;
    char *expected = file_text(FIXTURE ".events.txt", &bytes);
    if (trace_reader_open(FIXTURE ".yaml", &reader, &diag))
        fail_msg("%s", diag.text);
    char *listed = events_list(reader, &events, &count);
    assert_string_equal(listed, expected);
    assert_int_equal(count, trace_reader_info(reader)->summary.event_count);
    free(listed);
    free(expected);
    free(events);
    trace_reader_close(reader);
}

static void fixture_description_is_written_as_ever(void **state) {
    (void)state;
    struct trace_info info;
    char *written;
    size_t bytes, written_bytes;
    char *text = file_text(FIXTURE ".yaml", &bytes);
    assert_int_equal(description_load(FIXTURE ".yaml", &info, NULL), ERR_OK);
    assert_int_equal(description_format(&info, &written, &written_bytes), ERR_OK);
    assert_string_equal(written, text);
    free(written);
    free(text);
    trace_info_clear(&info);
}

/* What gunzip makes of a file. */
static size_t file_gunzip(const char *path, uint8_t *to, size_t room) {
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    int got = gzread(file, to, (unsigned)room);
    assert_true(got >= 0 && (size_t)got < room);
    gzclose(file);
    return (size_t)got;
}

/* Compressed bytes may differ from one zlib to the next; what they unpack to may not. */
static void fixture_events_are_written_as_ever(void **state) {
    (void)state;
    static uint8_t stored[1 << 16], written[1 << 16];
    struct trace_reader *reader;
    struct events_index index;
    struct event *events;
    size_t count;
    assert_int_equal(trace_reader_open(FIXTURE ".yaml", &reader, NULL), ERR_OK);
    free(events_list(reader, &events, &count));
    trace_reader_close(reader);
    assert_int_equal(events_index_load(FIXTURE ".events.gz", &index, NULL), ERR_OK);
    struct events_file file = events_file_make(events, count, index.entries[0].event_count);
    size_t events_bytes = 0;
    for (size_t i = 0; i < index.count; i++)
        events_bytes += index.entries[i].event_count;
    assert_int_equal(events_bytes, count);
    size_t stored_bytes = file_gunzip(FIXTURE ".events.gz", stored, sizeof stored);
    size_t written_bytes = file_gunzip(events_file_path(file.bytes, file.count), written, sizeof written);
    /* The index holds compressed sizes: compared are the events members, which come first. */
    size_t index_bytes = 2 * index.count + 16;
    assert_true(stored_bytes > index_bytes && written_bytes > index_bytes);
    assert_memory_equal(stored, written, stored_bytes - index_bytes);
    events_file_clear(&file);
    events_index_clear(&index);
    free(events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specified_example_is_what_the_encoder_makes),
        cmocka_unit_test(specified_example_decodes_to_its_events),
        cmocka_unit_test(specified_times_are_what_the_encoder_makes),
        cmocka_unit_test(specified_times_decode_beside_the_events),
        cmocka_unit_test(specified_end_member_is_what_is_written),
        cmocka_unit_test(fixture_reads_as_ever),
        cmocka_unit_test(fixture_description_is_written_as_ever),
        cmocka_unit_test(fixture_events_are_written_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
