#include "traces/record/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "traces/record/record_control.h"

/*
 * A tree of processes. The child of a fork finds its gate shut (the kernel has emptied the page) and claims memory of
 * its own at its first call; a program that starts claims it at its start. What a parent knows of its children (that
 * one is about to be born, its pid, how it ended) goes into the parent's own rings, in order with its allocations.
 */

enum { WAIT_NS = 20 * 1000 * 1000 };

static struct {
    pid_t (*fork)(void);
    pid_t (*fork_bare)(void);
    pid_t (*wait4)(pid_t, int *, int, struct rusage *);
    int (*waitid)(idtype_t, id_t, siginfo_t *, int);
    int (*spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
                 char *const[]);
    int (*spawn_search)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                        char *const[], char *const[]);
    void (*exit)(int);
} real;

static struct record_control *control; /* NULL: nobody follows */
static uint64_t shared_bytes;
static _Atomic uint32_t claim_pid; /* process whose claim has been tried, or is */

static bool is_followed(void) {
    return control && shim.shared && !shim_is_off() && (uint32_t)getpid() == shim.pid;
}

static void recorder_call(void) {
    atomic_store(&control->recorder_sleeps, 0);
    syscall(SYS_futex, &control->recorder_sleeps, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static char *number_write(char *at, uint32_t number) {
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *at++ = digits[--count];
    return at;
}

/* No snprintf: this runs between fork and exec, and before constructors. */
void shim_fd_path(char path[SHIM_FD_PATH_BYTES], uint32_t pid, uint32_t fd) {
    char *at = number_write(stpcpy(path, "/proc/"), pid);
    at = number_write(stpcpy(at, "/fd/"), fd);
    *at = 0;
}

static void *file_map(const char *path, uint64_t least_bytes, uint64_t *bytes) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return NULL;
    void *memory = MAP_FAILED;
    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size >= least_bytes)
        memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, (size_t)status.st_size, MADV_DONTDUMP);
    *bytes = (uint64_t)status.st_size;
    return memory;
}

static struct record_shared *shared_check(void *memory, uint64_t bytes) {
    struct record_shared *shared = memory;
    if (!shared || (shared->magic == RECORD_MAGIC && shared->shared_bytes == sizeof *shared))
        return shared;
    munmap(shared, bytes);
    return NULL;
}

static struct record_shared *slot_map(struct control_slot *slot) {
    char path[SHIM_FD_PATH_BYTES];
    uint64_t bytes = 0;
    shim_fd_path(path, control->recorder_pid, atomic_load(&slot->fd));
    struct record_shared *shared = shared_check(file_map(path, sizeof *shared, &bytes), bytes);
    if (shared)
        shared_bytes = bytes;
    return shared;
}

/*
 * The memory that this process has had before it became the present program; NULL: none. One that has this pid in its
 * claim, but expects no new program, is of a process that has ended unseen.
 */
static struct record_shared *own_find(uint32_t pid) {
    uint32_t top = atomic_load(&control->slot_top);
    for (uint32_t i = 0; i < top && i < CONTROL_SLOT_COUNT; i++) {
        if (atomic_load(&control->slots[i].claim) != control_claim(SLOT_CLAIMED, pid))
            continue;
        struct record_shared *shared = slot_map(&control->slots[i]);
        if (!shared || atomic_load(&shared->exec_pending) || !atomic_load(&shared->image_count))
            return shared;
        munmap(shared, shared_bytes);
    }
    return NULL;
}

static struct control_slot *slot_take(uint32_t pid) {
    uint32_t top = atomic_load(&control->slot_top);
    for (uint32_t i = 0; i < top && i < CONTROL_SLOT_COUNT; i++) {
        uint64_t expected = control_claim(SLOT_READY, 0);
        if (atomic_load_explicit(&control->slots[i].claim, memory_order_relaxed) == expected &&
            atomic_compare_exchange_strong(&control->slots[i].claim, &expected, control_claim(SLOT_CLAIMED, pid)))
            return &control->slots[i];
    }
    return NULL;
}

static void note_put(enum control_note what, uint32_t pid, uint32_t parent_pid, const char *path) {
    if (!control || atomic_load(&control->stopped))
        return;
    uint64_t serial = atomic_fetch_add(&control->exec_count, 1);
    struct control_exec *note = &control->execs[serial % CONTROL_EXEC_COUNT];
    atomic_store(&note->serial, 0);
    size_t length = path ? strnlen(path, CONTROL_PATH_BYTES - 1) : 0;
    note->what = what;
    note->pid = pid;
    note->parent_pid = parent_pid;
    if (length)
        memcpy(note->path, path, length);
    note->path[length] = 0;
    atomic_store(&note->serial, serial + 1);
}

