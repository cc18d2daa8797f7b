#include "traces/record/record_life.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The list lies in memory of our own: the shared one may be overwritten, and the kernel follows what it finds. */
static struct {
    struct robust_list_head head;
    struct robust_list entry;
    struct robust_list_head *before; /* libc's */
} life;

void life_begin(_Atomic uint32_t *word) {
    size_t length;
    if (syscall(SYS_get_robust_list, 0, &life.before, &length))
        return;
    life.entry.next = &life.head.list;
    life.head.list.next = &life.entry;
    life.head.list_op_pending = NULL;
    life.head.futex_offset = (long)((uintptr_t)word - (uintptr_t)&life.entry);
    atomic_store(word, (uint32_t)syscall(SYS_gettid));
    if (syscall(SYS_set_robust_list, &life.head, sizeof life.head)) {
        atomic_store(word, 0);
        life.before = NULL;
    }
}

void life_end(void) {
    if (life.before)
        syscall(SYS_set_robust_list, life.before, sizeof *life.before);
    life.before = NULL;
}
