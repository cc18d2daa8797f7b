#include "core/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

size_t pages_size_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static char *map_anywhere(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

/* Maps enough for the part wanted to lie inside, and gives back what is around it. */
static char *map_and_trim(size_t bytes, size_t align_bytes, size_t residue_bytes) {
    if (bytes > SIZE_MAX - align_bytes) {
        errno = ENOMEM;
        return NULL;
    }
    char *pages = map_anywhere(bytes + align_bytes);
    if (!pages)
        return NULL;
    size_t before = (residue_bytes - (uintptr_t)pages) & (align_bytes - 1);
    if (before)
        munmap(pages, before);
    munmap(pages + before + bytes, align_bytes - before);
    return pages + before;
}

void *pages_map_residue(size_t bytes, size_t align_bytes, size_t residue_bytes) {
    char *pages = map_anywhere(bytes);
    if (!pages || (((uintptr_t)pages - residue_bytes) & (align_bytes - 1)) == 0)
        return pages;
    munmap(pages, bytes);
    return map_and_trim(bytes, align_bytes, residue_bytes);
}

void *pages_map(size_t bytes, size_t align_bytes) {
    return pages_map_residue(bytes, align_bytes, 0);
}

void *pages_map_huge(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void pages_advise_huge(void *pages, size_t bytes) {
    (void)madvise(pages, bytes, MADV_HUGEPAGE);
}

void pages_unmap(void *pages, size_t bytes) {
    if (pages)
        munmap(pages, bytes);
}

/* ---- a range of addresses whose memory comes and goes ---- */

void *pages_reserve(size_t bytes) {
    void *range = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return range == MAP_FAILED ? NULL : range;
}

void *pages_map_sparse(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

bool pages_commit(void *pages, size_t bytes) {
    return mmap(pages, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

void pages_decommit(void *pages, size_t bytes) {
    /* The new mapping alone would do; it may be refused, though, where a process has as many as it may have. */
    (void)madvise(pages, bytes, MADV_DONTNEED);
    (void)mmap(pages, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

void pages_populate(void *pages, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
    (void)madvise(pages, bytes, MADV_POPULATE_WRITE);
#else
    (void)pages, (void)bytes;
#endif
}
