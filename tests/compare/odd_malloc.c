/*
 * A malloc that only ever takes, from one mapping, with a fault chosen when it is compiled:
 *   ODD_CRASH_AFTER=N         the N-th malloc writes to address 0
 *   ODD_HANG_AFTER=N          the N-th malloc never returns
 *   ODD_REFUSE_FROM_BYTES=N   requests of N bytes and more are answered with NULL
 *   ODD_MALLOC_ONLY           malloc, but no free
 *   ODD_NO_MALLOC             not a malloc at all
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef ODD_NO_MALLOC
int odd_without_malloc(void);
int odd_without_malloc(void) {
    return 1;
}
#else

enum { ALIGN = 16 };
static const size_t region_bytes = (size_t)1 << 36;

static char *region;
static size_t used;
static unsigned long calls;

static void *take(size_t align, size_t bytes) {
#ifdef ODD_REFUSE_FROM_BYTES
    if (bytes >= ODD_REFUSE_FROM_BYTES)
        return NULL;
#endif
    if (!region) {
        void *mapped =
            mmap(NULL, region_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED)
            return NULL;
        region = mapped;
    }
    size_t at = (used + ALIGN + align - 1) / align * align;
    if (bytes > region_bytes || at + bytes > region_bytes)
        return NULL;
    used = at + (bytes + ALIGN - 1) / ALIGN * ALIGN;
    memcpy(region + at - sizeof bytes, &bytes, sizeof bytes);
    return region + at;
}

void *malloc(size_t bytes);
void *malloc(size_t bytes) {
    calls++;
#ifdef ODD_CRASH_AFTER
    if (calls >= ODD_CRASH_AFTER) {
        static const char words[] = "odd_malloc: heap is on fire\n";
        ssize_t ignored = write(2, words, sizeof words - 1);
        (void)ignored;
        *(volatile int *)(uintptr_t)(calls - calls) = 1;
    }
#endif
#ifdef ODD_HANG_AFTER
    while (calls >= ODD_HANG_AFTER)
        pause();
#endif
    return take(ALIGN, bytes);
}

#ifndef ODD_MALLOC_ONLY
void free(void *block);
void free(void *block) {
    (void)block;
}

void *calloc(size_t count, size_t bytes);
void *calloc(size_t count, size_t bytes) {
    size_t all;
    return __builtin_mul_overflow(count, bytes, &all) ? NULL : take(ALIGN, all);
}

size_t malloc_usable_size(void *block);
size_t malloc_usable_size(void *block) {
    size_t bytes = 0;
    if (block)
        memcpy(&bytes, (char *)block - sizeof bytes, sizeof bytes);
    return bytes;
}

void *realloc(void *block, size_t bytes);
void *realloc(void *block, size_t bytes) {
    size_t old_bytes = malloc_usable_size(block);
    void *moved = take(ALIGN, bytes);
    if (moved && block)
        memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    return moved;
}

int posix_memalign(void **out, size_t align, size_t bytes);
int posix_memalign(void **out, size_t align, size_t bytes) {
    *out = take(align < ALIGN ? ALIGN : align, bytes);
    return *out ? 0 : 12;
}
#endif
#endif
