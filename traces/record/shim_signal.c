#include "traces/record/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * What a signal handler allocates is the program's own, also when the handler has interrupted the allocator: it is no
 * nested call. Nothing in a call itself tells the two apart, so every handler is installed behind one of ours, which
 * hides that the thread is inside the allocator for as long as the handler runs. A handler that does not come back
 * (siglongjmp) leaves the thread outside, as it should be: the interrupted call is given up.
 *
 * Which of ours stands for which of the program's never changes once it is settled. So there is nothing to lock and
 * nothing to keep in step with the kernel: any thread, any handler, the child of a vfork may install what it likes, and
 * what is asked back is translated by the same table. Handlers beyond the table's end are installed as they are.
 *
 * An event, once begun, has to be finished: one that a handler jumps out of would leave the recorder waiting for its
 * number. So a signal that comes meanwhile is sent again, blocked until the event is written, and taken then.
 */

typedef void handler_function(int number, siginfo_t *info, void *context);

enum { HANDLER_COUNT = 64 };
static _Atomic(uintptr_t) handlers[HANDLER_COUNT];

static struct {
    int (*action)(int, const struct sigaction *, struct sigaction *);
    sighandler_t (*bsd)(int, sighandler_t);
    sighandler_t (*sysv)(int, sighandler_t);
    sighandler_t (*set)(int, sighandler_t);
} real;

enum { REAL_TIME_FIRST = 32 }; /* the kernel's; those queue up, and must not change their order */

static bool is_deferrable(int number, uint32_t *flags) {
    static const uint32_t faults =
        1u << SIGSEGV | 1u << SIGBUS | 1u << SIGILL | 1u << SIGFPE | 1u << SIGTRAP | 1u << SIGSYS;
    struct sigaction now;
    if (number >= REAL_TIME_FIRST || (faults >> number & 1) || real.action(number, NULL, &now))
        return false;
    *flags = (uint32_t)now.sa_flags;
    return now.sa_handler != SIG_DFL; /* else it was for this one time */
}

static uint64_t signal_bit(int number) {
    return (uint64_t)1 << (number - 1);
}

/* Sends it again to the calling thread. Returns whether it waits, blocked; if not, nothing has changed. */
static bool signal_send_again(int number, siginfo_t *info, bool has_story) {
    pid_t pid = getpid(), tid = (pid_t)syscall(SYS_gettid);
    uint64_t mask = signal_bit(number), before;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, &before, sizeof mask); /* SA_NODEFER has left it open */
    long failure =
        has_story ? syscall(SYS_rt_tgsigqueueinfo, pid, tid, number, info) : syscall(SYS_tgkill, pid, tid, number);
    if (failure)
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    return !failure;
}

/* False: the handler has to run now. */
static __attribute__((noinline)) bool signal_defer(struct shim_thread *thread, int number, siginfo_t *info,
                                                   void *context) {
    uint32_t flags;
    int saved = errno;
    if (!is_deferrable(number, &flags))
        return false;
    bool is_sent = signal_send_again(number, info, flags & SA_SIGINFO);
    errno = saved;
    if (!is_sent)
        return false;
    sigaddset(&((ucontext_t *)context)->uc_sigmask, number); /* as of the return from here */
    thread->deferred |= 1u << number;
    return true;
}

void shim_signal_take(void) {
    uint64_t mask = (uint64_t)shim_thread.deferred >> 1;
    int saved = errno;
    shim_thread.deferred = 0;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, NULL, sizeof mask);
    errno = saved;
}

/* Also those that libc keeps to itself: hence not by its functions. */
uint64_t shim_signals_block(void) {
    uint64_t all = UINT64_MAX, before = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, sizeof all);
    return before;
}

void shim_signals_restore(uint64_t mask) {
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
}

/* The kernel passes three arguments, whatever the handler takes. */
static inline __attribute__((always_inline)) void handler_run(unsigned which, int number, siginfo_t *info,
                                                              void *context) {
    if (shim_thread.level && signal_defer(&shim_thread, number, info, context))
        return;
    uint32_t inside = shim_thread.inside;
    shim_thread.inside = 0;
    atomic_signal_fence(memory_order_seq_cst);
    ((handler_function *)atomic_load_explicit(&handlers[which], memory_order_acquire))(number, info, context);
    atomic_signal_fence(memory_order_seq_cst);
    shim_thread.inside = inside;
}

