#include "traces/record/shim.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/*
 * Libraries that come late. After each dlopen: calls that RTLD_DEEPBIND (or an allocator's own operator new) leads past
 * the shim are brought back, and an interpreter that has just come in gets its hooks while it is not initialised yet.
 *
 * What the constructors of a library take that is opened with RTLD_DEEPBIND is gone by then. Leaving the flag out would
 * have it, but the program would not be the same: whoever opens a library so has two meanings for a name. So it is
 * told.
 */

size_t shim_family_rebind(bool takes_unresolved) {
/* This library is linked so that its own names mean its own functions. */
#define MEMBER(function)                                                                                               \
    { #function, (uintptr_t)shim.real.function, (uintptr_t)(function), takes_unresolved }
    const struct shim_binding family[] = {MEMBER(malloc),         MEMBER(calloc),        MEMBER(realloc),
                                          MEMBER(free),           MEMBER(free_sized),    MEMBER(free_aligned_sized),
                                          MEMBER(posix_memalign), MEMBER(aligned_alloc), MEMBER(memalign),
                                          MEMBER(valloc),         MEMBER(pvalloc),       MEMBER(reallocarray)};
#undef MEMBER
    Dl_info real;
    if (!dladdr(*(void **)&shim.real.malloc, &real))
        return 0;
    return shim_rebind(family, sizeof family / sizeof family[0], real.dli_fbase);
}

/*
 * The loader looks at who calls dlopen: a plain name is searched along that object's run path, and $ORIGIN is its
 * place. Such a call has to go on as it came.
 */
static bool caller_matters(const char *file, void *caller) {
    Dl_info info;
    struct link_map *map = NULL;
    if (!file || strchr(file, '$'))
        return true;
    if (strchr(file, '/'))
        return false;
    if (!dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
        return true;
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_RUNPATH || entry->d_tag == DT_RPATH)
            return true;
    return false;
}

static void library_opened(void *library, bool is_deep) {
    if (is_deep && shim_family_rebind(false) && (shim_mode() & SHIM_C))
        atomic_fetch_add(&shim.shared->deep_count, 1);
    shim_cxx_rebind();
    shim_python_arrive(library);
}

/* Deep binding is resolved at once where that is possible: an entry that is not resolved yet cannot be told apart. */
static void *library_open(const char *file, int flags) {
    void *library = NULL;
    if (flags & RTLD_DEEPBIND)
        library = shim.real.dlopen(file, (flags & ~RTLD_LAZY) | RTLD_NOW);
    return library ? library : shim.real.dlopen(file, flags);
}

SHIM_EXPORT void *dlopen(const char *file, int flags) {
    unsigned mode = shim_mode();
    if (mode == SHIM_UNSTARTED) {
        shim_start();
        mode = shim_mode();
    }
    if (!(mode & SHIM_MIXED))
        return shim.real.dlopen(file, flags); /* a jump, not a call: the loader sees our caller */
    if (caller_matters(file, __builtin_return_address(0))) {
        if (file && (flags & RTLD_DEEPBIND) && (mode & SHIM_C))
            atomic_store(&shim.shared->deep_unbound, 1);
        return shim.real.dlopen(file, flags);
    }
    void *library = library_open(file, flags);
    if (library)
        library_opened(library, flags & RTLD_DEEPBIND);
    return library;
}

/* A library in a namespace of its own has a C library of its own, into which nothing is preloaded. */
SHIM_EXPORT void *dlmopen(Lmid_t namespace, const char *file, int flags) {
    shim_start();
    if (namespace != LM_ID_BASE && (shim_mode() & SHIM_C))
        atomic_store(&shim.shared->namespaces, 1);
    return shim.real.dlmopen(namespace, file, flags);
}
