#include "tests/core/arena_region.h"

#include <string.h>
#include <sys/mman.h>

/* The radix tree's bottom nodes each cover this much. A region of four is aligned to its whole size, so that it lies in
   one middle node of CPython 3.10's tree too (256 GiB): two regions asked alike make equal nodes in either. */
#define NODE_BYTES   ((size_t)16 << 30)
#define REGION_BYTES (NODE_COUNT * NODE_BYTES)
enum { NODE_COUNT = 4, PAGE_BYTES = 4096 };

bool arena_region_create(struct arena_region *region, size_t arena_bytes) {
    memset(region, 0, sizeof *region);
    char *reserved = mmap(NULL, 2 * REGION_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED)
        return false;
    size_t before = -(uintptr_t)reserved & (REGION_BYTES - 1);
    if (before)
        munmap(reserved, before);
    munmap(reserved + before + REGION_BYTES, REGION_BYTES - before);
    region->base = reserved + before;
    region->slot_bytes = 2 * arena_bytes;
    for (uint32_t i = 0; i < ARENA_REGION_SLOTS; i++)
        region->unused[i] = ARENA_REGION_SLOTS - 1 - i;
    region->unused_count = ARENA_REGION_SLOTS;
    return true;
}

void arena_region_destroy(struct arena_region *region) {
    if (region->base)
        munmap(region->base, REGION_BYTES);
    region->base = NULL;
}

/* Slot i begins here; spread, consecutive slots lie in different nodes. */
static char *slot_address(const struct arena_region *region, uint32_t slot) {
    if (!region->spread)
        return region->base + slot * region->slot_bytes;
    return region->base + slot % NODE_COUNT * NODE_BYTES + slot / NODE_COUNT * region->slot_bytes;
}

static uint32_t address_slot(const struct arena_region *region, size_t offset) {
    if (!region->spread)
        return (uint32_t)(offset / region->slot_bytes);
    return (uint32_t)(offset % NODE_BYTES / region->slot_bytes * NODE_COUNT + offset / NODE_BYTES);
}

/* An arena may begin within a page. */
static char *page_of(void *address) {
    return (char *)((uintptr_t)address & ~(uintptr_t)(PAGE_BYTES - 1));
}

static void *region_alloc(void *ctx, size_t bytes) {
    struct arena_region *region = ctx;
    if (!region->unused_count || 2 * bytes > region->slot_bytes)
        return NULL;
    uint32_t slot = region->unused[--region->unused_count], order = region->obtained_count++;
    char *arena = slot_address(region, slot) +
                  (region->residues_mixed ? order % 7 * region->residue_step_bytes : region->residue_bytes);
    if (mmap(page_of(arena), bytes + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0) == MAP_FAILED)
        return NULL;
    region->order[slot] = order;
    region->address[slot] = arena;
    return arena;
}

static void region_free(void *ctx, void *arena, size_t bytes) {
    struct arena_region *region = ctx;
    uint32_t slot = address_slot(region, (size_t)((char *)arena - region->base));
    region->address[slot] = NULL;
    region->unused[region->unused_count++] = slot;
    (void)mmap(page_of(arena), bytes + PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
               -1, 0);
}

struct pool_arena_source arena_region_source(struct arena_region *region) {
    return (struct pool_arena_source){region, region_alloc, region_free};
}

bool arena_region_place(const struct arena_region *region, const void *block, uint32_t *order, size_t *offset) {
    size_t distance = (uintptr_t)block - (uintptr_t)region->base;
    if (distance >= REGION_BYTES)
        return false;
    uint32_t slot = address_slot(region, distance);
    if (slot >= ARENA_REGION_SLOTS || !region->address[slot])
        return false;
    *order = region->order[slot];
    *offset = (uintptr_t)block - (uintptr_t)region->address[slot];
    return true;
}
