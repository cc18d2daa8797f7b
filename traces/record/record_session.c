#include "traces/record/record_session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "traces/record/record_control.h"
#include "traces/record/record_guard.h"

extern char **environ;

enum { SLEEP_NS = 2 * 1000 * 1000 };
_Static_assert((int)RECORD_RING_BYTES_LEAST == (int)RECORD_RING_BYTES_MIN, "one bound, told in two places");

static uint64_t ring_bytes_of(const struct record_options *options) {
    uint64_t wanted = options->ring_bytes ? options->ring_bytes : RECORD_RING_BYTES_DEFAULT;
    uint64_t bytes = RECORD_RING_BYTES_MIN;
    while (bytes < wanted && bytes < RECORD_RING_BYTES_MOST)
        bytes *= 2;
    return bytes;
}

/* Sealed: whoever has the descriptor, and be it the program itself, would kill the recorder by cutting the file. */
enum err session_memory_create(const char *name, uint64_t bytes, int *fd, void **memory, struct diag *diag) {
    int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0) {
        diag_errno(diag, ERR_IO, NULL, "cannot make shared memory");
        return ERR_IO;
    }
    void *mapped = MAP_FAILED;
    if (ftruncate(made, (off_t)bytes) == 0 && fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, made, 0);
    if (mapped == MAP_FAILED) {
        diag_errno(diag, ERR_IO, NULL,
                   errno == EFBIG ? "cannot map the shared memory (the limit on file sizes, ulimit -f, counts for it)"
                                  : "cannot map the shared memory");
        close(made);
        return ERR_IO;
    }
    *fd = made;
    *memory = mapped;
    return ERR_OK;
}

enum err session_create(const struct record_options *options, struct record_session *out, struct diag *diag) {
    if (options->ring_bytes > RECORD_RING_BYTES_MOST || options->ring_count > RECORD_RING_COUNT_MAX)
        return diag_set(diag, ERR_USAGE, NULL, "rings are at most 1 GiB, and at most %d", RECORD_RING_COUNT_MAX);
    uint32_t ring_count = options->ring_count ? options->ring_count : RECORD_RING_COUNT_DEFAULT;
    uint64_t ring_bytes = ring_bytes_of(options);
    uint64_t bytes = record_header_bytes() + ring_count * ring_bytes;
    int fd = -1;
    void *memory = NULL;
    enum err err = session_memory_create("mmreplay-record", bytes, &fd, &memory, diag);
    if (err)
        return err;
    struct record_shared *shared = memory;
    shared->magic = RECORD_MAGIC;
    shared->shared_bytes = sizeof *shared;
    shared->ring_bytes = ring_bytes;
    shared->ring_count = ring_count;
    shared->recorder_pid = (uint32_t)getpid();
    shared->python = options->python;
    shared->time = options->time;
    *out = (struct record_session){
        .shared = shared, .bytes = bytes, .fd = fd, .address_fd = fd, .shim_fd = -1, .started = time(NULL)};
    return ERR_OK;
}

/* The environment of the program: ours, the shim first in LD_PRELOAD, and the way to the shared memory. */
struct child_environment {
    char **words;
    char *preload;
    char *address;
};

static void environment_free(struct child_environment *environment) {
    free(environment->words);
    free(environment->preload);
    free(environment->address);
}

/*
 * LD_PRELOAD separates at blanks and colons, without any way to quote: such a path goes by way of /proc. The descriptor
 * stays open as long as the session: the program's loader follows the path some time after exec, and so does that of
 * any image it execs.
 */
static void shim_spell(struct record_session *session, const char *shim_path, char spelled[PATH_MAX]) {
    if (strpbrk(shim_path, " :\t\n"))
        session->shim_fd = open(shim_path, O_RDONLY | O_CLOEXEC);
    if (session->shim_fd >= 0)
        snprintf(spelled, PATH_MAX, "/proc/%d/fd/%d", (int)getpid(), session->shim_fd);
    else
        snprintf(spelled, PATH_MAX, "%s", shim_path);
}

static bool is_replaced(const char *word) {
    return strncmp(word, "LD_PRELOAD=", 11) == 0 ||
           strncmp(word, RECORD_ENVIRONMENT "=", sizeof RECORD_ENVIRONMENT) == 0;
}

static enum err environment_make(struct record_session *session, const char *shim_path, struct child_environment *out) {
    struct child_environment made = {0};
    char spelled[PATH_MAX];
    shim_spell(session, shim_path, spelled);
    const char *others = getenv("LD_PRELOAD");
    size_t count = 0;
    while (environ[count])
        count++;
    made.words = calloc(count + 3, sizeof *made.words);
    if (asprintf(&made.preload, "LD_PRELOAD=%s%s%s", spelled, others && *others ? ":" : "", others ? others : "") < 0)
        made.preload = NULL;
    if (asprintf(&made.address, RECORD_ENVIRONMENT "=/proc/%d/fd/%d", (int)getpid(), session->address_fd) < 0)
        made.address = NULL;
    if (!made.words || !made.preload || !made.address) {
        environment_free(&made);
        return ERR_NOMEM;
    }
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_replaced(environ[i]))
            made.words[used++] = environ[i];
    made.words[used++] = made.preload;
    made.words[used] = made.address;
    *out = made;
    return ERR_OK;
}

