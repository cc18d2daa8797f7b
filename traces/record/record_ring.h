/**
 * record_ring.h: the memory that a traced program (the shim) and the recorder share.
 *
 * One memory file: a struct record_shared, then `ring_count` rings of `ring_bytes` each. A ring is a single-producer,
 * single-consumer queue of 16-byte records; a thread claims one, writes, and hands it on when it ends.
 *
 * Order. Every stamped record takes the next number of one counter that all threads share, so the stamps of a recording
 * are dense: the recorder emits number n when it has it and waits while it has not; nothing else can come before it.
 * A free is stamped (and written) before the call, an allocation after it; a realloc is two records, the old pointer
 * before and the new one after, so that another thread may get the old address in between without confusing anybody.
 * Within one ring stamps rise. A number that was taken but never written (the process died between the two) is a hole;
 * the recorder skips holes only when their process image is dead.
 *
 * A ring describes itself: the first record of every owner is RECORD_CONTEXT.
 *
 * Time, when it is asked for: RECORD_CLOCK stands before a record when the clock shows something else than it did at
 * the record before it in that ring. It is read before the stamp is taken, so stamps and clocks of two threads may
 * disagree; the stamps are right.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_RING_H
#define MMREPLAY_TRACES_RECORD_RECORD_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/** Names the memory file to the shim: a path that can be opened, "/proc/<pid>/fd/<n>". */
#define RECORD_ENVIRONMENT "MMREPLAY_RECORD"
#define RECORD_MAGIC       0x31434552504d4d00ull

enum {
    RECORD_RING_COUNT_MAX = 1024,
    RECORD_RING_BYTES_MIN = 4096,
    RECORD_TEXT_BYTES = 512,
    RECORD_COMMAND_BYTES = 2048,
    RECORD_COMMANDS_KEPT = 4, /**< so many images may come before the recorder looks */
    RECORD_PAGE_BYTES = 4096,
    RECORD_WAKE_PERIOD = 4096 /**< a producer looks every so many records whether the recorder sleeps */
};

enum record_kind {
    RECORD_NONE,
    RECORD_MALLOC,
    RECORD_CALLOC,
    RECORD_ALIGNED,
    RECORD_REALLOC_BEGIN,  /**< pointer = the old block; written before the call */
    RECORD_REALLOC_END,    /**< pointer = the new block */
    RECORD_REALLOC_NEW,    /**< realloc(NULL, n): no BEGIN came before */
    RECORD_REALLOC_FAILED, /**< pointer = the old block, alive again */
    RECORD_REALLOC_FREED,  /**< realloc(p, 0) that returned NULL */
    RECORD_FREE,           /**< pointer may be 0 */
    RECORD_THREAD_START,
    RECORD_THREAD_END,
    RECORD_IMAGE,   /**< a new program image begins (the first, or one after exec): what came before is over */
    RECORD_ARENA,   /**< CPython has obtained an arena: pointer = its address, size = how many came before it, or
                         RECORD_ARENA_OTHERS; align_log2 = log2 of its own size */
    RECORD_PROCESS, /**< of the process tree: domain = enum record_process_event; only when somebody follows it */
    RECORD_STAMPED_COUNT,
    RECORD_CONTEXT = RECORD_STAMPED_COUNT, /**< word 1 = serial of the thread that the next records are of */
    RECORD_SIZE,                           /**< word 1 = the size of the next record, when 32 bits are too few */
    RECORD_CLOCK,                          /**< word 1 = the clock, in ns, at the next records */
    RECORD_KIND_COUNT
};

/** Instead of a count: the arena is of a sub-interpreter that has a memory manager of its own, as since 3.12. */
#define RECORD_ARENA_OTHERS UINT32_MAX

