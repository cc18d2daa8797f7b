#include "traces/record/shim.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__thread struct shim_thread shim_thread __attribute__((tls_model("initial-exec")));

/* Since glibc 2.32; absent elsewhere, which then counts as "many threads". */
extern char __libc_single_threaded __attribute__((weak));

static pthread_key_t end_key;
static bool has_end_key;

static bool image_is_shown; /* set by the image's first thread, before there is another */

/* For threads past their end, and for everybody when the rings have run out. Guarded by `commons_owner`. */
static struct shim_ring commons;
static uint64_t commons_serial = UINT64_MAX;
static _Atomic uint32_t commons_owner; /* tid; 0 = free */

enum { WAIT_NS = 20 * 1000 * 1000, RECORDS_PER_EVENT = 3 };

static inline uint64_t stamp_take(void) {
    _Atomic uint64_t *counter = &shim.shared->stamp;
#ifdef __x86_64__
    /* One instruction without the bus lock: a signal handler cannot come in between, and there is no other thread. */
    if (&__libc_single_threaded && __libc_single_threaded) {
        uint64_t stamp = 1;
        __asm__ volatile("xaddq %0, %1" : "+r"(stamp), "+m"(*counter) : : "memory", "cc");
        return stamp;
    }
#endif
    return atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel);
}

static uint32_t thread_id(void) {
    return (uint32_t)syscall(SYS_gettid);
}

static void recorder_wake(void) {
    _Atomic uint32_t *word = shim.recorder_sleeps;
    if (!atomic_load_explicit(word, memory_order_relaxed))
        return;
    int saved = errno;
    atomic_store(word, 0);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
    errno = saved;
}

/* From here on nothing is recorded, and nobody waits. */
static void recording_end(void) {
    atomic_store(&shim.shared->stopped, 1);
    atomic_store(&shim.fork_reported, 1);
    atomic_store(&shim.gate->mode, SHIM_OVER);
}

static void recorder_look(void) {
    if (atomic_load_explicit(&shim.shared->stopped, memory_order_relaxed))
        recording_end();
    else
        recorder_wake();
}

static bool ring_look(struct shim_ring *ring) {
    ring->limit = atomic_load_explicit(&ring->control->tail, memory_order_acquire) + shim.ring_mask + 1;
    return ring->head + RECORDS_PER_EVENT <= ring->limit;
}

bool shim_recorder_is_dead(const _Atomic uint32_t *life, uint32_t pid) {
    uint32_t seen = atomic_load(life);
    return seen ? seen & FUTEX_OWNER_DIED : kill((pid_t)pid, 0) && errno == ESRCH;
}

/* Sleeps until the recorder has made space, at most WAIT_NS. False: there is no recorder any more. */
static bool ring_sleep(struct shim_ring *ring) {
    struct timespec timeout = {.tv_nsec = WAIT_NS};
    long woken = syscall(SYS_futex, &ring->control->waiting, FUTEX_WAIT, 1, &timeout, NULL, 0);
    return woken == 0 || errno != ETIMEDOUT || !shim_recorder_is_dead(shim.recorder_life, shim.shared->recorder_pid);
}

/* Returns whether there is space; false means that there will never be any: the recorder has died or given up. */
static bool ring_wait(struct shim_ring *ring) {
    if (ring_look(ring))
        return true;
    int saved = errno;
    atomic_fetch_add_explicit(&shim.shared->wait_count, 1, memory_order_relaxed);
    bool has_recorder = true;
    while (has_recorder && !ring_look(ring)) {
        recorder_wake();
        atomic_store(&ring->control->waiting, 1);
        if (!ring_look(ring))
            has_recorder = !atomic_load(&shim.shared->stopped) && ring_sleep(ring);
    }
    if (!has_recorder)
        recording_end();
    errno = saved;
    return has_recorder;
}

static inline bool ring_has_space(struct shim_ring *ring) {
    return __builtin_expect(ring->head + RECORDS_PER_EVENT <= ring->limit, 1) || ring_wait(ring);
}

