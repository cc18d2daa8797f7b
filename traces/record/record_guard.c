#include "traces/record/record_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 10 * 1000 * 1000 };

static const int guarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH, SIGCHLD};
enum { GUARDED_COUNT = sizeof guarded / sizeof guarded[0] };

/* All that the handlers read or write is lock-free and of one word. */
static struct {
    struct sigaction before[GUARDED_COUNT];
    int terminal_fd; /* −1: none, or the recorder is not in its foreground */
    bool is_given;   /* the program's group has, or has had, the terminal */
    bool is_begun;
    bool is_watching;
    bool has_ended;
    int wait_status;
    pid_t group; /* of the program, when that is its own */
    volatile sig_atomic_t pid;
    volatile sig_atomic_t target; /* for kill(): the program, or −its group */
    volatile sig_atomic_t is_recording;
    volatile sig_atomic_t is_asked;
    volatile sig_atomic_t passed_count; /* SIGINTs passed on */
    volatile sig_atomic_t is_left;
    volatile sig_atomic_t noted; /* the signal that ends the run */
    volatile sig_atomic_t early; /* the last signal that found no program to be passed on to */
    volatile sig_atomic_t interrupt_was_ignored;
} guard = {.terminal_fd = -1};

static void pass_on(pid_t target, int number) {
    int saved = errno;
    if (target)
        kill(target, number);
    else
        guard.early = number;
    errno = saved;
}

static void interrupt_handle(int number) {
    if (guard.is_recording && !guard.is_asked) {
        guard.is_asked = 1;
        return;
    }
    guard.is_asked = 1;
    guard.noted = number;
    if (guard.passed_count++)
        guard.is_left = 1;
    pass_on(guard.target, guard.interrupt_was_ignored ? SIGTERM : SIGINT);
}

/* For the program alone: what kill sends to one process. */
static void terminate_handle(int number) {
    guard.noted = number;
    pass_on(guard.pid, number);
}

/* What a terminal sends to a group. In the recorder's own group the program has got it already. */
static void quit_handle(int number) {
    guard.noted = number;
    if (guard.target < 0)
        pass_on(guard.target, number);
}

static void hangup_handle(int number) {
    guard.noted = number;
    pass_on(guard.target, number);
}

static void forward_handle(int number) {
    if (guard.target < 0)
        pass_on(guard.target, number);
}

static void handler_set(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(number, &action, NULL);
}

static bool was_ignored(int number) {
    for (int i = 0; i < GUARDED_COUNT; i++)
        if (guarded[i] == number)
            return guard.before[i].sa_handler == SIG_IGN;
    return false;
}

/* What was ignored stays so (nohup), but for SIGINT: a shell script's background jobs begin with it ignored, and kill
 * -INT is how such a recording is ended; and for SIGCHLD: ignored, it would have the kernel forget how children end. */
static void handlers_install(void) {
    static void (*const handlers[GUARDED_COUNT])(int) = {
        interrupt_handle, quit_handle, terminate_handle, hangup_handle, forward_handle, forward_handle, SIG_DFL};
    for (int i = 0; i < GUARDED_COUNT; i++) {
        sigaction(guarded[i], NULL, &guard.before[i]);
        bool is_forwarded_only = handlers[i] == forward_handle;
        bool is_ours = guarded[i] == SIGINT || guarded[i] == SIGCHLD;
        if (!is_ours && (was_ignored(guarded[i]) || (is_forwarded_only && guard.terminal_fd < 0)))
            continue;
        handler_set(guarded[i], handlers[i]);
    }
    guard.interrupt_was_ignored = was_ignored(SIGINT);
}

void guard_begin(void) {
    guard.pid = guard.target = guard.is_asked = guard.passed_count = guard.is_left = guard.noted = guard.early = 0;
    guard.is_recording = 1;
    guard.is_begun = true;
    guard.is_given = guard.is_watching = guard.has_ended = false;
    guard.terminal_fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (guard.terminal_fd >= 0 && tcgetpgrp(guard.terminal_fd) != getpgrp()) {
        close(guard.terminal_fd);
        guard.terminal_fd = -1;
    }
    handlers_install();
}