/** What the domain bits of a RECORD_PROCESS say; its pointer and size are numbers. */
enum record_process_event {
    PROCESS_FORK,      /**< pointer = number of the fork: what lives now, the child inherits */
    PROCESS_FORK_OVER, /**< pointer = number of the fork; there is a child, or the fork has failed */
    PROCESS_CHILD,     /**< pointer = number of the fork, size = pid of the child; 0: there is none */
    PROCESS_WAITED     /**< pointer = pid of a child that has ended, size = its status as waitpid gives it */
};

/** Thread serials count from 1; this one stands for threads that act after their own end (late destructors). */
enum { RECORD_SERIAL_LATE = 0 };

/**
 * word 0: bits 0..47 pointer, 48..52 kind, 53..54 domain, 55..60 align_log2
 * word 1: bits 0..31 the stamp's low half, 32..63 size in bytes (RECORD_SIZE before it: ignored)
 */
struct ring_record {
    uint64_t what;
    uint64_t how;
};

enum { RECORD_KIND_SHIFT = 48, RECORD_DOMAIN_SHIFT = 53, RECORD_ALIGN_SHIFT = 55, RECORD_HOW_SIZE_SHIFT = 32 };
enum { RECORD_KIND_MASK = 31 };
_Static_assert(RECORD_KIND_COUNT <= RECORD_KIND_MASK + 1, "a kind fits its bits");
#define RECORD_POINTER_MASK (((uint64_t)1 << RECORD_KIND_SHIFT) - 1)

static inline unsigned ring_record_kind(struct ring_record record) {
    return (unsigned)(record.what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK);
}

enum ring_state { RING_FREE, RING_CLAIMED };

/** Producer and consumer each have their own cache lines. Positions count records and never wrap. */
struct ring_control {
    _Alignas(64) _Atomic uint64_t head; /**< written by the producer */
    _Alignas(64) _Atomic uint64_t tail; /**< written by the recorder */
    _Atomic uint32_t waiting;           /**< the producer sleeps on this word until there is space */
    _Alignas(64) _Atomic uint32_t state;
    _Atomic uint32_t owner_tid;
};

/** Nothing is known of how far a ring was written. */
#define RECORD_HEAD_UNKNOWN UINT64_MAX

#define RECORD_EXIT_NOTED ((uint32_t)1 << 31)

/** How the events of an image are made: bits. */
enum record_mode {
    RECORD_MODE_OFF = 0,
    RECORD_MODE_C = 1,       /**< at malloc */
    RECORD_MODE_DOMAINS = 2, /**< at CPython's three domains */
    RECORD_MODE_MIXED = 3    /**< at both, for the interpreter came later: a nested call is one event, the outer one */
};

/** What to do with CPython. */
enum record_python {
    RECORD_PYTHON_DOMAINS, /**< its three domains */
    RECORD_PYTHON_MALLOC,  /**< like any other program: what reaches malloc */
    RECORD_PYTHON_OFF,     /**< a process that is CPython is not recorded */
    RECORD_PYTHON_COUNT
};

/** What the times of events are read from. */
enum record_time {
    RECORD_TIME_OFF,
    RECORD_TIME_COARSE, /**< CLOCK_MONOTONIC_COARSE: the kernel's tick, 1 to 10 ms */
    RECORD_TIME_FINE,   /**< CLOCK_MONOTONIC */
    RECORD_TIME_COUNT
};

/** The clock for `time`, which is not RECORD_TIME_OFF. */
static inline clockid_t record_time_clock(enum record_time time) {
    return time == RECORD_TIME_COARSE ? CLOCK_MONOTONIC_COARSE : CLOCK_MONOTONIC;
}

/** The words of a command line, each ended by a NUL; only when the process is followed. */
struct record_command {
    uint32_t words_bytes;
    char words[RECORD_COMMAND_BYTES];
};

struct record_shared {
    uint64_t magic;
    uint64_t shared_bytes; /**< size of this struct: both sides must be of one build */
    uint64_t ring_bytes;
    uint32_t ring_count;
    uint32_t recorder_pid;
    uint64_t life;                  /**< of a tree: no other process has this number, before or after */
    uint32_t time;                  /**< enum record_time; the recorder's wish */
    _Atomic uint32_t recorder_life; /**< FUTEX_OWNER_DIED in it: the recorder is dead (record_life.h) */
    _Atomic uint32_t target_pid;    /**< the only process that records */
    _Atomic uint32_t stopped;       /**< the recorder has given up: the program must not wait for it any more */

