/* Writes seeds for the fuzzers: seed_maker FOLDER makes FOLDER/fuzz_events, fuzz_repair, fuzz_description. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/description.h"
#include "formats/events_encoder.h"
#include "formats/events_layout.h"
#include "tests/formats/fuzz_input.h"
#include "tests/formats/random_trace.h"
#include "traces/tracker.h"

static void folder_make(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (mkdir(path, 0777) && errno != EEXIST)
        abort();
}

static void seed_write(const char *folder, const char *name, unsigned number, const void *bytes, size_t count) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%u", folder, name, number);
    FILE *out = fopen(path, "w");
    if (!out || fwrite(bytes, 1, count, out) != count || fclose(out))
        abort();
}

/* Some equal, some apart. */
static uint64_t time_of(size_t event) {
    return 1000000 + event / 3 * 4096 + event / 40 * 4000000;
}

/* A trace as members for fuzz_input.h. */
static size_t members_make(const struct event *events, size_t count, size_t per_member, bool is_timed, uint8_t *to) {
    struct events_encoder *encoder;
    uint8_t *start = to;
    if (events_encoder_create(&encoder))
        abort();
    for (size_t i = 0; i < count; i++) {
        const uint8_t *raw;
        size_t bytes, added;
        const uint64_t time_ns = time_of(i);
        if (events_encoder_add(encoder, &events[i], is_timed ? &time_ns : NULL, 1, &added))
            abort();
        if ((i + 1) % per_member && i + 1 < count)
            continue;
        little_write(to, events_encoder_count(encoder) | (is_timed ? FUZZ_TIMES_BIT : 0), 2);
        if (events_encoder_take(encoder, &raw, &bytes) || bytes > 65535)
            abort();
        little_write(to + 2, bytes, 2);
        memcpy(to + FUZZ_MEMBER_LEAD_BYTES, raw, bytes);
        to += FUZZ_MEMBER_LEAD_BYTES + bytes;
    }
    events_encoder_destroy(encoder);
    return (size_t)(to - start);
}

static void description_seed(const char *folder, unsigned number, const struct event *events, size_t count) {
    char text[] = "a text, which is rather long as texts go, so that it is folded somewhere near its hundredth column";
    char lines[] = "two\n  lines\n", odd[] = "\xff", sha256[65];
    struct tracker *tracker;
    struct placement placements[1024];
    size_t applied;
    char *out;
    size_t bytes;
    memset(sha256, 'a', 64), sha256[64] = '\0';
    struct trace_info info = {.name = odd, .description = lines, .provenance = text, .capture_cpu = text};
    info.events_file = text, info.events_sha256 = sha256, info.capture_page_bytes = 4096;
    if (tracker_create(&tracker))
        abort();
    if (count > 1024 || tracker_apply(tracker, events, count, placements, &applied))
        abort();
    info.summary = *tracker_summary(tracker);
    if (number % 2) {
        info.capture_clock = text, info.capture_clock_resolution_ns = 16;
        info.summary.timed_count = count, info.summary.time_last_ns = UINT64_MAX;
    }
    tracker_destroy(tracker);
    if (description_format(&info, &out, &bytes))
        abort();
    seed_write(folder, "fuzz_description", number, out, bytes);
    free(out);
}

int main(int count, char **arguments) {
    static const char *const of_events[] = {"fuzz_events", "fuzz_repair"};
    static uint8_t members[FUZZ_FILE_BYTES_MAX], file[FUZZ_FILE_BYTES_MAX];
    if (count != 2)
        return 2;
    mkdir(arguments[1], 0777);
    folder_make(arguments[1], "fuzz_events");
    folder_make(arguments[1], "fuzz_repair");
    folder_make(arguments[1], "fuzz_description");
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct random_trace settings = {.seed = seed,
                                        .thread_count = 1 + seed % 5,
                                        .event_count = seed * 12,
                                        .live_limit = 2 + seed * 3,
                                        .wild_percent = seed % 4 * 20};
        struct event *events = random_trace_make(&settings);
        size_t bytes = members_make(events, settings.event_count, 5 + seed * 3, seed % 2, members);
        size_t file_bytes = fuzz_input_expand(members, bytes, file);
        for (size_t i = 0; i < sizeof of_events / sizeof of_events[0]; i++) {
            seed_write(arguments[1], of_events[i], 2 * seed, members, bytes);
            seed_write(arguments[1], of_events[i], 2 * seed + 1, file, file_bytes);
        }
        description_seed(arguments[1], seed, events, settings.event_count);
        free(events);
    }
    return 0;
}
