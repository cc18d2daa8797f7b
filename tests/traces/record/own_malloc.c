/*
 * A program with a malloc of its own in the executable. OWN_MALLOC: how it is made.
 *   OWN_NONE     not at all: the usual one
 *   OWN_WRAPS    it wraps glibc's second names
 *   OWN_HIDDEN   nobody else can see it: libraries go on with the usual malloc
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef OWN_HIDDEN
#define OWN __attribute__((visibility("hidden")))
#else
#define OWN
#endif

OWN void *malloc(size_t bytes);
OWN void *calloc(size_t count, size_t bytes);
OWN void *realloc(void *block, size_t bytes);
OWN void free(void *block);

#if defined OWN_NONE
#elif defined OWN_WRAPS
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void __libc_free(void *block);

void *malloc(size_t bytes) {
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
    return __libc_calloc(count, bytes);
}
void *realloc(void *block, size_t bytes) {
    return __libc_realloc(block, bytes);
}
void free(void *block) {
    __libc_free(block);
}
#else
#include "bump_malloc.c"
#endif

int main(void) {
    for (int i = 0; i < 100; i++) {
        void *volatile block = malloc(901);
        free(block);
    }
    FILE *file = fopen("/dev/null", "w"); /* a request of the C library */
    return file ? fclose(file) : 1;
}
