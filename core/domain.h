/**
 * domain.h: CPython's three allocation domains, and what stands behind one: a context and four functions.
 */
#ifndef MMREPLAY_CORE_DOMAIN_H
#define MMREPLAY_CORE_DOMAIN_H

#include <stddef.h>

/** The numbers are PyMemAllocatorDomain's. */
enum domain_id {
    DOMAIN_ID_RAW, /**< any thread, with or without the lock; for what must not depend on the object heap */
    DOMAIN_ID_MEM, /**< buffers of the interpreter's thread */
    DOMAIN_ID_OBJ, /**< objects */
    DOMAIN_ID_COUNT
};

/** The names as reports spell them, and the letters that debug hooks mark blocks with: 'r', 'm', 'o'. */
extern const char *const domain_id_names[DOMAIN_ID_COUNT];
extern const char domain_id_letters[DOMAIN_ID_COUNT];

/**
 * What serves a domain; the members of PyMemAllocatorEx in their order.
 *
 * A request of 0 bytes is answered with a block of its own, `block` NULL makes realloc a malloc, free(NULL) is nothing,
 * and a realloc that returns NULL leaves the old block as it was.
 */
struct domain_allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t bytes);
    void *(*calloc)(void *ctx, size_t count, size_t bytes);
    void *(*realloc)(void *ctx, void *block, size_t bytes);
    void (*free)(void *ctx, void *block);
};

/** The raw layer (raw.h) as an allocator: libc. */
extern const struct domain_allocator domain_allocator_libc;

#endif
