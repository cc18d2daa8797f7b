/*
 * Signal handlers that allocate while the allocator of their own thread is at work (raising_malloc), installed in every
 * way there is; each asks for a size of its own. Ends with 1 when the library does not tell which handler is installed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern volatile sig_atomic_t raising_signal;

enum {
    OUTER_BYTES = 520,
    PLAIN_BYTES,
    INFO_BYTES,
    STACK_BYTES,
    SIGNAL_BYTES,
    SYSV_BYTES,
    SET_BYTES,
    JUMP_BYTES,
    AFTER_JUMP_BYTES,
    NESTED_BYTES,
    ONCE_BYTES,
    MANY_BYTES,
    REPEATS = 10
};

static sigjmp_buf jump;

static void take(size_t bytes) {
    void *volatile block = malloc(bytes);
    free(block);
}

static void plain(int number) {
    (void)number;
    take(PLAIN_BYTES);
}

static void with_info(int number, siginfo_t *info, void *context) {
    if (info->si_signo == number && context)
        take(INFO_BYTES);
}

static void on_stack(int number) {
    stack_t stack;
    (void)number;
    if (sigaltstack(NULL, &stack) == 0 && stack.ss_flags & SS_ONSTACK)
        take(STACK_BYTES);
}

static void by_signal(int number) {
    (void)number;
    take(SIGNAL_BYTES);
}

static void by_sysv(int number) {
    (void)number;
    take(SYSV_BYTES);
}

static void by_set(int number) {
    (void)number;
    take(SET_BYTES);
}

/* Interrupts itself inside malloc, too. */
static void nesting(int number) {
    (void)number;
    raising_signal = SIGUSR2;
    take(NESTED_BYTES);
}

static void once(int number) {
    (void)number;
    take(ONCE_BYTES);
}

static void jumping(int number) {
    (void)number;
    take(JUMP_BYTES);
    siglongjmp(jump, 1);
}

/* Every call of the family is interrupted once; the request itself is one event. */
static void interrupted_calls(void) {
    raising_signal = SIGUSR1;
    void *volatile block = malloc(OUTER_BYTES);
    raising_signal = SIGUSR1;
    block = realloc(block, OUTER_BYTES);
    raising_signal = SIGUSR1;
    free(block);
    raising_signal = SIGUSR1;
    block = calloc(1, OUTER_BYTES);
    free(block);
}

static int is_installed(int number, void *handler) {
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && (void *)now.sa_handler == handler;
}

static int install(void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    return sigaction(SIGUSR1, &action, NULL) == 0 && is_installed(SIGUSR1, (void *)handler);
}

static int by_sigaction(void) {
    static char stack_area[64 * 1024];
    const stack_t stack = {.ss_sp = stack_area, .ss_size = sizeof stack_area};
    int good = install(plain, 0);
    interrupted_calls();
    good &= install((void (*)(int))(void *)with_info, SA_SIGINFO);
    interrupted_calls();
    good &= sigaltstack(&stack, NULL) == 0 && install(on_stack, SA_ONSTACK);
    interrupted_calls();
    good &= install(once, SA_RESETHAND);
    raising_signal = SIGUSR1;
    take(OUTER_BYTES);
    return good & is_installed(SIGUSR1, (void *)SIG_DFL);
}

static int by_older_names(void) {
    int good = signal(SIGUSR1, by_signal) == SIG_DFL;
    interrupted_calls();
    good &= signal(SIGUSR1, SIG_IGN) == by_signal;
    interrupted_calls();
    good &= sigset(SIGUSR1, by_set) == SIG_IGN;
    interrupted_calls();
    good &= sigset(SIGUSR1, SIG_DFL) == by_set;
    sysv_signal(SIGUSR1, by_sysv);
    raising_signal = SIGUSR1;
    take(OUTER_BYTES);
    return good & is_installed(SIGUSR1, (void *)SIG_DFL) & (signal(SIGKILL, plain) == SIG_ERR);
}

static int out_of_a_call(void) {
    int good = install(jumping, 0);
    for (volatile int i = 0; i < REPEATS; i++) {
        raising_signal = SIGUSR1;
        if (sigsetjmp(jump, 1) == 0)
            take(OUTER_BYTES + 100); /* is never over */
        take(AFTER_JUMP_BYTES);
    }
    signal(SIGUSR2, plain);
    good &= install(nesting, 0);
    raising_signal = SIGUSR1;
    take(OUTER_BYTES);
    signal(SIGUSR2, SIG_DFL);
    return good;
}

/* More handlers than the shim stands in for. */
static volatile int many_seen;

/* clang-format off */
#define TEN(apply, tens)                                                                                               \
    apply(tens##0) apply(tens##1) apply(tens##2) apply(tens##3) apply(tens##4)                                         \
    apply(tens##5) apply(tens##6) apply(tens##7) apply(tens##8) apply(tens##9)
#define EIGHTY(apply)                                                                                                  \
    TEN(apply, 0) TEN(apply, 1) TEN(apply, 2) TEN(apply, 3) TEN(apply, 4) TEN(apply, 5) TEN(apply, 6) TEN(apply, 7)
/* clang-format on */
#define MANY_HANDLER(number)                                                                                           \
    static void many_##number(int signal_number) {                                                                     \
        many_seen = 1##number - 100 + 0 * signal_number;                                                               \
        take(MANY_BYTES);                                                                                              \
    }
#define MANY_NAME(number) many_##number,
EIGHTY(MANY_HANDLER)

static int many_handlers(void) {
    static void (*const all[])(int) = {EIGHTY(MANY_NAME)};
    enum { COUNT = sizeof all / sizeof all[0] };
    int good = 1;
    for (int i = 0; i < COUNT; i++) {
        good &= install(all[i], 0);
        raising_signal = SIGUSR1;
        take(OUTER_BYTES + 1000);
        good &= many_seen == i;
    }
    return good;
}

/* What a child of vfork installs is not its parent's affair. */
static int in_a_child(void) {
    int status = 1;
    int good = install(plain, 0);
    pid_t pid = vfork();
    if (pid == 0)
        _exit(!install(once, 0));
    waitpid(pid, &status, 0);
    good &= status == 0 && is_installed(SIGUSR1, (void *)plain);
    raising_signal = SIGUSR1;
    take(OUTER_BYTES);
    return good;
}

int main(void) {
    return !(by_sigaction() & by_older_names() & out_of_a_call() & in_a_child() & many_handlers());
}
