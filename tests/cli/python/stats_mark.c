/*
 * For a recorded Python script: prints the interpreter's own statistics, and shows in the trace where that was. Both
 * without going back to the interpreter in between, which would allocate.
 */
#include <dlfcn.h>
#include <stddef.h>

/* @return 0: the statistics could not be printed. */
__attribute__((visibility("default"))) int stats_mark(size_t mark_bytes);

int stats_mark(size_t mark_bytes) {
    void *(*raw_malloc)(size_t);
    void (*raw_free)(void *);
    int (*stats_print)(void);
    *(void **)&raw_malloc = dlsym(RTLD_DEFAULT, "PyMem_RawMalloc");
    *(void **)&raw_free = dlsym(RTLD_DEFAULT, "PyMem_RawFree");
    *(void **)&stats_print = dlsym(RTLD_DEFAULT, "mmreplay_python_stats");
    if (!raw_malloc || !raw_free || !stats_print)
        return 0;
    raw_free(raw_malloc(mark_bytes));
    return stats_print();
}
