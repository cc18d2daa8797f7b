/**
 * allocator.h: the names a user gives allocators by, and what they stand for on this machine.
 */
#ifndef MMREPLAY_COMPARE_ALLOCATOR_H
#define MMREPLAY_COMPARE_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "compare/worker/worker_protocol.h"

enum { ALLOCATOR_NAME_BYTES = 64, ALLOCATOR_LIST_MAX = 32 };

struct allocator {
    char name[ALLOCATOR_NAME_BYTES]; /**< as the user gave it: "pool", "jemalloc", NAME of NAME=/path/lib.so */
    enum worker_backend backend;
    char library[WORKER_PATH_BYTES]; /**< to preload; "" = nothing */
    char profile[64];                /**< pool only: "3.11" */
};

struct allocator_list {
    struct allocator items[ALLOCATOR_LIST_MAX];
    size_t count;
};

/** What `mmreplay replay` takes without -a. */
#define ALLOCATOR_LIST_DEFAULT "pool,system,jemalloc"

/**
 * One name: `pool`, `pool:3.11`, `system`, `jemalloc`, `mimalloc`, `tcmalloc`, `null`, `NAME=/path/lib.so`.
 * @return ERR_USAGE (no such name; the nearest is told), ERR_NOT_FOUND (a library that is not installed; the package is
 *         told), ERR_LIMIT.
 */
enum err allocator_parse(const char *text, struct allocator *out, struct diag *diag);

/** A comma-separated list of them; the same name twice is ERR_USAGE. */
enum err allocator_list_parse(const char *text, struct allocator_list *out, struct diag *diag);

/** The settings of `allocator` when it is a pool, else NULL. */
const struct pool_config *allocator_pool_config(const struct allocator *allocator);

/** A kind of allocator that this build knows, whether or not it is installed. */
struct allocator_kind {
    const char *name;
    const char *summary;
    enum worker_backend backend;
    const char *sonames[3]; /**< of a library: what is looked for, best first, NULL-terminated; none for the built-in */
    const char *package;    /**< Debian's package that has it */
};

/** NULL-terminated by name. */
extern const struct allocator_kind allocator_kinds[];

#endif
