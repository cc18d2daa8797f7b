/*
 * Allocates in a signal handler that interrupts allocations (with bump_malloc, which allows that). With an argument the
 * handler jumps out of whatever it has interrupted, and allocates nothing.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
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

static void jumping(int number) {
    (void)number;
    handled++;
    siglongjmp(loop, 1);
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
    struct sigaction action = {.sa_handler = argc > 1 ? jumping : allocating};
    (void)argv;
    sigaction(SIGALRM, &action, NULL);
    if (argc <= 1) {
        timer_set(200);
        until(HANDLED);
    } else if (sigsetjmp(loop, 1) == 0 || handled < JUMPED) {
        timer_set(100);
        until(JUMPED);
    }
    timer_set(0);
    allocate();
    return 0;
}