static inline void ring_push(struct shim_ring *ring, uint64_t what, uint64_t how) {
    ring->records[ring->head & shim.ring_mask] = (struct ring_record){.what = what, .how = how};
    ring->head++;
}

static inline void recorder_look_in_turn(const struct shim_ring *ring) {
    if (__builtin_expect((ring->head & (RECORD_WAKE_PERIOD - 1)) == 0, 0))
        recorder_look();
}

static inline void ring_publish(struct shim_ring *ring) {
    atomic_store_explicit(&ring->control->head, ring->head, memory_order_release);
    recorder_look_in_turn(ring);
}

static void ring_top_raise(uint32_t top) {
    uint32_t seen = atomic_load(&shim.shared->ring_top);
    while (seen < top && !atomic_compare_exchange_weak(&shim.shared->ring_top, &seen, top)) {
    }
}

static bool ring_claim(struct shim_ring *ring) {
    struct record_shared *shared = shim.shared;
    for (uint32_t i = 0; i < shared->ring_count; i++) {
        struct ring_control *control = &shared->rings[i];
        uint32_t expected = RING_FREE;
        if (atomic_load_explicit(&control->state, memory_order_relaxed) != RING_FREE ||
            !atomic_compare_exchange_strong(&control->state, &expected, RING_CLAIMED))
            continue;
        atomic_store(&control->owner_tid, thread_id());
        ring_top_raise(i + 1);
        ring->records = (struct ring_record *)((char *)shared + record_ring_offset(shared, i));
        ring->head = atomic_load_explicit(&control->head, memory_order_relaxed);
        ring->limit = ring->fast_limit = 0;
        ring->time_ns = UINT64_MAX;
        ring->control = control;
        shim_cut_claimed(i, ring);
        return true;
    }
    atomic_store(&shared->rings_short, 1);
    recorder_wake();
    return false;
}

static void ring_release(struct shim_ring *ring) {
    if (!ring->control)
        return;
    struct ring_control *control = ring->control;
    shim_cut_released((uint32_t)(control - shim.shared->rings), ring->head);
    ring->control = NULL;
    ring->fast_limit = 0;
    atomic_store(&control->owner_tid, 0);
    atomic_store_explicit(&control->state, RING_FREE, memory_order_release);
}

/* A ring that is not of the present memory: of the process that this one is a fork of. */
static void ring_forget_foreign(struct shim_ring *ring) {
    if (ring->control - shim.shared->rings >= RECORD_RING_COUNT_MAX || ring->control < shim.shared->rings) {
        ring->control = NULL;
        ring->fast_limit = 0;
    }
}

/*
 * After an event that took the long road: how far the short one leads. To where space has to be looked for, or one
 * before the position at which the recorder is looked after; nowhere while events have times.
 */
static void ring_fast_set(struct shim_ring *ring) {
    uint64_t space_limit = ring->limit >= RECORDS_PER_EVENT ? ring->limit - RECORDS_PER_EVENT + 1 : 0;
    uint64_t turn_limit = ring->head | (RECORD_WAKE_PERIOD - 1);
    ring->fast_limit = space_limit < turn_limit ? space_limit : turn_limit;
    if (shim.clock_read)
        ring->fast_limit = 0;
}

static void ring_context(struct shim_ring *ring, uint64_t serial) {
    if (ring_has_space(ring))
        ring_push(ring, (uint64_t)RECORD_CONTEXT << RECORD_KIND_SHIFT, serial);
}

static inline void record_put(struct shim_ring *ring, uint64_t what, uint64_t size_bytes) {
    if (__builtin_expect(size_bytes > UINT32_MAX, 0))
        ring_push(ring, (uint64_t)RECORD_SIZE << RECORD_KIND_SHIFT, size_bytes);
    uint64_t stamp = stamp_take();
    ring_push(ring, what, (uint64_t)(uint32_t)size_bytes << RECORD_HOW_SIZE_SHIFT | (uint32_t)stamp);
    ring_publish(ring);
}

