#include "core/debug_fault.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const kind_names[DEBUG_FAULT_KIND_COUNT] = {
    [DEBUG_FAULT_NONE] = "none",
    [DEBUG_FAULT_UNDERRUN] = "underrun",
    [DEBUG_FAULT_OVERRUN] = "overrun",
    [DEBUG_FAULT_WRONG_DOMAIN] = "wrong-domain",
    [DEBUG_FAULT_FREED] = "double-free",
    [DEBUG_FAULT_FOREIGN] = "foreign-block",
    [DEBUG_FAULT_SIZE] = "impossible-size",
    [DEBUG_FAULT_UNLOCKED] = "lock-not-held",
};

static const char *const call_names[DEBUG_CALL_COUNT] = {"malloc", "calloc", "realloc", "free"};

const char *debug_fault_kind_name(enum debug_fault_kind kind) {
    return kind < DEBUG_FAULT_KIND_COUNT ? kind_names[kind] : "unknown";
}

/* A text that grows at the end of a caller's buffer and stops where that ends. */
struct story {
    char *buffer;
    size_t used;
};

static __attribute__((format(printf, 2, 3))) void story_add(struct story *story, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(story->buffer + story->used, DEBUG_FAULT_TEXT_BYTES - story->used, format, arguments);
    va_end(arguments);
    if (length > 0)
        story->used += (size_t)length;
    if (story->used >= DEBUG_FAULT_TEXT_BYTES)
        story->used = DEBUG_FAULT_TEXT_BYTES - 1;
}

static void letter_add(struct story *story, uint8_t letter) {
    if (letter > ' ' && letter < 0x7f)
        story_add(story, "'%c'", letter);
    else
        story_add(story, "0x%02x", letter);
}

static void byte_add(struct story *story, const struct debug_fault *fault) {
    if (fault->offset < 0)
        story_add(story, "the byte %" PRId64 " before its data", -fault->offset);
    else
        story_add(story, "the byte %" PRIu64 " behind its %" PRIu64 " bytes",
                  (uint64_t)fault->offset - fault->size_bytes, fault->size_bytes);
    story_add(story, " is 0x%02x instead of 0x%02x", fault->found, fault->expected);
}

static void line_add(struct story *story, const struct debug_fault *fault) {
    const char *call = fault->call < DEBUG_CALL_COUNT ? call_names[fault->call] : "call";
    story_add(story, "%s in %s of domain '%c'", debug_fault_kind_name(fault->kind), call, fault->letter);
    if (fault->block)
        story_add(story, ", block %p", fault->block);
    story_add(story, ": ");
    switch (fault->kind) {
    case DEBUG_FAULT_UNDERRUN:
    case DEBUG_FAULT_OVERRUN:
        byte_add(story, fault);
        break;
    case DEBUG_FAULT_WRONG_DOMAIN:
        story_add(story, "it was allocated by domain '%c'", fault->found_letter);
        break;
    case DEBUG_FAULT_FREED:
        story_add(story, "its mark is 0x%02x, as in freed blocks", fault->found);
        break;
    case DEBUG_FAULT_FOREIGN:
        story_add(story, "its mark is ");
        letter_add(story, fault->found);
        story_add(story, ", which is no domain's: allocated elsewhere, or overwritten");
        break;
    case DEBUG_FAULT_SIZE:
        story_add(story, "%" PRIu64 " bytes are recorded for it, more than can be", fault->size_bytes);
        break;
    case DEBUG_FAULT_UNLOCKED:
        story_add(story, "the caller does not hold the lock");
        break;
    default:
        break;
    }
}

static void pad_add(struct story *story, const struct debug_fault *fault, const char *where, const uint8_t *pad,
                    int first, int64_t offset) {
    bool whole = true;
    for (int i = first; i < DEBUG_PAD_BYTES; i++)
        whole = whole && pad[i] == fault->forbidden;
    if (whole) {
        story_add(story, "  %s pad: %d bytes of 0x%02x, as it should be\n", where, DEBUG_PAD_BYTES - first,
                  fault->forbidden);
        return;
    }
    story_add(story, "  %s pad: not all of its %d bytes are 0x%02x\n", where, DEBUG_PAD_BYTES - first,
              fault->forbidden);
    for (int i = first; i < DEBUG_PAD_BYTES; i++)
        story_add(story, "    at %+" PRId64 ": 0x%02x%s\n", offset + i, pad[i],
                  pad[i] == fault->forbidden ? "" : "  <-- overwritten");
}

static void data_add(struct story *story, const struct debug_fault *fault) {
    uint64_t shown = fault->data_first_count + (uint64_t)fault->data_last_count;
    story_add(story, "  data:");
    for (uint32_t i = 0; i < fault->data_first_count; i++)
        story_add(story, " %02x", fault->data_first[i]);
    if (fault->size_bytes > shown)
        story_add(story, " ...");
    for (uint32_t i = 0; i < fault->data_last_count; i++)
        story_add(story, " %02x", fault->data_last[i]);
    story_add(story, "\n");
}

const char *debug_fault_line(const struct debug_fault *fault, char buffer[DEBUG_FAULT_TEXT_BYTES]) {
    struct story story = {buffer, 0};
    buffer[0] = '\0';
    line_add(&story, fault);
    return buffer;
}

const char *debug_fault_report(const struct debug_fault *fault, char buffer[DEBUG_FAULT_TEXT_BYTES]) {
    struct story story = {buffer, 0};
    buffer[0] = '\0';
    line_add(&story, fault);
    story_add(&story, "\n");
    if (!fault->block || fault->kind == DEBUG_FAULT_UNLOCKED)
        return buffer;
    story_add(&story, "  mark: ");
    letter_add(&story, fault->found_letter);
    story_add(&story, "\n");
    pad_add(&story, fault, "leading", fault->lead, 1, -DEBUG_PAD_BYTES);
    story_add(&story, "  size: %" PRIu64 " bytes requested%s\n", fault->size_bytes,
              fault->has_tail ? "" : " (doubtful: what surrounds it is broken)");
    if (!fault->has_tail)
        return buffer;
    pad_add(&story, fault, "trailing", fault->trail, 0, (int64_t)fault->size_bytes);
    if (fault->has_serial)
        story_add(&story, "  serial: made by call %" PRIu64 "\n", fault->serial);
    data_add(&story, fault);
    return buffer;
}