/* Whether the numbers of this process, and of others as it sees them, are not the recorder's. */
static bool is_foreign(void) {
    struct stat status;
    int saved = errno;
    bool is_known = control->pid_namespace && stat("/proc/self/ns/pid", &status) == 0;
    errno = saved;
    return is_known && status.st_ino != control->pid_namespace;
}

/* Whoever could open the recorder's memory by way of /proc has a /proc that counts as the recorder does. */
static uint32_t pid_outside(void) {
    char text[16];
    uint32_t pid = 0;
    ssize_t length = readlink("/proc/self", text, sizeof text);
    for (ssize_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
        pid = 10 * pid + (uint32_t)(text[i] - '0');
    return pid;
}

static bool foreign_note(void) {
    bool foreign = is_foreign();
    if (foreign)
        note_put(NOTE_FOREIGN, pid_outside(), 0, NULL);
    return foreign;
}

/* Waits for a slot if it has to. NULL: the recorder is gone, or has no more. */
static struct control_slot *slot_claim(uint32_t pid, uint32_t parent_pid) {
    struct timespec timeout = {.tv_nsec = WAIT_NS};
    for (;;) {
        uint32_t seen = atomic_load(&control->ready_count);
        struct control_slot *slot = slot_take(pid);
        if (slot || atomic_load(&control->stopped))
            return slot;
        if (atomic_load(&control->is_full)) {
            atomic_fetch_add(&control->denied_count, 1);
            note_put(NOTE_DENIED, pid, parent_pid, NULL);
            return NULL;
        }
        atomic_store(&control->slots_short, 1);
        recorder_call();
        syscall(SYS_futex, &control->ready_count, FUTEX_WAIT, seen, &timeout, NULL, 0);
        if (shim_recorder_is_dead(&control->recorder_life,
                                  control->recorder_pid)) /* NOLINT: control is not NULL here */
            return NULL;
    }
}

static void slot_tell(struct control_slot *slot, enum control_came came, uint32_t parent_pid, uint64_t fork_number) {
    slot->came = came;
    slot->parent_pid = parent_pid;
    slot->parent_life = came == CAME_FORK ? shim.shared->life : 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    slot->claimed_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    slot->fork_number = fork_number;
    slot->parent_stamp = came == CAME_FORK ? atomic_load(&shim.shared->stamp) : 0;
}

/*
 * A fork that nobody announced: until the recorder knows what the parent has, this child waits, and with it the parent
 * that waits for its child. Not when the slot is not its own any more.
 */
static void slot_await(struct control_slot *slot) {
    struct timespec timeout = {.tv_nsec = WAIT_NS};
    uint64_t claim = control_claim(SLOT_CLAIMED, (uint32_t)getpid());
    while (!atomic_load(&slot->is_heard) && atomic_load(&slot->claim) == claim && !atomic_load(&control->stopped) &&
           !shim_recorder_is_dead(&control->recorder_life, control->recorder_pid)) {
        recorder_call();
        syscall(SYS_futex, &slot->is_heard, FUTEX_WAIT, 0, &timeout, NULL, 0);
    }
}

/* Claims a slot and maps its memory. */
static struct record_shared *slot_enter(enum control_came came, uint32_t parent_pid, uint64_t fork_number) {
    uint32_t pid = (uint32_t)getpid();
    struct control_slot *slot = foreign_note() ? NULL : slot_claim(pid, parent_pid);
    if (!slot)
        return NULL;
    slot_tell(slot, came, parent_pid, fork_number);
    struct record_shared *shared = slot_map(slot);
    if (shared && came == CAME_FORK)
        shim_cut_take(shim.shared, shared);
    if (shared)
        atomic_store(&shared->target_pid, pid);
    else
        atomic_store(&slot->failure, (uint32_t)(errno ? errno : EIO));
    atomic_store(&slot->is_told, 1);
    recorder_call();
    if (shared && came == CAME_FORK && !fork_number)
        slot_await(slot);
    return shared;
}

/* Of the image that is about to begin. */
static void command_note(struct record_shared *shared) {
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    struct record_command *command = &shared->commands[atomic_load(&shared->image_count) % RECORD_COMMANDS_KEPT];
    ssize_t length = fd < 0 ? 0 : read(fd, command->words, sizeof command->words - 1);
    if (fd >= 0)
        close(fd);
    command->words_bytes = length > 0 ? (uint32_t)length : 0;
}

struct record_shared *shim_process_attach(const char *path) {
    uint64_t bytes = 0;
    void *memory = file_map(path, sizeof(uint64_t) * 2, &bytes);
    control = memory;
    if (!memory || control->magic != RECORD_CONTROL_MAGIC) {
        control = NULL;
        return shared_check(memory, bytes);
    }
    if (control->control_bytes != sizeof *control || atomic_load(&control->stopped)) {
        munmap(memory, bytes);
        control = NULL;
        return NULL;
    }
    if (foreign_note()) {
        munmap(memory, bytes);
        control = NULL;
        return NULL;
    }
    struct record_shared *shared = own_find((uint32_t)getpid());
    if (!shared)
        shared = slot_enter(CAME_EXEC, (uint32_t)getppid(), 0);
    if (shared) {
        command_note(shared);
        shim.recorder_sleeps = &control->recorder_sleeps;
        shim.recorder_life = &control->recorder_life;
    }
    return shared;
}

/* What a child of a fork has from its parent, and a program does not tell again. */
static void image_take_over(struct record_shared *to, const struct record_shared *from) {
    memcpy(to->image_path, from->image_path, sizeof to->image_path);
    memcpy(to->python_version, from->python_version, sizeof to->python_version);
    memcpy(to->libc_version, from->libc_version, sizeof to->libc_version);
    memcpy(to->allocator_path, from->allocator_path, sizeof to->allocator_path);
    to->commands[0] = from->commands[(atomic_load(&from->image_count) - 1) % RECORD_COMMANDS_KEPT];
    atomic_store(&to->malloc_elsewhere, atomic_load(&from->malloc_elsewhere));
    atomic_store(&to->mode, atomic_load(&from->mode));
    atomic_store(&to->image_count, 1);
}

/*
 * The parent's memory goes out of sight. Its place is taken by memory that nobody reads: a fork in a signal handler
 * that had interrupted the writing of a record goes on with that record there.
 */
static void parent_forget(struct record_shared *shared, uint64_t bytes) {
    (void)mmap(shared, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static bool child_record(void) {
    struct shim_thread *thread = &shim_thread;
    struct record_shared *parent = shim.shared;
    uint64_t parent_bytes = shared_bytes;
    struct record_shared *shared = slot_enter(CAME_FORK, shim.pid, thread->fork_number);
    thread->fork_number = 0;
    if (!shared)
        return false;
    image_take_over(shared, parent);
    shim.shared = shared;
    shim.pid = (uint32_t)getpid();
    parent_forget(parent, parent_bytes);
    shim_ring_restart();
    atomic_store(&shim.gate->mode, atomic_load(&shared->mode));
    return true;
}

/* True when a claim may be made here and now: once in every child. */
static bool child_begins(void) {
    uint32_t pid = (uint32_t)getpid();
    if (pid == shim.pid)
        return false;
    uint32_t expected = atomic_load(&claim_pid);
    return expected != pid && atomic_compare_exchange_strong(&claim_pid, &expected, pid);
}

/* A handler that came in between would wait for the thread that it has interrupted. */
static void child_wake(void) {
    uint64_t mask = shim_signals_block();
    if (!child_begins()) {
        while (shim_mode() == SHIM_OFF && !atomic_load(&shim.fork_reported)) /* another thread is at it */
            sched_yield();
    } else if (!child_record()) {
        atomic_store(&shim.fork_reported, 1);
    }
    shim_signals_restore(mask);
}

bool shim_process_wake(void) {
    if (!shim.shared || atomic_load_explicit(&shim.fork_reported, memory_order_relaxed))
        return false;
    int saved = errno;
    if (!control) {
        atomic_store(&shim.fork_reported, 1);
        atomic_fetch_add(&shim.shared->fork_count, 1);
    } else {
        child_wake();
    }
    errno = saved;
    return !shim_is_off();
}

static void process_event(enum record_process_event what, uint64_t value, uint64_t number) {
    int saved = errno;
    shim_event(RECORD_PROCESS, what, value, number, 0);
    errno = saved;
}

/* One that has made no event itself shows itself now: what comes from it must know where it comes from. */
static void fork_begins(void) {
    if (control && shim_mode() == SHIM_OFF)
        shim_process_wake();
    if (!is_followed())
        return;
    shim_thread.fork_number = atomic_fetch_add(&shim.shared->fork_serial, 1) + 1;
    process_event(PROCESS_FORK, shim_thread.fork_number, 0);
}

/* The number must not outlive the fork: a child that comes by a bare clone would take it for its own. Not every fork is
   told afterwards: the C library's own (forkpty) come by here alone. */
static void fork_is_over(void) {
    shim_thread.fork_over = shim_thread.fork_number;
    shim_thread.fork_number = 0;
    if (shim_thread.fork_over && is_followed())
        process_event(PROCESS_FORK_OVER, shim_thread.fork_over, 0);
}

/* In the parent, with the child's pid; −1: there is none. */
static pid_t fork_tell(pid_t pid) {
    if (pid && shim_thread.fork_over && is_followed())
        process_event(PROCESS_CHILD, shim_thread.fork_over, pid > 0 ? (uint64_t)pid : 0);
    if (pid)
        shim_thread.fork_over = 0;
    return pid;
}

SHIM_EXPORT pid_t fork(void) {
    shim_start();
    return fork_tell(real.fork());
}

/* Runs no handlers, not even ours. */
pid_t _Fork(void);
SHIM_EXPORT pid_t _Fork(void) {
    shim_start();
    fork_begins();
    pid_t pid = real.fork_bare();
    if (pid)
        fork_is_over();
    return fork_tell(pid);
}

static pid_t child_waited(pid_t pid, int status) {
    if (pid > 0 && (WIFEXITED(status) || WIFSIGNALED(status)) && is_followed())
        process_event(PROCESS_WAITED, (uint64_t)pid, (uint64_t)(unsigned)status);
    return pid;
}

SHIM_EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage) {
    int own = 0;
    shim_start();
    pid_t waited = real.wait4(pid, status ? status : &own, options, usage);
    return waited > 0 ? child_waited(waited, status ? *status : own) : waited;
}

SHIM_EXPORT pid_t wait3(int *status, int options, struct rusage *usage) {
    return wait4(-1, status, options, usage);
}

SHIM_EXPORT pid_t waitpid(pid_t pid, int *status, int options) {
    return wait4(pid, status, options, NULL);
}

SHIM_EXPORT pid_t wait(int *status) {
    return wait4(-1, status, 0, NULL);
}

static int info_status(const siginfo_t *info) {
    if (info->si_code == CLD_EXITED)
        return (info->si_status & 0xff) << 8;
    return info->si_code == CLD_DUMPED ? info->si_status | 0x80 : info->si_status;
}

SHIM_EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options) {
    siginfo_t own = {0};
    siginfo_t *told = info ? info : &own;
    shim_start();
    int result = real.waitid(type, id, told, options);
    if (result == 0 && told->si_pid > 0 &&
        (told->si_code == CLD_EXITED || told->si_code == CLD_KILLED || told->si_code == CLD_DUMPED))
        child_waited(told->si_pid, info_status(told));
    return result;
}

void shim_process_exec(uint32_t pid, uint32_t parent_pid, const char *path) {
    if (control && !is_foreign())
        note_put(NOTE_EXEC, pid, parent_pid, path);
}

SHIM_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                            const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    pid_t own = 0;
    shim_start();
    int failure = real.spawn(pid ? pid : &own, path, actions, attributes, argv, envp);
    if (!failure && is_followed())
        shim_process_exec((uint32_t)(pid ? *pid : own), shim.pid, path);
    return failure;
}

