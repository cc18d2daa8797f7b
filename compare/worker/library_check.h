/**
 * library_check.h: is the malloc that this process calls really the one asked for?
 *
 * A preload that failed is only a line on stderr: the process then runs on the C library's malloc, and a careless tool
 * measures that under the wrong name. So the worker looks where each function it will call lives.
 */
#ifndef MMREPLAY_COMPARE_WORKER_LIBRARY_CHECK_H
#define MMREPLAY_COMPARE_WORKER_LIBRARY_CHECK_H

#include <stdbool.h>

#include "compare/worker/worker_protocol.h"

/**
 * Demands malloc, calloc, realloc, free and, when `needs_aligned`, posix_memalign from one object: the file
 * `request->library`, or the C library when that is empty. Fills the reply's library, build_id and has_usable_size
 * (false when malloc_usable_size is another object's: asking it would be undefined).
 * Allocates nothing.
 */
enum err library_check(const struct worker_request *request, bool needs_aligned, struct worker_reply *reply,
                       struct diag *diag);

/** Fills the reply's library and build_id with the object that `address` lies in. Allocates nothing. */
void library_describe(const void *address, struct worker_reply *reply);

/**
 * Asks the library for its version, by the function that jemalloc, mimalloc, tcmalloc or glibc has for that; "" when it
 * is none of them. Calls into the library: not before a measurement.
 */
void library_version_ask(struct worker_reply *reply);

/** What mi_version() of mimalloc means, as "mimalloc 2.0.9". */
void library_mimalloc_version_format(int version, char *out, size_t bytes);

#endif
