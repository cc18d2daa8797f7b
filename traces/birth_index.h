/**
 * birth_index.h: from a block's name to its slot, for the tracker.
 *
 * A thread's births are numbered without gaps, so they are indexed by number, in pages of PAGE_BIRTHS: births write to
 * the newest page, and most deaths, being young, hit a page that the cache still holds; blocks born together often die
 * together, sixteen to a line. A page whose blocks have all died is freed; of an old page that has become sparse, the
 * survivors move to a hash map (open addressing, linear probing, backward-shift deletion) and it is freed too.
 *
 * Memory: at most 4 KiB / BIRTH_PAGE_SPARSE = 256 bytes per live block and 4 KiB per thread, and one pointer per
 * 1024 blocks ever made.
 */
#ifndef MMREPLAY_TRACES_BIRTH_INDEX_H
#define MMREPLAY_TRACES_BIRTH_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"
#include "traces/event.h"

enum { BIRTH_PAGE_LOG2 = 10, BIRTH_PAGE_SPARSE = 16 };

struct birth_page {
    uint32_t live_count;
    uint32_t slots[1 << BIRTH_PAGE_LOG2]; /**< 0 = dead */
};

struct thread_births {
    uint64_t count;            /**< blocks made; birth number n is entry n - 1 */
    struct birth_page **pages; /**< NULL = gone: what lives of it is in the map */
    size_t page_capacity;
};

struct live_entry {
    uint64_t name; /**< 0 = empty: birth numbers start from 1 */
    uint32_t slot;
};

struct birth_index {
    struct thread_births *threads;
    uint32_t thread_capacity;
    struct live_entry *old; /**< the hash map */
    uint64_t old_count;
    unsigned old_log2;
};

void birth_index_clear(struct birth_index *index);

/** Room for `thread`. @return ERR_OK, ERR_NOMEM. */
enum err birth_index_add_thread(struct birth_index *index, uint32_t thread);

/** Room for the next birth of a thread that begins a page. @return ERR_OK, ERR_NOMEM. */
enum err birth_index_add_page(struct thread_births *births);

/** Takes a block that is not in a page. @return its slot, or 0. */
uint32_t birth_index_take_old(struct birth_index *index, uint64_t name);

/** A page has become sparse: frees it, moving what lives into the map; without memory for that it stays. */
void birth_index_retire(struct birth_index *index, uint32_t thread, size_t page);

/** Makes room for one birth of `thread`, which must be known. @return ERR_OK, ERR_NOMEM. */
static inline enum err birth_index_reserve(struct birth_index *index, uint32_t thread) {
    struct thread_births *births = &index->threads[thread];
    return births->count & ((1 << BIRTH_PAGE_LOG2) - 1) ? ERR_OK : birth_index_add_page(births);
}

/** The next block of `thread` lives in `slot` (not 0). Room was made. */
static inline void birth_index_put(struct birth_index *index, uint32_t thread, uint32_t slot) {
    struct thread_births *births = &index->threads[thread];
    uint64_t at = births->count++;
    struct birth_page *page = births->pages[at >> BIRTH_PAGE_LOG2];
    page->slots[at & ((1 << BIRTH_PAGE_LOG2) - 1)] = slot;
    page->live_count++;
}

/** The page that holds the block, or NULL: in the map, or never made. */
static inline struct birth_page *birth_index_page(const struct birth_index *index, uint64_t name) {
    uint32_t thread = event_block_thread(name);
    uint64_t at = event_block_seq(name) - 1;
    if (thread >= index->thread_capacity || at >= index->threads[thread].count)
        return NULL;
    return index->threads[thread].pages[at >> BIRTH_PAGE_LOG2];
}

static inline uint32_t *birth_page_entry(struct birth_page *page, uint64_t name) {
    return &page->slots[(event_block_seq(name) - 1) & ((1 << BIRTH_PAGE_LOG2) - 1)];
}

/** Forgets the block `name`. @return its slot, or 0 when there is no such live block. */
static inline uint32_t birth_index_take(struct birth_index *index, uint64_t name) {
    struct birth_page *page = birth_index_page(index, name);
    if (__builtin_expect(!page, 0))
        return birth_index_take_old(index, name);
    uint32_t *entry = birth_page_entry(page, name);
    uint32_t slot = *entry;
    if (!slot)
        return 0;
    *entry = 0;
    if (--page->live_count <= BIRTH_PAGE_SPARSE) {
        uint32_t thread = event_block_thread(name);
        size_t number = (event_block_seq(name) - 1) >> BIRTH_PAGE_LOG2;
        if (number < index->threads[thread].count >> BIRTH_PAGE_LOG2)
            birth_index_retire(index, thread, number);
    }
    return slot;
}

#endif
