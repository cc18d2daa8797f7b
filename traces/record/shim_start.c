#include "traces/record/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

static struct shim_gate boot_gate = {SHIM_UNSTARTED};
struct shim shim = {.gate = &boot_gate};

static bool is_our_own(const void *function) {
    Dl_info theirs, ours;
    return dladdr(function, &theirs) && dladdr(&shim, &ours) && theirs.dli_fbase == ours.dli_fbase;
}

static bool finds_first; /* a library before us is the one whose functions are wanted */

static void *symbol_find(const char *name) {
    void *first = finds_first ? dlsym(RTLD_DEFAULT, name) : NULL;
    return first && !is_our_own(first) ? first : dlsym(RTLD_NEXT, name);
}

/*
 * malloc and free last: while they are NULL, requests (dlsym's own included) are served from the bootstrap area. Names
 * that are not there leave an error text behind; it has to be gone before another preloaded library looks its own up.
 */
static void real_resolve(struct shim_real *real) {
    *(void **)&real->free_sized = symbol_find("free_sized");
    *(void **)&real->free_aligned_sized = symbol_find("free_aligned_sized");
    *(void **)&real->realloc = symbol_find("realloc");
    *(void **)&real->reallocarray = symbol_find("reallocarray");
    *(void **)&real->posix_memalign = symbol_find("posix_memalign");
    *(void **)&real->aligned_alloc = symbol_find("aligned_alloc");
    *(void **)&real->memalign = symbol_find("memalign");
    *(void **)&real->valloc = symbol_find("valloc");
    *(void **)&real->pvalloc = symbol_find("pvalloc");
    *(void **)&real->dlopen = symbol_find("dlopen");
    *(void **)&real->dlmopen = symbol_find("dlmopen");
    *(void **)&real->execve = symbol_find("execve");
    *(void **)&real->execvpe = symbol_find("execvpe");
    *(void **)&real->fexecve = symbol_find("fexecve");
    *(void **)&real->execveat = symbol_find("execveat");
    *(void **)&real->calloc = symbol_find("calloc");
    shim_dlerror_clear();
    *(void **)&real->free = symbol_find("free");
    *(void **)&real->malloc = symbol_find("malloc");
}

static void second_resolve(struct shim_real *second) {
    *(void **)&second->free = symbol_find("__libc_free");
    *(void **)&second->realloc = symbol_find("__libc_realloc");
    *(void **)&second->memalign = symbol_find("__libc_memalign");
    *(void **)&second->valloc = symbol_find("__libc_valloc");
    *(void **)&second->pvalloc = symbol_find("__libc_pvalloc");
    *(void **)&second->calloc = symbol_find("__libc_calloc");
    *(void **)&second->malloc = symbol_find("__libc_malloc");
}

/* A gate that closes itself in the child of a fork, however the child was made. NULL on kernels before 4.14. */
static struct shim_gate *gate_create(void) {
    void *page = mmap(NULL, RECORD_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, RECORD_PAGE_BYTES, MADV_WIPEONFORK)) {
        munmap(page, RECORD_PAGE_BYTES);
        return NULL;
    }
    return page;
}

/* The rings that an earlier image of this process held are free again; what it had published stays to be read. */
static void image_begin(struct record_shared *shared) {
    atomic_store(&shared->image_first_stamp, atomic_load(&shared->stamp));
    for (uint32_t i = 0; i < shared->ring_count; i++)
        atomic_store(&shared->rings[i].state, RING_FREE);
    atomic_store(&shared->hooks_lost, 0);
    atomic_store(&shared->malloc_elsewhere, 0);
    atomic_store(&shared->python_left_out, 0);
    atomic_store(&shared->python_late, 0);
    atomic_store(&shared->python_many, 0);
    atomic_store(&shared->deep_count, 0);
    atomic_store(&shared->deep_unbound, 0);
    atomic_store(&shared->namespaces, 0);
    atomic_store(&shared->refused_count, 0);
    atomic_store(&shared->lost_count, 0);
    atomic_store(&shared->fork_count, 0);
    atomic_store(&shared->bystander_count, 0);
    shared->python_version[0] = 0;
    ssize_t length = readlink("/proc/self/exe", shared->image_path, RECORD_TEXT_BYTES - 1);
    shared->image_path[length > 0 ? length : 0] = 0;
    const char *(*libc_version)(void);
    *(void **)&libc_version = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    shim_text_copy(shared->libc_version, libc_version ? libc_version() : NULL);
    atomic_store(&shared->exec_pending, 0);
    atomic_fetch_add(&shared->image_count, 1);
}

/* Whether the malloc and free that the program uses come by here, seen by calling them once. */
static bool malloc_comes_by(void *found_malloc, void *found_free) {
    shim_thread.was_probed = 0;
    shim_thread.is_probing = 1;
    ((void (*)(void *))found_free)(((void *(*)(size_t))found_malloc)(1));
    shim_thread.is_probing = 0;
    return shim_thread.was_probed;
}

/*
 * Another library's malloc stands before ours (LD_PRELOAD was set on the way): it becomes the real one, and every call
 * that is bound to it is bound to us. False: it is the executable's own, whose calls of itself nobody can see.
 */
static bool malloc_take_over(const Dl_info *found) {
    Dl_info executable, theirs;
    if (!dladdr((void *)getauxval(AT_ENTRY), &executable) || executable.dli_fbase == found->dli_fbase ||
        !dladdr(dlsym(RTLD_DEFAULT, "free"), &theirs) || theirs.dli_fbase != found->dli_fbase)
        return false;
    finds_first = true;
    real_resolve(&shim.real);
    shim_dlerror_clear();
    shim_family_rebind(true);
    return true;
}

