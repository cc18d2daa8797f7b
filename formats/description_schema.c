#include "formats/description_schema.h"

#include "traces/trace.h"

/*
 * One row per key: X(key, type, required, field of struct trace_info). A section's rows make its part of
 * struct description_text, its libcyaml fields and its leaves.
 */
#define TOP_LEAVES(X)                                                                                                  \
    X(name, LEAF_TEXT, true, name)                                                                                     \
    X(description, LEAF_TEXT, false, description)

#define PROGRAM_LEAVES(X)                                                                                              \
    X(command, LEAF_TEXT, false, program_command)                                                                      \
    X(version, LEAF_TEXT, false, program_version)                                                                      \
    X(interpreter, LEAF_TEXT, false, program_interpreter)

#define CAPTURE_LEAVES(X)                                                                                              \
    X(date, LEAF_TEXT, false, capture_date)                                                                            \
    X(tool, LEAF_TEXT, false, capture_tool)                                                                            \
    X(end, LEAF_TEXT, false, capture_end)                                                                              \
    X(clock, LEAF_TEXT, false, capture_clock)                                                                          \
    X(clock_resolution_ns, LEAF_NUMBER, false, capture_clock_resolution_ns)                                            \
    X(lost, LEAF_NUMBER, false, capture_lost_count)                                                                    \
    X(refused, LEAF_NUMBER, false, capture_refused_count)                                                              \
    X(inherited_blocks, LEAF_NUMBER, false, capture_inherited_blocks)                                                  \
    X(inherited_bytes, LEAF_NUMBER, false, capture_inherited_bytes)                                                    \
    X(inherited_uncertain, LEAF_NUMBER, false, capture_inherited_uncertain)

#define HOST_LEAVES(X)                                                                                                 \
    X(cpu, LEAF_TEXT, false, capture_cpu)                                                                              \
    X(kernel, LEAF_TEXT, false, capture_kernel)                                                                        \
    X(libc, LEAF_TEXT, false, capture_libc)                                                                            \
    X(page_bytes, LEAF_NUMBER, false, capture_page_bytes)

#define ARENA_LEAVES(X)                                                                                                \
    X(bytes, LEAF_NUMBER, false, capture_arena_bytes)                                                                  \
    X(count, LEAF_NUMBER, false, capture_arena_count)                                                                  \
    X(places, LEAF_TEXT, false, capture_arena_places)

#define EVENTS_LEAVES(X)                                                                                               \
    X(file, LEAF_TEXT, true, events_file)                                                                              \
    X(bytes, LEAF_NUMBER, true, events_bytes)                                                                          \
    X(sha256, LEAF_TEXT, true, events_sha256)                                                                          \
    X(count, LEAF_NUMBER, true, summary.event_count)                                                                   \
    X(threads, LEAF_NUMBER, true, summary.thread_count)

#define DOMAIN_LEAVES(X)                                                                                               \
    X(c, LEAF_NUMBER, false, summary.domain_counts[DOMAIN_C])                                                          \
    X(raw, LEAF_NUMBER, false, summary.domain_counts[DOMAIN_RAW])                                                      \
    X(mem, LEAF_NUMBER, false, summary.domain_counts[DOMAIN_MEM])                                                      \
    X(obj, LEAF_NUMBER, false, summary.domain_counts[DOMAIN_OBJ])

#define SUMMARY_LEAVES(X)                                                                                              \
    X(operations, LEAF_NUMBER, true, summary.operation_count)                                                          \
    X(free_null, LEAF_NUMBER, true, summary.free_null_count)                                                           \
    X(realloc_null, LEAF_NUMBER, true, summary.realloc_null_count)                                                     \
    X(cross_thread, LEAF_NUMBER, true, summary.cross_thread_count)                                                     \
    X(requested_bytes, LEAF_NUMBER, true, summary.requested_bytes)                                                     \
    X(largest_request_bytes, LEAF_NUMBER, true, summary.largest_request_bytes)                                         \
    X(live_peak_bytes, LEAF_NUMBER, true, summary.live_peak_bytes)                                                     \
    X(live_peak_blocks, LEAF_NUMBER, true, summary.live_peak_blocks)                                                   \
    X(live_end_bytes, LEAF_NUMBER, true, summary.live_end_bytes)                                                       \
    X(live_end_blocks, LEAF_NUMBER, true, summary.live_end_blocks)                                                     \
    X(timed, LEAF_NUMBER, false, summary.timed_count)                                                                  \
    X(time_first_ns, LEAF_NUMBER, false, summary.time_first_ns)                                                        \
    X(time_last_ns, LEAF_NUMBER, false, summary.time_last_ns)

