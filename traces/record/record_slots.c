#include "traces/record/record_slots.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "traces/record/record_life.h"

enum {
    READY_COUNT = 12, /* processes that may begin at once without waiting */
    SLEEP_NS = 2 * 1000 * 1000,
    FDS_PER_PROCESS = 4, /* memory, pidfd, two files of the trace */
    FDS_RESERVED = 32
};

static uint64_t pid_namespace(void) {
    struct stat status;
    return stat("/proc/self/ns/pid", &status) ? 0 : status.st_ino;
}

static enum err control_create(struct slots *slots, struct diag *diag) {
    void *memory = NULL;
    enum err err = session_memory_create("mmreplay-control", sizeof *slots->control, &slots->fd, &memory, diag);
    if (err)
        return err;
    slots->control = memory;
    slots->control->magic = RECORD_CONTROL_MAGIC;
    slots->control->control_bytes = sizeof *slots->control;
    slots->control->recorder_pid = (uint32_t)getpid();
    slots->control->pid_namespace = pid_namespace();
    life_begin(&slots->control->recorder_life);
    return ERR_OK;
}

static enum err slot_prepare(struct slots *slots, uint32_t slot, struct diag *diag) {
    enum err err = session_create(slots->options, &slots->sessions[slot], diag);
    if (err)
        return err;
    atomic_store(&slots->control->slots[slot].fd, (uint32_t)slots->sessions[slot].fd);
    slots->sessions[slot].life = slots->sessions[slot].shared->life = ++slots->life_count;
    slots->is_seen[slot] = 0;
    slots->used_count++;
    return ERR_OK;
}

enum err slots_create(const struct record_options *options, struct slots **out, struct diag *diag) {
    struct rlimit limit;
    struct slots *slots = calloc(1, sizeof *slots);
    if (!slots)
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    slots->options = options;
    slots->fd = -1;
    slots->file_limit = getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > UINT32_MAX ? 0 : (uint32_t)limit.rlim_cur;
    enum err err = control_create(slots, diag);
    if (!err)
        err = slot_prepare(slots, 0, diag);
    if (err) {
        slots_destroy(slots);
        return err;
    }
    slots->top = 1;
    atomic_store(&slots->control->slot_top, 1);
    *out = slots;
    return ERR_OK;
}

void slots_destroy(struct slots *slots) {
    if (!slots)
        return;
    for (uint32_t i = 0; i < slots->top; i++)
        if (slots->sessions[i].shared)
            slots_release(slots, i);
    life_end();
    if (slots->control)
        munmap(slots->control, sizeof *slots->control);
    if (slots->fd >= 0)
        close(slots->fd);
    free(slots);
}

struct record_session *slots_first(struct slots *slots) {
    return &slots->sessions[0];
}

/* What a process may still bring with it must fit, too. */
static bool fds_fit(const struct slots *slots, uint32_t slot_count, uint32_t other_fd_count) {
    return !slots->file_limit ||
           (uint64_t)slot_count * FDS_PER_PROCESS + other_fd_count + FDS_RESERVED <= slots->file_limit;
}

bool slots_spare_fd(const struct slots *slots, uint32_t other_fd_count) {
    return fds_fit(slots, slots->used_count + READY_COUNT, other_fd_count + 1);
}

static uint32_t ready_count(const struct slots *slots) {
    uint32_t count = 0;
    for (uint32_t i = 1; i < slots->top; i++)
        count +=
            slots->sessions[i].shared && atomic_load(&slots->control->slots[i].claim) == control_claim(SLOT_READY, 0);
    return count;
}

static uint32_t slot_empty(const struct slots *slots) {
    uint32_t slot = 1;
    while (slot < slots->top && slots->sessions[slot].shared)
        slot++;
    return slot;
}

static bool slot_offer(struct slots *slots, uint32_t other_fd_count) {
    uint32_t slot = slot_empty(slots);
    if (slot >= CONTROL_SLOT_COUNT || !fds_fit(slots, slots->used_count + 1, other_fd_count) ||
        slot_prepare(slots, slot, NULL))
        return false;
    struct control_slot *shown = &slots->control->slots[slot];
    atomic_store(&shown->is_told, 0);
    atomic_store(&shown->is_heard, 0);
    atomic_store(&shown->failure, 0);
    atomic_store(&shown->claim, control_claim(SLOT_READY, 0));
    if (slot == slots->top) {
        slots->top++;
        atomic_store(&slots->control->slot_top, slots->top);
    }
    return true;
}

void slots_fill(struct slots *slots, uint32_t other_fd_count) {
    struct record_control *control = slots->control;
    uint32_t ready = ready_count(slots), made = 0;
    while (ready + made < READY_COUNT && slot_offer(slots, other_fd_count))
        made++;
    atomic_store(&control->is_full, ready + made == 0);
    if (made)
        atomic_fetch_add(&control->ready_count, made);
    if ((made || !ready) && atomic_exchange(&control->slots_short, 0))
        syscall(SYS_futex, &control->ready_count, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* One that has not told yet is the last. */
static uint64_t claim_time_ns(const struct control_slot *slot) {
    return atomic_load(&slot->is_told) ? slot->claimed_ns : UINT64_MAX;
}

bool slots_next_claim(struct slots *slots, struct slot_claim *out) {
    uint32_t found = slots->top;
    uint64_t found_ns = 0;
    for (uint32_t i = 0; i < slots->top; i++) {
        const struct control_slot *slot = &slots->control->slots[i];
        uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire);
        if (slots->is_seen[i] || !slots->sessions[i].shared || control_claim_state(claim) != SLOT_CLAIMED)
            continue;
        uint64_t time_ns = claim_time_ns(slot);
        if (found < slots->top && time_ns >= found_ns)
            continue;
        found = i;
        found_ns = time_ns;
        *out = (struct slot_claim){i, control_claim_pid(claim)};
    }
    if (found < slots->top)
        slots->is_seen[found] = 1;
    return found < slots->top;
}

void slots_answer(struct slots *slots, uint32_t slot) {
    _Atomic uint32_t *word = &slots->control->slots[slot].is_heard;
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void slots_retire(struct slots *slots, uint32_t slot) {
    atomic_store(&slots->control->slots[slot].claim, control_claim(SLOT_CLAIMED, 0));
}

void slots_release(struct slots *slots, uint32_t slot) {
    atomic_store(&slots->control->slots[slot].claim, control_claim(SLOT_EMPTY, 0));
    session_stop(&slots->sessions[slot]);
    session_close(&slots->sessions[slot]);
    slots->used_count--;
}

void slots_stop(struct slots *slots) {
    atomic_store(&slots->control->stopped, 1);
    atomic_fetch_add(&slots->control->ready_count, 1);
    syscall(SYS_futex, &slots->control->ready_count, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    for (uint32_t i = 0; i < slots->top; i++)
        if (slots->sessions[i].shared)
            session_stop(&slots->sessions[i]);
}

void slots_sleep(struct slots *slots) {
    struct timespec timeout = {.tv_nsec = SLEEP_NS};
    _Atomic uint32_t *word = &slots->control->recorder_sleeps;
    atomic_store(word, 1);
    if (!atomic_load(&slots->control->slots_short))
        syscall(SYS_futex, word, FUTEX_WAIT, 1, &timeout, NULL, 0);
    atomic_store(word, 0);
}
