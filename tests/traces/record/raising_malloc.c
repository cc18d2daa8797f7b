/*
 * bump_malloc that sends its own thread a signal when it is told to: raising_signal is the number for the next call,
 * which raises it in its middle. Its calloc calls malloc by the public name.
 */
#include <signal.h>

#define malloc  bump_malloc
#define calloc  bump_calloc
#define realloc bump_realloc
#define free    bump_free
#include "bump_malloc.c"
#undef malloc
#undef calloc
#undef realloc
#undef free

volatile sig_atomic_t raising_signal;

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void free(void *block);

static void interrupt(void) {
    int number = raising_signal;
    raising_signal = 0;
    if (number)
        raise(number);
}

void *malloc(size_t bytes) {
    void *block = bump_malloc(bytes);
    interrupt();
    return block;
}

void *calloc(size_t count, size_t bytes) {
    return malloc(count * bytes);
}

void *realloc(void *block, size_t bytes) {
    void *moved = malloc(bytes);
    size_t old = 0;
    if (block && moved) {
        memcpy(&old, (char *)block - HEADER, sizeof old);
        memcpy(moved, block, old < bytes ? old : bytes);
    }
    return moved;
}

void free(void *block) {
    interrupt();
    bump_free(block);
}
