/*
 * THREADS EVENTS [RATE]: each thread makes EVENTS requests and frees of blocks of random sizes, a thousand alive; one
 * in ten is exchanged for another thread's. With RATE a thread keeps to so many events a second, and computes
 * meanwhile: it leaves the recorder no idle processor.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum { LIVE = 1000, SHARED = 4096, BURST_EVENTS = 64, THREADS_MAX = 64 };

static _Atomic(void *) shared_blocks[SHARED];
static uint64_t events_per_thread;
static double rate;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return z ^ z >> 31;
}

static void *block_make(uint64_t draw) {
    char *block = malloc(16 + draw % 500);
    if (!block)
        abort();
    *(volatile char *)block = 1;
    return block;
}

static void *storm(void *argument) {
    static _Thread_local void *mine[LIVE];
    uint64_t state = (uint64_t)(uintptr_t)argument;
    double start = seconds_now();
    for (uint64_t made = 0; made < events_per_thread; made += 2) {
        uint64_t draw = random_next(&state);
        void *block = block_make(draw);
        unsigned place = (unsigned)(draw >> 20) % LIVE;
        void *old = mine[place];
        mine[place] = block;
        if (old && (draw >> 40) % 10 == 0)
            old = atomic_exchange(&shared_blocks[(draw >> 50) % SHARED], old);
        free(old);
        while (rate > 0 && made % BURST_EVENTS == 0 && (double)made > rate * (seconds_now() - start)) {
        }
    }
    for (int i = 0; i < LIVE; i++)
        free(mine[i]);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS_MAX];
    int count = argc > 1 ? atoi(argv[1]) : 4;
    events_per_thread = argc > 2 ? strtoull(argv[2], NULL, 10) : 4000000;
    rate = argc > 3 ? atof(argv[3]) : 0;
    if (count < 1 || count > THREADS_MAX)
        return 2;
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, storm, (void *)(uintptr_t)(i + 1)))
            return 1;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
