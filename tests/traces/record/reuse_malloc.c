/*
 * A malloc that gives every address out again at once, to whichever thread asks next: the hardest one to follow. One
 * lock, held with all signals blocked; free lists by power of two.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER = 16, CLASS_COUNT = 48, AREA_LOG2 = 32 };

struct piece {
    size_t log2; /* of the whole piece, with this header and what aligns it */
    struct piece *next;
};

static _Atomic int is_locked;
static struct piece *lists[CLASS_COUNT];
static char *area, *area_end;

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void free(void *block);
int posix_memalign(void **out, size_t align, size_t bytes);

static void lock(sigset_t *before) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
    while (atomic_exchange_explicit(&is_locked, 1, memory_order_acquire)) {
    }
}

static void unlock(const sigset_t *before) {
    atomic_store_explicit(&is_locked, 0, memory_order_release);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static sigset_t fork_mask;
static void fork_prepare(void) {
    sigset_t mask;
    lock(&mask);
    fork_mask = mask;
}
static void fork_done(void) {
    sigset_t mask = fork_mask;
    unlock(&mask);
}
__attribute__((constructor)) static void fork_guard(void) {
    pthread_atfork(fork_prepare, fork_done, fork_done);
}

static size_t log2_of(size_t bytes) {
    size_t log2 = 5;
    while ((size_t)1 << log2 < bytes)
        log2++;
    return log2;
}

static struct piece *piece_carve(size_t log2) {
    size_t bytes = (size_t)1 << log2;
    if (!area) {
        area = mmap(NULL, (size_t)1 << AREA_LOG2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
        area_end = area + ((size_t)1 << AREA_LOG2);
    }
    char *at = (char *)(((uintptr_t)area + bytes - 1) & ~(uintptr_t)(bytes - 1));
    if (bytes > (size_t)(area_end - at))
        return NULL;
    area = at + bytes;
    return (struct piece *)at;
}

static void *piece_take(size_t bytes) {
    sigset_t before;
    if (bytes > (size_t)1 << 40)
        return NULL;
    size_t log2 = log2_of(bytes + HEADER);
    lock(&before);
    struct piece *piece = lists[log2];
    if (piece)
        lists[log2] = piece->next;
    else
        piece = piece_carve(log2);
    if (piece)
        piece->log2 = log2;
    unlock(&before);
    return piece ? (char *)piece + HEADER : NULL;
}

void *malloc(size_t bytes) {
    void *block = piece_take(bytes);
    if (!block)
        errno = ENOMEM;
    return block;
}

void *calloc(size_t count, size_t bytes) {
    void *block = malloc(count * bytes);
    return block ? memset(block, 0, count * bytes) : NULL;
}

/* What aligns a block lies before it: a header of its own that leads to the piece. */
int posix_memalign(void **out, size_t align, size_t bytes) {
    char *block = malloc(bytes + align + HEADER);
    if (!block)
        return ENOMEM;
    char *at = (char *)(((uintptr_t)block + HEADER + align - 1) & ~(uintptr_t)(align - 1));
    *((size_t *)(void *)at - 2) = 0; /* no power of two: the next word tells where the block lies */
    *((char **)(void *)at - 1) = block;
    *out = at;
    return 0;
}

static char *block_origin(void *block) {
    return *((size_t *)block - 2) ? block : *((char **)block - 1);
}

void free(void *block) {
    sigset_t before;
    if (!block)
        return;
    struct piece *piece = (struct piece *)(void *)(block_origin(block) - HEADER);
    lock(&before);
    piece->next = lists[piece->log2];
    lists[piece->log2] = piece;
    unlock(&before);
}

void *realloc(void *block, size_t bytes) {
    if (!block)
        return malloc(bytes);
    if (!bytes) {
        free(block);
        return NULL;
    }
    char *origin = block_origin(block);
    size_t log2 = ((struct piece *)(void *)(origin - HEADER))->log2;
    size_t room = ((size_t)1 << log2) - HEADER - (size_t)((char *)block - origin);
    if (bytes <= room && bytes > room / 4)
        return block;
    void *moved = malloc(bytes);
    if (moved)
        memcpy(moved, block, room < bytes ? room : bytes);
    if (moved)
        free(block);
    return moved;
}
