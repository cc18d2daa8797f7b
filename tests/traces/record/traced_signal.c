/*
 * Allocates in a signal handler that interrupts allocations (with bump_malloc, which allows that). First argument:
 *   info   the handler asks for the signal's story, and the end is 1 when it is not the timer's
 *   jump   it allocates nothing and jumps out of whatever it has interrupted
 */
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { HANDLED = 400, JUMPED = 4000 };

static volatile sig_atomic_t handled;
static sigjmp_buf loop;

static void allocating(int number) {
    (void)number;
    for (int i = 0; i < 50; i++)
        free(realloc(malloc(55), 66));
    handled++;
}

static volatile sig_atomic_t is_wrong;

static void asking(int number, siginfo_t *info, void *context) {
    if (info->si_signo != SIGALRM || info->si_code != SI_KERNEL || !context)
        is_wrong = 1;
    allocating(number);
}

static void jumping(int number) {
    (void)number;
    handled++;
    siglongjmp(loop, 1);
}

/* From here on a handler may be interrupted by its own signal: with a second argument. */
static void signal_leave_open(void) {
    struct sigaction action;
    sigaction(SIGALRM, NULL, &action);
    action.sa_flags |= SA_NODEFER;
    sigaction(SIGALRM, &action, NULL);
}

static void timer_set(int period_us) {
    struct itimerval often = {{0, period_us}, {0, period_us}};
    setitimer(ITIMER_REAL, &often, NULL);
}

static void allocate(void) {
    for (int i = 0; i < 100; i++)
        free(realloc(malloc(33), 44));
}

static void until(int count) {
    while (handled < count)
        allocate();
    timer_set(0);
}

int main(int argc, char **argv) {
    bool jumps = argc > 1 && strcmp(argv[1], "jump") == 0;
    struct sigaction action = {.sa_handler = jumps ? jumping : allocating};
    if (argc > 1 && !jumps)
        action = (struct sigaction){.sa_sigaction = asking, .sa_flags = SA_SIGINFO};
    sigaction(SIGALRM, &action, NULL);
    if (!jumps) {
        timer_set(200);
        until(HANDLED);
    } else if (sigsetjmp(loop, 1) == 0 || handled < JUMPED) {
        if (argc > 2)
            signal_leave_open();
        timer_set(100);
        until(JUMPED);
    }
    timer_set(0);
    allocate();
    return is_wrong;
}
