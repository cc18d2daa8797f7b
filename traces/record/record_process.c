#include "traces/record/record_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "traces/record/record_host.h"
#include "traces/record/record_image.h"

static int pidfd_open_of(uint32_t pid) {
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

static bool pidfd_has_ended(int pidfd) {
    struct pollfd look = {.fd = pidfd, .events = POLLIN};
    return poll(&look, 1, 0) > 0;
}

bool process_is_over(const struct recorded_process *process) {
    return process->has_ended ||
           (process->pidfd < 0 ? !process_pid_is_alive(process->pid) : pidfd_has_ended(process->pidfd));
}

bool process_pid_is_alive(uint32_t pid) {
    int pidfd = pidfd_open_of(pid);
    if (pidfd < 0)
        return errno != ESRCH && kill((pid_t)pid, 0) == 0;
    bool has_ended = pidfd_has_ended(pidfd);
    close(pidfd);
    return !has_ended;
}

struct recorded_process *process_create(uint32_t pid, uint32_t parent_pid, uint64_t begin_us) {
    struct recorded_process *process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    process->pid = pid;
    process->parent_pid = parent_pid;
    process->guess_stamp = UINT64_MAX;
    process->begin_us = begin_us;
    process->pidfd = -1;
    return process;
}

bool process_watch(struct recorded_process *process) {
    process->pidfd = pidfd_open_of(process->pid);
    process->has_ended = process->pidfd < 0 && errno != EMFILE && errno != ENFILE && errno != ENOMEM;
    return process->pidfd >= 0;
}

void process_destroy(struct recorded_process *process) {
    if (!process)
        return;
    process_trace_drop(process);
    if (process->pidfd >= 0)
        close(process->pidfd);
    merge_destroy(process->merge);
    namer_destroy(process->namer);
    stage_destroy(process->stage);
    free(process->image);
    free(process);
}

static void image_look(struct recorded_process *process) {
    const struct record_shared *shared = process->session->shared;
    if (atomic_load(&shared->image_count) != process->image_count || atomic_load(&shared->exec_pending))
        return; /* already of the next one, or about to be */
    record_image_take(process->image, shared);
}

/* Called when the namer begins a trace; nothing is queued for an earlier one. */
static enum err trace_begin(void *ctx, struct event_sink *sink, struct diag *diag) {
    struct recorded_process *process = ctx;
    struct event_sink real;
    process->is_late = false;
    if (process->bounds->is_waiting) {
        *sink = bounds_wait(process->bounds);
        return ERR_OK;
    }
    if (process->watcher.number_take(process->watcher.ctx, process, &process->trace_number))
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory for the numbers of traces");
    enum err err =
        process->output->begin(process->output->ctx, process->pid, process->trace_number, &process->trace, &real, diag);
    if (err)
        return err;
    process->is_announced = false;
    stage_begin(process->stage, real);
    *sink = stage_sink(process->stage);
    return ERR_OK;
}

static enum err image_begin(struct recorded_process *process, const struct merged_record *record, struct diag *diag) {
    enum err err = process->image_count ? process->watcher.image_over(process->watcher.ctx, process, diag) : ERR_OK;
    if (err)
        return err;
    process->image_count++;
    *process->image = (struct record_image){0};
    record_image_take_command(process->image, process->session->shared, process->image_count - 1);
    return namer_put(process->namer, record, diag);
}

static enum err record_put(void *ctx, const struct merged_record *record, struct diag *diag) {
    struct recorded_process *process = ctx;
    unsigned kind = (unsigned)(record->what >> RECORD_KIND_SHIFT & RECORD_KIND_MASK);
    if (__builtin_expect(merge_next(process->merge) >= process->guess_stamp, 0)) {
        enum err err = process->watcher.stamp_reached(process->watcher.ctx, process, diag);
        if (err)
            return err;
    }
    if (kind == RECORD_PROCESS)
        return process->watcher.told(process->watcher.ctx, process, record, diag);
    if (kind == RECORD_IMAGE)
        return image_begin(process, record, diag);
    if (__builtin_expect(process->open_fork_count, 0))
        process->watcher.beside(process->watcher.ctx, process, record);
    return namer_put(process->namer, record, diag);
}

static void record_expect(void *ctx, uint64_t pointer) {
    struct recorded_process *process = ctx;
    namer_expect(process->namer, pointer);
}

enum err process_attach(struct recorded_process *process, struct record_session *session, struct stage *beside,
                        const struct record_tree_output *output, const struct process_watcher *watcher,
                        struct diag *diag) {
    const struct record_output begins = {process, trace_begin, NULL};
    process->session = session;
    process->life = session->life;
    session->pid = (pid_t)process->pid;
    process->output = output;
    process->watcher = *watcher;
    process->image = calloc(1, sizeof *process->image);
    enum err err = process->image ? ERR_OK : ERR_NOMEM;
    if (!err)
        err = beside ? stage_join(beside, &process->stage) : stage_create(&process->stage);
    if (!err)
        err = namer_create(&begins, &process->namer);
    if (!err)
        err = namer_live_keep(process->namer);
    if (!err)
        err =
            merge_create(session->shared, (struct merge_consumer){process, record_put, record_expect}, &process->merge);
    if (err)
        return diag_set(diag, err, NULL, "no memory or no thread to record one more process");
    merge_rewind(process->merge);
    if (process->clock_start_ns)
        namer_time_keep(process->namer, process->clock_start_ns, process->clock_unit_ns);
    return ERR_OK;
}

enum err process_begin_late(struct recorded_process *process, struct diag *diag) {
    if (process->state != PROCESS_RUNNING || process->err || !process->image_count)
        return ERR_OK;
    enum err err = namer_restart(process->namer, diag);
    process->is_late = !err;
    return err;
}

enum err process_step(struct recorded_process *process, bool is_final, bool *progress, struct diag *diag) {
    enum err err = merge_pass(process->merge, is_final, progress, diag);
    if (!err && !*progress) {
        session_reap_rings(process->session);
        image_look(process);
    }
    return err;
}

uint64_t process_own_operation_count(const struct recorded_process *process) {
    struct namer_counts counts = namer_counts(process->namer);
    return counts.operation_count - counts.inherited_block_count;
}

char *process_command(const struct recorded_process *process) {
    return process->image ? record_image_command(process->image) : NULL;
}

static enum err info_fill(const struct recorded_process *process, const struct trace_info *host,
                          const struct tree_process *row, struct trace_info *info) {
    enum err err = record_host_copy(info, host);
    info->capture_inherited_uncertain = process->inherited_uncertain_count;
    return err ? err : record_image_describe(process->image, process->namer, row->command, row->end, info);
}

static enum err trace_keep(struct recorded_process *process, const struct trace_info *host, struct tree_process *row,
                           struct diag *diag) {
    struct trace_info info = {0};
    void *trace = process->trace;
    enum err err = info_fill(process, host, row, &info);
    if (err) {
        diag_set(diag, err, NULL, "out of memory");
    } else {
        process->trace = NULL;
        uint64_t count = row->event_count;
        err = process->output->finish(process->output->ctx, trace, &info, process->err != ERR_OK, &row->file,
                                      &row->event_count, diag);
        if (!row->file)
            row->event_count = 0;
        else if (row->event_count < count)
            row->lost_count += count - row->event_count;
    }
    trace_info_clear(&info);
    return err;
}

static enum err row_fill(const struct recorded_process *process, const char *end, struct tree_process *row) {
    struct namer_counts counts = namer_counts(process->namer);
    row->pid = process->pid;
    row->parent_pid = process->parent_pid;
    row->came = process->came;
    row->begin_us = process->begin_us;
    row->command = process_command(process);
    row->event_count = counts.event_count;
    row->inherited_blocks = counts.inherited_block_count;
    row->lost_count = record_image_lost_count(process->image, &counts);
    return trace_text_set(&row->end, end);
}

enum err process_trace_end(struct recorded_process *process, const char *end, bool keeps, const struct trace_info *host,
                           struct tree_process *row, struct diag *diag) {
    struct diag *told = process->err ? NULL : diag;
    image_look(process);
    enum err err = namer_flush(process->namer, told);
    if (!err)
        err = stage_flush(process->stage, told);
    if (err && !process->err) { /* what came before it stands */
        process->err = err;
        if (diag)
            process->diag = *diag;
    }
    err = ERR_OK;
    if (row_fill(process, end, row))
        err = diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    if (!err && keeps && process->trace)
        err = trace_keep(process, host, row, process->err ? NULL : diag); /* the first fault is the one to be told */
    process_trace_drop(process);
    return err ? err : process->err;
}

/* What is known of the trace, as often as there is more. */
static void trace_announce(struct recorded_process *process, const struct trace_info *host) {
    struct tree_process row = {0};
    struct trace_info info = {0};
    uint64_t arena_count = namer_arena_count(process->namer);
    if (!process->output->announce || (process->is_announced && process->announced_arena_count == arena_count))
        return;
    if (!row_fill(process, RECORD_END_UNKNOWN, &row) && !info_fill(process, host, &row, &info))
        process->output->announce(process->output->ctx, process->trace, &info);
    process->is_announced = true;
    process->announced_arena_count = arena_count;
    trace_info_clear(&info);
    free(row.command);
    free(row.end);
}

enum err process_sync(struct recorded_process *process, const struct trace_info *host, struct diag *diag) {
    if (process->state != PROCESS_RUNNING || process->err || !process->trace)
        return ERR_OK;
    trace_announce(process, host);
    return namer_sync(process->namer, diag);
}

void process_trace_drop(struct recorded_process *process) {
    if (process->trace) {
        stage_flush(process->stage, NULL); /* nothing may be on its way into what goes now */
        process->output->discard(process->output->ctx, process->trace);
        process->watcher.number_return(process->watcher.ctx, process);
    }
    process->trace = NULL;
}
