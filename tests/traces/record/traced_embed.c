/*
 * A program that loads an interpreter: HOW LIBPYTHON. HOW:
 *   open    by dlopen
 *   past    by the C library's own dlopen, past whatever is interposed
 *   twice   as open, but a second opening after it is initialised
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void take(size_t bytes) {
    void *volatile block = malloc(bytes);
    free(block);
}

static void *library_open(const char *how, const char *path) {
    void *(*open_function)(const char *, int) = dlopen;
    if (strcmp(how, "past") == 0) {
        void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        *(void **)&open_function = libc ? dlsym(libc, "dlopen") : NULL;
    }
    return open_function ? open_function(path, RTLD_NOW | RTLD_GLOBAL) : NULL;
}

int main(int argc, char **argv) {
    void (*initialize)(int);
    int (*run)(const char *);
    int (*finalize)(void);
    if (argc < 3)
        return 1;
    take(731);
    void *library = library_open(argv[1], argv[2]);
    if (!library)
        return 2;
    *(void **)&initialize = dlsym(library, "Py_InitializeEx");
    *(void **)&run = dlsym(library, "PyRun_SimpleString");
    *(void **)&finalize = dlsym(library, "Py_FinalizeEx");
    if (!initialize || !run || !finalize)
        return 3;
    initialize(0);
    if (strcmp(argv[1], "twice") == 0 && !dlopen(argv[2], RTLD_NOW))
        return 4;
    take(732);
    if (run("x = [str(i) for i in range(20000)]\nassert len({i: v for i, v in enumerate(x)}) == 20000\n"))
        return 5;
    take(733);
    return finalize() ? 6 : 0;
}
