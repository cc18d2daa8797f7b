/**
 * replay_loop.h: the one loop that every backend instantiates: load op, index the slot table, call.
 *
 * `calls` and `touch` are compile-time constants at every use and the account is NULL in the time pass, so each
 * instance calls its backend directly and carries nothing that it does not need.
 */
#ifndef MMREPLAY_COMPARE_WORKER_REPLAY_LOOP_H
#define MMREPLAY_COMPARE_WORKER_REPLAY_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "traces/program.h"

#define REPLAY_INLINE static inline __attribute__((always_inline))

struct pool;

/** What a slot's block was asked for; meaningful while the slot holds a block. */
struct slot_note {
    uint64_t bytes : 56;
    uint64_t domain : 8;
};

/** What is live now, kept by the memory pass. */
struct replay_account {
    struct slot_note *notes; /**< one per slot */
    uint64_t live_bytes;
    uint64_t live_blocks;
    uint64_t usable_bytes;
    uint64_t pooled_bytes; /**< requested bytes of blocks in arenas */
};

/** One replay: everything is mapped before the first operation; nothing in it comes from the malloc under test. */
struct replay {
    const struct program *program;
    void **slots;
    struct pool *pool; /**< pool backend only */
    bool touch;
    bool has_usable_size;
    uint64_t refused_count;
    struct replay_account account; /**< memory pass only */
};

/** A backend as constant functions; `domain` is the block's. */
struct replay_calls {
    void *(*malloc)(struct pool *pool, unsigned domain, size_t bytes);
    void *(*calloc)(struct pool *pool, unsigned domain, size_t bytes);
    void *(*aligned_alloc)(struct pool *pool, unsigned domain, size_t align_bytes, size_t bytes);
    void *(*realloc)(struct pool *pool, unsigned domain, void *block, size_t bytes);
    void (*free)(struct pool *pool, unsigned domain, void *block);
    size_t (*usable_size)(struct pool *pool, void *block);
    bool (*in_arena)(struct pool *pool, void *block);
    size_t touch_step_bytes; /**< 4096; null: 0, which writes the same number of words into one page */
};

enum { TOUCH_PAGE_BYTES = 4096 };

/* A word where there is room for one, else a byte: blocks are never written past what was asked for. */
REPLAY_INLINE void word_touch(char *at, size_t room_bytes) {
    if (__builtin_expect(room_bytes >= sizeof room_bytes, 1))
        *(volatile size_t *)(void *)at = room_bytes;
    else if (room_bytes)
        *(volatile char *)at = (char)room_bytes;
}

/* What is written is the number of bytes from there to the end: never 0, and at hand. */
REPLAY_INLINE void block_touch(char *block, size_t bytes, size_t step_bytes) {
    word_touch(block, bytes);
    for (size_t offset = TOUCH_PAGE_BYTES, at = step_bytes; __builtin_expect(offset < bytes, 0);
         offset += TOUCH_PAGE_BYTES, at += step_bytes)
        word_touch(block + at, bytes - offset);
}

REPLAY_INLINE void account_change(const struct replay *replay, struct replay_account *account,
                                  const struct replay_calls *calls, uint32_t slot, void *block, uint64_t sign) {
    if (!block)
        return;
    account->live_blocks += sign;
    account->live_bytes += sign * account->notes[slot].bytes;
    if (replay->has_usable_size)
        account->usable_bytes += sign * calls->usable_size(replay->pool, block);
    if (calls->in_arena(replay->pool, block))
        account->pooled_bytes += sign * account->notes[slot].bytes;
}

/* The block leaves the account, and comes back if its realloc was refused: C leaves it valid then. */
REPLAY_INLINE void account_leave(const struct replay *replay, struct replay_account *account,
                                 const struct replay_calls *calls, uint32_t slot, void *block) {
    if (account)
        account_change(replay, account, calls, slot, block, UINT64_MAX);
}

