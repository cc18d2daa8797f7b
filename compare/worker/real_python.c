#include "compare/worker/real_python.h"

#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare/worker/stats_text.h"
#include "compare/worker/worker_protocol.h"

/* PyMemAllocatorDomain */
enum { API_RAW, API_MEM, API_OBJ };

/* The first version whose pymalloc needs a thread state. */
enum { MINOR_WITH_STATE = 12 };

struct real_library {
    void *handle;
    const char *path;
    struct diag *diag;
    unsigned minor;
};

/* A function that the library at `path` defines itself: dlsym would be content with one of its dependencies'. */
static void *own_symbol(const struct real_library *library, const char *name) {
    Dl_info info;
    char asked[PATH_MAX], found[PATH_MAX];
    void *symbol = dlsym(library->handle, name);
    if (!symbol || !dladdr(symbol, &info) || !realpath(library->path, asked) || !realpath(info.dli_fname, found))
        return NULL;
    return strcmp(asked, found) == 0 ? symbol : NULL;
}

static enum err library_load(struct real_library *library) {
    if (access(library->path, R_OK))
        return diag_errno(library->diag, ERR_NOT_FOUND, library->path, "cannot open the libpython");
    library->handle = dlopen(library->path, RTLD_NOW | RTLD_LOCAL);
    if (!library->handle)
        return diag_set(library->diag, ERR_NOT_FOUND, NULL, "cannot load the libpython: %s", dlerror());
    return ERR_OK;
}

/* "3.11.2 (main, …) [GCC …]"; free-threaded builds say so in it. */
static enum err version_read(struct real_library *library, struct real_python *python) {
    const char *(*version_get)(void);
    *(void **)&version_get = own_symbol(library, "Py_GetVersion");
    if (!version_get)
        return diag_set(library->diag, ERR_INVALID, library->path, "not a libpython: it defines no Py_GetVersion");
    const char *text = version_get();
    unsigned major, patch;
    if (sscanf(text, "%u.%u.%u", &major, &library->minor, &patch) != 3)
        return diag_set(library->diag, ERR_INVALID, library->path, "not a libpython: its version is '%.40s'", text);
    snprintf(python->version, sizeof python->version, "%.*s", (int)strcspn(text, " "), text);
    const struct pool_config *profile = pool_profile_of_version(text);
    snprintf(python->profile, sizeof python->profile, "3.%u", library->minor);
    if (profile)
        snprintf(python->profile, sizeof python->profile, "%s", profile->name);
    if (major != 3 || library->minor < REAL_MINOR_MIN)
        return diag_set(library->diag, ERR_UNSUPPORTED, library->path,
                        "CPython %s: 3.%d is the oldest whose allocator is known here", python->version,
                        REAL_MINOR_MIN);
    if (strstr(text, "free-threading"))
        return diag_set(library->diag, ERR_UNSUPPORTED, library->path,
                        "CPython %s is a free-threaded build: it has mimalloc instead of pymalloc", python->version);
    python->address = (const void *)(uintptr_t)version_get;
    return ERR_OK;
}

static enum err functions_find(const struct real_library *library, struct real_python *python) {
    void (*allocator_get)(int, struct real_allocator *);
    void (*arenas_get)(struct pool_arena_source *);
    *(void **)&allocator_get = own_symbol(library, "PyMem_GetAllocator");
    *(void **)&arenas_get = own_symbol(library, "PyObject_GetArenaAllocator");
    *(void **)&python->allocator_set = own_symbol(library, "PyMem_SetAllocator");
    *(void **)&python->arenas_set = own_symbol(library, "PyObject_SetArenaAllocator");
    *(void **)&python->stats_print = own_symbol(library, "_PyObject_DebugMallocStats");
    *(void **)&python->block_count = own_symbol(library, "_Py_GetAllocatedBlocks");
    if (!allocator_get || !arenas_get || !python->allocator_set || !python->arenas_set || !python->stats_print)
        return diag_set(library->diag, ERR_UNSUPPORTED, library->path,
                        "CPython %s as built here does not export its allocator", python->version);
    /* PyObjectArenaAllocator has the members of struct pool_arena_source, in the same order. */
    arenas_get(&python->arenas);
    allocator_get(API_OBJ, &python->obj);
    allocator_get(API_RAW, &python->raw);
    if (python->obj.ctx)
        return diag_set(library->diag, ERR_UNSUPPORTED, library->path,
                        "CPython %s is a debug build: its allocator is always under debug hooks", python->version);
    return ERR_OK;
}

/* What the caller's environment says about Python is about other programs. */
static void environment_clear(void) {
    extern char **environ;
    for (char **entry = environ; *entry;) {
        char name[128];
        size_t length = strcspn(*entry, "=");
        if (strncmp(*entry, "PYTHON", 6) != 0 || length >= sizeof name) {
            entry++;
            continue;
        }
        memcpy(name, *entry, length);
        name[length] = '\0';
        unsetenv(name);
        entry = environ;
    }
}

/* Hash seeds and byte code files would make one run's heap differ from the next one's. */
static enum err interpreter_start(const struct real_library *library) {
    void (*initialize)(int);
    int *no_site = dlsym(library->handle, "Py_NoSiteFlag");
    *(void **)&initialize = own_symbol(library, "Py_InitializeEx");
    if (!initialize)
        return diag_set(library->diag, ERR_UNSUPPORTED, library->path, "it exports no Py_InitializeEx");
    environment_clear();
    if (setenv("PYTHONMALLOC", "malloc", 1) || setenv("PYTHONHASHSEED", "0", 1) ||
        setenv("PYTHONDONTWRITEBYTECODE", "1", 1))
        return diag_set(library->diag, ERR_NOMEM, NULL, "out of memory");
    if (no_site)
        *no_site = 1;
    initialize(0);  /* ends the process when it cannot */
    malloc_trim(0); /* so that what its start left free is counted when it is used again */
    return ERR_OK;
}

static enum err settings_read(const struct real_library *library, struct real_python *python) {
    static struct stats_text text;
    FILE *out = stats_text_open(&text);
    if (!out)
        return diag_set(library->diag, ERR_NOMEM, NULL, "out of memory");
    real_python_stats_print(python, out);
    size_t bytes = stats_text_finish(&text, out);
    if (!bytes)
        return diag_set(library->diag, ERR_UNSUPPORTED, library->path,
                        "CPython %s as built here has no pymalloc (or runs it under debug hooks)", python->version);
    if (!stats_text_settings(text.text, &python->config))
        return diag_set(library->diag, ERR_UNSUPPORTED, library->path,
                        "CPython %s: its statistics text does not state its settings", python->version);
    return ERR_OK;
}

enum err real_python_open(const char *path, const struct pool_arena_source *source, struct real_python *out,
                          struct diag *diag) {
    struct real_library library = {.path = path, .diag = diag};
    struct real_python python = {0};
    enum err err = library_load(&library);
    if (!err)
        err = version_read(&library, &python);
    if (!err)
        err = functions_find(&library, &python);
    if (err)
        return err;
    if (source)
        python.arenas_set(source);
    if (library.minor >= MINOR_WITH_STATE) {
        err = interpreter_start(&library);
        python.initialised = true;
    }
    if (!err)
        err = settings_read(&library, &python);
    if (!err)
        *out = python;
    return err;
}

void real_python_stats_print(const struct real_python *python, FILE *out) {
    struct real_allocator plain = python->raw;
    if (python->initialised)
        python->allocator_set(API_OBJ, &python->obj); /* it prints nothing unless pymalloc is the current one */
    python->stats_print(out);
    if (python->initialised)
        python->allocator_set(API_OBJ, &plain);
}
