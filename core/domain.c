#include "core/domain.h"

#include "core/raw.h"

const char *const domain_id_names[DOMAIN_ID_COUNT] = {"raw", "mem", "obj"};
const char domain_id_letters[DOMAIN_ID_COUNT] = {'r', 'm', 'o'};

static void *libc_malloc(void *ctx, size_t bytes) {
    (void)ctx;
    return raw_malloc(bytes);
}

static void *libc_calloc(void *ctx, size_t count, size_t bytes) {
    (void)ctx;
    return raw_calloc(count, bytes);
}

static void *libc_realloc(void *ctx, void *block, size_t bytes) {
    (void)ctx;
    return raw_realloc(block, bytes);
}

static void libc_free(void *ctx, void *block) {
    (void)ctx;
    raw_free(block);
}

const struct domain_allocator domain_allocator_libc = {NULL, libc_malloc, libc_calloc, libc_realloc, libc_free};