/* One function for each place of the table: its address is all that tells which. */
/* clang-format off */
#define EIGHT(apply, octal)                                                                                            \
    apply(octal##0) apply(octal##1) apply(octal##2) apply(octal##3)                                                    \
    apply(octal##4) apply(octal##5) apply(octal##6) apply(octal##7)
#define PLACES(apply)                                                                                                  \
    EIGHT(apply, 00) EIGHT(apply, 01) EIGHT(apply, 02) EIGHT(apply, 03)                                                \
    EIGHT(apply, 04) EIGHT(apply, 05) EIGHT(apply, 06) EIGHT(apply, 07)
/* clang-format on */
#define STAND_IN(place)                                                                                                \
    static void stand_in_##place(int number, siginfo_t *info, void *context) {                                         \
        handler_run(place, number, info, context);                                                                     \
    }
#define STAND_IN_NAME(place) stand_in_##place,

PLACES(STAND_IN)
static handler_function *const stand_ins[HANDLER_COUNT] = {PLACES(STAND_IN_NAME)};

/* The place of what stands in for a handler; HANDLER_COUNT: this is none of ours. */
static unsigned stand_in_place(uintptr_t handler) {
    unsigned place = 0;
    while (place < HANDLER_COUNT && (uintptr_t)stand_ins[place] != handler)
        place++;
    return place;
}

static unsigned handler_place(uintptr_t handler) {
    for (unsigned place = 0; place < HANDLER_COUNT; place++) {
        uintptr_t seen = atomic_load(&handlers[place]);
        if (seen == handler || (!seen && atomic_compare_exchange_strong(&handlers[place], &seen, handler)) ||
            seen == handler)
            return place;
    }
    return HANDLER_COUNT;
}

/* SIG_DFL, SIG_IGN, SIG_HOLD and SIG_ERR are no functions. */
static bool is_function(uintptr_t handler) {
    return handler > (uintptr_t)SIG_HOLD && handler != (uintptr_t)SIG_ERR;
}

static uintptr_t handler_hide(uintptr_t handler) {
    if (!shim.shared || !is_function(handler) || stand_in_place(handler) < HANDLER_COUNT)
        return handler;
    unsigned place = handler_place(handler);
    return place < HANDLER_COUNT ? (uintptr_t)stand_ins[place] : handler;
}

static uintptr_t handler_show(uintptr_t handler) {
    unsigned place = is_function(handler) ? stand_in_place(handler) : HANDLER_COUNT;
    return place < HANDLER_COUNT ? atomic_load(&handlers[place]) : handler;
}

SHIM_EXPORT int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
    struct sigaction hidden;
    shim_start();
    if (action) {
        hidden = *action;
        hidden.sa_handler = (sighandler_t)handler_hide((uintptr_t)action->sa_handler);
    }
    int failure = real.action(number, action ? &hidden : NULL, before);
    if (!failure && before)
        before->sa_handler = (sighandler_t)handler_show((uintptr_t)before->sa_handler);
    return failure;
}

static sighandler_t handler_set(sighandler_t (*const *function)(int, sighandler_t), int number, sighandler_t handler) {
    shim_start();
    return (sighandler_t)handler_show((uintptr_t)(*function)(number, (sighandler_t)handler_hide((uintptr_t)handler)));
}

#define SETTER(name, function)                                                                                         \
    SHIM_EXPORT sighandler_t name(int number, sighandler_t handler);                                                   \
    SHIM_EXPORT sighandler_t name(int number, sighandler_t handler) {                                                  \
        return handler_set(&real.function, number, handler);                                                           \
    }

SETTER(signal, bsd)
SETTER(bsd_signal, bsd)
SETTER(ssignal, bsd)
SETTER(sysv_signal, sysv)
SETTER(__sysv_signal, sysv)
SETTER(sigset, set)

void shim_signal_resolve(void) {
    *(void **)&real.action = dlsym(RTLD_NEXT, "sigaction");
    *(void **)&real.bsd = dlsym(RTLD_NEXT, "signal");
    *(void **)&real.sysv = dlsym(RTLD_NEXT, "__sysv_signal");
    *(void **)&real.set = dlsym(RTLD_NEXT, "sigset");
}
