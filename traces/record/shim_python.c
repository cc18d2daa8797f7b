#include "traces/record/shim.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

/* The public layout of PyMemAllocatorEx (Python.h, since 3.5); declared here so that no CPython headers are needed. */
struct python_allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t bytes);
    void *(*calloc)(void *ctx, size_t count, size_t bytes);
    void *(*realloc)(void *ctx, void *block, size_t bytes);
    void (*free)(void *ctx, void *block);
};

/* PYMEM_DOMAIN_RAW, _MEM, _OBJ are 0, 1, 2. */
enum { PYTHON_DOMAIN_COUNT = 3 };

struct domain_hook {
    struct python_allocator next;
    unsigned domain;
};

static struct domain_hook hooks[PYTHON_DOMAIN_COUNT];

/* What is not is passed on at once: a program whose recording has ended should not pay for it. */
static inline bool is_recorded(void) {
    return shim_is_outermost() && shim_is_on(SHIM_DOMAINS);
}

static inline void block_made(const struct domain_hook *hook, unsigned kind, const void *block, size_t bytes) {
    if (block)
        shim_event(kind, hook->domain, (uintptr_t)block, bytes, 0);
    else
        shim_refused();
}

static void *hook_malloc(void *ctx, size_t bytes) {
    struct domain_hook *hook = ctx;
    if (__builtin_expect(shim_thread.is_probing, 0)) {
        shim_thread.was_probed = 1;
        return hook->next.malloc(hook->next.ctx, bytes);
    }
    if (!is_recorded())
        return hook->next.malloc(hook->next.ctx, bytes);
    shim_enter();
    void *block = hook->next.malloc(hook->next.ctx, bytes);
    if (shim_leave() && shim_is_on(SHIM_DOMAINS))
        block_made(hook, RECORD_MALLOC, block, bytes);
    return block;
}

static void *hook_calloc(void *ctx, size_t count, size_t bytes) {
    struct domain_hook *hook = ctx;
    if (!is_recorded())
        return hook->next.calloc(hook->next.ctx, count, bytes);
    shim_enter();
    void *block = hook->next.calloc(hook->next.ctx, count, bytes);
    if (shim_leave() && shim_is_on(SHIM_DOMAINS))
        block_made(hook, RECORD_CALLOC, block, count * bytes);
    return block;
}

static void *hook_realloc(void *ctx, void *block, size_t bytes) {
    struct domain_hook *hook = ctx;
    if (!is_recorded())
        return hook->next.realloc(hook->next.ctx, block, bytes);
    bool has_begun = block != NULL;
    if (has_begun)
        shim_event(RECORD_REALLOC_BEGIN, hook->domain, (uintptr_t)block, 0, 0);
    uintptr_t old = (uintptr_t)block;
    shim_enter();
    void *moved = hook->next.realloc(hook->next.ctx, block, bytes);
    if (!shim_leave() || !shim_is_on(SHIM_DOMAINS))
        return moved;
    if (!has_begun) {
        block_made(hook, RECORD_REALLOC_NEW, moved, bytes);
    } else if (moved) {
        shim_event(RECORD_REALLOC_END, hook->domain, (uintptr_t)moved, bytes, 0);
    } else {
        shim_event(RECORD_REALLOC_FAILED, hook->domain, old, 0, 0);
        shim_refused();
    }
    return moved;
}

static void hook_free(void *ctx, void *block) {
    struct domain_hook *hook = ctx;
    if (!is_recorded()) {
        hook->next.free(hook->next.ctx, block);
        return;
    }
    if (!shim_thread.is_probing)
        shim_event(RECORD_FREE, hook->domain, (uintptr_t)block, 0, 0);
    shim_enter();
    hook->next.free(hook->next.ctx, block);
    shim_leave();
}

/* What is needed of an interpreter; all of it, or it is none. */
static struct python {
    void *where; /* the handle of dlsym */
    void (*allocator_get)(int, struct python_allocator *);
    void (*allocator_set)(int, struct python_allocator *);
    const char *(*version_get)(void);
    int (*is_initialized)(void);
    void *(*raw_malloc)(size_t);
    void (*raw_free)(void *);
} python;

