#include "traces/tally.h"

#include <stdlib.h>
#include <string.h>

enum { TALLY_LOG2_MIN = 8 };

static struct tally_entry *entry_find(const struct tally *tally, uint64_t key) {
    size_t mask = ((size_t)1 << tally->log2) - 1;
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> (64 - tally->log2));
    while (tally->entries[i].count && tally->entries[i].key != key)
        i = (i + 1) & mask;
    return &tally->entries[i];
}

static enum err tally_grow(struct tally *tally) {
    struct tally larger = *tally;
    larger.log2 = tally->entries ? tally->log2 + 1 : TALLY_LOG2_MIN;
    larger.entries = calloc((size_t)1 << larger.log2, sizeof *larger.entries);
    if (!larger.entries)
        return ERR_NOMEM;
    for (size_t i = 0; tally->entries && i < (size_t)1 << tally->log2; i++)
        if (tally->entries[i].count)
            *entry_find(&larger, tally->entries[i].key) = tally->entries[i];
    free(tally->entries);
    *tally = larger;
    return ERR_OK;
}

enum err tally_reserve(struct tally *tally) {
    if (tally->entries && (tally->key_count + 1) * 2 <= (size_t)1 << tally->log2)
        return ERR_OK;
    return tally->key_count < TALLY_KEYS_MAX ? tally_grow(tally) : ERR_OK;
}

void tally_add(struct tally *tally, uint64_t key, uint64_t bytes) {
    struct tally_entry *entry = entry_find(tally, key);
    if (!entry->count) {
        if (tally->key_count == TALLY_KEYS_MAX) {
            tally->missed_count++;
            return;
        }
        tally->key_count++;
        entry->key = key;
    }
    entry->count++;
    entry->bytes += bytes;
}

static bool entry_is_before(const struct tally_entry *a, const struct tally_entry *b) {
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

size_t tally_top_insert(struct tally_entry *top, size_t used, size_t count, const struct tally_entry *entry) {
    size_t at = used;
    while (at && entry_is_before(entry, &top[at - 1]))
        at--;
    if (at == count)
        return used;
    used += used < count;
    memmove(top + at + 1, top + at, (used - at - 1) * sizeof *top);
    top[at] = *entry;
    return used;
}

size_t tally_top(const struct tally *tally, struct tally_entry *out, size_t count) {
    size_t used = 0;
    for (size_t i = 0; tally->entries && i < (size_t)1 << tally->log2; i++)
        if (tally->entries[i].count)
            used = tally_top_insert(out, used, count, &tally->entries[i]);
    return used;
}

void tally_clear(struct tally *tally) {
    free(tally->entries);
    memset(tally, 0, sizeof *tally);
}
