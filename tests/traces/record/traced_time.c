/*
 * traced_time FILE CLOCK THREADS COUNT PAUSE_MS: marks moments by blocks of sizes that nothing else has, and writes
 * what the clock (CLOCK_MONOTONIC, or with "coarse" CLOCK_MONOTONIC_COARSE) showed before and after each.
 *
 * Mark k (k-th of thread t: t * COUNT + k) is a malloc of 100,000 + k bytes. Each thread pauses PAUSE_MS at its middle.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/traces/record/traced_time.h"

static clockid_t clock_id = CLOCK_MONOTONIC;
static unsigned count, pause_ms;
static struct time_mark *marks;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(clock_id, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *marks_make(void *argument) {
    size_t first = (size_t)(uintptr_t)argument * count;
    for (size_t k = first; k < first + count; k++) {
        if (k == first + count / 2)
            nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000000l}, NULL);
        marks[k].before_ns = now_ns();
        char *block = malloc(MARK_BYTES + k);
        marks[k].after_ns = now_ns();
        for (int i = 0; i < 20; i++)
            free(malloc((size_t)i + 1));
        free(block);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[64];
    if (argc != 6)
        return 2;
    if (strcmp(argv[2], "coarse") == 0)
        clock_id = CLOCK_MONOTONIC_COARSE;
    unsigned thread_count = (unsigned)atoi(argv[3]);
    count = (unsigned)atoi(argv[4]);
    pause_ms = (unsigned)atoi(argv[5]);
    marks = calloc((size_t)thread_count * count, sizeof *marks);
    for (unsigned i = 1; i < thread_count; i++)
        pthread_create(&threads[i], NULL, marks_make, (void *)(uintptr_t)i);
    marks_make(NULL);
    for (unsigned i = 1; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    FILE *out = fopen(argv[1], "w");
    if (!out || fwrite(marks, sizeof *marks, (size_t)thread_count * count, out) != (size_t)thread_count * count)
        return 1;
    return fclose(out) ? 1 : 0;
}
