#include "traces/record/shim.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

/*
 * How far each ring was written when a process was copied.
 *
 * A fork copies private memory as of one point of every thread's course: the kernel makes all of it read-only for the
 * parent before it lets any of its threads go on that has come upon that. Shared memory is not copied, so what the
 * rings hold by the time the child looks may be later. But each thread's own count of the records it has written is
 * private, and it moves on between a record and what follows: the child's copy of it says which of that thread's
 * records belong to the past that both have. A record before its call (a free) or behind it (an allocation) that was
 * under way in that very moment concerns a block that nobody in the child can reach.
 */
struct ring_view {
    struct shim_ring *_Atomic ring; /* its thread's; NULL: nobody has claimed it */
    _Atomic uint64_t head;          /* when it was last given back */
};

static struct ring_view views[RECORD_RING_COUNT_MAX];

void shim_cut_claimed(uint32_t index, struct shim_ring *ring) {
    atomic_store_explicit(&views[index].ring, ring, memory_order_release);
}

void shim_cut_released(uint32_t index, uint64_t head) {
    atomic_store_explicit(&views[index].head, head, memory_order_release);
    atomic_store_explicit(&views[index].ring, NULL, memory_order_release);
}

/* The memory of a thread that is not in the child may be gone, or another's: then it is not known. */
static uint64_t head_of_other(const struct shim_ring *ring, const struct ring_control *control, int memory) {
    struct shim_ring copy;
    bool is_read = pread(memory, &copy, sizeof copy, (off_t)(uintptr_t)ring) == (ssize_t)sizeof copy;
    return is_read && copy.control == control ? copy.head : RECORD_HEAD_UNKNOWN;
}

static bool is_own(const struct shim_ring *ring) {
    return ring >= shim_thread.rings && ring < shim_thread.rings + SHIM_LEVELS;
}

void shim_cut_take(const struct record_shared *parent, struct record_shared *child) {
    int memory = -1;
    uint32_t count = atomic_load(&parent->ring_top);
    for (uint32_t i = 0; i < count && i < RECORD_RING_COUNT_MAX; i++) {
        const struct shim_ring *ring = atomic_load(&views[i].ring);
        if (ring && !is_own(ring) && memory < 0)
            memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        child->parent_heads[i] = !ring          ? atomic_load(&views[i].head)
                                 : is_own(ring) ? ring->head
                                                : head_of_other(ring, &parent->rings[i], memory);
    }
    child->parent_ring_count = count;
    if (memory >= 0)
        close(memory);
}

void shim_cut_restart(void) {
    for (uint32_t i = 0; i < RECORD_RING_COUNT_MAX; i++)
        if (atomic_load(&views[i].ring) || atomic_load(&views[i].head))
            shim_cut_released(i, 0);
}
