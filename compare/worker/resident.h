/**
 * resident.h: how many bytes of anonymous memory this process really has.
 */
#ifndef MMREPLAY_COMPARE_WORKER_RESIDENT_H
#define MMREPLAY_COMPARE_WORKER_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

struct resident {
    uint64_t anonymous_bytes;
    uint64_t lazy_free_bytes; /**< part of it that MADV_FREE gave back and the kernel did not yet need */
};

/**
 * Reads /proc/self/smaps_rollup with plain read() into a static buffer: no allocation. Its "Anonymous" walks the page
 * tables, so it is exact (the counters of /proc/self/status are not), and it leaves out shared memory: the program and
 * the slot table. Cost: about 10 ns per resident page.
 * @return false when the kernel does not offer it.
 */
bool resident_read(struct resident *out);

/** Finds `name` (with its colon, at the start of a line) in the text of smaps_rollup; its kB as bytes. */
bool resident_field(const char *text, const char *name, uint64_t *out_bytes);

#endif
