/*
 * CPython's arenas: where each lies goes into the recording, because its statistics cannot be repeated without.
 *
 * And the statistics themselves: the interpreter prints them only while pymalloc is the current allocator, which a
 * recorded one's is not. So that PYTHONMALLOCSTATS=1 keeps its meaning, they are printed from here where the
 * interpreter would: before every new arena, and up to 3.11 at its end. Not at the end of later ones. 3.12 has taken
 * down by then what the text is made of (3.12.1 crashes of it, recorded or not); 3.13 prints before it does so, with no
 * call of anything between its last free and the text that we could take for a sign. A replay has the text of the end.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "traces/record/shim.h"

/* PyObjectArenaAllocator, since 3.4. */
struct python_arenas {
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes);
    void (*free)(void *ctx, void *arena, size_t bytes);
};

static struct python_arenas next;
static size_t arena_count;
static int (*python_stats_print)(FILE *);
static const int *python_ignores_environment;
static int (*python_at_exit)(void (*)(void));
static const char *(*python_version_get)(void);
static bool has_exit_text; /* it is settled whether there is to be one */

/* Of 3.12 and newer, where a sub-interpreter may have a memory manager of its own; NULL: there is one for all. */
static struct {
    void *(*thread_get)(void);
    void *(*of_thread)(void *);
    void *(*first)(void);
    int (*has_feature)(void *, unsigned long); /* not in every version */
} interpreters;

/* Py_RTFLAGS_USE_MAIN_OBMALLOC of Python.h. */
enum { USES_FIRST_MANAGER = 1 << 5 };

/* 0: not known. */
static int version_minor(void) {
    const char *text = python_version_get ? python_version_get() : "";
    int minor = 0;
    if (text[0] != '3' || text[1] != '.')
        return 0;
    for (text += 2; *text >= '0' && *text <= '9' && minor < 1000; text++)
        minor = 10 * minor + *text - '0';
    return minor;
}

static void stats_print(void) {
    python_stats_print(stderr);
}

/* Any value but an empty one, unless run with -E or -I. */
static bool stats_are_wanted(void) {
    const char *wanted = getenv("PYTHONMALLOCSTATS");
    return wanted && *wanted && python_stats_print && !(python_ignores_environment && *python_ignores_environment);
}

static void exit_text_print(void) {
    if (shim_mode() & SHIM_DOMAINS)
        shim_python_bare(stats_print);
}

/* The functions of Py_AtExit run right behind the place where CPython prints. */
static void exit_text_order(void) {
    int minor = version_minor();
    has_exit_text = true;
    if (python_at_exit && minor && minor <= 11)
        python_at_exit(exit_text_print);
}

/* An arena is being obtained by another memory manager than the first interpreter's. Where that cannot be told apart
   from one that it shares, it is taken for another. */
static bool is_of_others(void) {
    void *thread = interpreters.first ? interpreters.thread_get() : NULL;
    void *interpreter = thread ? interpreters.of_thread(thread) : NULL;
    return interpreter && interpreter != interpreters.first() &&
           !(interpreters.has_feature && interpreters.has_feature(interpreter, USES_FIRST_MANAGER));
}

/* They run beside each other, each under a lock of its own: no time to take hooks away for a text. A replay has one
   manager for all, in which places mean nothing. */
static void *others_arena_alloc(size_t bytes) {
    atomic_store(&shim.shared->python_many, 1);
    void *arena = next.alloc(next.ctx, bytes);
    if (arena)
        shim_event(RECORD_ARENA, 0, (uintptr_t)arena, RECORD_ARENA_OTHERS, 0);
    return arena;
}

/* The data stack of 3.11 and newer takes its chunks here, too; arenas are what a small-block request needs. The
   interpreter's lock, without which no such request is made, orders them. */
static void *arena_alloc(void *ctx, size_t bytes) {
    (void)ctx;
    if (!shim_thread.inside || !(shim_mode() & SHIM_DOMAINS))
        return next.alloc(next.ctx, bytes);
    if (is_of_others())
        return others_arena_alloc(bytes);
    if (stats_are_wanted() && !atomic_load(&shim.shared->python_many)) {
        shim_python_bare(stats_print);
        if (!has_exit_text)
            exit_text_order();
    }
    void *arena = next.alloc(next.ctx, bytes);
    if (arena)
        shim_event(RECORD_ARENA, 0, (uintptr_t)arena, arena_count++, 63 - (unsigned)__builtin_clzll(bytes));
    return arena;
}

static void arena_free(void *ctx, void *arena, size_t bytes) {
    (void)ctx;
    next.free(next.ctx, arena, bytes);
}

static void interpreters_find(void *where) {
    if (version_minor() < 12)
        return;
    *(void **)&interpreters.thread_get = dlsym(where, "PyThreadState_GetUnchecked");
    if (!interpreters.thread_get)
        *(void **)&interpreters.thread_get = dlsym(where, "_PyThreadState_UncheckedGet");
    *(void **)&interpreters.of_thread = dlsym(where, "PyThreadState_GetInterpreter");
    *(void **)&interpreters.has_feature = dlsym(where, "_PyInterpreterState_HasFeature");
    if (interpreters.thread_get && interpreters.of_thread)
        *(void **)&interpreters.first = dlsym(where, "PyInterpreterState_Main");
}

void shim_arenas_hook(void *where) {
    void (*arenas_get)(struct python_arenas *);
    void (*arenas_set)(struct python_arenas *);
    *(void **)&arenas_get = dlsym(where, "PyObject_GetArenaAllocator");
    *(void **)&arenas_set = dlsym(where, "PyObject_SetArenaAllocator");
    *(void **)&python_stats_print = dlsym(where, "_PyObject_DebugMallocStats");
    *(void **)&python_at_exit = dlsym(where, "Py_AtExit");
    *(void **)&python_version_get = dlsym(where, "Py_GetVersion");
    python_ignores_environment = dlsym(where, "Py_IgnoreEnvironmentFlag");
    if (!arenas_get || !arenas_set)
        return;
    interpreters_find(where);
    struct python_arenas ours = {NULL, arena_alloc, arena_free};
    arenas_get(&next);
    arenas_set(&ours);
}

/* sys._debugmallocstats() has nothing to say of pymalloc while it is hooked; this has, to whoever asks by name, holding
   the interpreter's lock: ctypes.PyDLL(None).mmreplay_python_stats(). */
SHIM_EXPORT int mmreplay_python_stats(void);
int mmreplay_python_stats(void) {
    return (shim_mode() & SHIM_DOMAINS) && python_stats_print && shim_python_bare(stats_print);
}
