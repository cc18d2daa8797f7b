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
static __attribute__((noinline)) bool is_recorded_after_all(unsigned mode) {
    if (mode == SHIM_UNSTARTED) {
        shim_start();
        return shim_mode() & SHIM_C;
    }
    if (mode == SHIM_STARTING && shim_thread.is_probing)
        shim_thread.was_probed = 1;
    return mode == SHIM_OFF && shim_process_wake() && (shim_mode() & SHIM_C) && shim_is_outermost();
}

static inline bool is_recorded(void) {
    unsigned mode = shim_mode();
    if (__builtin_expect(mode & SHIM_C, 1))
        return shim_is_outermost();
    return !(mode & (SHIM_DOMAINS | SHIM_OVER)) && is_recorded_after_all(mode);
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

/*
 * Each entry point is here twice: under its usual name, and for glibc's second name (__libc_malloc), which wrappers of
 * malloc call. `real` is the set of functions behind the name. Never through the public names: those may be the
 * program's own.
 */
static inline void *malloc_by(const struct shim_real *real, size_t bytes) {
    if (!is_recorded())
        return real->malloc ? real->malloc(bytes) : boot_malloc(bytes);
    shim_enter();
    void *block = real->malloc(bytes); /* NOLINT(clang-analyzer-core.CallAndMessage): recorded is what was started */
    block_made(RECORD_MALLOC, block, bytes, 0);
    return block;
}

static inline void *calloc_by(const struct shim_real *real, size_t count, size_t bytes) {
    if (!is_recorded()) {
        size_t total;
        if (real->malloc)
            return real->calloc(count, bytes);
        return __builtin_mul_overflow(count, bytes, &total) ? NULL : boot_malloc(total);
    }
    shim_enter();
    void *block = real->calloc(count, bytes);
    block_made(RECORD_CALLOC, block, count * bytes, 0);
    return block;
}

/* Before a call that gives a block back; false: it is not the allocator's, or there is none yet. */
static inline bool block_ends(const struct shim_real *real, const void *block) {
    if (__builtin_expect(boot_owns(block), 0))
        return false;
    if (is_recorded())
        shim_event(RECORD_FREE, DOMAIN_C, (uintptr_t)block, 0, 0);
    return real->free != NULL;
}

static inline void free_by(const struct shim_real *real, void *block) {
    if (!block_ends(real, block))
        return;
    shim_enter();
    real->free(block);
    shim_leave();
}

static void *boot_realloc(const struct shim_real *real, void *block, size_t bytes) {
    void *moved = malloc_by(real, bytes);
    size_t old_bytes = block ? boot_size(block) : 0;
    if (moved && old_bytes)
        memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    return moved;
}

static void *recorded_realloc(const struct shim_real *real, void *block, size_t bytes) {
    if (block)
        shim_event(RECORD_REALLOC_BEGIN, DOMAIN_C, (uintptr_t)block, 0, 0);
    uintptr_t old = (uintptr_t)block;
    shim_enter();
    void *moved = real->realloc(block, bytes);
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

static inline void *realloc_by(const struct shim_real *real, void *block, size_t bytes) {
    if (__builtin_expect(boot_owns(block), 0))
        return boot_realloc(real, block, bytes);
    if (is_recorded())
        return recorded_realloc(real, block, bytes);
    return real->malloc ? real->realloc(block, bytes) : boot_realloc(real, block, bytes);
}

/*
 * The end of a call that makes an aligned block: `bytes` and `align` as the program sees them. A senseless alignment
 * (EINVAL) is not a request that was refused.
 */
static void *aligned_made(bool recorded, void *block, size_t bytes, size_t align) {
    if (recorded && (block || errno != EINVAL))
        block_made(RECORD_ALIGNED, block, bytes, align_log2_of(align));
    else
        shim_leave();
    return block;
}

static void *none_yet(void) {
    errno = ENOMEM;
    return NULL;
}

static inline void *aligned_by(void *(*const *real)(size_t, size_t), size_t align, size_t bytes) {
    bool recorded = is_recorded(); /* may find the real functions */
    if (!*real)
        return none_yet();
    shim_enter();
    return aligned_made(recorded, (*real)(align, bytes), bytes, align);
}

static inline void *paged_by(void *(*const *real)(size_t), size_t bytes, size_t rounding) {
    bool recorded = is_recorded();
    if (!*real)
        return none_yet();
    shim_enter();
    void *block = (*real)(bytes);
    return aligned_made(recorded, block, block ? (bytes + rounding - 1) / rounding * rounding : bytes,
                        (size_t)getpagesize());
}

SHIM_EXPORT void *malloc(size_t bytes) {
    return malloc_by(&shim.real, bytes);
}

SHIM_EXPORT void *calloc(size_t count, size_t bytes) {
    return calloc_by(&shim.real, count, bytes);
}

SHIM_EXPORT void free(void *block) {
    free_by(&shim.real, block);
}

SHIM_EXPORT void *realloc(void *block, size_t bytes) {
    return realloc_by(&shim.real, block, bytes);
}

SHIM_EXPORT void *reallocarray(void *block, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        if (shim_mode() & SHIM_C)
            shim_refused();
        return none_yet();
    }
    return realloc_by(&shim.real, block, total);
}

/* C23. Here even where the C library has them not yet: a program may ask for them by dlsym, or weakly. */
SHIM_EXPORT void free_sized(void *block, size_t bytes) {
    if (!block_ends(&shim.real, block))
        return;
    shim_enter();
    if (shim.real.free_sized)
        shim.real.free_sized(block, bytes);
    else
        shim.real.free(block);
    shim_leave();
}

SHIM_EXPORT void free_aligned_sized(void *block, size_t align, size_t bytes) {
    if (!block_ends(&shim.real, block))
        return;
    shim_enter();
    if (shim.real.free_aligned_sized)
        shim.real.free_aligned_sized(block, align, bytes);
    else
        shim.real.free(block);
    shim_leave();
}

/* Gone from glibc's headers since 2.26; programs that were linked before still call it. */
SHIM_EXPORT void cfree(void *block);
SHIM_EXPORT void cfree(void *block) {
    free_by(&shim.real, block);
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

SHIM_EXPORT void *aligned_alloc(size_t align, size_t bytes) {
    return aligned_by(&shim.real.aligned_alloc, align, bytes);
}

SHIM_EXPORT void *memalign(size_t align, size_t bytes) {
    return aligned_by(&shim.real.memalign, align, bytes);
}

SHIM_EXPORT void *valloc(size_t bytes) {
    return paged_by(&shim.real.valloc, bytes, 1);
}

SHIM_EXPORT void *pvalloc(size_t bytes) {
    return paged_by(&shim.real.pvalloc, bytes, (size_t)getpagesize());
}

#define SECOND_NAME(type, name, parameters, call)                                                                      \
    SHIM_EXPORT type name parameters;                                                                                  \
    SHIM_EXPORT type name parameters {                                                                                 \
        call;                                                                                                          \
    }

SECOND_NAME(void *, __libc_malloc, (size_t bytes), return malloc_by(&shim.second, bytes))
SECOND_NAME(void *, __libc_calloc, (size_t count, size_t bytes), return calloc_by(&shim.second, count, bytes))
SECOND_NAME(void *, __libc_realloc, (void *block, size_t bytes), return realloc_by(&shim.second, block, bytes))
SECOND_NAME(void *, __libc_memalign, (size_t align, size_t bytes),
            return aligned_by(&shim.second.memalign, align, bytes))
SECOND_NAME(void *, __libc_valloc, (size_t bytes), return paged_by(&shim.second.valloc, bytes, 1))
SECOND_NAME(void *, __libc_pvalloc, (size_t bytes), return paged_by(&shim.second.pvalloc, bytes, (size_t)getpagesize()))
SECOND_NAME(void, __libc_free, (void *block), free_by(&shim.second, block))
