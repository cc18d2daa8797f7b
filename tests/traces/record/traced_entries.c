/* Calls every entry point of the malloc family once, in an order the test knows. */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *volatile keep;

static void *shown(void *block) {
    keep = block; /* the compiler must not remove a pair that nobody uses */
    return keep;
}

int main(void) {
    free(shown(malloc(100001)));
    free(shown(calloc(3, 100003)));
    void *grown = realloc(shown(malloc(100005)), 200007);
    grown = reallocarray(shown(grown), 3, 100009);
    free(shown(grown));
    free(shown(realloc(NULL, 100011)));
    keep = realloc(shown(malloc(100013)), 0);
    void *aligned = NULL;
    if (posix_memalign(&aligned, 4096, 100015))
        return 1;
    free(shown(aligned));
    free(shown(aligned_alloc(64, 128 * 1024)));
    free(shown(memalign(128, 100017)));
    free(shown(valloc(100019)));
    free(shown(pvalloc(100021)));
    free(keep = NULL);
    volatile size_t huge = SIZE_MAX / 4;
    errno = 0;
    if (malloc(huge) || errno != ENOMEM)
        return 2;
    void *stays = shown(malloc(100023));
    if (realloc(stays, huge))
        return 3;
    if (reallocarray(NULL, huge, 8))
        return 4;
    return malloc_usable_size(stays) < 100023;
}
