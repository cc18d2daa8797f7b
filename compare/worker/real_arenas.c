#include "compare/worker/real_arenas.h"

#include <string.h>
#include <sys/mman.h>

#include "core/pages.h"

/* 256 GiB of the smallest arenas; only touched as far as used. */
enum { ARENAS_MAX = 1 << 20 };

enum err real_arenas_create(struct real_arenas *arenas, const struct pool_arena_source *below, struct diag *diag) {
    void *table = mmap(NULL, ARENAS_MAX * sizeof *arenas->addresses, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return diag_errno(diag, ERR_NOMEM, NULL, "cannot map a table of arenas");
    *arenas = (struct real_arenas){.below = *below, .addresses = table};
    return ERR_OK;
}

/* Index of the first arena at or above `address`. */
static size_t position_find(const struct real_arenas *arenas, uintptr_t address) {
    size_t low = 0, high = arenas->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (arenas->addresses[middle] < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void *arena_alloc(void *ctx, size_t bytes) {
    struct real_arenas *arenas = ctx;
    if (bytes == arenas->arena_bytes && arenas->count == ARENAS_MAX)
        return NULL;
    void *arena = arenas->below.alloc(arenas->below.ctx, bytes);
    if (!arena || bytes != arenas->arena_bytes)
        return arena;
    size_t at = position_find(arenas, (uintptr_t)arena);
    memmove(arenas->addresses + at + 1, arenas->addresses + at, (arenas->count - at) * sizeof *arenas->addresses);
    arenas->addresses[at] = (uintptr_t)arena;
    arenas->mapped_count++;
    if (++arenas->count > arenas->peak_count)
        arenas->peak_count = arenas->count;
    return arena;
}

static void arena_free(void *ctx, void *arena, size_t bytes) {
    struct real_arenas *arenas = ctx;
    size_t at = position_find(arenas, (uintptr_t)arena);
    if (at < arenas->count && arenas->addresses[at] == (uintptr_t)arena) {
        arenas->count--;
        arenas->returned_count++;
        memmove(arenas->addresses + at, arenas->addresses + at + 1, (arenas->count - at) * sizeof *arenas->addresses);
    }
    arenas->below.free(arenas->below.ctx, arena, bytes);
}

struct pool_arena_source real_arenas_source(struct real_arenas *arenas) {
    return (struct pool_arena_source){arenas, arena_alloc, arena_free};
}

/* Mappings that are no whole number of such units are not arenas and need no alignment. */
static void *pages_alloc(void *ctx, size_t bytes) {
    size_t align_bytes = *(const size_t *)ctx;
    return pages_map(bytes, align_bytes && bytes % align_bytes == 0 ? align_bytes : 1);
}

static void pages_free(void *ctx, void *pages, size_t bytes) {
    (void)ctx;
    pages_unmap(pages, bytes);
}

struct pool_arena_source real_arenas_aligned_pages(const size_t *align_bytes) {
    return (struct pool_arena_source){(void *)(uintptr_t)align_bytes, pages_alloc, pages_free};
}

bool real_arenas_hold(const struct real_arenas *arenas, const void *block) {
    size_t above = position_find(arenas, (uintptr_t)block + 1);
    return above && (uintptr_t)block - arenas->addresses[above - 1] < arenas->arena_bytes;
}