#define KIND_LEAVES(X)                                                                                                 \
    X(malloc, LEAF_NUMBER, true, summary.kind_counts[EVENT_MALLOC])                                                    \
    X(calloc, LEAF_NUMBER, true, summary.kind_counts[EVENT_CALLOC])                                                    \
    X(aligned_alloc, LEAF_NUMBER, true, summary.kind_counts[EVENT_ALIGNED_ALLOC])                                      \
    X(realloc, LEAF_NUMBER, true, summary.kind_counts[EVENT_REALLOC])                                                  \
    X(free, LEAF_NUMBER, true, summary.kind_counts[EVENT_FREE])                                                        \
    X(thread_start, LEAF_NUMBER, true, summary.kind_counts[EVENT_THREAD_START])                                        \
    X(thread_end, LEAF_NUMBER, true, summary.kind_counts[EVENT_THREAD_END])

#define TAIL_LEAVES(X)                                                                                                 \
    X(provenance, LEAF_TEXT, false, provenance)                                                                        \
    X(licence, LEAF_TEXT, false, licence)

#define TEXT_MEMBER(key, type, required, field) char *key;

struct description_text {
    char *mmreplay;
    TOP_LEAVES(TEXT_MEMBER)
    struct program_text {
        PROGRAM_LEAVES(TEXT_MEMBER)
    } program;
    struct capture_text {
        CAPTURE_LEAVES(TEXT_MEMBER)
        struct host_text {
            HOST_LEAVES(TEXT_MEMBER)
        } host;
        struct arenas_text {
            ARENA_LEAVES(TEXT_MEMBER)
        } arenas;
    } capture;
    struct events_text {
        char *codec;
        EVENTS_LEAVES(TEXT_MEMBER)
        struct domains_text {
            DOMAIN_LEAVES(TEXT_MEMBER)
        } domains;
    } events;
    struct summary_text {
        struct kinds_text {
            KIND_LEAVES(TEXT_MEMBER)
        } kinds;
        SUMMARY_LEAVES(TEXT_MEMBER)
    } summary;
    TAIL_LEAVES(TEXT_MEMBER)
};