    _Alignas(64) _Atomic uint64_t stamp;

    _Alignas(64) _Atomic uint32_t recorder_sleeps; /**< futex */
    _Atomic uint32_t ring_top;                     /**< rings ever claimed lie below this index */
    _Atomic uint32_t rings_short;                  /**< a thread found no free ring: look for dead owners */

    _Alignas(64) _Atomic uint64_t thread_serial; /**< last one given out */
    _Atomic uint64_t refused_count;              /**< of the current image */
    _Atomic uint64_t lost_count;                 /**< of the current image */
    _Atomic uint64_t wait_count;                 /**< times a producer found its ring full */
    _Atomic uint32_t fork_count;                 /**< children of fork that went on without being recorded */
    _Atomic uint32_t bystander_count;            /**< other programs started below the target, not recorded */
    _Atomic uint64_t fork_serial;       /**< of the last fork, in whichever image: told from those before an exec */
    _Atomic uint64_t image_first_stamp; /**< everything below belongs to a dead image */
    _Atomic uint32_t image_count;
    _Atomic uint32_t mode;             /**< enum record_mode of the current image */
    _Atomic uint32_t hooks_lost;       /**< the interpreter has dropped our hooks (PYTHONMALLOC, -X dev) */
    _Atomic uint32_t malloc_elsewhere; /**< the program's malloc is not the interposed one: it brings its own */
    _Atomic uint32_t python_left_out;  /**< the process is CPython, and RECORD_PYTHON_OFF holds */
    _Atomic uint32_t python_late;      /**< an interpreter came later, and too late for hooks */
    _Atomic uint32_t python_many;      /**< sub-interpreters with a memory manager of their own obtained arenas */
    _Atomic uint32_t deep_count;       /**< libraries opened with RTLD_DEEPBIND whose calls of malloc had to be bound */
    _Atomic uint32_t deep_unbound;     /**< … or that were opened in a way that leaves them as they are */
    _Atomic uint32_t namespaces;       /**< libraries were opened in a namespace of their own (dlmopen) */
    uint32_t python;                   /**< enum record_python; the recorder's wish */
    _Atomic uint32_t exec_pending;     /**< the target called exec, and the new image has not shown up yet */

    _Atomic uint32_t exit_note; /**< RECORD_EXIT_NOTED | code, once the process has called exit or _exit */
    struct record_command commands[RECORD_COMMANDS_KEPT]; /**< of image n: the n-th modulo their number */
    char image_path[RECORD_TEXT_BYTES];                   /**< /proc/self/exe of the current image */
    char exec_path[RECORD_TEXT_BYTES];                    /**< what exec was asked for */
    char python_version[RECORD_TEXT_BYTES];               /**< Py_GetVersion(), or empty */
    char libc_version[RECORD_TEXT_BYTES];
    char allocator_path[RECORD_TEXT_BYTES]; /**< whose malloc the program has, where it is not the C library's */

    uint32_t parent_ring_count; /**< of the child of a fork: its parent's rings below this index … */
    uint64_t parent_heads[RECORD_RING_COUNT_MAX]; /**< … were written so far when it was copied; HEAD_UNKNOWN */

    struct ring_control rings[RECORD_RING_COUNT_MAX];
};

static inline uint64_t record_header_bytes(void) {
    return (sizeof(struct record_shared) + RECORD_PAGE_BYTES - 1) / RECORD_PAGE_BYTES * RECORD_PAGE_BYTES;
}

static inline uint64_t record_ring_offset(const struct record_shared *shared, uint32_t ring) {
    return record_header_bytes() + ring * shared->ring_bytes;
}

#endif
