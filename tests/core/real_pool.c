#include "tests/core/real_pool.h"

#include <dlfcn.h>
#include <string.h>

/* PyMemAllocatorEx and PyObjectArenaAllocator, as CPython documents them. */
struct api_allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t bytes);
    void *(*calloc)(void *ctx, size_t count, size_t bytes);
    void *(*realloc)(void *ctx, void *block, size_t bytes);
    void (*free)(void *ctx, void *block);
};
enum { API_DOMAIN_OBJ = 2 };

const char *real_pool_load(const char *library, struct real_pool *out) {
    struct real_pool real = {.library = dlopen(library ? library : "libpython3.11.so.1.0", RTLD_NOW | RTLD_LOCAL)};
    if (!real.library)
        return dlerror();
    void (*get)(int, struct api_allocator *) = dlsym(real.library, "PyMem_GetAllocator");
    const char *version = dlsym(real.library, "Py_Version");
    real.stats_print = dlsym(real.library, "_PyObject_DebugMallocStats");
    real.block_count = dlsym(real.library, "_Py_GetAllocatedBlocks");
    if (!get || !version || !real.stats_print || !real.block_count)
        return "it lacks a function of CPython 3.11";
    unsigned long hex;
    memcpy(&hex, version, sizeof hex);
    if (hex >> 16 != 0x30b)
        return "it is not CPython 3.11";
    struct api_allocator api;
    get(API_DOMAIN_OBJ, &api);
    real.ctx = api.ctx;
    real.malloc = api.malloc;
    real.calloc = api.calloc;
    real.realloc = api.realloc;
    real.free = api.free;
    *out = real;
    return NULL;
}

void real_pool_source_set(const struct real_pool *real, const struct pool_arena_source *source) {
    /* PyObjectArenaAllocator has the members of struct pool_arena_source, in the same order. */
    void (*set)(const struct pool_arena_source *) = dlsym(real->library, "PyObject_SetArenaAllocator");
    set(source);
}