/* The clock is read before there may be a wait for space, and before the stamp. */
static __attribute__((noinline)) bool timed_record_write(struct shim_ring *ring, uint64_t what, uint64_t size_bytes) {
    struct timespec now;
    shim.clock_read(shim.clock, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (!ring_has_space(ring))
        return false;
    if (now_ns != ring->time_ns) {
        ring_push(ring, (uint64_t)RECORD_CLOCK << RECORD_KIND_SHIFT, now_ns);
        recorder_look_in_turn(ring); /* going by twos must not miss its turn */
    }
    ring->time_ns = now_ns;
    record_put(ring, what, size_bytes);
    return true;
}

/* Space first, then the stamp, then the words: between taking a number and showing it there is no waiting. */
static inline bool record_write(struct shim_ring *ring, uint64_t what, uint64_t size_bytes) {
    if (__builtin_expect(shim.clock_read != NULL, 0))
        return timed_record_write(ring, what, size_bytes);
    if (!ring_has_space(ring))
        return false;
    record_put(ring, what, size_bytes);
    return true;
}

static bool commons_lock(void) {
    uint32_t self = thread_id();
    for (uint32_t expected = 0; !atomic_compare_exchange_weak(&commons_owner, &expected, self); expected = 0) {
        if (expected == self)
            return false; /* a signal handler inside the section: it cannot wait for itself */
        sched_yield();
    }
    return true;
}

static bool commons_write(uint64_t serial, uint64_t what, uint64_t size_bytes) {
    if (!commons_lock())
        return false;
    bool is_written = false;
    if (commons.control) {
        if (commons_serial != serial)
            ring_context(&commons, serial);
        commons_serial = serial;
        is_written = record_write(&commons, what, size_bytes);
    }
    atomic_store(&commons_owner, 0);
    return is_written;
}

/* glibc frees a few NULLs of every thread after the last destructor: not worth a thread of their own in the trace. */
static bool late_write(uint64_t what, uint64_t size_bytes) {
    bool is_free_of_null =
        (what & RECORD_POINTER_MASK) == 0 && (what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK) == RECORD_FREE;
    return is_free_of_null || commons_write(RECORD_SERIAL_LATE, what, size_bytes);
}

/* The thread's first event: it gets its number, and shows its birth. */
static void thread_begin(struct shim_thread *thread) {
    thread->serial = atomic_fetch_add(&shim.shared->thread_serial, 1) + 1;
}

/* Claims a ring for that level. The thread's birth, if it is new, goes in first. */
static bool ring_begin(struct shim_thread *thread, uint32_t level) {
    struct shim_ring *ring = &thread->rings[level];
    bool is_new = !thread->serial;
    if (is_new)
        thread_begin(thread);
    bool is_open = ring_claim(ring);
    uint64_t start = (uint64_t)(image_is_shown ? RECORD_THREAD_START : RECORD_IMAGE) << RECORD_KIND_SHIFT;
    image_is_shown = true;
    if (is_open)
        ring_context(ring, thread->serial);
    if (is_new && !(is_open ? record_write(ring, start, 0) : commons_write(thread->serial, start, 0)))
        is_open = false;
    return is_open;
}

/* No handler's event may come between a thread's number and its birth: that of the image is the first of all. */
static __attribute__((noinline)) bool ring_open(struct shim_thread *thread, uint32_t level) {
    int saved = errno;
    uint64_t mask = shim_signals_block();
    bool is_open = ring_begin(thread, level);
    shim_signals_restore(mask);
    errno = saved;
    return is_open;
}

static bool event_write(struct shim_thread *thread, uint32_t level, uint64_t what, uint64_t size_bytes) {
    if (__builtin_expect(level >= SHIM_LEVELS, 0))
        return false;
    struct shim_ring *ring = &thread->rings[level];
    if (ring->control && !thread->is_announced)
        ring_forget_foreign(ring);
    if (!ring->control) {
        if (thread->is_ended)
            return late_write(what, size_bytes);
        if (!ring_open(thread, level))
            return commons_write(thread->serial, what, size_bytes);
    }
    return record_write(ring, what, size_bytes);
}

/* Asks to be told of the thread's end. May allocate; so it comes after the event, and is recorded like anything else.
 */
static __attribute__((noinline)) void thread_announce(struct shim_thread *thread) {
    thread->is_announced = 1;
    for (uint32_t level = thread->level; level < SHIM_LEVELS; level++)
        ring_forget_foreign(&thread->rings[level]);
    int saved = errno;
    if (has_end_key && thread_id() != shim.pid)
        pthread_setspecific(end_key, thread);
    errno = saved;
}

static inline void signals_look(const struct shim_thread *thread) {
    if (__builtin_expect(thread->deferred != 0, 0))
        shim_signal_take();
}

static __attribute__((noinline)) void event_write_long(struct shim_thread *thread, uint32_t level, uint64_t what,
                                                       uint64_t size_bytes) {
    if (!event_write(thread, level, what, size_bytes) && !shim_is_off())
        atomic_fetch_add_explicit(&shim.shared->lost_count, 1, memory_order_relaxed);
    else if (level == 0 && thread->is_announced && thread->rings[0].control)
        ring_fast_set(&thread->rings[0]);
    atomic_signal_fence(memory_order_seq_cst);
    thread->level = level;
    if (!thread->is_announced)
        thread_announce(thread);
    if (level == 0)
        signals_look(thread);
}

/* The level is taken before anything is looked at: a signal handler that writes in between would make it stale. */
void shim_event_put(uint64_t what, size_t size_bytes) {
    struct shim_thread *thread = &shim_thread;
    struct shim_ring *ring = &thread->rings[0];
    uint32_t level = thread->level;
    thread->level = level + 1;
    atomic_signal_fence(memory_order_seq_cst);
    uint64_t head = ring->head;
    if (__builtin_expect(level != 0 || head >= ring->fast_limit || size_bytes > UINT32_MAX, 0)) {
        event_write_long(thread, level, what, size_bytes);
        return;
    }
    uint64_t how = (uint64_t)size_bytes << RECORD_HOW_SIZE_SHIFT | (uint32_t)stamp_take();
    ring->records[head & shim.ring_mask] = (struct ring_record){.what = what, .how = how};
    ring->head = head + 1;
    atomic_store_explicit(&ring->control->head, head + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    thread->level = 0;
    signals_look(thread);
}

void shim_refused(void) {
    atomic_fetch_add_explicit(&shim.shared->refused_count, 1, memory_order_relaxed);
}

/* Other destructors may still allocate: wait for the last round that POSIX promises. */
static void thread_finish(void *argument) {
    struct shim_thread *thread = argument;
    if (shim_is_off())
        return;
    if (++thread->destructor_round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(end_key, thread);
        return;
    }
    shim_event(RECORD_THREAD_END, 0, 0, 0, 0);
    thread->is_ended = 1;
    for (uint32_t level = 0; level < SHIM_LEVELS; level++)
        ring_release(&thread->rings[level]);
}

void shim_ring_start(void) {
    has_end_key = pthread_key_create(&end_key, thread_finish) == 0;
    if (ring_claim(&commons))
        commons.limit = 0;
}

/*
 * A fork in a signal handler may have interrupted the writing of a record: the rings of the levels below are still in
 * use, on memory that leads nowhere, and are dropped by thread_announce when that is through.
 */
void shim_ring_restart(void) {
    struct shim_thread *thread = &shim_thread;
    image_is_shown = false;
    commons = (struct shim_ring){0};
    commons_serial = UINT64_MAX;
    atomic_store(&commons_owner, 0);
    shim_cut_restart();
    ring_claim(&commons);
    for (uint32_t level = thread->level; level < SHIM_LEVELS; level++)
        thread->rings[level] = (struct shim_ring){0};
    if (thread->level) {
        thread->is_announced = 0;
        atomic_fetch_add(&shim.shared->lost_count, 1);
    }
    thread->serial = 0;
    thread->is_ended = 0;
}
