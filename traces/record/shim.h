/**
 * shim.h: inside libmmrecord.so.
 *
 * The shim sits between a traced program and its allocator, in every context in which a program may allocate: before
 * constructors, after destructors, in signal handlers, in dying threads. So it allocates nothing itself, takes no lock
 * on its normal road, keeps errno, and owns no file descriptor after start.
 *
 *     shim_libc.c   the interposed malloc family
 *     shim_cxx.c    operator new and delete, where an allocator has its own
 *     shim_python.c CPython's three domains
 *     shim_arenas.c where its arenas lie, and its own statistics
 *     shim_loader.c libraries that are opened late
 *     shim_bind.c   changes what an object's calls are bound to
 *     shim_exec.c   the exec family: tells the recorder that an image is about to be replaced
 *     shim_process.c  forks, children, ends: the tree of processes, when somebody follows it
 *     shim_cut.c    how far rings were written when the process was copied
 *     shim_signal.c   signal handlers, which allocate in the program's name
 *     shim_ring.c   events into rings; threads
 *     shim_time.c   the clock that events get their times from
 *     shim_start.c  finds the real functions and the recorder's memory
 */
#ifndef MMREPLAY_TRACES_RECORD_SHIM_H
#define MMREPLAY_TRACES_RECORD_SHIM_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "traces/event.h"
#include "traces/record/record_ring.h"

#define SHIM_EXPORT __attribute__((visibility("default")))

enum shim_mode {
    SHIM_OFF = RECORD_MODE_OFF, /* must be 0: what the gate's page reads as in the child of a fork */
    SHIM_C = RECORD_MODE_C,
    SHIM_DOMAINS = RECORD_MODE_DOMAINS,
    SHIM_MIXED = RECORD_MODE_MIXED,
    SHIM_UNSTARTED = 4,
    SHIM_STARTING = 8,
    SHIM_OVER = 16 /* nothing is recorded any more, whatever comes: as SHIM_OFF, but nobody need look why */
};

/* Lives in a page of its own that the kernel empties in the child of any kind of fork (MADV_WIPEONFORK). */
struct shim_gate {
    _Atomic uint32_t mode;
};

/* A thread's private view of a ring it has claimed. */
struct shim_ring {
    struct ring_control *control; /* NULL: none claimed */
    struct ring_record *records;
    uint64_t head;
    uint64_t fast_limit; /* a record below this position needs nothing but to be written; see ring_fast_set */
    uint64_t limit;      /* may write below this position without looking at the recorder's again */
    uint64_t time_ns;    /* what the last RECORD_CLOCK said */
};

/* A signal handler that interrupts the writing of a record (few do, see shim_signal.c) writes to the next level's. */
enum { SHIM_LEVELS = 4 };

/* The first line of the cache is all that an ordinary event needs. */
struct shim_thread {
    _Alignas(64) volatile uint32_t level;
    volatile uint32_t inside;   /* depth of calls into the allocator */
    volatile uint32_t deferred; /* signals that wait until the event is written: bit n for signal n */
    uint8_t is_announced;
    uint8_t is_ended;
    uint8_t is_probing; /* a call is made only to see whether it comes by here */
    uint8_t was_probed;
    uint8_t destructor_round;
    uint8_t is_claiming;
    struct shim_ring rings[SHIM_LEVELS];
    uint64_t serial;      /* 0: has made no event yet */
    uint64_t fork_number; /* of the fork under way; 0: none */
};

