#include "compare/worker/arena_places.h"

#include <string.h>
#include <sys/mman.h>

/* A whole number of what a bottom node of the arena map covers: 256 MiB up to 3.10, 16 GiB since 3.11. */
#define SPACE_BYTES     ((size_t)64 << 30)
#define ARENA_BYTES_MIN ((size_t)64 << 10)
#define PLACES_MAX      (SPACE_BYTES / ARENA_BYTES_MIN / 2)

/* Shared, so that it is nowhere near the heaps that are compared. */
static void *table_map(size_t bytes) {
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return table == MAP_FAILED ? NULL : table;
}

static char *space_reserve(void) {
    char *reserved = mmap(NULL, 2 * SPACE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)reserved & (SPACE_BYTES - 1);
    if (before)
        munmap(reserved, before);
    munmap(reserved + before + SPACE_BYTES, SPACE_BYTES - before);
    return reserved + before;
}

enum err arena_places_create(struct arena_places *places, size_t arena_bytes, struct diag *diag) {
    struct arena_places made = {0};
    made.unused = table_map(PLACES_MAX * sizeof *made.unused);
    made.order = table_map(PLACES_MAX * sizeof *made.order);
    made.address = table_map(PLACES_MAX * sizeof *made.address);
    made.base = space_reserve();
    if (!made.unused || !made.order || !made.address || !made.base) {
        diag_errno(diag, ERR_NOMEM, NULL, "cannot reserve address space for arenas");
        arena_places_destroy(&made);
        return ERR_NOMEM;
    }
    *places = made;
    if (arena_bytes)
        arena_places_size(places, arena_bytes);
    return ERR_OK;
}

void arena_places_size(struct arena_places *places, size_t arena_bytes) {
    places->arena_bytes = arena_bytes;
    places->place_bytes = 2 * (arena_bytes < ARENA_BYTES_MIN ? ARENA_BYTES_MIN : arena_bytes);
    places->place_count = SPACE_BYTES / places->place_bytes;
    places->unused_count = places->place_count;
    for (size_t i = 0; i < places->place_count; i++)
        places->unused[i] = (uint32_t)(places->place_count - 1 - i);
}

bool arena_places_fit(const struct arena_places *places) {
    for (size_t i = 0; i < places->residue_count; i++)
        if (places->residues[i] > places->place_bytes - places->arena_bytes)
            return false;
    return true;
}

void arena_places_destroy(struct arena_places *places) {
    if (!places)
        return;
    if (places->unused)
        munmap(places->unused, PLACES_MAX * sizeof *places->unused);
    if (places->order)
        munmap(places->order, PLACES_MAX * sizeof *places->order);
    if (places->address)
        munmap(places->address, PLACES_MAX * sizeof *places->address);
    if (places->base)
        munmap(places->base, SPACE_BYTES);
    memset(places, 0, sizeof *places);
}

static void *place_alloc(void *ctx, size_t bytes) {
    struct arena_places *places = ctx;
    if (bytes != places->arena_bytes) {
        void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return pages == MAP_FAILED ? NULL : pages;
    }
    if (!places->unused_count)
        return NULL;
    size_t place = places->unused[--places->unused_count];
    uint64_t residue = places->residue_count ? places->residues[places->obtained_count % places->residue_count] : 0;
    char *arena = mmap(places->base + place * places->place_bytes + residue, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (arena == MAP_FAILED)
        return NULL;
    places->order[place] = places->obtained_count++;
    places->address[place] = arena;
    return arena;
}

static void place_free(void *ctx, void *arena, size_t bytes) {
    struct arena_places *places = ctx;
    size_t distance = (uintptr_t)arena - (uintptr_t)places->base;
    if (bytes != places->arena_bytes || distance >= SPACE_BYTES) {
        munmap(arena, bytes);
        return;
    }
    size_t place = distance / places->place_bytes;
    places->address[place] = NULL;
    places->unused[places->unused_count++] = (uint32_t)place;
    (void)mmap(arena, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

struct pool_arena_source arena_places_source(struct arena_places *places) {
    return (struct pool_arena_source){places, place_alloc, place_free};
}

bool arena_places_find(const struct arena_places *places, const void *block, uint64_t *order, uint64_t *offset_bytes) {
    size_t distance = (uintptr_t)block - (uintptr_t)places->base;
    if (!places->place_bytes || distance >= SPACE_BYTES)
        return false;
    size_t place = distance / places->place_bytes;
    if (place >= places->place_count || !places->address[place])
        return false;
    *order = places->order[place];
    *offset_bytes = (uintptr_t)block - (uintptr_t)places->address[place];
    return true;
}
