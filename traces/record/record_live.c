#include "traces/record/record_live.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { BYTE_VALUES = 256, INSERTION_COUNT = 48 };

struct event live_shape_event(uint64_t shape) {
    return (struct event){.size_bytes = live_shape_bytes(shape),
                          .kind = (uint8_t)(shape >> 48 & 15),
                          .domain = (uint8_t)live_shape_domain(shape),
                          .align_log2 = (uint8_t)(shape >> 54 & 63)};
}

enum err live_set_copy(const struct live_set *set, struct live_set *out) {
    struct live_block *blocks = NULL;
    if (set->count && !(blocks = malloc(set->count * sizeof *blocks)))
        return ERR_NOMEM;
    if (set->count)
        memcpy(blocks, set->blocks, set->count * sizeof *blocks);
    *out = (struct live_set){.blocks = blocks, .count = set->count, .bytes = set->bytes};
    return ERR_OK;
}

void live_set_clear(struct live_set *set) {
    free(set->blocks);
    *set = (struct live_set){0};
}

static void insertion_sort(struct live_birth *births, uint64_t count) {
    for (uint64_t i = 1; i < count; i++) {
        struct live_birth moved = births[i];
        uint64_t at = i;
        for (; at && births[at - 1].birth > moved.birth; at--)
            births[at] = births[at - 1];
        births[at] = moved;
    }
}

static unsigned birth_byte(const struct live_birth *birth, int shift) {
    return (unsigned)(birth->birth >> shift & (BYTE_VALUES - 1));
}

/* Deals the blocks out by one byte of their births, each swapped straight to its pile; ends[v] is set to pile v's end.
 */
static void births_deal(struct live_birth *births, uint64_t count, int shift, uint64_t ends[BYTE_VALUES]) {
    uint64_t next[BYTE_VALUES], counts[BYTE_VALUES] = {0}, sum = 0;
    for (uint64_t i = 0; i < count; i++)
        counts[birth_byte(&births[i], shift)]++;
    for (int value = 0; value < BYTE_VALUES; value++) {
        next[value] = sum;
        sum += counts[value];
        ends[value] = sum;
    }
    for (unsigned value = 0; value < BYTE_VALUES; value++) {
        while (next[value] < ends[value]) {
            struct live_birth *here = &births[next[value]];
            unsigned pile = birth_byte(here, shift);
            if (pile == value) {
                next[value]++;
                continue;
            }
            struct live_birth *there = &births[next[pile]++];
            struct live_birth swapped = *here;
            *here = *there;
            *there = swapped;
        }
    }
}

/* Radix sort from the highest byte down, in place. At most eight levels deep. */
static void births_sort(struct live_birth *births, uint64_t count, int shift) { // NOLINT(misc-no-recursion)
    uint64_t ends[BYTE_VALUES], begin = 0;
    if (count <= INSERTION_COUNT) {
        insertion_sort(births, count);
        return;
    }
    births_deal(births, count, shift, ends);
    for (int value = 0; value < BYTE_VALUES && shift; value++) {
        births_sort(births + begin, ends[value] - begin, shift - 8);
        begin = ends[value];
    }
}

void live_set_make(struct live_birth *births, uint64_t count, struct live_set *out) {
    uint64_t last = 0, bytes = 0;
    for (uint64_t i = 0; i < count; i++)
        last = births[i].birth > last ? births[i].birth : last;
    int shift = 0;
    while (last >> shift >> 8)
        shift += 8;
    births_sort(births, count, shift);
    struct live_block *blocks = (struct live_block *)(void *)births; /* packed to the front, behind the reading */
    for (uint64_t i = 0; i < count; i++) {
        struct live_block block = births[i].block;
        memcpy(&blocks[i], &block, sizeof block);
        bytes += live_shape_bytes(block.shape);
    }
    struct live_block *fitted = count ? realloc(blocks, count * sizeof *blocks) : NULL;
    if (!count)
        free(births);
    *out = (struct live_set){.blocks = fitted ? fitted : (count ? blocks : NULL), .count = count, .bytes = bytes};
}
