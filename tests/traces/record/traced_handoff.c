/*
 * Threads hand blocks to each other through one table and grow them on the way: every slot is taken by an atomic
 * exchange, so any thread frees and reallocs any other's blocks, and addresses are reused across threads at once.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

enum { SLOTS = 64 };

static void *_Atomic slots[SLOTS];
static long rounds;
static pthread_barrier_t all_here;

static uint32_t draw(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void *thread_run(void *seed) {
    uint32_t state = (uint32_t)(uintptr_t)seed * 2654435761u + 1;
    pthread_barrier_wait(&all_here);
    for (long i = 0; i < rounds; i++) {
        if (i % 100 == 0)
            sched_yield(); /* on one core, too, the threads meet */
        void *block = atomic_exchange(&slots[draw(&state) % SLOTS], NULL);
        uint32_t what = draw(&state) % 8;
        if (what < 3)
            block = realloc(block, 16 + draw(&state) % 3000);
        else if (block) {
            free(block);
            block = NULL;
        } else
            block = malloc(16 + draw(&state) % 200);
        free(atomic_exchange(&slots[draw(&state) % SLOTS], block));
    }
    return NULL;
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 4;
    rounds = argc > 2 ? atol(argv[2]) : 20000;
    pthread_barrier_init(&all_here, NULL, (unsigned)count);
    pthread_t *threads = malloc((size_t)count * sizeof *threads);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, thread_run, (void *)(uintptr_t)(i + 1)))
            return 1;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    for (int i = 0; i < SLOTS; i++)
        free(slots[i]);
    return 0;
}
