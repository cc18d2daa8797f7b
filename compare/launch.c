#include "compare/launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/units.h"

extern char **environ;

enum { POLL_SLICE_MS = 200, EXIT_NO_EXEC = 127 };

static const char *const pass_names[WORKER_PASS_COUNT] = {
    [WORKER_PROBE] = "start",           [WORKER_TIME] = "time pass",     [WORKER_MEMORY] = "memory pass",
    [WORKER_STATS] = "statistics pass", [WORKER_LOCKSTEP] = "lock-step",
};

/* The environment of a worker: the caller's, but for LD_PRELOAD, plus padding up to a fixed size. */
struct worker_environment {
    char **entries;
    char preload[sizeof "LD_PRELOAD=" + WORKER_PATH_BYTES];
    char padding[sizeof "MMREPLAY_PAD=" + WORKER_PATH_BYTES];
};

static bool variable_is(const char *entry, const char *name) {
    size_t length = strlen(name);
    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

static enum err environment_make(const char *library, struct worker_environment *out) {
    size_t count = 0;
    while (environ && environ[count])
        count++;
    out->entries = malloc((count + 3) * sizeof *out->entries);
    if (!out->entries)
        return ERR_NOMEM;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!variable_is(environ[i], "LD_PRELOAD") && !variable_is(environ[i], "MMREPLAY_PAD"))
            out->entries[kept++] = environ[i];
    int used = snprintf(out->preload, sizeof out->preload, "%s=%s", library[0] ? "LD_PRELOAD" : "MMREPLAY_0", library);
    memset(out->padding, 'x', sizeof out->padding);
    memcpy(out->padding, "MMREPLAY_PAD=", sizeof "MMREPLAY_PAD=" - 1);
    out->padding[sizeof out->padding - 1 - ((size_t)used - (sizeof "LD_PRELOAD=" - 1))] = '\0';
    out->entries[kept++] = out->preload;
    out->entries[kept++] = out->padding;
    out->entries[kept] = NULL;
    return ERR_OK;
}

/* What one launch holds while it runs. */
struct child {
    pid_t pid;
    int pidfd;
    int shared_fd;
    int output_fd;
    struct worker_shared *shared;
    size_t shared_bytes;
    struct worker_environment environment;
};

static void request_fill(const struct launch *launch, struct worker_request *request) {
    request->layout_bytes = sizeof(struct worker_shared);
    request->pass = launch->pass;
    request->backend = launch->allocator->backend;
    request->touch = launch->touch;
    request->drain_count = launch->drain_count < WORKER_DRAIN_MAX ? launch->drain_count : WORKER_DRAIN_MAX;
    for (uint32_t i = 0; i < request->drain_count; i++)
        request->drain_wait_ns[i] = launch->drain_wait_ns[i];
    snprintf(request->library, sizeof request->library, "%s", launch->allocator->library);
    snprintf(request->settings, sizeof request->settings, "%s", launch->allocator->settings);
    snprintf(request->python, sizeof request->python, "%s", launch->allocator->python);
    request->debug_hooks = launch->allocator->debug_hooks;
    request->arenas_aligned = launch->allocator->arenas_aligned;
    request->stats_count = launch->stats_count < WORKER_STATS_MAX ? launch->stats_count : WORKER_STATS_MAX;
    for (uint32_t i = 0; i < request->stats_count; i++)
        request->stats_at[i] = launch->stats_at[i];
    request->compare_every = launch->compare_every;
    request->compare_from = launch->compare_from;
    request->residue_count = launch->residue_count < WORKER_RESIDUE_MAX ? launch->residue_count : WORKER_RESIDUE_MAX;
    for (uint32_t i = 0; i < request->residue_count; i++)
        request->residues[i] = launch->residues[i];
}

/* The recorded places come behind everything else; the lock-step takes their residues. */
static enum err arenas_request(const struct launch *launch, size_t offset_bytes, struct worker_request *request,
                               struct diag *diag) {
    enum worker_arenas how;
    enum err err = trace_arenas_choose(launch->arenas, launch->allocator, &how, diag);
    request->arenas = how;
    if (err || (how == WORKER_ARENAS_OWN && request->pass != WORKER_LOCKSTEP) || !launch->arenas)
        return err;
    request->recorded_count = launch->arenas->list.count;
    request->recorded_bytes = launch->arenas->arena_bytes;
    request->recorded_span_bytes = launch->arenas->list.span_bytes;
    request->recorded_offset_bytes = offset_bytes;
    return ERR_OK;
}

