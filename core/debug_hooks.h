/**
 * debug_hooks.h: CPython's debug hooks around any domain's allocator.
 *
 * A block of n bytes becomes one of n + 24 (32 with serial numbers) at the allocator below:
 *
 *     -16        -8   -7        0          n          n+8         n+16
 *     │ size, BE │ id │ FD … FD │ data … │ FD × 8   │ serial, BE │
 *
 * New bytes read CD (calloc: 0), the bytes a realloc adds too; a freed block reads DD from its first byte to its last
 * when it reaches the allocator below. During a realloc the decorations and up to 64 bytes of data at each end read DD,
 * so that whoever still looks at the old place sees it; they are put back behind it.
 *
 * realloc and free check the block first. A fault is told to `report` and the call is abandoned: free then leaves the
 * block alone, realloc returns NULL. Where CPython ends the process, a library must not.
 *
 * Source: the documentation of PyMem_SetupDebugHooks; test_debug_agreement holds every byte against installed
 * libpythons.
 */
#ifndef MMREPLAY_CORE_DEBUG_HOOKS_H
#define MMREPLAY_CORE_DEBUG_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/debug_fault.h"
#include "core/domain.h"

/** The three byte values. */
struct debug_bytes {
    uint8_t clean;     /**< of new data */
    uint8_t dead;      /**< of freed blocks */
    uint8_t forbidden; /**< of pads */
};

/** 3.8 and newer, and the late 3.7 releases. */
#define DEBUG_BYTES_DEFAULT ((struct debug_bytes){0xcd, 0xdd, 0xfd})
/** What releases before that wrote. */
#define DEBUG_BYTES_OLD ((struct debug_bytes){0xcb, 0xdb, 0xfb})

struct debug_settings {
    struct debug_bytes bytes;
    bool serial_numbers; /**< as CPython to 3.7, and newer ones built with PYMEM_DEBUG_SERIALNO */
    void (*report)(void *ctx, const struct debug_fault *fault); /**< the fault is the callee's only during the call */
    void *report_ctx;
    bool (*lock_held)(void *ctx); /**< asked at every call of mem and obj; NULL: not checked */
    void *lock_ctx;
};

/** The default bytes, no serial numbers, nobody told. */
struct debug_settings debug_settings_default(void);

/** What the hooks of several domains share. */
struct debug_hooks {
    struct debug_settings settings;
    uint64_t serial;      /**< of the last block made; counted whether or not blocks carry it */
    uint64_t fault_count; /**< found so far */
};

/** The hooks around one allocator. */
struct debug_layer {
    struct debug_hooks *hooks;
    struct domain_allocator inner;
    char letter;
    bool locked; /**< lock_held is asked */
};

/** Bytes that a block grows by: 24, or 32. */
size_t debug_extra_bytes(const struct debug_settings *settings);

/** The bytes in front of the data. */
enum { DEBUG_HEAD_BYTES = 16 };

/** @param hooks borrowed as long as the layer is in use. */
void debug_layer_init(struct debug_layer *layer, struct debug_hooks *hooks, enum domain_id domain,
                      const struct domain_allocator *inner);

/** The layer as an allocator; its ctx borrows the layer. */
struct domain_allocator debug_layer_allocator(struct debug_layer *layer);

/** True for what debug_layer_allocator() gives: the outermost layer is one of hooks. */
bool debug_layer_is(const struct domain_allocator *allocator);

/** The domain that a live block says it was allocated by; raw for a mark that is none. Cost: one byte read. */
enum domain_id debug_block_domain(const void *block);

/**
 * Looks a live block over without calling anybody.
 * @param call what to put into the fault. @param out filled when there is one.
 */
enum debug_fault_kind debug_block_check(const struct debug_layer *layer, const void *block, enum debug_call call,
                                        struct debug_fault *out);

#endif
