#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/base64.h"
#include "formats/description.h"
#include "tests/formats/random_trace.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A whole description; the cases below replace one of its lines. */
static const char *const lines[] = {
    "mmreplay: 1",
    "name: sample",
    "description: text",
    "program:",
    "  command: python3 x.py",
    "capture:",
    "  lost: 3",
    "  host:",
    "    page_bytes: 4096",
    "events:",
    "  codec: mmreplay-events-1",
    "  file: sample.events.gz",
    "  bytes: 12345",
    ("  sha256: " SHA),
    "  count: 10",
    "  threads: 2",
    "  domains:",
    "    c: 10",
    "summary:",
    "  kinds:",
    "    malloc: 5",
    "    calloc: 0",
    "    aligned_alloc: 0",
    "    realloc: 0",
    "    free: 5",
    "    thread_start: 0",
    "    thread_end: 0",
    "  operations: 10",
    "  free_null: 0",
    "  realloc_null: 0",
    "  cross_thread: 0",
    "  requested_bytes: 100",
    "  largest_request_bytes: 50",
    "  live_peak_bytes: 100",
    "  live_peak_blocks: 5",
    "  live_end_bytes: 0",
    "  live_end_blocks: 0",
    "provenance: made up",
};
enum { LINES = sizeof lines / sizeof lines[0] };

/* The sample with line `line` (from 1; 0: none) replaced; NULL leaves it out. */
static char *sample_make(size_t line, const char *replacement) {
    static char text[8192];
    size_t used = 0;
    for (size_t i = 0; i < LINES; i++) {
        const char *chosen = i + 1 == line ? replacement : lines[i];
        if (chosen)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", chosen);
    }
    return text;
}

struct fault_case {
    size_t line;
    const char *replacement;
    enum err err;
    const char *message; /* as diag_format writes it */
};

static const struct fault_case fault_cases[] = {
    {1, NULL, ERR_FORMAT, "t.yaml:1:1: key \"mmreplay\" is missing in the description"},
    {1, "mmreplay: 2", ERR_VERSION, "t.yaml:1:11: a description of version 2; this build reads version 1"},
    {1, "mmreplay: 1x", ERR_FORMAT, "t.yaml:1:11: \"mmreplay\" must be a version number"},
    {1, "mmreplay: -1", ERR_FORMAT, "t.yaml:1:11: \"mmreplay\" must be a version number"},
    {1, "mmreplay: [1]", ERR_FORMAT, "t.yaml:1:11: \"mmreplay\" must be a version number"},
    {2, NULL, ERR_FORMAT, "t.yaml:1:1: key \"name\" is missing in the description"},
    {2, "name:", ERR_FORMAT, "t.yaml:2:6: \"name\" has no value"},
    {2, "name: [a, b]", ERR_FORMAT, "t.yaml:2:7: \"name\" must be a single value"},
    {2, "name: \"a\\0b\"", ERR_FORMAT, "t.yaml:2:7: \"name\" contains a NUL character"},
    {2, "name: &x sample", ERR_FORMAT, "t.yaml:2:7: anchors are not used in descriptions"},
    {2, "name: *x", ERR_FORMAT, "t.yaml:2:7: aliases are not used in descriptions"},
    {2, "name: !!int 5", ERR_FORMAT, "t.yaml:2:7: the only tag used in descriptions is !!binary"},
    {2, "name: !!binary \"A\"", ERR_FORMAT, "t.yaml:2:7: name is not valid base64"},
    {2, "name: !!binary \"AAAA\"", ERR_FORMAT, "t.yaml:2:7: name contains a NUL character"},
    {2, "nane: sample", ERR_FORMAT, "t.yaml:2:1: unknown key \"nane\" in the description"},
    {2, "name: a\nname: b", ERR_FORMAT, "t.yaml:3:1: key \"name\" is given twice; the first is in line 2"},
    {2, "name: \"unended", ERR_FORMAT, NULL},
    {2, "name: a: b", ERR_FORMAT, "t.yaml:2:8: mapping values are not allowed in this context"},
    {2, "name: a\n[x]: y", ERR_FORMAT, "t.yaml:3:1: a key must be a single word"},
    {2, "name: \xff", ERR_FORMAT, "t.yaml:2:7: invalid leading UTF-8 octet"},
    {2, "name: a\x01", ERR_FORMAT, "t.yaml:2:8: control characters are not allowed"},
    {2, "name: a\n---\nname: b", ERR_FORMAT, NULL},
    {5, NULL, ERR_FORMAT, "t.yaml:4:9: program must be a mapping of keys to values"},
    {5, "  comand: x", ERR_FORMAT, "t.yaml:5:3: unknown key \"comand\" in program"},
    {7, "  lost: 12abc", ERR_FORMAT,
     "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"12abc\""},
    {7, "  lost: 1e6", ERR_FORMAT, "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"1e6\""},
    {7, "  lost: -5", ERR_FORMAT, "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"-5\""},
    {7, "  lost: +5", ERR_FORMAT, "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"+5\""},
    {7, "  lost: 0x10", ERR_FORMAT, "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"0x10\""},
    {7, "  lost: 1.0", ERR_FORMAT, "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"1.0\""},
    {7, "  lost: 1_000", ERR_FORMAT,
     "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"1_000\""},
    {7, "  lost: \"\"", ERR_FORMAT, "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"\""},
    {7, "  lost: \" 5\"", ERR_FORMAT, "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \" 5\""},
    {7, "  lost: \"5\\n6\"", ERR_FORMAT,
     "t.yaml:7:9: capture.lost must be a whole number in decimal digits, not \"5?6\""},
    {7, "  lost: 18446744073709551616", ERR_LIMIT,
     "t.yaml:7:9: capture.lost: 18446744073709551616 is too large a number"},
    {9, "    page_bytes: 4K", ERR_FORMAT,
     "t.yaml:9:17: capture.host.page_bytes must be a whole number in decimal digits, not \"4K\""},
    {11, "  codec: zstd", ERR_VERSION,
     "t.yaml:11:10: events are coded in a way this build does not know; it reads mmreplay-events-1"},
    {12, "  file: ../other.gz", ERR_FORMAT,
     "t.yaml:12:9: events.file must be a plain file name: the file lies beside this one"},
    {12, "  file: ..", ERR_FORMAT, "t.yaml:12:9: events.file must be a plain file name: the file lies beside this one"},
    {14, "  sha256: abc", ERR_FORMAT, "t.yaml:14:11: events.sha256 must be 64 lower-case hexadecimal digits"},
    {15, NULL, ERR_FORMAT, "t.yaml:11:3: key \"count\" is missing in events"},
    {15, "  count: {a: 1}", ERR_FORMAT, "t.yaml:15:10: \"count\" must be a single value"},
    {16, "  threads: 18446744073709551616", ERR_LIMIT,
     "t.yaml:16:12: events.threads: 18446744073709551616 is too large a number"},
    {18, "    python: 10", ERR_FORMAT, "t.yaml:18:5: unknown key \"python\" in domains"},
    {20, "  kinds: [a]", ERR_FORMAT, NULL},
    {38, "[[[[[[[[[[", ERR_FORMAT, NULL},
};