bool guard_wants_group(void) {
    return guard.terminal_fd >= 0;
}

bool guard_keeps_ignored(int number) {
    return was_ignored(number);
}

/* The program may have run for a while before this is called, and somebody have told the recorder to end. */
void guard_watch(pid_t pid) {
    sigset_t mask, before;
    sigfillset(&mask);
    sigprocmask(SIG_BLOCK, &mask, &before);
    guard.is_watching = true;
    guard.pid = pid;
    guard.group = guard_wants_group() ? pid : 0;
    guard.target = guard.group ? -pid : pid;
    if (guard.early)
        pass_on(guard.early == SIGTERM ? pid : guard.target, guard.early);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

bool guard_is_watching(void) {
    return guard.is_watching;
}

bool guard_is_asked(void) {
    return guard.is_asked;
}

void guard_release(void) {
    guard.is_recording = 0;
}

static bool terminal_belongs_to(pid_t group) {
    return tcgetpgrp(guard.terminal_fd) == group;
}

/* From the background, too: that is when it is taken back. */
static void terminal_set(pid_t group) {
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTTOU);
    sigprocmask(SIG_BLOCK, &mask, &before);
    tcsetpgrp(guard.terminal_fd, group);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void terminal_give(void) {
    terminal_set(guard.group);
    guard.is_given = true;
}

static void terminal_take(void) {
    if (guard.is_given)
        terminal_set(getpgrp());
    guard.is_given = false;
}

static void program_continue(void) {
    pass_on(guard.target, SIGCONT);
}

/* Stops the recorder's job as the program is stopped, so that the shell takes over; both go on when it says so. Where
 * no shell is there to do it the kernel lets the group run on, and the program with it. */
static void job_stop(int number) {
    struct sigaction ours;
    bool wants_terminal = guard.is_given || number == SIGTTIN || number == SIGTTOU;
    terminal_take();
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(number, &standard, &ours);
    kill(0, number);
    sigaction(number, &ours, NULL);
    if (wants_terminal && terminal_belongs_to(getpgrp()))
        terminal_give();
    program_continue();
}

static void program_stopped(int number) {
    bool wants_terminal = number == SIGTTIN || number == SIGTTOU;
    if (wants_terminal && terminal_belongs_to(getpgrp())) {
        terminal_give();
        program_continue();
    } else if (wants_terminal && terminal_belongs_to(guard.group)) {
        program_continue(); /* the news of a stop from before it was given */
    } else if (wants_terminal || number == SIGTSTP) {
        job_stop(number);
    }
}

bool guard_poll(int *wait_status) {
    int status;
    int flags = WNOHANG | (guard.terminal_fd >= 0 ? WUNTRACED : 0);
    if (!guard.is_watching)
        return false;
    while (!guard.has_ended && waitpid((pid_t)guard.pid, &status, flags) == guard.pid) {
        if (WIFSTOPPED(status)) {
            program_stopped(WSTOPSIG(status));
            continue;
        }
        guard.has_ended = true;
        guard.wait_status = status;
        guard.pid = guard.target = 0; /* the number may be another's from now on */
    }
    if (guard.has_ended)
        *wait_status = guard.wait_status;
    return guard.has_ended;
}

bool guard_wait(int *wait_status) {
    const struct timespec pause = {.tv_nsec = POLL_NS};
    while (guard.is_watching && !guard_poll(wait_status)) {
        if (guard.is_left)
            return false;
        nanosleep(&pause, NULL);
    }
    return guard.is_watching;
}

int guard_signal(void) {
    if (!guard.noted && guard.is_asked && guard.has_ended && WIFSIGNALED(guard.wait_status) &&
        WTERMSIG(guard.wait_status) == SIGINT)
        return SIGINT;
    return guard.noted;
}

void guard_end(void) {
    if (!guard.is_begun)
        return;
    if (guard.terminal_fd >= 0) {
        terminal_take();
        close(guard.terminal_fd);
    }
    guard.terminal_fd = -1;
    guard.pid = guard.target = 0;
    guard.is_watching = guard.is_begun = false;
    for (int i = 0; i < GUARDED_COUNT; i++)
        sigaction(guarded[i], &guard.before[i], NULL);
}