/*
 * Whether malloc of the program comes by here: a program may bring its own. The address alone does not tell (that of a
 * fixed-address executable's jump table is the official one), so when it is not ours, it is called once.
 */
static bool malloc_is_ours(void) {
    Dl_info theirs;
    void *found_malloc = dlsym(RTLD_DEFAULT, "malloc"), *found_free = dlsym(RTLD_DEFAULT, "free");
    if (!found_malloc || !found_free || !dladdr(found_malloc, &theirs))
        return false;
    if (is_our_own(found_malloc) || malloc_comes_by(found_malloc, found_free))
        return true;
    shim_text_copy(shim.shared->allocator_path, theirs.dli_fname);
    return malloc_take_over(&theirs);
}

/* Whose malloc it is that the shim calls; nothing when it is the C library's. */
static void allocator_describe(struct record_shared *shared) {
    Dl_info real, libc;
    shared->allocator_path[0] = 0;
    if (dladdr(*(void **)&shim.real.malloc, &real) && dladdr(dlsym(RTLD_NEXT, "getenv"), &libc) &&
        real.dli_fbase != libc.dli_fbase)
        shim_text_copy(shared->allocator_path, real.dli_fname);
}

/* As getenv, from the kernel's copy. @return the value's length, 0 when it is not there or does not fit. */
static size_t environment_scan(const char *name, char *value, size_t value_bytes) {
    char buffer[1024];
    size_t name_at = 0, used = 0; /* how much of "NAME=" has matched; how much of the value is there */
    bool is_start = true, is_value = false;
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    ssize_t length = 0;
    bool is_found = false;
    while (fd >= 0 && !is_found && (length = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < length && !is_found; i++) {
            char c = buffer[i];
            if (is_value && used < value_bytes)
                value[used++] = c;
            is_found = is_value && c == 0;
            if (!is_value && c != 0 && (is_start || name_at)) {
                bool is_next = name[name_at] ? c == name[name_at] : c == '=';
                is_value = is_next && !name[name_at];
                name_at = is_next ? name_at + 1 : 0;
            }
            if (c == 0)
                name_at = 0;
            is_start = c == 0;
        }
    }
    if (fd >= 0)
        close(fd);
    return is_found && used < value_bytes ? used - 1 : 0;
}

/* Where the recorder's memory is. Before the C library's own start (.preinit_array) it has no environment yet. */
static const char *address_find(char buffer[RECORD_TEXT_BYTES]) {
    if (environ)
        return getenv(RECORD_ENVIRONMENT);
    return environment_scan(RECORD_ENVIRONMENT, buffer, RECORD_TEXT_BYTES) ? buffer : NULL;
}

static bool session_attach(void) {
    char buffer[RECORD_TEXT_BYTES];
    const char *path = address_find(buffer);
    struct record_shared *shared = path ? shim_process_attach(path) : NULL;
    if (!shared || atomic_load(&shared->stopped))
        return false;
    shim.pid = (uint32_t)getpid();
    if (atomic_load(&shared->target_pid) != shim.pid) {
        atomic_fetch_add(&shared->bystander_count, 1);
        return false;
    }
    shim.shared = shared;
    if (!shim.recorder_sleeps)
        shim.recorder_sleeps = &shared->recorder_sleeps;
    if (!shim.recorder_life)
        shim.recorder_life = &shared->recorder_life;
    shim.ring_mask = shared->ring_bytes / sizeof(struct ring_record) - 1;
    image_begin(shared);
    return true;
}

static unsigned mode_choose(void) {
    uint32_t python = shim.shared->python;
    if (!shim_python_is_here() || python == RECORD_PYTHON_MALLOC)
        return SHIM_C;
    if (python == RECORD_PYTHON_OFF) {
        atomic_store(&shim.shared->python_left_out, 1);
        atomic_store(&shim.fork_reported, 1); /* this is no fork */
        return SHIM_OFF;
    }
    shim_python_hook();
    return SHIM_DOMAINS;
}

static unsigned session_begin(void) {
    struct shim_gate *gate = gate_create();
    if (!gate || !session_attach())
        return SHIM_OFF;
    shim_time_start();
    shim_ring_start();
    shim_process_start();
    shim_event(RECORD_THREAD_START, 0, 0, 0, 0); /* and before it, by itself, RECORD_IMAGE */
    unsigned mode = mode_choose();
    atomic_store(&shim.shared->mode, mode);
    allocator_describe(shim.shared);
    if (mode == SHIM_C) {
        atomic_store(&shim.shared->malloc_elsewhere, !malloc_is_ours());
        shim_cxx_start();
    }
    atomic_store(&gate->mode, mode);
    shim.gate = gate;
    return mode;
}

void shim_start(void) {
    if (atomic_load(&boot_gate.mode) != SHIM_UNSTARTED)
        return;
    int saved = errno;
    shim.is_starting = true;
    atomic_store(&boot_gate.mode, SHIM_STARTING);
    second_resolve(&shim.second);
    real_resolve(&shim.real);
    shim_process_resolve();
    shim_signal_resolve();
    unsigned mode = session_begin();
    if (mode == SHIM_OFF)
        atomic_store(&boot_gate.mode, SHIM_OFF);
    shim.is_starting = false;
    errno = saved;
}

__attribute__((constructor)) static void shim_load(void) {
    shim_start();
    shim_enter(); /* the texts were made unseen */
    shim_dlerror_clear();
    shim_leave();
}
