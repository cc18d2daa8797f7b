#include "traces/record/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct shim_gate boot_gate = {SHIM_UNSTARTED};
struct shim shim = {.gate = &boot_gate};

static void *symbol_find(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

/* malloc last: while it is NULL, requests (dlsym's own included) are served from the bootstrap area. */
static void real_resolve(struct shim_real *real) {
    *(void **)&real->free = symbol_find("free");
    *(void **)&real->realloc = symbol_find("realloc");
    *(void **)&real->posix_memalign = symbol_find("posix_memalign");
    *(void **)&real->aligned_alloc = symbol_find("aligned_alloc");
    *(void **)&real->memalign = symbol_find("memalign");
    *(void **)&real->valloc = symbol_find("valloc");
    *(void **)&real->pvalloc = symbol_find("pvalloc");
    *(void **)&real->execve = symbol_find("execve");
    *(void **)&real->execvpe = symbol_find("execvpe");
    *(void **)&real->fexecve = symbol_find("fexecve");
    *(void **)&real->calloc = symbol_find("calloc");
    *(void **)&real->malloc = symbol_find("malloc");
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

/*
 * Whether a malloc of the program comes by here: a program may bring its own. The address alone does not tell (that of
 * a fixed-address executable's jump table is the official one), so when it is not ours, it is called once.
 */
static bool malloc_is_ours(void) {
    Dl_info theirs, ours;
    void *(*found_malloc)(size_t);
    void (*found_free)(void *);
    *(void **)&found_malloc = dlsym(RTLD_DEFAULT, "malloc");
    *(void **)&found_free = dlsym(RTLD_DEFAULT, "free");
    if (!found_malloc || !found_free)
        return false;
    if (dladdr(*(void **)&found_malloc, &theirs) && dladdr(&shim, &ours) && theirs.dli_fbase == ours.dli_fbase)
        return true;
    shim_thread.is_probing = 1;
    found_free(found_malloc(1));
    shim_thread.is_probing = 0;
    return shim_thread.was_probed;
}

static bool session_attach(void) {
    const char *path = getenv(RECORD_ENVIRONMENT);
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

static unsigned session_begin(void) {
    struct shim_gate *gate = gate_create();
    if (!gate || !session_attach())
        return SHIM_OFF;
    shim_time_start();
    shim_ring_start();
    shim_process_start();
    shim_event(RECORD_THREAD_START, 0, 0, 0, 0); /* and before it, by itself, RECORD_IMAGE */
    unsigned mode = shim_python_hook() ? SHIM_DOMAINS : SHIM_C;
    atomic_store(&shim.shared->mode, mode);
    if (mode == SHIM_C && !malloc_is_ours())
        atomic_store(&shim.shared->malloc_elsewhere, 1);
    atomic_store(&gate->mode, mode);
    shim.gate = gate;
    return mode;
}

void shim_start(void) {
    if (atomic_load(&boot_gate.mode) != SHIM_UNSTARTED)
        return;
    int saved = errno;
    atomic_store(&boot_gate.mode, SHIM_STARTING);
    real_resolve(&shim.real);
    shim_process_resolve();
    unsigned mode = session_begin();
    if (mode == SHIM_OFF)
        atomic_store(&boot_gate.mode, SHIM_OFF);
    errno = saved;
}

__attribute__((constructor)) static void shim_load(void) {
    shim_start();
}
