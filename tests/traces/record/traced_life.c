/*
 * Allocates at every age of a process: before constructors, in a thread that a constructor starts, in thread-local
 * destructors of both kinds, in a library that is opened and closed, at exit and in destructors. Each place has a size
 * of its own. First argument: the library; second: "deepbind" opens it so that it looks at its own dependencies first,
 * "namespace" gives it a C library of its own.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

static void take(size_t bytes) {
    void *volatile block = malloc(bytes);
    free(block);
}

static void before_constructors(void) {
    take(701);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = before_constructors;

static void *early_thread(void *unused) {
    take(703);
    return unused;
}

__attribute__((constructor(101))) static void first_constructor(void) {
    pthread_t thread;
    take(702);
    if (pthread_create(&thread, NULL, early_thread, NULL))
        abort();
    pthread_join(thread, NULL);
}

__attribute__((destructor(101))) static void last_destructor(void) {
    take(704);
}

static void at_exit(void) {
    take(705);
}

/* What C++ registers for a thread_local object with a destructor. */
int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *dso);
extern void *__dso_handle;

static void thread_local_end(void *object) {
    take(706);
    free(object);
}

static tss_t key;

static void key_end(void *object) {
    take(708);
    free(object);
}

static int late_thread(void *unused) {
    (void)unused;
    __cxa_thread_atexit_impl(thread_local_end, malloc(707), &__dso_handle);
    tss_set(key, malloc(709));
    return 0;
}

int main(int argc, char **argv) {
    thrd_t thread;
    atexit(at_exit);
    if (tss_create(&key, key_end) != thrd_success || thrd_create(&thread, late_thread, NULL) != thrd_success)
        return 1;
    thrd_join(thread, NULL);
    if (argc < 2)
        return 0;
    int deep = argc > 2 && strcmp(argv[2], "deepbind") == 0 ? RTLD_DEEPBIND : 0;
    bool is_apart = argc > 2 && strcmp(argv[2], "namespace") == 0;
    void *library = is_apart ? dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW) : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | deep);
    if (!library || dlerror())
        return 2;
    if (is_apart)
        return 0;
    char *(*plugin_text)(void);
    *(void **)&plugin_text = dlsym(library, "plugin_text");
    if (!plugin_text)
        return 3;
    free(plugin_text()); /* made there, freed here */
    return dlclose(library) ? 4 : 0;
}
