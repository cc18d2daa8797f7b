#include "tests/core/real_pool.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { API_DOMAIN_OBJ = 2 };

/* The profile of a version; 3.6.15 has what 3.7.4 has. */
static const struct pool_config *profile_choose(unsigned minor, unsigned micro) {
    char name[16];
    if (minor == 7 && micro < 4)
        return pool_profile_find("classic");
    snprintf(name, sizeof name, minor <= 7 ? "3.7.4" : "3.%u", minor);
    return pool_profile_find(name);
}

static const char *version_read(struct real_pool *real) {
    const char *(*get_version)(void) = dlsym(real->library, "Py_GetVersion");
    unsigned minor = 0, micro = 0;
    if (!get_version || sscanf(get_version(), "3.%u.%u", &minor, &micro) != 2)
        return "it is no libpython3";
    if (minor < 6 || minor > 13)
        return "only 3.6 to 3.13 are known";
    snprintf(real->version, sizeof real->version, "3.%u.%u", minor, micro);
    real->config = profile_choose(minor, micro);
    real->set_aside = minor >= 12;
    return real->config ? NULL : "no profile is of its version";
}

static const char *functions_find(struct real_pool *real) {
    real->allocator_get = dlsym(real->library, "PyMem_GetAllocator");
    real->allocator_set = dlsym(real->library, "PyMem_SetAllocator");
    real->text_print = dlsym(real->library, "_PyObject_DebugMallocStats");
    real->block_count = dlsym(real->library, "_Py_GetAllocatedBlocks");
    if (!real->allocator_get || !real->allocator_set || !real->text_print ||
        !dlsym(real->library, "PyObject_SetArenaAllocator"))
        return "it lacks a function of CPython's allocator interface";
    return NULL;
}

/* An interpreter that leaves the pool alone: it must not be there when ours is compared. */
static const char *interpreter_begin(struct real_pool *real) {
    void (*initialize)(int) = dlsym(real->library, "Py_InitializeEx");
    int *no_site = dlsym(real->library, "Py_NoSiteFlag");
    if (!initialize || !no_site)
        return "it cannot be initialized";
    setenv("PYTHONMALLOC", "malloc", 1);
    *no_site = 1;
    initialize(0);
    struct real_allocator now;
    real->allocator_get(API_DOMAIN_OBJ, &now);
    return now.malloc == real->calls.malloc ? "its interpreter did not take PYTHONMALLOC=malloc" : NULL;
}

const char *real_pool_load(const char *library, struct real_pool *out) {
    struct real_pool real = {.library = dlopen(library, RTLD_NOW | RTLD_LOCAL)};
    if (!real.library)
        return dlerror();
    const char *why_not = version_read(&real);
    if (!why_not)
        why_not = functions_find(&real);
    if (!why_not) {
        real.allocator_get(API_DOMAIN_OBJ, &real.calls);
        why_not = real.set_aside ? interpreter_begin(&real) : NULL;
    }
    if (!why_not)
        *out = real;
    return why_not;
}

void real_pool_source_set(const struct real_pool *real, const struct pool_arena_source *source) {
    /* PyObjectArenaAllocator has the members of struct pool_arena_source, in the same order. */
    void (*set)(const struct pool_arena_source *) = dlsym(real->library, "PyObject_SetArenaAllocator");
    set(source);
}

/* The text is only told of the allocator in use. */
void real_pool_stats_print(const struct real_pool *real, FILE *out) {
    struct real_allocator kept;
    if (real->set_aside) {
        real->allocator_get(API_DOMAIN_OBJ, &kept);
        real->allocator_set(API_DOMAIN_OBJ, &real->calls);
    }
    real->text_print(out);
    if (real->set_aside)
        real->allocator_set(API_DOMAIN_OBJ, &kept);
}