SHIM_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                             const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    pid_t own = 0;
    shim_start();
    int failure = real.spawn_search(pid ? pid : &own, file, actions, attributes, argv, envp);
    if (!failure && is_followed())
        shim_process_exec((uint32_t)(pid ? *pid : own), shim.pid, file);
    return failure;
}

/* Nobody but its parent is told how a process ended; so it says itself what it can. */
static void end_note(int status, void *unused) {
    (void)unused;
    if (is_followed())
        atomic_store(&shim.shared->exit_note, RECORD_EXIT_NOTED | ((uint32_t)status & 0xff));
}

SHIM_EXPORT void _exit(int status) {
    shim_start();
    end_note(status, NULL);
    real.exit(status);
    __builtin_unreachable();
}

void _Exit(int status);
SHIM_EXPORT void _Exit(int status) {
    _exit(status);
}

void shim_process_resolve(void) {
    *(void **)&real.fork = dlsym(RTLD_NEXT, "fork");
    *(void **)&real.fork_bare = dlsym(RTLD_NEXT, "_Fork");
    *(void **)&real.wait4 = dlsym(RTLD_NEXT, "wait4");
    *(void **)&real.waitid = dlsym(RTLD_NEXT, "waitid");
    *(void **)&real.spawn = dlsym(RTLD_NEXT, "posix_spawn");
    *(void **)&real.spawn_search = dlsym(RTLD_NEXT, "posix_spawnp");
    *(void **)&real.exit = dlsym(RTLD_NEXT, "_exit");
}

void shim_process_start(void) {
    if (!control)
        return;
    pthread_atfork(fork_begins, fork_is_over, NULL);
    on_exit(end_note, NULL);
}