static void every_fault_is_told_with_line_and_column(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof fault_cases / sizeof fault_cases[0]; i++) {
        const struct fault_case *fault = &fault_cases[i];
        const char *text = sample_make(fault->line, fault->replacement);
        struct trace_info info = {.name = NULL};
        struct diag diag = {.err = ERR_OK};
        char message[sizeof diag];
        enum err err = description_parse("t.yaml", text, strlen(text), &info, &diag);
        diag_format(&diag, message, sizeof message);
        if (err != fault->err)
            print_error("case %zu (%s): %s\n", i, fault->replacement, message);
        assert_int_equal(err, fault->err);
        assert_int_equal(diag.err, err);
        assert_int_equal(diag.place, DIAG_LINE);
        assert_true(diag.line && diag.column);
        assert_null(info.name);
        if (fault->message)
            assert_string_equal(message, fault->message);
    }
}

static void whole_description_is_read(void **state) {
    (void)state;
    const char *text = sample_make(0, NULL);
    struct trace_info info;
    assert_int_equal(description_parse("t.yaml", text, strlen(text), &info, NULL), ERR_OK);
    assert_string_equal(info.name, "sample");
    assert_string_equal(info.program_command, "python3 x.py");
    assert_null(info.program_version);
    assert_int_equal(info.capture_lost_count, 3);
    assert_int_equal(info.capture_page_bytes, 4096);
    assert_int_equal(info.events_bytes, 12345);
    assert_string_equal(info.events_sha256, SHA);
    assert_int_equal(info.summary.event_count, 10);
    assert_int_equal(info.summary.thread_count, 2);
    assert_int_equal(info.summary.domain_counts[DOMAIN_C], 10);
    assert_int_equal(info.summary.kind_counts[EVENT_FREE], 5);
    assert_int_equal(info.summary.live_peak_blocks, 5);
    assert_string_equal(info.provenance, "made up");
    trace_info_clear(&info);
}

static void every_cut_of_a_description_is_read_or_refused(void **state) {
    (void)state;
    const char *text = sample_make(0, NULL);
    for (size_t cut = 0; cut < strlen(text); cut++) {
        struct trace_info info;
        struct diag diag = {.err = ERR_OK};
        char *exact = malloc(cut + 1);
        memcpy(exact, text, cut);
        enum err err = description_parse("t.yaml", exact, cut, &info, &diag);
        if (!err)
            trace_info_clear(&info);
        else
            assert_int_equal(diag.place, DIAG_LINE);
        free(exact);
    }
}

