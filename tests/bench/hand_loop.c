/*
 * The patterns pair and replace as a person would write them in an afternoon: against them the replay's figures are
 * held (replay_fairness.py). Shares nothing with the tool but the table of sizes.
 *
 *     hand_loop LIVE OPERATIONS        LIVE 1: pair; else LIVE blocks, a random one replaced
 *
 * Prints the ns per operation of malloc and free, and of the same loop without them. The choices are drawn before the
 * clock runs; every block's first word is written.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "traces/python_sizes.h"

struct choice {
    uint32_t place;
    uint32_t bytes;
};

static uint64_t state = 88172645463325252u;

static uint64_t random_draw(void) { /* xorshift64 (Marsaglia 2003), not the generator's */
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static uint32_t size_choose(void) {
    uint32_t die = (uint32_t)(random_draw() % PYTHON_SIZES_TOTAL), step = 0;
    for (; die >= python_size_weights[step]; step++)
        die -= python_size_weights[step];
    return 8 * (step + 1);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Not from the heap under test, and touched before the clock runs. */
static void *memory_take(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static void loop_malloc(uint64_t **places, const struct choice *choices, size_t live, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t **place = &places[choices[i].place];
        if (i >= live)
            free(*place);
        *place = malloc(choices[i].bytes);
        **(volatile uint64_t **)place = choices[i].bytes;
    }
}

static void loop_empty(uint64_t **places, const struct choice *choices, size_t live, size_t count) {
    static uint64_t block;
    uint64_t *volatile freed;
    for (size_t i = 0; i < count; i++) {
        uint64_t **place = &places[choices[i].place];
        if (i >= live)
            freed = *place;
        *place = &block;
        **(volatile uint64_t **)place = choices[i].bytes;
    }
    (void)freed;
}

int main(int argc, char **argv) {
    size_t live = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, operations = live ? strtoul(argv[2], NULL, 10) : 0;
    if (!live || operations < live) {
        fprintf(stderr, "usage: %s LIVE OPERATIONS\n", argv[0]);
        return EXIT_FAILURE;
    }
    size_t count = live + (operations - live) / 2; /* a replacement is two operations */
    struct choice *choices = memory_take(count * sizeof *choices);
    uint64_t **places = memory_take(live * sizeof *places);
    for (size_t i = 0; i < count; i++)
        choices[i] = (struct choice){(uint32_t)(i < live ? i : random_draw() % live), size_choose()};
    double begin = now_ns();
    loop_empty(places, choices, live, count);
    double middle = now_ns();
    memset(places, 0, live * sizeof *places);
    double again = now_ns();
    loop_malloc(places, choices, live, count);
    double end = now_ns(), made = (double)(2 * count - live);
    printf("%.3f %.3f\n", (end - again) / made, (middle - begin) / made);
    return EXIT_SUCCESS;
}