REPLAY_INLINE void account_enter(const struct replay *replay, struct replay_account *account,
                                 const struct replay_calls *calls, uint32_t slot, void *block) {
    if (account)
        account_change(replay, account, calls, slot, block, 1);
}

REPLAY_INLINE void account_request(struct replay_account *account, uint32_t slot, unsigned domain, size_t bytes) {
    if (account)
        account->notes[slot] = (struct slot_note){.bytes = bytes, .domain = domain};
}

/**
 * Executes words [from, to) of the program.
 *
 * A refused request (NULL for more than 0 bytes) is counted and leaves its slot as it was: empty, so that the later
 * free is free(NULL); or, for a realloc, with the old block, which that free then gives back.
 */
REPLAY_INLINE void replay_words(struct replay *replay, struct replay_account *account, const struct replay_calls *calls,
                                bool touch, uint64_t from, uint64_t to) {
    const uint64_t *at = replay->program->ops + from;
    const uint64_t *const end = replay->program->ops + to;
    void **const slots = replay->slots;
    struct pool *const pool = replay->pool;
    while (at < end) {
        const uint64_t op = *at++;
        void **const slot = &slots[op_slot(op)];
        const unsigned kind = op_kind(op);
        const unsigned domain = op_domain(op);
        if (kind == EVENT_FREE) {
            account_leave(replay, account, calls, op_slot(op), *slot);
            calls->free(pool, domain, *slot);
            *slot = NULL;
            continue;
        }
        size_t bytes = op_size(op);
        unsigned align_log2 = 0;
        if (__builtin_expect(op_is_wide(op), 0)) {
            bytes = op_wide_size(*at);
            align_log2 = op_wide_align_log2(*at++);
        }
        void *block;
        if (__builtin_expect(kind == EVENT_MALLOC, 1)) {
            block = calls->malloc(pool, domain, bytes);
        } else if (kind == EVENT_REALLOC) {
            account_leave(replay, account, calls, op_slot(op), *slot);
            block = calls->realloc(pool, domain, *slot, bytes);
        } else if (kind == EVENT_CALLOC) {
            block = calls->calloc(pool, domain, bytes);
        } else {
            block = calls->aligned_alloc(pool, domain, (size_t)1 << align_log2, bytes);
        }
        if (__builtin_expect(!block, 0)) {
            replay->refused_count += bytes != 0;
            account_enter(replay, account, calls, op_slot(op), *slot);
            continue;
        }
        *slot = block;
        account_request(account, op_slot(op), domain, bytes);
        account_enter(replay, account, calls, op_slot(op), block);
        if (touch)
            block_touch(block, bytes, calls->touch_step_bytes);
    }
}

/** The time pass's instance: no account; `touch` decides between two loops, not inside one. */
REPLAY_INLINE void replay_all(struct replay *replay, const struct replay_calls *calls) {
    if (replay->touch)
        replay_words(replay, NULL, calls, true, 0, replay->program->header->word_count);
    else
        replay_words(replay, NULL, calls, false, 0, replay->program->header->word_count);
}

/** The memory pass's instance. */
REPLAY_INLINE void replay_accounted(struct replay *replay, const struct replay_calls *calls, uint64_t from,
                                    uint64_t to) {
    if (replay->touch)
        replay_words(replay, &replay->account, calls, true, from, to);
    else
        replay_words(replay, &replay->account, calls, false, from, to);
}

/** Frees what the trace left alive, in slot order. */
REPLAY_INLINE void replay_drain(struct replay *replay, const struct replay_calls *calls) {
    for (uint32_t slot = 1; slot < replay->program->header->slot_count; slot++) {
        account_leave(replay, &replay->account, calls, slot, replay->slots[slot]);
        calls->free(replay->pool, replay->account.notes[slot].domain, replay->slots[slot]);
        replay->slots[slot] = NULL;
    }
}

#endif