static void too_long_description_is_refused(void **state) {
    (void)state;
    static char text[DESCRIPTION_BYTES_MAX + 1];
    memset(text, ' ', sizeof text);
    struct trace_info info;
    assert_int_equal(description_parse("t.yaml", text, sizeof text, &info, NULL), ERR_LIMIT);
}

static void minimum_set(struct trace_info *info) {
    assert_int_equal(trace_text_set(&info->name, "n"), ERR_OK);
    assert_int_equal(trace_text_set(&info->events_file, "n.events.gz"), ERR_OK);
    assert_int_equal(trace_text_set(&info->events_sha256, SHA), ERR_OK);
}

static void texts_equal(const char *expected, const char *read) {
    assert_int_equal(!expected, !read);
    if (expected)
        assert_string_equal(expected, read);
}

static void info_round_trip(const struct trace_info *info) {
    char *text, *again;
    size_t bytes, again_bytes;
    struct trace_info read;
    struct diag diag;
    assert_int_equal(description_format(info, &text, &bytes), ERR_OK);
    if (description_parse("written", text, bytes, &read, &diag)) {
        print_error("%llu:%llu: %s\n%s", (unsigned long long)diag.line, (unsigned long long)diag.column, diag.text,
                    text);
        fail();
    }
    texts_equal(info->description, read.description);
    texts_equal(info->program_command, read.program_command);
    texts_equal(info->capture_cpu, read.capture_cpu);
    texts_equal(info->licence, read.licence);
    assert_memory_equal(&info->summary, &read.summary, sizeof read.summary);
    assert_int_equal(info->capture_page_bytes, read.capture_page_bytes);
    assert_true(info->events_bytes == read.events_bytes);
    assert_int_equal(description_format(&read, &again, &again_bytes), ERR_OK);
    assert_string_equal(text, again);
    trace_info_clear(&read);
    free(text);
    free(again);
}

static void awkward_texts_round_trip(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "\n",
        "\n\n",
        "a\n",
        "a\n\n",
        "\na",
        " a",
        "a ",
        "a: b",
        "- a",
        "# a",
        "a #b",
        "true",
        "Null",
        "~",
        "12",
        "3.11",
        "1e6",
        "yes",
        "'a'",
        "\"a\"",
        "a\\b",
        "a\tb",
        "\ta",
        "a\r\nb",
        "a\rb",
        "\x01",
        "\x7f",
        "%a",
        "@a",
        "`a`",
        "{a}",
        "[a]",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "?",
        "a\n b",
        "a\n\n\nb",
        "a\n# b",
        "---",
        "...",
        "a\n---\nb",
        "a\n...",
        "-",
        "a b ",
        "a\n b\n",
        "é",
        "日本",
        "\xc2\x85"
        "x",
        "x\xe2\x80\xa8y",
        "\xef\xbb\xbf"
        "x",
        "\U0001f600",
        "\xff",
        "a\xc3",
        "\xed\xa0\x80",
        "\xc0\x80",
        "a\xff\nb",
        "\xef\xbf\xbf",
        "a,b",
        "a  b",
        "=",
        "<<",
        "0x1f",
        "a\n\t b\n",
        "x\n  \ny",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct trace_info info = {.name = NULL};
        minimum_set(&info);
        assert_int_equal(trace_text_set(&info.description, texts[i]), ERR_OK);
        assert_int_equal(trace_text_set(&info.capture_cpu, texts[i]), ERR_OK);
        info_round_trip(&info);
        trace_info_clear(&info);
    }
}

static char *text_random(uint64_t *random) {
    static const char *const pieces[] = {"a",
                                         "word ",
                                         " ",
                                         "\n",
                                         "  ",
                                         ":",
                                         "#",
                                         "\"",
                                         "\\",
                                         "\t",
                                         "-",
                                         "é",
                                         "\xff",
                                         "\x02",
                                         "longer words in a row ",
                                         "and more of them, to be folded; "};
    static char text[4096];
    size_t used = 0;
    uint64_t kinds = 1 + random_next(random) % (sizeof pieces / sizeof pieces[0]);
    size_t first = random_next(random) % (sizeof pieces / sizeof pieces[0]);
    for (uint64_t left = random_next(random) % 40; left; left--) {
        size_t at = (first + random_next(random) % kinds) % (sizeof pieces / sizeof pieces[0]);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", pieces[at]);
    }
    text[used] = '\0';
    return text;
}