static bool python_find(void *where, struct python *out) {
    struct python found = {.where = where};
    *(void **)&found.allocator_get = dlsym(where, "PyMem_GetAllocator");
    *(void **)&found.allocator_set = dlsym(where, "PyMem_SetAllocator");
    *(void **)&found.version_get = dlsym(where, "Py_GetVersion");
    *(void **)&found.is_initialized = dlsym(where, "Py_IsInitialized");
    *(void **)&found.raw_malloc = dlsym(where, "PyMem_RawMalloc");
    *(void **)&found.raw_free = dlsym(where, "PyMem_RawFree");
    shim_dlerror_clear();
    if (!found.allocator_get || !found.allocator_set || !found.version_get || !found.raw_malloc || !found.raw_free)
        return false;
    *out = found;
    return true;
}

bool shim_python_is_here(void) {
    if (!python_find(RTLD_DEFAULT, &python))
        return false;
    shim_text_copy(shim.shared->python_version, python.version_get());
    return true;
}

void shim_python_hook(void) {
    for (int domain = 0; domain < PYTHON_DOMAIN_COUNT; domain++) {
        python.allocator_get(domain, &hooks[domain].next);
        hooks[domain].domain = DOMAIN_RAW + (unsigned)domain;
        struct python_allocator ours = {&hooks[domain], hook_malloc, hook_calloc, hook_realloc, hook_free};
        python.allocator_set(domain, &ours);
    }
    shim_arenas_hook(python.where);
}

bool shim_python_bare(void (*call)(void)) {
    enum { DOMAIN = DOMAIN_OBJ - DOMAIN_RAW };
    struct python_allocator current;
    python.allocator_get(DOMAIN, &current);
    if (current.malloc != hook_malloc)
        return false;
    python.allocator_set(DOMAIN, &hooks[DOMAIN].next);
    call();
    python.allocator_set(DOMAIN, &current);
    return true;
}

/* Whether the interpreter in `library` is a new one, which takes hooks. */
static bool python_is_hookable(void *library) {
    struct python_allocator current;
    struct python found;
    if (!python_find(library, &found))
        return false;
    found.allocator_get(0, &current);
    if (current.malloc == hook_malloc)
        return false;
    if (!found.is_initialized || found.is_initialized()) {
        atomic_store(&shim.shared->python_late, 1);
        return false;
    }
    python = found;
    return true;
}

/*
 * An embedded interpreter. Its blocks are named by domain from here on; what the program itself takes from malloc goes
 * on being recorded. What looking takes and gives back is not the program's: hence the bracket.
 */
void shim_python_arrive(void *library) {
    if (!(shim_mode() & SHIM_C) || shim.shared->python != RECORD_PYTHON_DOMAINS)
        return;
    shim_enter();
    if (python_is_hookable(library)) {
        shim_text_copy(shim.shared->python_version, python.version_get());
        shim_python_hook();
        shim_dlerror_clear();
        atomic_store(&shim.shared->mode, SHIM_MIXED);
        atomic_store(&shim.gate->mode, SHIM_MIXED);
    }
    shim_leave();
}

/* An interpreter that nobody told us of: one that came by a plain name along a run path, or was closed again. */
static int interpreter_look(struct dl_phdr_info *info, size_t bytes, void *ctx) {
    (void)bytes, (void)ctx;
    const char *slash = strrchr(info->dlpi_name, '/');
    if (slash && strncmp(slash, "/libpython", 10) == 0)
        atomic_store(&shim.shared->python_late, 1);
    return 0;
}

/* False once the interpreter's library has been closed. */
static bool python_is_loaded(void) {
    Dl_info info;
    return dladdr(*(void **)&python.raw_malloc, &info) && info.dli_sname &&
           strcmp(info.dli_sname, "PyMem_RawMalloc") == 0;
}

/* PYTHONMALLOC and -X dev put the interpreter's own allocators back: ask at the end whether a call still comes by. */
__attribute__((destructor)) static void hooks_probe(void) {
    unsigned mode = shim_mode();
    if (mode == SHIM_C && shim.shared->python == RECORD_PYTHON_DOMAINS)
        dl_iterate_phdr(interpreter_look, NULL);
    if (!(mode & SHIM_DOMAINS) || !python_is_loaded())
        return;
    shim_thread.was_probed = 0;
    shim_thread.is_probing = 1;
    python.raw_free(python.raw_malloc(1));
    shim_thread.is_probing = 0;
    if (!shim_thread.was_probed)
        atomic_store(&shim.shared->hooks_lost, 1);
}