struct shim_real {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void (*free_sized)(void *, size_t);
    void (*free_aligned_sized)(void *, size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    void *(*reallocarray)(void *, size_t, size_t); /* only to know it again; never called */
    void *(*dlopen)(const char *, int);
    int (*execve)(const char *, char *const[], char *const[]);
    int (*execvpe)(const char *, char *const[], char *const[]);
    int (*fexecve)(int, char *const[], char *const[]);
};

struct shim {
    struct shim_gate *gate;
    struct record_shared *shared; /* NULL: nobody records us */
    uint64_t ring_mask;           /* records per ring − 1 */
    uint32_t pid;
    _Atomic uint32_t fork_reported;
    _Atomic uint32_t *recorder_sleeps; /* where the recorder sleeps */
    clockid_t clock;
    int (*clock_read)(clockid_t, struct timespec *); /* NULL: events have no times */
    _Atomic uint32_t *recorder_life;                 /* tells when it has died */
    struct shim_real real;
    bool is_starting;        /* nothing may be called that takes a lock which an allocating caller may hold */
    struct shim_real second; /* behind __libc_malloc and its sisters; some are NULL */
};

extern struct shim shim;
extern __thread struct shim_thread shim_thread __attribute__((tls_model("initial-exec")));

static inline unsigned shim_mode(void) {
    return atomic_load_explicit(&shim.gate->mode, memory_order_relaxed);
}

static inline bool shim_is_off(void) {
    return (shim_mode() & ~(unsigned)SHIM_OVER) == SHIM_OFF;
}

/* Decides once per process image what is recorded; from the first allocation or the constructor. */
void shim_start(void);

/* Finds the clock that the recorder asks for, if it does. */
void shim_time_start(void);

/* By the kernel's word (record_life.h), or, where it is not given, because there is nobody of that number. */
bool shim_recorder_is_dead(const _Atomic uint32_t *life, uint32_t pid);

/* Prepares threads' ends; after the shared memory is there, before the first event. */
void shim_ring_start(void);

/* Writes one event in the calling thread's name, waiting for space if need be. `what` as in struct ring_record. Keeps
   errno. */
void shim_event_put(uint64_t what, size_t size_bytes);

/* Here, because most of it is known where it is called. */
static inline void shim_event(unsigned kind, unsigned domain, uintptr_t pointer, size_t size_bytes,
                              unsigned align_log2) {
    shim_event_put((pointer & RECORD_POINTER_MASK) | (uint64_t)kind << RECORD_KIND_SHIFT |
                       (uint64_t)domain << RECORD_DOMAIN_SHIFT | (uint64_t)align_log2 << RECORD_ALIGN_SHIFT,
                   size_bytes);
}

/* An event is written: the signals that came meanwhile are taken. Keeps errno. */
void shim_signal_take(void);

/* In the child of a fork, whose memory is new: nothing has been written yet, by nobody. */
void shim_ring_restart(void);

/* Of the present memory's ring: whose view of it tells how far it is written, or that it was so far when it was given
 * back. */
void shim_cut_claimed(uint32_t index, struct shim_ring *ring);
void shim_cut_released(uint32_t index, uint64_t head);

/* In the child of a fork, before anything is written: tells in its memory how far its parent's rings were written. */
void shim_cut_take(const struct record_shared *parent, struct record_shared *child);

/* … and then forgets them. */
void shim_cut_restart(void);

/* The memory that this process is to write to; NULL: it is not recorded. `path` is the environment's. */
struct record_shared *shim_process_attach(const char *path);

/* Finds the real functions. */
void shim_process_resolve(void);
void shim_signal_resolve(void);

/* When there is a recorder: from here on forks and ends are told. */
void shim_process_start(void);

/* The gate is shut. In the child of a fork that is followed, opens it. @return whether it is open now. */
bool shim_process_wake(void);

/* Events of this mode are recorded; asked once per call, because in the child of a fork it may open the gate. */
static inline bool shim_is_on(unsigned wanted) {
    unsigned mode = shim_mode();
    return __builtin_expect(mode & wanted, 1) || (mode == SHIM_OFF && shim_process_wake() && (shim_mode() & wanted));
}

/* `pid` is about to become the program `path`; NULL: no, it is not. */
void shim_process_exec(uint32_t pid, uint32_t parent_pid, const char *path);

/* The program was told "no memory". */
void shim_refused(void);

/* True when the process has CPython's allocator interface. */
bool shim_python_is_here(void);

/* Hooks the three domains of the interpreter that was found. */
void shim_python_hook(void);

/* A library has been opened: an interpreter in it that is not initialised yet is hooked. */
void shim_python_arrive(void *library);

/* A function that calls may be bound to, and the one that they shall be bound to instead. */
struct shim_binding {
    const char *name;
    uintptr_t from; /* 0: absent */
    uintptr_t to;
    bool takes_unresolved; /* also entries that the loader would resolve at the first call */
};

/* Rebinds the calls of every loaded object but this one and the one at `real_base` (dli_fbase). */
void shim_rebind(const struct shim_binding *bindings, size_t count, const void *real_base);

/* C23; not in every C library's headers. */
void free_sized(void *block, size_t bytes);
void free_aligned_sized(void *block, size_t align, size_t bytes);

/*
 * Calls of the malloc family that go past the shim come by it from now on.
 * @param takes_unresolved the first malloc in the loader's order is not ours: what it would resolve goes past us, too.
 */
void shim_family_rebind(bool takes_unresolved);

/* Brings operator new and delete by the shim, if they do not come by malloc; the second, again after a dlopen. */
void shim_cxx_start(void);
void shim_cxx_rebind(void);

/* Sees the arenas of the CPython in the library `where` from here on, as far as it exports how. */
void shim_arenas_hook(void *where);

/*
 * Calls with the interpreter's own object allocator in the place of its hook, which holds the interpreter's lock.
 * False, without a call: something else (tracemalloc) has hooked in above.
 */
bool shim_python_bare(void (*call)(void));

/*
 * Brackets a call to the real allocator. An allocator may call its own public entry points (realloc its malloc, obj its
 * raw domain): only the outermost call is an event. A signal handler begins outside again (shim_signal.c).
 */
static inline bool shim_is_outermost(void) {
    return shim_thread.inside == 0;
}

static inline void shim_enter(void) {
    shim_thread.inside++;
}

static inline bool shim_leave(void) {
    return --shim_thread.inside == 0;
}

/*
 * A name that we looked for and that is not there is not the program's error. The second call frees the text. Never
 * inside an allocation: dlerror translates its text, and whoever allocates may hold the lock on translations. So what
 * is looked for at the start, which may come with any first allocation, is cleared by the constructor.
 */
static inline void shim_dlerror_clear(void) {
    if (shim.is_starting)
        return;
    dlerror();
    dlerror();
}

static inline void shim_text_copy(char *out, const char *text) {
    size_t i = 0;
    for (; text && text[i] && i + 1 < RECORD_TEXT_BYTES; i++)
        out[i] = text[i];
    out[i] = 0;
}

#endif
