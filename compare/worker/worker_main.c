/*
 * mmreplay-worker: replays one program on one allocator in one pass, and ends.
 *
 * Started by `compare` with the program and the shared file as descriptors 3 and 4. It makes no use of malloc itself,
 * nor of stdio streams, which do.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compare/worker/arena_replay.h"
#include "compare/worker/backend.h"
#include "compare/worker/backend_cpython.h"
#include "compare/worker/backend_debug.h"
#include "compare/worker/library_check.h"
#include "compare/worker/lockstep.h"
#include "compare/worker/passes.h"
#include "compare/worker/replay_loop.h"
#include "compare/worker/resident.h"
#include "compare/worker/worker_protocol.h"
#include "core/fast.h"

static const struct backend *const backends[WORKER_BACKEND_COUNT] = {
    [WORKER_NULL] = &backend_null,
    [WORKER_LIBC] = &backend_libc,
    [WORKER_POOL] = &backend_pool,
    [WORKER_CPYTHON] = &backend_cpython,
};

static const struct backend *backend_of(const struct worker_request *request) {
    if (request->backend != WORKER_POOL)
        return backends[request->backend];
    if (worker_settings_are_fast(request->settings))
        return &backend_fast;
    return request->debug_hooks ? &backend_debug : &backend_pool;
}

static struct arena_replay arena_replay;

/* The recorded places lie behind everything else in the file. */
static bool request_fits(const struct worker_request *request, uint64_t file_bytes) {
    uint64_t offset = request->recorded_offset_bytes;
    return (file_bytes - sizeof(struct worker_shared)) / sizeof(struct worker_text) >= worker_text_count(request) &&
           offset <= file_bytes && offset % sizeof(uint64_t) == 0 &&
           (file_bytes - offset) / sizeof(uint64_t) >= request->recorded_count;
}

static struct worker_shared *shared_map(void) {
    struct stat stat;
    if (fstat(WORKER_SHARED_FD, &stat) || (size_t)stat.st_size < sizeof(struct worker_shared))
        return NULL;
    struct worker_shared *shared =
        mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, WORKER_SHARED_FD, 0);
    if (shared == MAP_FAILED || shared->request.layout_bytes != sizeof(struct worker_shared) ||
        !request_fits(&shared->request, (uint64_t)stat.st_size))
        return NULL;
    return shared;
}

/* Shared, so that it never counts as anonymous memory; populated, so that the loop faults only in the allocator's. */
static enum err table_map(size_t count, size_t entry_bytes, void **out, struct diag *diag) {
    void *table =
        mmap(NULL, count * entry_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED)
        return diag_errno(diag, ERR_NOMEM, NULL, "cannot map a table of %zu slots", count);
    *out = table;
    return ERR_OK;
}

static void place_report(struct worker_reply *reply) {
    cpu_set_t cpus;
    int persona = personality(0xffffffff);
    reply->aslr_off = persona >= 0 && (persona & ADDR_NO_RANDOMIZE);
    reply->cpu = -1;
    if (!sched_getaffinity(0, sizeof cpus, &cpus) && CPU_COUNT(&cpus) == 1)
        reply->cpu = sched_getcpu();
}

static enum err request_check(const struct worker_request *request, struct diag *diag) {
    if (request->pass >= WORKER_PASS_COUNT || request->backend >= WORKER_BACKEND_COUNT ||
        request->drain_count > WORKER_DRAIN_MAX || request->stats_count > WORKER_STATS_MAX ||
        request->residue_count > WORKER_RESIDUE_MAX || request->arenas >= WORKER_ARENAS_COUNT ||
        (request->pass == WORKER_LOCKSTEP && request->backend != WORKER_CPYTHON))
        return diag_set(diag, ERR_USAGE, NULL, "the worker was asked for a pass or backend it does not know");
    return ERR_OK;
}

static enum err pool_prepare(const struct worker_shared *shared, const struct pool_config *config, struct pool **out,
                             struct diag *diag) {
    const struct worker_request *request = &shared->request;
    if (request->debug_hooks)
        return backend_debug_prepare(config, out, diag);
    if (request->arenas == WORKER_ARENAS_OWN)
        return pool_create(config, NULL, out, diag);
    enum err err = arena_replay_create(&arena_replay, request, worker_recorded_places(shared), config, diag);
    if (err)
        return err;
    struct pool_arena_source source = arena_replay_source(&arena_replay);
    return pool_create(config, &source, out, diag);
}

