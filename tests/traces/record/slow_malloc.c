/* Preloaded behind the shim: a malloc of 77,777 bytes and the free of that block take at least 30 ms each. */
#include <dlfcn.h>
#include <stddef.h>
#include <time.h>

void *malloc(size_t bytes);
void free(void *block);

static void *(*next_malloc)(size_t);
static void (*next_free)(void *);
static void *slow;

/* Here, because dlsym may call free. */
__attribute__((constructor)) static void next_find(void) {
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
}

static void pause_here(void) {
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
}

void *malloc(size_t bytes) {
    if (bytes == 77777)
        pause_here();
    void *block = next_malloc ? next_malloc(bytes) : NULL;
    if (bytes == 77777)
        slow = block;
    return block;
}

void free(void *block) {
    if (block && block == slow)
        pause_here();
    if (next_free)
        next_free(block);
}
