#include "traces/record/shim.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Requests from before the real functions are known. Never given back: dlsym needs a few hundred bytes at most.
 * A header of one word before each block holds its size, for realloc.
 */
enum { BOOT_BYTES = 64 * 1024, BOOT_ALIGN = 16 };
static _Alignas(BOOT_ALIGN) char boot_area[BOOT_BYTES];
static _Atomic size_t boot_used;

static void *boot_malloc(size_t bytes) {
    if (bytes > BOOT_BYTES)
        return NULL;
    size_t need = (bytes + BOOT_ALIGN + (BOOT_ALIGN - 1)) & ~(size_t)(BOOT_ALIGN - 1);
    size_t at = atomic_fetch_add(&boot_used, need);
    if (at + need > BOOT_BYTES)
        return NULL;
    memcpy(boot_area + at, &bytes, sizeof bytes);
    return boot_area + at + BOOT_ALIGN;
}

static inline bool boot_owns(const void *block) {
    return (uintptr_t)block - (uintptr_t)boot_area < BOOT_BYTES;
}

static size_t boot_size(const void *block) {
    size_t bytes;
    memcpy(&bytes, (const char *)block - BOOT_ALIGN, sizeof bytes);
    return bytes;
}

/* For calls that are not recorded: starts the shim if this is the first; looks after the child of a fork. */
static bool is_recorded(void) {
    unsigned mode = shim_mode();
    if (__builtin_expect(mode == SHIM_C, 1))
        return shim_is_outermost();
    if (mode == SHIM_UNSTARTED) {
        shim_start();
        return shim_mode() == SHIM_C;
    }
    if (mode == SHIM_STARTING && shim_thread.is_probing)
        shim_thread.was_probed = 1;
    return mode == SHIM_OFF && shim_process_wake() && shim_mode() == SHIM_C && shim_is_outermost();
}

/* The end of a bracketed call that makes a block. */
static inline void block_made(unsigned kind, const void *block, size_t bytes, unsigned align_log2) {
    shim_leave();
    if (__builtin_expect(block != NULL, 1))
        shim_event(kind, DOMAIN_C, (uintptr_t)block, bytes, align_log2);
    else
        shim_refused();
}

/* Rounded up, as memalign does; far too large ones are refused by the callee, so the number does not matter. */
static unsigned align_log2_of(size_t align) {
    unsigned log2 = 0;
    while (log2 < EVENT_ALIGN_LOG2_MAX && (size_t)1 << log2 < align)
        log2++;
    return log2;
}

SHIM_EXPORT void *malloc(size_t bytes) {
    if (!is_recorded())
        return shim.real.malloc ? shim.real.malloc(bytes) : boot_malloc(bytes);
    shim_enter();
    void *block = shim.real.malloc(bytes);
    block_made(RECORD_MALLOC, block, bytes, 0);
    return block;
}

SHIM_EXPORT void *calloc(size_t count, size_t bytes) {
    if (!is_recorded()) {
        size_t total;
        if (shim.real.malloc)
            return shim.real.calloc(count, bytes);
        return __builtin_mul_overflow(count, bytes, &total) ? NULL : boot_malloc(total);
    }
    shim_enter();
    void *block = shim.real.calloc(count, bytes);
    block_made(RECORD_CALLOC, block, count * bytes, 0);
    return block;
}

SHIM_EXPORT void free(void *block) {
    if (__builtin_expect(boot_owns(block), 0))
        return;
    if (!is_recorded()) {
        if (shim.real.free)
            shim.real.free(block);
        return;
    }
    shim_event(RECORD_FREE, DOMAIN_C, (uintptr_t)block, 0, 0);
    shim_enter();
    shim.real.free(block);
    shim_leave();
}

static void *boot_realloc(void *block, size_t bytes) {
    void *moved = shim.real.malloc ? malloc(bytes) : boot_malloc(bytes);
    size_t old_bytes = block ? boot_size(block) : 0;
    if (moved && old_bytes)
        memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    return moved;
}

static void *recorded_realloc(void *block, size_t bytes) {
    if (block)
        shim_event(RECORD_REALLOC_BEGIN, DOMAIN_C, (uintptr_t)block, 0, 0);
    uintptr_t old = (uintptr_t)block;
    shim_enter();
    void *moved = shim.real.realloc(block, bytes);
    if (!old) {
        block_made(RECORD_REALLOC_NEW, moved, bytes, 0);
        return moved;
    }
    shim_leave();
    if (moved) {
        shim_event(RECORD_REALLOC_END, DOMAIN_C, (uintptr_t)moved, bytes, 0);
    } else if (bytes == 0) {
        shim_event(RECORD_REALLOC_FREED, DOMAIN_C, 0, 0, 0);
    } else {
        shim_event(RECORD_REALLOC_FAILED, DOMAIN_C, old, 0, 0);
        shim_refused();
    }
    return moved;
}

SHIM_EXPORT void *realloc(void *block, size_t bytes) {
    if (__builtin_expect(boot_owns(block), 0))
        return boot_realloc(block, bytes);
    if (is_recorded())
        return recorded_realloc(block, bytes);
    return shim.real.malloc ? shim.real.realloc(block, bytes) : boot_realloc(block, bytes);
}

SHIM_EXPORT void *reallocarray(void *block, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        if (shim_mode() == SHIM_C)
            shim_refused();
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, total);
}

SHIM_EXPORT int posix_memalign(void **out, size_t align, size_t bytes) {
    bool recorded = is_recorded();
    if (!shim.real.posix_memalign)
        return ENOMEM;
    shim_enter();
    int failure = shim.real.posix_memalign(out, align, bytes);
    if (recorded && failure != EINVAL)
        block_made(RECORD_ALIGNED, failure ? NULL : *out, bytes, align_log2_of(align));
    else
        shim_leave();
    return failure;
}

/* The end of a call that makes an aligned block: `bytes` and `align` as the program sees them. */
static void *aligned_made(bool recorded, void *block, size_t bytes, size_t align) {
    if (recorded)
        block_made(RECORD_ALIGNED, block, bytes, align_log2_of(align));
    else
        shim_leave();
    return block;
}

SHIM_EXPORT void *aligned_alloc(size_t align, size_t bytes) {
    bool recorded = is_recorded();
    shim_enter();
    return aligned_made(recorded, shim.real.aligned_alloc ? shim.real.aligned_alloc(align, bytes) : NULL, bytes, align);
}

SHIM_EXPORT void *memalign(size_t align, size_t bytes) {
    bool recorded = is_recorded();
    shim_enter();
    return aligned_made(recorded, shim.real.memalign ? shim.real.memalign(align, bytes) : NULL, bytes, align);
}

SHIM_EXPORT void *valloc(size_t bytes) {
    bool recorded = is_recorded();
    shim_enter();
    return aligned_made(recorded, shim.real.valloc ? shim.real.valloc(bytes) : NULL, bytes, (size_t)getpagesize());
}

SHIM_EXPORT void *pvalloc(size_t bytes) {
    bool recorded = is_recorded();
    size_t page = (size_t)getpagesize();
    shim_enter();
    return aligned_made(recorded, shim.real.pvalloc ? shim.real.pvalloc(bytes) : NULL, (bytes + page - 1) / page * page,
                        page);
}