static enum err allocator_prepare(struct worker_shared *shared, struct replay *replay, struct diag *diag) {
    const struct worker_request *request = &shared->request;
    struct worker_reply *reply = &shared->reply;
    bool needs_aligned = false;
    enum err err = program_verify(replay->program, &needs_aligned, diag);
    if (err || request->backend == WORKER_NULL)
        return err;
    err = library_check(request, needs_aligned, reply, diag);
    if (!err && request->backend == WORKER_CPYTHON && request->pass != WORKER_LOCKSTEP)
        err = backend_cpython_prepare(request, reply, diag);
    replay->has_usable_size = reply->has_usable_size;
    if (err || request->backend != WORKER_POOL)
        return err;
    if (worker_settings_are_fast(request->settings)) {
        struct fast *fast = NULL;
        reply->pool = *fast_config_get();
        reply->pool.name = NULL;
        err = fast_create(NULL, &fast, diag);
        replay->pool = (struct pool *)fast;
        return err;
    }
    struct pool_config config;
    err = pool_config_parse(request->settings, &config, diag);
    if (err)
        return err;
    reply->pool = config;
    reply->pool.name = NULL;
    return pool_prepare(shared, &config, &replay->pool, diag);
}

static enum err tables_prepare(const struct worker_request *request, struct replay *replay, struct diag *diag) {
    size_t count = replay->program->header->slot_count;
    void *table = NULL;
    enum err err = table_map(count, sizeof *replay->slots, &table, diag);
    if (err)
        return err;
    replay->slots = table;
    if (request->pass != WORKER_MEMORY && request->pass != WORKER_STATS)
        return ERR_OK;
    err = table_map(count, sizeof *replay->account.notes, &table, diag);
    if (!err)
        replay->account.notes = table;
    return err;
}

/* The deepest calls of an allocator must not make the stack grow after the first reading of resident memory. */
static __attribute__((noinline)) void stack_touch(void) {
    volatile char pages[256 * 1024];
    for (size_t i = 0; i < sizeof pages; i += 1024)
        pages[i] = 1;
}

static void pass_run(struct worker_shared *shared, struct replay *replay) {
    const struct backend *backend = backend_of(&shared->request);
    struct worker_reply *reply = &shared->reply;
    struct resident resident = {0};
    stack_touch();
    reply->operation_count = replay->program->header->summary.operation_count;
    reply->has_resident = resident_read(&resident);
    reply->base_resident_bytes = resident.anonymous_bytes;
    reply->state = WORKER_RUNNING;
    if (shared->request.pass == WORKER_TIME)
        time_pass_run(backend, replay, reply);
    else if (shared->request.pass == WORKER_MEMORY)
        memory_pass_run(backend, replay, shared);
    else if (shared->request.pass == WORKER_STATS)
        stats_pass_run(backend, replay, shared);
    else if (shared->request.backend == WORKER_LIBC)
        library_version_ask(reply);
    reply->arenas = shared->request.arenas;
    reply->arenas_recorded_count = arena_replay.recorded_count;
    reply->arenas_strayed_count = arena_replay.strayed_count;
    reply->state = WORKER_DONE;
}

static enum err worker_run(struct worker_shared *shared, struct diag *diag) {
    static struct program program;
    static struct replay replay;
    shared->reply.state = WORKER_PREPARING;
    place_report(&shared->reply);
    enum err err = request_check(&shared->request, diag);
    if (!err)
        err = program_open(WORKER_PROGRAM_FD, &program, diag);
    if (err)
        return err;
    replay.program = &program;
    replay.touch = shared->request.touch;
    err = allocator_prepare(shared, &replay, diag);
    if (!err)
        err = tables_prepare(&shared->request, &replay, diag);
    if (!err && shared->request.pass == WORKER_LOCKSTEP)
        err = lockstep_pass_run(&program, shared, diag);
    else if (!err)
        pass_run(shared, &replay);
    return err ? err : backend_debug_verdict(diag);
}

int main(void) {
    static const char usage[] = "mmreplay-worker: started by mmreplay replay, not by hand\n";
    static struct diag diag;
    struct worker_shared *shared = shared_map();
    if (!shared) {
        ssize_t ignored = write(STDERR_FILENO, usage, sizeof usage - 1);
        (void)ignored;
        return 2;
    }
    enum err err = worker_run(shared, &diag);
    if (err) {
        diag_format(&diag, shared->reply.error, sizeof shared->reply.error);
        shared->reply.err = err;
        shared->reply.state = WORKER_FAILED;
    }
    /* No atexit work of the allocator under test: it may be the reason for a late crash that says nothing. */
    _exit(err ? 1 : 0);
}
