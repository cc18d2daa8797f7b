/**
 * tally.h: how often each of many keys occurred, exactly, for as many keys as there is room for.
 *
 * A hash map (open addressing, linear probing) of at most TALLY_KEYS_MAX keys. Keys that come when it is full are only
 * counted together: what is in the map stays exact, and a key that is not cannot have occurred more often than
 * `missed_count`.
 */
#ifndef MMREPLAY_TRACES_TALLY_H
#define MMREPLAY_TRACES_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

enum { TALLY_KEYS_MAX = 1 << 17 };

struct tally_entry {
    uint64_t key;
    uint64_t count; /**< 0 = empty */
    uint64_t bytes;
};

/** Zero-initialise. */
struct tally {
    struct tally_entry *entries;
    unsigned log2;
    size_t key_count;
    uint64_t missed_count;
};

/** Room for one more key, unless there are TALLY_KEYS_MAX. @return ERR_OK, ERR_NOMEM. */
enum err tally_reserve(struct tally *tally);

/** Counts `key` once, with `bytes`. Room was made. */
void tally_add(struct tally *tally, uint64_t key, uint64_t bytes);

/**
 * The up to `count` most frequent keys, equally frequent ones by rising key.
 * @return how many.
 */
size_t tally_top(const struct tally *tally, struct tally_entry *out, size_t count);

/** Puts `entry` into the ordered `top` of `used` entries, which holds up to `count`. @return the new `used`. */
size_t tally_top_insert(struct tally_entry *top, size_t used, size_t count, const struct tally_entry *entry);

void tally_clear(struct tally *tally);

#endif
