/**
 * allocator.h: the names a user gives allocators by, and what they stand for on this machine.
 */
#ifndef MMREPLAY_COMPARE_ALLOCATOR_H
#define MMREPLAY_COMPARE_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "compare/worker/worker_protocol.h"

enum { ALLOCATOR_NAME_BYTES = 192, ALLOCATOR_LIST_MAX = 32 };

struct allocator {
    char name[ALLOCATOR_NAME_BYTES]; /**< as the user gave it: "pool", "jemalloc", NAME of NAME=/path/lib.so */
    enum worker_backend backend;
    char library[WORKER_PATH_BYTES];       /**< to preload; "" = nothing */
    char settings[POOL_CONFIG_TEXT_BYTES]; /**< pool only: pool_config_format(): "3.9,keep=0" */
    char python[WORKER_PATH_BYTES];        /**< cpython only: its libpython */
    bool debug_hooks;                      /**< pool only: under CPython's debug hooks */
    bool arenas_aligned;                   /**< cpython only: "+aligned" */
};

struct allocator_list {
    struct allocator items[ALLOCATOR_LIST_MAX];
    size_t count;
};

/** What `mmreplay replay` takes without -a. */
#define ALLOCATOR_LIST_DEFAULT "pool,system,jemalloc"

/**
 * One name: `pool`, `pool:3.11`, `pool:3.9,keep=0`, `pool:fast`, `system`, `jemalloc`, `mimalloc`, `tcmalloc`, `null`,
 * `NAME=/path/lib.so`; `cpython`, `cpython:3.11`, `cpython:/path/libpython3.11.so.1.0`, with `+aligned` behind it for
 * aligned arenas, and `NAME=cpython:…` for a name of one's own. NAME has no colon and is none of pool, system, cpython
 * and null.
 * @return ERR_USAGE (no such name; the nearest is told), ERR_NOT_FOUND (a library that is not installed; the package is
 *         told), ERR_LIMIT.
 */
enum err allocator_parse(const char *text, struct allocator *out, struct diag *diag);

/**
 * A comma-separated list of them; the same name twice is ERR_USAGE. Behind `pool:`, what reads key=value without a
 * slash belongs to its settings, and so does `hugepages`.
 */
enum err allocator_list_parse(const char *text, struct allocator_list *out, struct diag *diag);

/**
 * Puts behind every pool of the list the same one under debug hooks, as NAME+debug.
 * @return ERR_USAGE when there is no pool: hooks belong to CPython's domains, and no other allocator has those.
 *         ERR_LIMIT when the list, or a name, becomes too long. The list is untouched then.
 */
enum err allocator_list_debug_add(struct allocator_list *list, struct diag *diag);

/** The settings of `allocator`. @return false when it is no pool. */
bool allocator_pool_config(const struct allocator *allocator, struct pool_config *out);

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
