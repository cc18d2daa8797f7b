#include "traces/record/shim.h"

#include <dlfcn.h>

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
static void (*python_allocator_get)(int, struct python_allocator *);
static void (*python_allocator_set)(int, struct python_allocator *);
static void *(*python_raw_malloc)(size_t);
static void (*python_raw_free)(void *);

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
    shim_enter();
    void *block = hook->next.malloc(hook->next.ctx, bytes);
    if (shim_leave() && shim_is_on(SHIM_DOMAINS))
        block_made(hook, RECORD_MALLOC, block, bytes);
    return block;
}

static void *hook_calloc(void *ctx, size_t count, size_t bytes) {
    struct domain_hook *hook = ctx;
    shim_enter();
    void *block = hook->next.calloc(hook->next.ctx, count, bytes);
    if (shim_leave() && shim_is_on(SHIM_DOMAINS))
        block_made(hook, RECORD_CALLOC, block, count * bytes);
    return block;
}

static void *hook_realloc(void *ctx, void *block, size_t bytes) {
    struct domain_hook *hook = ctx;
    bool has_begun = block && is_recorded();
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
    if (is_recorded() && !shim_thread.is_probing)
        shim_event(RECORD_FREE, hook->domain, (uintptr_t)block, 0, 0);
    shim_enter();
    hook->next.free(hook->next.ctx, block);
    shim_leave();
}

bool shim_python_hook(void) {
    const char *(*version_get)(void);
    *(void **)&python_allocator_get = dlsym(RTLD_DEFAULT, "PyMem_GetAllocator");
    *(void **)&python_allocator_set = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
    *(void **)&version_get = dlsym(RTLD_DEFAULT, "Py_GetVersion");
    *(void **)&python_raw_malloc = dlsym(RTLD_DEFAULT, "PyMem_RawMalloc");
    *(void **)&python_raw_free = dlsym(RTLD_DEFAULT, "PyMem_RawFree");
    if (!python_allocator_get || !python_allocator_set || !version_get || !python_raw_malloc || !python_raw_free)
        return false;
    shim_text_copy(shim.shared->python_version, version_get());
    for (int domain = 0; domain < PYTHON_DOMAIN_COUNT; domain++) {
        python_allocator_get(domain, &hooks[domain].next);
        hooks[domain].domain = DOMAIN_RAW + (unsigned)domain;
        struct python_allocator ours = {&hooks[domain], hook_malloc, hook_calloc, hook_realloc, hook_free};
        python_allocator_set(domain, &ours);
    }
    shim_arenas_hook(RTLD_DEFAULT);
    return true;
}

bool shim_python_bare(void (*call)(void)) {
    enum { DOMAIN = DOMAIN_OBJ - DOMAIN_RAW };
    struct python_allocator current;
    python_allocator_get(DOMAIN, &current);
    if (current.malloc != hook_malloc)
        return false;
    python_allocator_set(DOMAIN, &hooks[DOMAIN].next);
    call();
    python_allocator_set(DOMAIN, &current);
    return true;
}

/* PYTHONMALLOC and -X dev put the interpreter's own allocators back: ask at the end whether a call still comes by. */
__attribute__((destructor)) static void hooks_probe(void) {
    if (shim_mode() != SHIM_DOMAINS)
        return;
    shim_thread.was_probed = 0;
    shim_thread.is_probing = 1;
    python_raw_free(python_raw_malloc(1));
    shim_thread.is_probing = 0;
    if (!shim_thread.was_probed)
        atomic_store(&shim.shared->hooks_lost, 1);
}
