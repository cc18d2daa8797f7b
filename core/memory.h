/**
 * memory.h: CPython's memory manager as an instance: three replaceable domains over the raw layer and the pool.
 *
 * raw is libc; mem and obj share one pool, whose large requests go to the raw domain, whoever serves that now. What
 * PyMem_*, PyObject_* and PYTHONMALLOC do to a process is done here to an instance. Not thread safe, but for raw as
 * long as nobody replaces it.
 */
#ifndef MMREPLAY_CORE_MEMORY_H
#define MMREPLAY_CORE_MEMORY_H

#include "core/debug_hooks.h"
#include "core/domain.h"
#include "core/pool.h"

/** A configuration that a PYTHONMALLOC name stands for. */
struct memory_choice {
    bool pool;  /**< mem and obj are the pool's; false: libc's, as raw */
    bool debug; /**< hooks on every domain */
};

/**
 * `default`, `pymalloc`, `malloc`, each with `_debug` but the first, and `debug`; "" is `default`.
 * @return ERR_USAGE (no such name, the nearest told), ERR_UNSUPPORTED (`mimalloc`: not this pool).
 */
enum err memory_choice_parse(const char *name, struct memory_choice *out, struct diag *diag);

struct memory_settings {
    struct memory_choice choice;
    const struct pool_config *pool;         /**< of the pool; needed when choice.pool */
    const struct pool_arena_source *arenas; /**< NULL: the pool's own */
    const struct debug_settings *debug;     /**< NULL: debug_settings_default() */
};

struct memory;

/**
 * @param settings and what it points at: borrowed only during the call.
 * @return ERR_USAGE (pool settings that break a rule), ERR_NOMEM.
 */
enum err memory_create(const struct memory_settings *settings, struct memory **out, struct diag *diag);

/** Gives every arena back; blocks that libc served and that are still alive are the caller's. NULL is fine. */
void memory_destroy(struct memory *memory);

/** @name The calls of a program: PyMem_RawMalloc, PyMem_Malloc, PyObject_Malloc and so on.
 * Sizes beyond PTRDIFF_MAX are refused here, before any allocator is asked. @{ */
void *memory_malloc(struct memory *memory, enum domain_id domain, size_t bytes);
void *memory_calloc(struct memory *memory, enum domain_id domain, size_t count, size_t bytes);
void *memory_realloc(struct memory *memory, enum domain_id domain, void *block, size_t bytes);
void memory_free(struct memory *memory, enum domain_id domain, void *block);
/** @} */

/** What serves the domain now: to be replaced, or to be called by what replaces it. */
void memory_allocator_get(const struct memory *memory, enum domain_id domain, struct domain_allocator *out);

/**
 * From now on `allocator` (copied) serves the domain. Blocks already out there come to it to be freed: one that does
 * not pass on to its predecessor belongs in before the first block. Hooks are not put around it by themselves.
 */
void memory_allocator_set(struct memory *memory, enum domain_id domain, const struct domain_allocator *allocator);

/** @name Where arenas come from. Only with a pool.
 * As with PyObject_SetArenaAllocator, an arena goes back to the source in force when it is given back, which need not
 * be the one it came from. @{ */
void memory_arena_source_get(const struct memory *memory, struct pool_arena_source *out);
void memory_arena_source_set(struct memory *memory, const struct pool_arena_source *source);
/** @} */

enum { MEMORY_LAYERS_MAX = 12 };

/**
 * Puts debug hooks around every domain whose outermost layer is not hooks yet (PyMem_SetupDebugHooks). Where hooks lie
 * deeper already, blocks are decorated twice.
 * @return ERR_LIMIT past MEMORY_LAYERS_MAX layers.
 */
enum err memory_debug_install(struct memory *memory, struct diag *diag);

/** Faults that hooks of this instance found. */
uint64_t memory_fault_count(const struct memory *memory);

/**
 * sys.getallocatedblocks(): blocks in pools, and those that the raw domain serves on behalf of mem and obj. Blocks
 * asked of the raw domain itself are not counted; without a pool it is 0. Cost: a walk over all pools.
 */
uint64_t memory_blocks_count(const struct memory *memory);

/** The second part of it. */
uint64_t memory_raw_blocks_count(const struct memory *memory);

/** The pool, borrowed; NULL when there is none. */
struct pool *memory_pool(const struct memory *memory);

/**
 * Bytes really taken by a live block under the allocators that memory_create() made: size class, or libc's usable
 * size, decorations included. Not for domains whose allocator was replaced since.
 */
size_t memory_footprint_bytes(const struct memory *memory, enum domain_id domain, const void *block);

#endif