/* The child's road: only async-signal-safe calls. */
static void child_run(struct record_session *session, char *const *argv, char *const *environment, int report_fd) {
    signal(SIGINT, guard_keeps_ignored(SIGINT) ? SIG_IGN : SIG_DFL);
    signal(SIGQUIT, guard_keeps_ignored(SIGQUIT) ? SIG_IGN : SIG_DFL);
    signal(SIGCHLD, guard_keeps_ignored(SIGCHLD) ? SIG_IGN : SIG_DFL);
    signal(SIGXFSZ, SIG_DFL); /* ignored by the tool, which wants an error instead */
    if (guard_wants_group())
        setpgid(0, 0);
    atomic_store(&session->shared->target_pid, (uint32_t)getpid());
    if (session->claim_word)
        atomic_store(session->claim_word, control_claim(SLOT_CLAIMED, (uint32_t)getpid()));
    if (session->files_max)
        setrlimit(RLIMIT_NOFILE, session->files_max);
    execvpe(argv[0], argv, environment);
    int failure = errno;
    ssize_t ignored = write(report_fd, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

static enum err spawn_report(struct record_session *session, const char *command, int report_fd, struct diag *diag) {
    int failure = 0;
    ssize_t length;
    do {
        length = read(report_fd, &failure, sizeof failure);
    } while (length < 0 && errno == EINTR);
    if (length != (ssize_t)sizeof failure)
        return ERR_OK;
    waitpid(session->pid, &session->wait_status, 0);
    session->has_ended = true;
    errno = failure;
    return diag_errno(diag, failure == ENOENT ? ERR_NOT_FOUND : ERR_IO, NULL, "cannot run %s", command);
}

enum err session_spawn(struct record_session *session, const struct record_options *options, struct diag *diag) {
    struct child_environment environment;
    int report[2];
    if (environment_make(session, options->shim_path, &environment))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    enum err err = ERR_IO;
    if (pipe2(report, O_CLOEXEC)) {
        diag_errno(diag, ERR_IO, NULL, "cannot make a pipe");
        goto cleanup;
    }
    session->pid = fork();
    if (session->pid == 0) {
        close(report[0]);
        child_run(session, options->argv, environment.words, report[1]);
    }
    close(report[1]);
    if (session->pid > 0) {
        if (guard_wants_group())
            setpgid(session->pid, session->pid); /* the child does it, too: whoever comes first */
        err = spawn_report(session, options->argv[0], report[0], diag);
    } else {
        session->pid = 0;
        diag_errno(diag, ERR_IO, NULL, "cannot start a process");
    }
    close(report[0]);
cleanup:
    environment_free(&environment);
    return err;
}

void session_poll(struct record_session *session) {
    if (!session->has_ended)
        session->has_ended = guard_poll(&session->wait_status);
}

void session_sleep(struct record_session *session) {
    struct timespec timeout = {.tv_nsec = SLEEP_NS};
    _Atomic uint32_t *word = &session->shared->recorder_sleeps;
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAIT, 1, &timeout, NULL, 0);
    atomic_store(word, 0);
}

void session_stop(struct record_session *session) {
    struct record_shared *shared = session->shared;
    atomic_store(&shared->stopped, 1);
    uint32_t top = atomic_load(&shared->ring_top);
    for (uint32_t i = 0; i < top && i < RECORD_RING_COUNT_MAX; i++)
        if (atomic_exchange(&shared->rings[i].waiting, 0))
            syscall(SYS_futex, &shared->rings[i].waiting, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void session_reap_rings(struct record_session *session) {
    struct record_shared *shared = session->shared;
    if (!atomic_exchange(&shared->rings_short, 0))
        return;
    for (uint32_t i = 0; i < RECORD_RING_COUNT_MAX; i++) {
        struct ring_control *control = &shared->rings[i];
        uint32_t tid = atomic_load(&control->owner_tid);
        if (atomic_load(&control->state) != RING_CLAIMED || !tid)
            continue;
        if (syscall(SYS_tgkill, session->pid, tid, 0) == 0 || errno != ESRCH)
            continue;
        /* It may have given its ring back, and another thread have claimed it, before it ended. */
        if (atomic_compare_exchange_strong(&control->owner_tid, &tid, 0))
            atomic_store(&control->state, RING_FREE);
    }
}

void session_close(struct record_session *session) {
    if (session->shared) {
        munmap(session->shared, session->bytes);
        close(session->fd);
        if (session->shim_fd >= 0 && session->has_ended) /* what it execs later looks for the shim there, too */
            close(session->shim_fd);
    }
    session->shared = NULL;
}
