/**
 * real_python.h: the pymalloc of an installed libpython, as functions to call. Its state is one per process.
 *
 * Up to 3.11 the library is never initialised: PyMem_GetAllocator yields the small-block functions themselves, and
 * nothing else touches their heap. From 3.12 on these functions look their state up through the current thread state,
 * so an interpreter must be there: it is initialised with PYTHONMALLOC=malloc, so that none of its own objects is in a
 * pool, without site and without any PYTHON variable of the caller's.
 */
#ifndef MMREPLAY_COMPARE_WORKER_REAL_PYTHON_H
#define MMREPLAY_COMPARE_WORKER_REAL_PYTHON_H

#include <stdio.h>
#include <sys/types.h>

#include "core/pool.h"

/** PyMemAllocatorEx, as CPython documents it. */
struct real_allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t bytes);
    void *(*calloc)(void *ctx, size_t count, size_t bytes);
    void *(*realloc)(void *ctx, void *block, size_t bytes);
    void (*free)(void *ctx, void *block);
};

enum { REAL_VERSION_BYTES = 32, REAL_MINOR_MIN = 7 };

struct real_python {
    struct real_allocator obj;        /**< pymalloc: what the mem and obj domains use */
    struct real_allocator raw;        /**< the raw domain */
    struct pool_arena_source arenas;  /**< its own, as shipped */
    struct pool_config config;        /**< as its statistics text states them; no name */
    char version[REAL_VERSION_BYTES]; /**< "3.11.2" */
    char profile[REAL_VERSION_BYTES]; /**< name of the pool profile that imitates it: "3.11" */
    const void *address;              /**< of a function of it */
    ssize_t (*block_count)(void);     /**< _Py_GetAllocatedBlocks; NULL where it is not exported (3.12+) */
    int (*stats_print)(FILE *out);    /**< call real_python_stats_print() instead */
    void (*allocator_set)(int domain, const struct real_allocator *allocator);
    void (*arenas_set)(const struct pool_arena_source *source);
    bool initialised; /**< pymalloc is not the current allocator: see real_python_stats_print() */
};

/**
 * Opens the libpython at `path`. It stays for the life of the process.
 *
 * @param source where its arenas shall come from, from the first one on (borrowed, and called during this call too, for
 *        mappings that are no arenas); NULL: as shipped.
 * @return ERR_NOT_FOUND (no such library, or not loadable), ERR_INVALID (no libpython), ERR_UNSUPPORTED (too old,
 *         free-threaded, without pymalloc, or a debug build), each with the reason.
 */
enum err real_python_open(const char *path, const struct pool_arena_source *source, struct real_python *out,
                          struct diag *diag);

/** The text of _PyObject_DebugMallocStats. */
void real_python_stats_print(const struct real_python *python, FILE *out);

#endif