static enum err child_prepare(const struct launch *launch, struct child *child, struct diag *diag) {
    uint64_t sample_count = launch->pass == WORKER_MEMORY ? launch->program->header->sample_count : 0;
    struct worker_request request = {0};
    request_fill(launch, &request);
    child->shared_bytes = sizeof(struct worker_shared) + sample_count * sizeof(struct worker_sample) +
                          worker_text_count(&request) * sizeof(struct worker_text);
    enum err err = arenas_request(launch, child->shared_bytes, &request, diag);
    if (err)
        return err;
    child->shared_bytes += request.recorded_count * sizeof(uint64_t);
    child->shared_fd = memfd_create("mmreplay-result", MFD_CLOEXEC);
    child->output_fd = memfd_create("mmreplay-output", MFD_CLOEXEC);
    if (child->shared_fd < 0 || child->output_fd < 0 || ftruncate(child->shared_fd, (off_t)child->shared_bytes))
        return diag_errno(diag, ERR_IO, NULL, "cannot create a memory file");
    void *shared = mmap(NULL, child->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, child->shared_fd, 0);
    if (shared == MAP_FAILED)
        return diag_errno(diag, ERR_IO, NULL, "cannot map a worker's results");
    child->shared = shared;
    child->shared->request = request;
    if (launch->arenas && request.recorded_count)
        memcpy(worker_recorded_places(child->shared), launch->arenas->list.places_bytes,
               request.recorded_count * sizeof(uint64_t));
    if (environment_make(launch->allocator->library, &child->environment))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    return ERR_OK;
}

static void descriptors_arrange(int program_fd, const struct child *child) {
    int program = fcntl(program_fd, F_DUPFD, 16);
    int shared = fcntl(child->shared_fd, F_DUPFD, 16);
    int output = fcntl(child->output_fd, F_DUPFD, 16);
    int nothing = open("/dev/null", O_RDONLY);
    if (program < 0 || shared < 0 || output < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 ||
        dup2(output, 2) < 0 || dup2(program, WORKER_PROGRAM_FD) < 0 || dup2(shared, WORKER_SHARED_FD) < 0)
        _exit(EXIT_NO_EXEC);
    syscall(SYS_close_range, 5u, ~0u, 0u);
}

