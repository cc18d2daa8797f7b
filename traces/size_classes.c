#include "traces/size_classes.h"

#include <assert.h>
#include <string.h>

const char *const size_scheme_names[SIZE_SCHEME_COUNT] = {
    [SIZE_SCHEME_LOG2] = "log2",   [SIZE_SCHEME_PYMALLOC] = "pymalloc", [SIZE_SCHEME_PYMALLOC8] = "pymalloc8",
    [SIZE_SCHEME_GLIBC] = "glibc", [SIZE_SCHEME_JEMALLOC] = "jemalloc",
};

enum err size_scheme_parse(const char *text, enum size_scheme *out, struct diag *diag) {
    for (size_t i = 0; i < SIZE_SCHEME_COUNT; i++)
        if (strcmp(text, size_scheme_names[i]) == 0) {
            *out = (enum size_scheme)i;
            return ERR_OK;
        }
    return diag_set(diag, ERR_USAGE, NULL, "size classes are log2, pymalloc, pymalloc8, glibc or jemalloc, not '%s'",
                    text);
}

static void class_add(struct size_classes *classes, uint64_t upper_bytes) {
    assert(classes->count < SIZE_CLASS_MAX);
    classes->upper_bytes[classes->count++] = upper_bytes;
}

static void steps_add(struct size_classes *classes, uint64_t from_bytes, uint64_t to_bytes, uint64_t step_bytes) {
    for (uint64_t upper = from_bytes; upper <= to_bytes; upper += step_bytes)
        class_add(classes, upper);
}

/* Doublings from the power of two behind `from_bytes` on, each in `steps` equal steps. */
static void doublings_add(struct size_classes *classes, uint64_t from_bytes, uint64_t steps) {
    for (uint64_t base = from_bytes; base < EVENT_SIZE_MAX; base *= 2)
        steps_add(classes, base + base / steps, 2 * base, base / steps);
}

static void uppers_fill(struct size_classes *classes) {
    switch (classes->scheme) {
    case SIZE_SCHEME_PYMALLOC:
        steps_add(classes, 16, 512, 16);
        doublings_add(classes, 512, 1);
        break;
    case SIZE_SCHEME_PYMALLOC8:
        steps_add(classes, 8, 512, 8);
        doublings_add(classes, 512, 1);
        break;
    case SIZE_SCHEME_GLIBC:
        steps_add(classes, 24, 1032, 16);
        doublings_add(classes, 1024, 1);
        break;
    case SIZE_SCHEME_JEMALLOC:
        class_add(classes, 8);
        steps_add(classes, 16, 128, 16);
        doublings_add(classes, 128, 4);
        break;
    default:
        class_add(classes, 0);
        class_add(classes, 1);
        doublings_add(classes, 1, 1);
    }
}

void size_classes_init(struct size_classes *classes, enum size_scheme scheme) {
    _Static_assert(SIZE_CLASS_MAX <= UINT8_MAX + 1, "a class fits a byte");
    *classes = (struct size_classes){.scheme = scheme};
    uppers_fill(classes);
    uint32_t class = 0;
    for (uint64_t size = 0; size <= SIZE_CLASS_TABLE_BYTES; size++) {
        class += classes->upper_bytes[class] < size;
        classes->small[size] = (uint8_t) class;
    }
    for (uint32_t log2 = 0; log2 <= EVENT_SIZE_BITS; log2++) {
        for (class = 0; classes->upper_bytes[class] < (uint64_t)1 << log2;)
            class ++;
        classes->from_log2[log2] = (uint8_t) class;
    }
}
