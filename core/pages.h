/**
 * pages.h: the one boundary to the operating system's memory: anonymous pages, mapped and unmapped.
 */
#ifndef MMREPLAY_CORE_PAGES_H
#define MMREPLAY_CORE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/** The system's page size. */
size_t pages_size_bytes(void);

/**
 * Maps private, zeroed, readable and writable pages.
 *
 * @param bytes a multiple of the page size, not 0.
 * @param align_bytes a power of two; up to the page size costs nothing. A kernel that has just placed an aligned
 *        mapping usually places the next one of the same size beside it, so one system call is the common cost; three
 *        to five otherwise.
 * @return NULL when the kernel refuses (errno is set).
 */
void *pages_map(size_t bytes, size_t align_bytes);

/** The same at an address that leaves `residue_bytes`, a multiple of the page size, when divided by `align_bytes`. */
void *pages_map_residue(size_t bytes, size_t align_bytes, size_t residue_bytes);

/** Maps huge pages (MAP_HUGETLB). @return NULL when the system has none to give, or `bytes` is no multiple of one. */
void *pages_map_huge(size_t bytes);

/** Asks for huge pages under a mapping; a kernel without them does nothing. */
void pages_advise_huge(void *pages, size_t bytes);

/** Gives whole pages back to the system, at once. NULL is fine. */
void pages_unmap(void *pages, size_t bytes);

/** @name A range of addresses whose memory comes and goes @{ */

/** Addresses that nobody else gets, without memory. @return NULL when the kernel refuses. */
void *pages_reserve(size_t bytes);

/** As pages_map, for tables of which little will be touched: not counted as memory in use until it is. */
void *pages_map_sparse(size_t bytes);

/** Puts zeroed, readable and writable memory behind whole pages of a range. */
bool pages_commit(void *pages, size_t bytes);

/** Gives the memory of whole pages back to the system, at once; the addresses stay reserved. */
void pages_decommit(void *pages, size_t bytes);

/** Brings pages in with one call, instead of a fault each. A hint: kernels before 5.14 do not know it.
 */
void pages_populate(void *pages, size_t bytes);
/** @} */

#endif