/* Between fork and exec: system calls only. What is refused here (a container may) shows in the worker's reply. */
static void child_become_worker(const struct launch *launch, struct child *child) {
    static const struct rlimit no_core = {0, 0};
    char name[] = "mmreplay-worker";
    char *const arguments[] = {name, NULL};
    sigset_t none;
    setpgid(0, 0); /* a Ctrl-C is for the parent, which decides */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGXFSZ, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    personality(ADDR_NO_RANDOMIZE);
    if (launch->cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET((size_t)launch->cpu, &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
    }
    descriptors_arrange(launch->program->fd, child);
    execve(launch->worker_path, arguments, child->environment.entries);
    _exit(EXIT_NO_EXEC);
}

static bool interrupted(const struct launch *launch) {
    return launch->interrupted && *launch->interrupted;
}

/* Returns once the child can be reaped, the slice is over or a signal came; without pidfd_open, after a nap. */
static bool child_await_slice(const struct child *child, int slice_ms) {
    struct pollfd poll_fd = {.fd = child->pidfd, .events = POLLIN};
    if (child->pidfd >= 0)
        return poll(&poll_fd, 1, slice_ms) > 0;
    struct timespec nap = {.tv_nsec = 2000000};
    siginfo_t info = {.si_pid = 0};
    nanosleep(&nap, NULL);
    return !waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == child->pid;
}

/* When the launch's time is over; UINT64_MAX: never. */
static uint64_t deadline_of(const struct launch *launch) {
    uint64_t deadline_ns;
    if (!launch->timeout_ns || __builtin_add_overflow(clock_now_ns(), launch->timeout_ns, &deadline_ns))
        return UINT64_MAX;
    return deadline_ns;
}

/* Until then, but not so long that a signal would have to wait. */
static int slice_until(uint64_t deadline_ns) {
    uint64_t now_ns = clock_now_ns();
    uint64_t rest_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / 1000000u + 1 : 0;
    return rest_ms < POLL_SLICE_MS ? (int)rest_ms : POLL_SLICE_MS;
}

static int child_await(const struct launch *launch, const struct child *child, struct launch_result *out) {
    uint64_t deadline_ns = deadline_of(launch);
    int status = 0;
    out->status = RUN_DONE;
    while (!child_await_slice(child, slice_until(deadline_ns))) {
        if (interrupted(launch))
            out->status = RUN_INTERRUPTED;
        else if (clock_now_ns() >= deadline_ns)
            out->status = RUN_TIMED_OUT;
        if (out->status != RUN_DONE) {
            kill(child->pid, SIGKILL);
            break;
        }
    }
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* The first line that the worker's process wrote to stdout or stderr: the dynamic linker's or the allocator's words. */
static void output_line_read(const struct child *child, char *line, size_t line_bytes) {
    ssize_t got = pread(child->output_fd, line, line_bytes - 1, 0);
    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

static void progress_describe(const struct launch *launch, const struct worker_reply *reply, char *text,
                              size_t text_bytes) {
    static const char *const states[] = {
        [WORKER_NOT_STARTED] = "before it began",    [WORKER_PREPARING] = "while preparing",
        [WORKER_RUNNING] = "while replaying",        [WORKER_DRAINING] = "while freeing the survivors",
        [WORKER_DONE] = "after the replay was done", [WORKER_FAILED] = "after reporting a failure",
    };
    char done[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES];
    uint32_t state = reply->state <= WORKER_FAILED ? reply->state : WORKER_NOT_STARTED;
    if (state == WORKER_RUNNING && launch->pass == WORKER_MEMORY && reply->sample_count &&
        reply->sample_count <= launch->program->header->sample_count)
        snprintf(text, text_bytes, "in the memory pass after %s of %s operations",
                 units_format_count(launch->program->samples[reply->sample_count - 1].operation_index, done),
                 units_format_count(launch->program->header->summary.operation_count, total));
    else
        snprintf(text, text_bytes, "in the %s, %s", pass_names[launch->pass], states[state]);
}

static void outcome_judge(const struct launch *launch, const struct child *child, int wait_status,
                          struct launch_result *out) {
    assert(child->shared);
    const struct worker_reply *reply = &child->shared->reply;
    char place[128], line[256];
    if (out->status == RUN_DONE && WIFEXITED(wait_status) && !WEXITSTATUS(wait_status) && reply->state == WORKER_DONE)
        return;
    progress_describe(launch, reply, place, sizeof place);
    output_line_read(child, line, sizeof line);
    const char *dash = line[0] ? ": " : "";
    if (out->status == RUN_TIMED_OUT) {
        char limit[UNITS_TEXT_BYTES];
        snprintf(out->text, sizeof out->text, "timed out after %s %s", units_format_duration(launch->timeout_ns, limit),
                 place);
    } else if (out->status == RUN_INTERRUPTED) {
        snprintf(out->text, sizeof out->text, "interrupted %s", place);
    } else if (WIFSIGNALED(wait_status)) {
        out->status = RUN_CRASHED;
        snprintf(out->text, sizeof out->text, "crashed with SIG%s %s%s%s", sigabbrev_np(WTERMSIG(wait_status)), place,
                 dash, line);
    } else if (reply->state == WORKER_FAILED) {
        out->status = RUN_REFUSED;
        out->err = reply->err && reply->err < ERR_COUNT ? (enum err)reply->err : ERR_CHILD;
        snprintf(out->text, sizeof out->text, "%.*s%s%s", WORKER_TEXT_BYTES, reply->error, line[0] ? "; " : "", line);
    } else {
        out->status = RUN_CRASHED;
        snprintf(out->text, sizeof out->text, "ended with exit code %d %s%s%s", WEXITSTATUS(wait_status), place, dash,
                 line);
    }
}

static void child_release(struct child *child) {
    free(child->environment.entries);
    if (child->pidfd >= 0)
        close(child->pidfd);
    if (child->shared_fd >= 0)
        close(child->shared_fd);
    if (child->output_fd >= 0)
        close(child->output_fd);
    if (child->shared)
        munmap(child->shared, child->shared_bytes);
}

enum err launch_run(const struct launch *launch, struct launch_result *out, struct diag *diag) {
    struct child child = {.pidfd = -1, .shared_fd = -1, .output_fd = -1};
    struct launch_result result = {.status = RUN_DONE};
    enum err err = child_prepare(launch, &child, diag);
    if (err)
        goto cleanup;
    child.pid = fork();
    if (child.pid < 0) {
        err = diag_errno(diag, ERR_IO, NULL, "cannot start a worker process");
        goto cleanup;
    }
    if (child.pid == 0)
        child_become_worker(launch, &child);
    child.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0u);
    int wait_status = child_await(launch, &child, &result);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_NO_EXEC) {
        err = diag_set(diag, ERR_NOT_FOUND, launch->worker_path, "cannot run the worker; build or install it again");
        goto cleanup;
    }
    outcome_judge(launch, &child, wait_status, &result);
    result.shared = child.shared;
    result.mapping = child.shared;
    result.shared_bytes = child.shared_bytes;
    child.shared = NULL;
    *out = result;
cleanup:
    child_release(&child);
    return err;
}

static enum err nothing_next(void *ctx, struct event_block *block, struct diag *diag) {
    (void)ctx, (void)diag;
    *block = (struct event_block){0};
    return ERR_OK;
}

enum err launch_probe(const char *worker_path, const struct allocator *allocator, struct launch_result *out,
                      struct diag *diag) {
    struct event_source nothing = {NULL, nothing_next};
    struct program program;
    enum err err = program_compile(&nothing, &program, diag);
    if (err)
        return err;
    struct launch launch = {.worker_path = worker_path,
                            .program = &program,
                            .allocator = allocator,
                            .pass = WORKER_PROBE,
                            .cpu = -1,
                            .timeout_ns = 10 * (uint64_t)1000000000};
    err = launch_run(&launch, out, diag);
    program_close(&program);
    return err;
}

void launch_result_release(struct launch_result *result) {
    if (result && result->shared)
        munmap(result->mapping, result->shared_bytes);
    if (result)
        result->shared = NULL;
}