#define FIELD_FLAGS(required) (CYAML_FLAG_POINTER | ((required) ? CYAML_FLAG_DEFAULT : CYAML_FLAG_OPTIONAL))
#define FIELD(structure, key, required)                                                                                \
    CYAML_FIELD_STRING_PTR(#key, FIELD_FLAGS(required), struct structure, key, 0, CYAML_UNLIMITED),

#define PROGRAM_FIELD(key, type, required, field) FIELD(program_text, key, required)
static const cyaml_schema_field_t program_fields[] = {PROGRAM_LEAVES(PROGRAM_FIELD) CYAML_FIELD_END};

#define HOST_FIELD(key, type, required, field) FIELD(host_text, key, required)
static const cyaml_schema_field_t host_fields[] = {HOST_LEAVES(HOST_FIELD) CYAML_FIELD_END};

#define ARENA_FIELD(key, type, required, field) FIELD(arenas_text, key, required)
static const cyaml_schema_field_t arena_fields[] = {ARENA_LEAVES(ARENA_FIELD) CYAML_FIELD_END};

#define CAPTURE_FIELD(key, type, required, field) FIELD(capture_text, key, required)
static const cyaml_schema_field_t capture_fields[] = {
    CAPTURE_LEAVES(CAPTURE_FIELD)
        CYAML_FIELD_MAPPING("host", CYAML_FLAG_OPTIONAL, struct capture_text, host, host_fields),
    CYAML_FIELD_MAPPING("arenas", CYAML_FLAG_OPTIONAL, struct capture_text, arenas, arena_fields),
    CYAML_FIELD_END,
};

#define DOMAIN_FIELD(key, type, required, field) FIELD(domains_text, key, required)
static const cyaml_schema_field_t domain_fields[] = {DOMAIN_LEAVES(DOMAIN_FIELD) CYAML_FIELD_END};

#define EVENTS_FIELD(key, type, required, field) FIELD(events_text, key, required)
static const cyaml_schema_field_t events_fields[] = {
    FIELD(events_text, codec, true) EVENTS_LEAVES(EVENTS_FIELD)
        CYAML_FIELD_MAPPING("domains", CYAML_FLAG_OPTIONAL, struct events_text, domains, domain_fields),
    CYAML_FIELD_END,
};

#define KIND_FIELD(key, type, required, field) FIELD(kinds_text, key, required)
static const cyaml_schema_field_t kind_fields[] = {KIND_LEAVES(KIND_FIELD) CYAML_FIELD_END};

#define SUMMARY_FIELD(key, type, required, field) FIELD(summary_text, key, required)
static const cyaml_schema_field_t summary_fields[] = {
    CYAML_FIELD_MAPPING("kinds", CYAML_FLAG_DEFAULT, struct summary_text, kinds, kind_fields),
    SUMMARY_LEAVES(SUMMARY_FIELD) CYAML_FIELD_END,
};

#define TOP_FIELD(key, type, required, field) FIELD(description_text, key, required)
static const cyaml_schema_field_t top_fields[] = {
    FIELD(description_text, mmreplay, true) TOP_LEAVES(TOP_FIELD)
        CYAML_FIELD_MAPPING("program", CYAML_FLAG_OPTIONAL, struct description_text, program, program_fields),
    CYAML_FIELD_MAPPING("capture", CYAML_FLAG_OPTIONAL, struct description_text, capture, capture_fields),
    CYAML_FIELD_MAPPING("events", CYAML_FLAG_DEFAULT, struct description_text, events, events_fields),
    CYAML_FIELD_MAPPING("summary", CYAML_FLAG_DEFAULT, struct description_text, summary, summary_fields),
    TAIL_LEAVES(TOP_FIELD) CYAML_FIELD_END,
};

const cyaml_schema_value_t description_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct description_text, top_fields),
};

// NOLINTBEGIN(bugprone-macro-parentheses): prefixes, keys and fields are pasted into designators
#define LEAF(prefix, section, key, leaf_type, is_required, field)                                                      \
    {.path = prefix #key,                                                                                              \
     .type = leaf_type,                                                                                                \
     .required = is_required,                                                                                          \
     .text_offset = offsetof(struct description_text, section key),                                                    \
     .info_offset = offsetof(struct trace_info, field)},

#define TOP_LEAF(key, type, required, field)     LEAF("", , key, type, required, field)
#define PROGRAM_LEAF(key, type, required, field) LEAF("program.", program., key, type, required, field)
#define CAPTURE_LEAF(key, type, required, field) LEAF("capture.", capture., key, type, required, field)
#define HOST_LEAF(key, type, required, field)    LEAF("capture.host.", capture.host., key, type, required, field)
#define ARENA_LEAF(key, type, required, field)   LEAF("capture.arenas.", capture.arenas., key, type, required, field)
#define EVENTS_LEAF(key, type, required, field)  LEAF("events.", events., key, type, required, field)
#define DOMAIN_LEAF(key, type, required, field)  LEAF("events.domains.", events.domains., key, type, required, field)
#define KIND_LEAF(key, type, required, field)    LEAF("summary.kinds.", summary.kinds., key, type, required, field)
#define SUMMARY_LEAF(key, type, required, field) LEAF("summary.", summary., key, type, required, field)

const struct leaf description_leaves[] = {TOP_LEAVES(TOP_LEAF) PROGRAM_LEAVES(PROGRAM_LEAF) CAPTURE_LEAVES(CAPTURE_LEAF)
                                              HOST_LEAVES(HOST_LEAF) ARENA_LEAVES(ARENA_LEAF) EVENTS_LEAVES(EVENTS_LEAF)
                                                  DOMAIN_LEAVES(DOMAIN_LEAF) KIND_LEAVES(KIND_LEAF)
                                                      SUMMARY_LEAVES(SUMMARY_LEAF) TAIL_LEAVES(TOP_LEAF)};

// NOLINTEND(bugprone-macro-parentheses)

const size_t description_leaf_count = sizeof description_leaves / sizeof description_leaves[0];
