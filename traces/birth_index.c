#include "traces/birth_index.h"

#include <stdlib.h>
#include <string.h>

enum { OLD_LOG2_MIN = 8 };

static uint64_t old_home(const struct birth_index *index, uint64_t name) {
    return name * 0x9e3779b97f4a7c15u >> (64 - index->old_log2);
}

static uint64_t old_mask(const struct birth_index *index) {
    return ((uint64_t)1 << index->old_log2) - 1;
}

static void old_put(struct birth_index *index, uint64_t name, uint32_t slot) {
    uint64_t i = old_home(index, name);
    while (index->old[i].name)
        i = (i + 1) & old_mask(index);
    index->old[i] = (struct live_entry){.name = name, .slot = slot};
    index->old_count++;
}

/* Room for `more` entries at a load of at most one half. */
static enum err old_reserve(struct birth_index *index, uint64_t more) {
    unsigned log2 = index->old ? index->old_log2 : OLD_LOG2_MIN;
    while ((index->old_count + more) * 2 > (uint64_t)1 << log2)
        log2++;
    if (index->old && log2 == index->old_log2)
        return ERR_OK;
    struct birth_index larger = *index;
    larger.old = calloc((size_t)1 << log2, sizeof *larger.old);
    if (!larger.old)
        return ERR_NOMEM;
    larger.old_log2 = log2;
    larger.old_count = 0;
    for (uint64_t i = 0; index->old && i <= old_mask(index); i++)
        if (index->old[i].name)
            old_put(&larger, index->old[i].name, index->old[i].slot);
    free(index->old);
    *index = larger;
    return ERR_OK;
}

/* Empties entry `hole`, moving back what probed past it. */
static void old_remove(struct birth_index *index, uint64_t hole) {
    uint64_t mask = old_mask(index);
    index->old_count--;
    for (uint64_t i = (hole + 1) & mask; index->old[i].name; i = (i + 1) & mask) {
        uint64_t home = old_home(index, index->old[i].name);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            index->old[hole] = index->old[i];
            hole = i;
        }
    }
    index->old[hole].name = 0;
}

uint32_t birth_index_take_old(struct birth_index *index, uint64_t name) {
    if (!index->old || !event_block_seq(name))
        return 0;
    for (uint64_t i = old_home(index, name); index->old[i].name; i = (i + 1) & old_mask(index)) {
        if (index->old[i].name != name)
            continue;
        uint32_t slot = index->old[i].slot;
        old_remove(index, i);
        return slot;
    }
    return 0;
}

void birth_index_retire(struct birth_index *index, uint32_t thread, size_t number) {
    struct birth_page **page = &index->threads[thread].pages[number];
    if ((*page)->live_count && old_reserve(index, (*page)->live_count))
        return;
    for (uint64_t i = 0; (*page)->live_count; i++) {
        if (!(*page)->slots[i])
            continue;
        old_put(index, event_block_name(thread, ((uint64_t)number << BIRTH_PAGE_LOG2) + i + 1), (*page)->slots[i]);
        (*page)->live_count--;
    }
    free(*page);
    *page = NULL;
}

enum err birth_index_add_page(struct thread_births *births) {
    size_t number = births->count >> BIRTH_PAGE_LOG2;
    if (number == births->page_capacity) {
        size_t capacity = number ? number * 2 : 4;
        struct birth_page **pages = realloc(births->pages, capacity * sizeof *pages);
        if (!pages)
            return ERR_NOMEM;
        memset(pages + number, 0, (capacity - number) * sizeof *pages);
        births->pages = pages;
        births->page_capacity = capacity;
    }
    if (!births->pages[number]) /* a page may wait from a birth that was refused after its room was made */
        births->pages[number] = calloc(1, sizeof(struct birth_page));
    return births->pages[number] ? ERR_OK : ERR_NOMEM;
}

enum err birth_index_add_thread(struct birth_index *index, uint32_t thread) {
    if (thread < index->thread_capacity)
        return ERR_OK;
    uint32_t capacity = index->thread_capacity ? index->thread_capacity : 16;
    while (capacity <= thread)
        capacity *= 2;
    struct thread_births *threads = realloc(index->threads, capacity * sizeof *threads);
    if (!threads)
        return ERR_NOMEM;
    memset(threads + index->thread_capacity, 0, (capacity - index->thread_capacity) * sizeof *threads);
    index->threads = threads;
    index->thread_capacity = capacity;
    return ERR_OK;
}

void birth_index_clear(struct birth_index *index) {
    for (uint32_t i = 0; i < index->thread_capacity; i++) {
        for (size_t j = 0; j < index->threads[i].page_capacity; j++)
            free(index->threads[i].pages[j]);
        free(index->threads[i].pages);
    }
    free(index->threads);
    free(index->old);
    memset(index, 0, sizeof *index);
}
