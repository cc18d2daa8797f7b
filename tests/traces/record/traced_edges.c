/*
 * The edges of the malloc family: C23's frees, glibc's second names, requests that fail, and what looks at blocks
 * without making or freeing any. Sizes are the program's own, so that a test can count them. Exits with the line that
 * went wrong.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            _exit(__LINE__ % 250 + 1);                                                                                 \
    } while (0)

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);

static void c23_frees(void) {
    void (*free_sized)(void *, size_t);
    void (*free_aligned_sized)(void *, size_t, size_t);
    *(void **)&free_sized = dlsym(RTLD_DEFAULT, "free_sized");
    *(void **)&free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    if (!free_sized || !free_aligned_sized) { /* not recorded, and a C library without them */
        free_sized = NULL;
        return;
    }
    for (int i = 0; i < 50; i++) {
        void *block = malloc(601);
        void *aligned = aligned_alloc(64, 640);
        MUST(block && aligned);
        free_sized(block, 601);
        free_aligned_sized(aligned, 64, 640);
        free_sized(NULL, 0);
    }
}

static void second_names(void) {
    for (int i = 0; i < 50; i++) {
        void *block = __libc_malloc(602);
        block = __libc_realloc(block, 603);
        MUST(block);
        memset(block, 1, 603);
        __libc_free(block);
        __libc_free(__libc_calloc(2, 302));
        free(__libc_memalign(128, 605));
    }
}

static void failures(void) {
    volatile size_t huge = SIZE_MAX / 4, odd = 24;
    void *out = &out;
    errno = 7;
    MUST(posix_memalign(&out, 64, huge) == ENOMEM && out == &out);
    MUST(posix_memalign(&out, odd, 8) == EINVAL && out == &out);
    MUST(posix_memalign(&out, 2, 8) == EINVAL && out == &out);
    MUST(errno == 7 || errno == ENOMEM); /* glibc itself leaves ENOMEM here */
    errno = 0;
    MUST(!aligned_alloc(64, huge) && errno == ENOMEM);
    errno = 0;
    MUST(!memalign(64, huge) && errno == ENOMEM);
    errno = 0;
    MUST(!memalign(SIZE_MAX, 8) && errno == EINVAL);
    errno = 0;
    MUST(!valloc(huge) && errno == ENOMEM);
    errno = 0;
    MUST(!pvalloc(SIZE_MAX) && errno == ENOMEM);
    errno = 0;
    MUST(!calloc(huge, 8) && errno == ENOMEM);
    char *kept = malloc(606);
    MUST(kept);
    memset(kept, 'k', 606);
    errno = 0;
    MUST(!reallocarray(kept, huge, 8) && errno == ENOMEM && kept[605] == 'k');
    errno = 0;
    MUST(!realloc(kept, huge) && errno == ENOMEM && kept[605] == 'k');
    errno = 9;
    free(kept);
    MUST(errno == 9);
    kept = malloc(607);
    MUST(errno == 9);
    free(kept);
}

static void zero_sizes(void) {
    void *out = NULL;
    MUST(posix_memalign(&out, 64, 0) == 0);
    free(out);
    free(aligned_alloc(64, 0));
    free(malloc(0));
    free(calloc(0, 8));
}

static void lookers(void) {
    char *block = malloc(608);
    MUST(block && malloc_usable_size(block) >= 608 && malloc_usable_size(NULL) == 0);
    memset(block, 1, malloc_usable_size(block)); /* all of it is the program's */
    MUST(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
#if __GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 33)
    size_t before = mallinfo2().uordblks;
    char *second = malloc(50609);
    MUST(second && mallinfo2().uordblks >= before + 50609);
    free(second);
#endif
    malloc_trim(0);
    free(block);
}

/* The C library's own requests: strings, lines, streams. */
static void library_requests(void) {
    char *text = NULL, *line = NULL;
    char long_text[612];
    memset(long_text, 'x', 611);
    long_text[611] = 0;
    free(strdup(long_text));
    free(strndup(long_text, 612));
    MUST(asprintf(&text, "%s%d", long_text, 1) == 612);
    free(text);
    size_t capacity = 0;
    FILE *stream = fmemopen(long_text, 611, "r");
    MUST(stream && getline(&line, &capacity, stream) == 611);
    fclose(stream);
    free(line);
}

int main(void) {
    c23_frees();
    second_names();
    failures();
    zero_sizes();
    lookers();
    library_requests();
    return 0;
}