static void random_descriptions_round_trip(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        uint64_t random = seed;
        struct trace_info info = {.name = NULL};
        minimum_set(&info);
        assert_int_equal(trace_text_set(&info.description, text_random(&random)), ERR_OK);
        assert_int_equal(trace_text_set(&info.program_command, seed % 3 ? text_random(&random) : NULL), ERR_OK);
        assert_int_equal(trace_text_set(&info.capture_cpu, seed % 2 ? text_random(&random) : NULL), ERR_OK);
        assert_int_equal(trace_text_set(&info.licence, text_random(&random)), ERR_OK);
        info.events_bytes = random_next(&random);
        info.capture_page_bytes = random_next(&random) % 3 * 4096;
        for (unsigned i = 0; i < EVENT_KIND_COUNT; i++)
            info.summary.kind_counts[i] = random_next(&random);
        for (unsigned i = 0; i < DOMAIN_COUNT; i++)
            info.summary.domain_counts[i] = random_next(&random) % 2;
        info.summary.thread_count = (uint32_t)random_next(&random);
        info.summary.live_peak_bytes = random_next(&random);
        info_round_trip(&info);
        trace_info_clear(&info);
    }
}

static void long_texts_are_written_as_blocks(void **state) {
    (void)state;
    struct trace_info info = {.name = NULL};
    char *text;
    size_t bytes;
    minimum_set(&info);
    trace_text_set(&info.description, "First line.\nSecond line: with a colon.");
    trace_text_set(&info.provenance,
                   "A line that is much longer than anybody wants to see in one piece, which is why it "
                   "is folded at a blank near its hundredth column.");
    assert_int_equal(description_format(&info, &text, &bytes), ERR_OK);
    assert_non_null(strstr(text, "description: |-\n  First line.\n  Second line: with a colon.\nevents:\n"));
    assert_non_null(strstr(text, "provenance: >-\n  A line that is much"));
    assert_null(strstr(text, "!!"));
    free(text);
    trace_info_clear(&info);
}

static size_t address_space_bytes(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* However little there is, the text is whole or there is none. */
static void want_of_memory_never_cuts_a_text(void **state) {
    enum { TEXT_BYTES = 1 << 20, STEP_BYTES = 1 << 18 };
    struct rlimit before, limit;
    unsigned refused_count = 0;
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* a sanitizer's own memory does not fit */
#endif
    char *words = malloc(TEXT_BYTES + 1);
    assert_non_null(words);
    memset(words, 'x', TEXT_BYTES);
    words[TEXT_BYTES] = '\0';
    const struct trace_info info = {.name = words, .events_file = words, .events_sha256 = words};
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    for (size_t more = 0; more < 20 * (size_t)TEXT_BYTES; more += STEP_BYTES) {
        char *text = NULL;
        size_t bytes = 0;
        limit = (struct rlimit){address_space_bytes() + more, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
        enum err err = description_format(&info, &text, &bytes);
        setrlimit(RLIMIT_AS, &before);
        assert_true(err ? err == ERR_NOMEM && !text : strlen(text) == bytes && bytes > 3 * (size_t)TEXT_BYTES);
        refused_count += err != ERR_OK;
        free(text);
    }
    assert_true(refused_count > 0 && refused_count < 80);
    free(words);
}

static void base64_round_trips(void **state) {
    (void)state;
    for (size_t count = 0; count < 20; count++) {
        char bytes[20], text[40];
        size_t read;
        for (size_t i = 0; i < count; i++)
            bytes[i] = (char)(i * 53 + count);
        base64_encode(bytes, count, text);
        assert_int_equal(base64_decode(text, &read), ERR_OK);
        assert_int_equal(read, count);
        assert_memory_equal(text, bytes, count);
    }
    const char *const bad[] = {"A", "AA", "AAA", "=AAA", "AA=A", "A===", "AAAA=", "AA==AAAA", "AA*A"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[16];
        size_t read;
        strcpy(text, bad[i]);
        assert_int_equal(base64_decode(text, &read), ERR_FORMAT);
    }
}

static void description_is_recognised_by_its_first_key(void **state) {
    (void)state;
    assert_true(description_recognise("mmreplay: 9", 11));
    assert_true(description_recognise("# a\n\nmmreplay: 1\n", 17));
    assert_false(description_recognise("name: mmreplay: 1", 17));
    assert_false(description_recognise("mmreplay", 8));
    assert_false(description_recognise("", 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_is_told_with_line_and_column),
        cmocka_unit_test(whole_description_is_read),
        cmocka_unit_test(every_cut_of_a_description_is_read_or_refused),
        cmocka_unit_test(too_long_description_is_refused),
        cmocka_unit_test(awkward_texts_round_trip),
        cmocka_unit_test(random_descriptions_round_trip),
        cmocka_unit_test(long_texts_are_written_as_blocks),
        cmocka_unit_test(want_of_memory_never_cuts_a_text),
        cmocka_unit_test(base64_round_trips),
        cmocka_unit_test(description_is_recognised_by_its_first_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
