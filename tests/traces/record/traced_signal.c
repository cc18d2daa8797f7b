/* Allocates in a signal handler that interrupts allocations (with bump_malloc, which allows that). */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

static volatile sig_atomic_t handled;

static void handler(int number) {
    (void)number;
    for (int i = 0; i < 50; i++)
        free(realloc(malloc(55), 66));
    handled++;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &often, NULL);
    while (handled < 400)
        for (int i = 0; i < 100; i++)
            free(realloc(malloc(33), 44));
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    return 0;
}
