#include "traces/record/record_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "traces/record/pointer_map.h"
#include "traces/record/record_bounds.h"
#include "traces/record/record_cut.h"
#include "traces/record/record_guard.h"
#include "traces/record/record_host.h"
#include "traces/record/record_image.h"
#include "traces/record/record_probe.h"
#include "traces/record/record_process.h"
#include "traces/record/record_slots.h"
#include "traces/record/record_time.h"

enum {
    ENDED_COUNT_MAX = 16, /* processes that have ended and are not finished, before new ones must wait */
    ENDS_PERIOD = 4,      /* rounds between two looks for ends while there is always something to do */
    ENDS_AT_ONCE = 64,
    NOTE_PATIENCE = 64,
    UNWATCHED_PERIOD = 32,                  /* looks for ends between two at those that there is no descriptor for */
    STATUS_PATIENCE_NS = 200 * 1000 * 1000, /* how long a parent is waited for that may tell how its child ended */
    LINGERING_NS = 1000 * 1000 * 1000,
    RECENT_COUNT = 1024,
    REST_PASSES_MAX = 64
};

/* What a child will inherit, from its parent's side. */
struct tree_fork {
    struct tree_fork *next;
    uint64_t parent_life;
    uint64_t number;
    const struct recorded_process *child; /* NULL: not known (yet) */
    bool is_claimed;
    bool is_over;
    struct live_set live;  /* of the parent, when it began … */
    struct cut_log beside; /* … and what it did until it was over */
    uint64_t uncertain_count;
};

struct pid_list {
    uint32_t *pids;
    size_t count;
};

struct record_tree {
    const struct record_options *options;
    const struct record_tree_output *output;
    struct trace_tree *list;
    struct record_tree_report *report;
    struct trace_info host;
    struct slots *slots;
    struct recorded_process *processes; /* that have not ended, or not been finished */
    struct recorded_process *root;      /* NULL: finished */
    struct tree_fork *forks;
    struct stage *stage; /* that all others share the queue of; has no sink itself */
    int epoll;
    uint32_t round;
    uint32_t look_count;     /* for ends */
    uint64_t clock_start_ns; /* by the clock of --time; 0: events have no times */
    struct record_bounds
        bounds;        /* of all together: from when, how long, how many events, and whether one asked to end */
    uint64_t start_ns; /* of the recording; its traces may begin later */
    uint64_t early_event_count; /* of images that ended before that */
    uint64_t exec_seen;
    uint32_t note_patience;        /* rounds that a note which is not whole is still waited for */
    uint32_t recent[RECENT_COUNT]; /* pids that have been finished */
    uint32_t recent_count;
    pid_t root_pid;
    struct pointer_map trace_counts; /* of each pid that has a trace */
    struct pid_list strangers;       /* children that this process had before it began to record (it came by exec) */
    int shim_fd;
    struct rlimit files; /* that the program is to have; the recorder takes as many as it may */
    bool root_has_ended;
    bool has_told; /* that it has */
    uint64_t root_ended_ns;
    uint64_t synced_ns;
};

static uint64_t now_us(const struct record_tree *tree) {
    return (clock_now_ns() - tree->start_ns) / 1000;
}

static enum err out_of_memory(struct diag *diag) {
    return diag_set(diag, ERR_NOMEM, NULL, "out of memory for the list of processes");
}

/* The last one that came of that number. */
static struct recorded_process *process_find(const struct record_tree *tree, uint32_t pid) {
    struct recorded_process *process = tree->processes;
    while (process && process->pid != pid)
        process = process->next;
    return process;
}

static struct recorded_process *process_find_first(const struct record_tree *tree, uint32_t pid) {
    struct recorded_process *first = NULL;
    for (struct recorded_process *process = tree->processes; process; process = process->next)
        first = process->pid == pid ? process : first;
    return first;
}

/* Whose number it is now. NULL: nobody's that is known; the one that had it is over, and it has come again. */
static struct recorded_process *process_now(const struct record_tree *tree, uint32_t pid) {
    struct recorded_process *process = process_find(tree, pid);
    return process && process_is_over(process) && process_pid_is_alive(pid) ? NULL : process;
}

static struct recorded_process *life_find(const struct record_tree *tree, uint64_t life) {
    struct recorded_process *process = tree->processes;
    while (process && (!life || process->life != life))
        process = process->next;
    return process;
}

static bool pid_is_recent(const struct record_tree *tree, uint32_t pid) {
    for (uint32_t i = 0; i < RECENT_COUNT; i++)
        if (tree->recent[i] == pid)
            return true;
    return false;
}

static uint32_t named_fd_count(const struct record_tree *tree) {
    uint32_t count = 0;
    for (const struct recorded_process *process = tree->processes; process; process = process->next)
        count += !process->session && process->pidfd >= 0;
    return count;
}

/* A slot allows for a descriptor; one that is NAMED gets what is to spare. Who has none is asked again and again. */
static void process_look_after(struct record_tree *tree, struct recorded_process *process) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = process};
    if (!process->session && !slots_spare_fd(tree->slots, named_fd_count(tree)))
        process->has_ended = !process_pid_is_alive(process->pid);
    else if (process_watch(process))
        process->has_ended = epoll_ctl(tree->epoll, EPOLL_CTL_ADD, process->pidfd, &wanted) != 0;
}

static struct recorded_process *process_add(struct record_tree *tree, uint32_t pid, uint32_t parent_pid) {
    struct recorded_process *process = process_create(pid, parent_pid, now_us(tree));
    if (!process)
        return NULL;
    process_look_after(tree, process);
    process->next = tree->processes;
    tree->processes = process;
    return process;
}

/* ---- what parents know of forks ---- */

static struct tree_fork *fork_find(const struct record_tree *tree, uint64_t parent_life, uint64_t number) {
    struct tree_fork *fork = tree->forks;
    while (fork && (fork->parent_life != parent_life || fork->number != number))
        fork = fork->next;
    return fork;
}

static void fork_remove(struct record_tree *tree, struct tree_fork *fork) {
    struct tree_fork **link = &tree->forks;
    while (*link != fork)
        link = &(*link)->next;
    *link = fork->next;
    live_set_clear(&fork->live);
    cut_log_clear(&fork->beside);
    free(fork);
}

static enum err fork_begin(struct record_tree *tree, struct recorded_process *process, uint64_t number,
                           struct diag *diag) {
    struct tree_fork *fork = calloc(1, sizeof *fork);
    if (!fork || namer_live_take(process->namer, &fork->live)) {
        free(fork);
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory for what a forked child inherits");
    }
    fork->parent_life = process->life;
    fork->number = number;
    fork->next = tree->forks;
    tree->forks = fork;
    process->open_fork_count++;
    return ERR_OK;
}

static void fork_settle(struct tree_fork *fork, struct recorded_process *parent) {
    if (fork->is_over)
        return;
    fork->is_over = true;
    if (parent->open_fork_count)
        parent->open_fork_count--;
}

/* Whatever of the parent has not been recorded by now is not coming. */
static void forks_settle(struct record_tree *tree, struct recorded_process *parent) {
    for (struct tree_fork *fork = tree->forks; fork; fork = fork->next)
        if (fork->parent_life == parent->life)
            fork_settle(fork, parent);
}

static void beside_fork(void *ctx, struct recorded_process *parent, const struct merged_record *record) {
    struct record_tree *tree = ctx;
    for (struct tree_fork *fork = tree->forks; fork; fork = fork->next)
        if (fork->parent_life == parent->life && !fork->is_over && !fork->is_claimed)
            cut_log_add(&fork->beside, record);
}

/* The child has become another program before it wanted anything of what it was born with: nobody of its number does.
 */
static bool fork_is_needless(const struct record_tree *tree, const struct tree_fork *fork) {
    const struct recorded_process *child = fork->child;
    if (fork->is_claimed || !child || child->state != PROCESS_RUNNING || child->came != TREE_EXEC)
        return false;
    for (const struct recorded_process *process = tree->processes; process; process = process->next)
        if (process->pid == child->pid && (process->state == PROCESS_CLAIMING || process->state == PROCESS_AWAITING))
            return false;
    return true;
}

/* The child has a pid; when it has said nothing of itself so far, it is NAMED. */
static enum err fork_name_child(struct record_tree *tree, struct tree_fork *fork, uint32_t pid, uint32_t parent_pid,
                                struct diag *diag) {
    if (fork->is_claimed)
        return ERR_OK;
    if (!pid) {
        fork_remove(tree, fork);
        return ERR_OK;
    }
    struct recorded_process *child = process_now(tree, pid);
    bool is_new = !child;
    if (is_new && !(child = process_add(tree, pid, parent_pid)))
        return out_of_memory(diag);
    fork->child = child;
    bool was_finished = is_new && pid_is_recent(tree, pid) && process_is_over(child); /* it has a row, or wants none */
    if (child->state == PROCESS_NAMED)
        child->came = was_finished ? TREE_EXEC : TREE_FORK;
    if (fork_is_needless(tree, fork))
        fork_remove(tree, fork);
    return ERR_OK;
}

static void forks_drop_needless(struct record_tree *tree) {
    for (struct tree_fork *fork = tree->forks, *next; fork; fork = next) {
        next = fork->next;
        if (fork_is_needless(tree, fork))
            fork_remove(tree, fork);
    }
}

static void status_set(struct recorded_process *process, int status) {
    process->has_status = true;
    process->wait_status = status;
}

static enum err process_told(void *ctx, struct recorded_process *process, const struct merged_record *record,
                             struct diag *diag) {
    struct record_tree *tree = ctx;
    uint64_t value = record->what & RECORD_POINTER_MASK;
    enum record_process_event what = (enum record_process_event)(record->what >> RECORD_DOMAIN_SHIFT & 3);
    struct tree_fork *fork = what == PROCESS_WAITED ? NULL : fork_find(tree, process->life, value);
    struct recorded_process *child;
    switch (what) {
    case PROCESS_FORK:
        return fork_begin(tree, process, value, diag);
    case PROCESS_FORK_OVER:
        if (fork)
            fork_settle(fork, process);
        return ERR_OK;
    case PROCESS_CHILD:
        if (fork)
            fork_settle(fork, process);
        return fork ? fork_name_child(tree, fork, (uint32_t)record->size_bytes, process->pid, diag) : ERR_OK;
    case PROCESS_WAITED:
        child = process_find_first(tree, (uint32_t)value);
        if (child && !child->has_status && !child->is_replaced && process_is_over(child))
            status_set(child, (int)record->size_bytes);
        return ERR_OK;
    }
    return ERR_OK;
}

/* ---- rows of the list ---- */

static struct tree_process *row_add(struct record_tree *tree, struct diag *diag) {
    struct tree_process *row = trace_tree_add(tree->list);
    if (!row)
        out_of_memory(diag);
    return row;
}

static enum err row_reason(struct tree_process *row, const char *reason) {
    return trace_text_set(&row->reason, reason);
}

/* Why a program that was to run did not show itself. */
static void exec_reason(const struct recorded_process *process, const char *path, char *out, size_t out_bytes) {
    struct diag diag = {0};
    if (record_probe(path, &diag) == ERR_UNSUPPORTED)
        diag_format(&diag, out, out_bytes);
    else if (process->has_status && WIFSIGNALED(process->wait_status))
        snprintf(out, out_bytes, "it was killed before %.300s had loaded the recorder", path);
    else
        snprintf(out, out_bytes,
                 "%.300s never loaded the recorder (could it start? with its environment, as the same user?)", path);
}

static void exec_path_of(const struct recorded_process *process, char path[RECORD_TEXT_BYTES]) {
    path[0] = 0;
    if (process->session && atomic_load(&process->session->shared->exec_pending)) {
        record_text_copy(process->session->shared->exec_path, path);
        if (!path[0])
            snprintf(path, RECORD_TEXT_BYTES, "a program");
    } else if (!process->session || process->state != PROCESS_RUNNING) {
        snprintf(path, RECORD_TEXT_BYTES, "%s", process->exec_path);
    }
}

/* Events of an image; what makes its inheritance is no doing of the program. */
static uint64_t process_event_count(const struct recorded_process *process, bool is_own) {
    struct namer_counts counts = {0};
    if (process->namer)
        counts = namer_counts(process->namer);
    return counts.event_count - (is_own ? counts.inherited_block_count : 0);
}

/* An image ends: when that is before the traces begin, it still counts. */
static void early_count(struct record_tree *tree, const struct recorded_process *process) {
    if (tree->bounds.is_waiting)
        tree->early_event_count += process_event_count(process, true);
}

/* Of an image that has a trace, before the next one is looked at. */
static void report_add(struct record_tree *tree, const struct recorded_process *process,
                       const struct tree_process *row) {
    struct namer_counts counts = namer_counts(process->namer);
    tree->report->event_count += row->event_count;
    tree->report->unknown_free_count += counts.unknown_free_count;
    tree->report->missed_free_count += counts.missed_free_count;
    tree->report->lost_count += process->image->lost_count;
}

static enum err image_over(void *ctx, struct recorded_process *process, struct diag *diag) {
    struct record_tree *tree = ctx;
    char end[256];
    bool keeps = process->trace && process_own_operation_count(process) >= RECORD_IMAGE_OPERATIONS_KEPT;
    struct tree_process unlisted = {0}, *row = keeps ? row_add(tree, diag) : &unlisted;
    if (!row)
        return ERR_NOMEM;
    bounds_describe(&tree->bounds, process->is_late, false, end, sizeof end);
    snprintf(end + strlen(end), sizeof end - strlen(end), "exec");
    enum err err = process_trace_end(process, end, keeps, &tree->host, row, diag);
    row->end_us = now_us(tree);
    if (keeps)
        report_add(tree, process, row);
    early_count(tree, process);
    forks_settle(tree, process);
    if (keeps || process->came != TREE_START) /* what a script's first line starts it by is not worth a row */
        process->came = TREE_EXEC;
    process->begin_us = now_us(tree);
    process->inherited_uncertain_count = 0;
    process->has_lost_inheritance = false;
    free(unlisted.command);
    free(unlisted.end);
    return err;
}

static struct pointer_entry *trace_count_find(const struct record_tree *tree, uint32_t pid) {
    return pointer_map_find(&tree->trace_counts, (uint64_t)pid + 1); /* a map has no 0 */
}

static enum err number_take(void *ctx, const struct recorded_process *process, uint32_t *number) {
    struct record_tree *tree = ctx;
    struct pointer_entry *entry = trace_count_find(tree, process->pid);
    if (!entry && pointer_map_reserve(&tree->trace_counts))
        return ERR_NOMEM;
    if (!entry)
        entry = pointer_map_add(&tree->trace_counts, (uint64_t)process->pid + 1, 0);
    *number = (uint32_t)entry->name++;
    return ERR_OK;
}

static void number_return(void *ctx, const struct recorded_process *process) {
    struct record_tree *tree = ctx;
    struct pointer_entry *entry = trace_count_find(tree, process->pid);
    if (entry && entry->name == process->trace_number + 1)
        entry->name--;
}

/* ---- how processes end ---- */

/* The 52nd field of /proc/PID/stat, for as long as nobody has waited for it. */
static bool zombie_status(uint32_t pid, int *status) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", pid);
    FILE *file = fopen(path, "re");
    struct stat owner;
    if (!file)
        return false;
    bool status_is_shown = !geteuid() || (!fstat(fileno(file), &owner) && owner.st_uid == geteuid()); /* else 0 */
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] != 'Z' || !status_is_shown)
        return false;
    at = strrchr(text, ' ');
    *status = (int)strtol(at + 1, NULL, 10);
    return true;
}

static void process_has_ended(struct record_tree *tree, struct recorded_process *process) {
    if (!process->ended_ns) {
        process->has_ended = true;
        process->ended_ns = clock_now_ns();
        if (process->session)
            slots_retire(tree->slots, process->slot);
        if (process->pidfd >= 0)
            epoll_ctl(tree->epoll, EPOLL_CTL_DEL, process->pidfd, NULL);
    }
    bool is_last = process_find(tree, process->pid) == process; /* else it has been waited for */
    if (!process->has_status && is_last && zombie_status(process->pid, &process->wait_status))
        process->has_status = true;
    uint32_t note = process->session ? atomic_load(&process->session->shared->exit_note) : 0;
    if (!process->has_status && note & RECORD_EXIT_NOTED)
        status_set(process, (int)((note & 0xff) << 8));
}

/* The program itself is the guard's to wait for. */
static bool root_reap(struct record_tree *tree) {
    struct recorded_process *root = tree->root;
    if (tree->root_has_ended)
        return false;
    tree->root_has_ended = guard_poll(&tree->report->wait_status);
    tree->root_ended_ns = clock_now_ns();
    if (tree->root_has_ended && root) {
        status_set(root, tree->report->wait_status);
        process_has_ended(tree, root);
    }
    return tree->root_has_ended;
}

static bool pid_list_has(const struct pid_list *list, uint32_t pid) {
    size_t i = 0;
    while (i < list->count && list->pids[i] != pid)
        i++;
    return i < list->count;
}

static void pid_list_remove(struct pid_list *list, uint32_t pid) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->pids[i] != pid)
            list->pids[kept++] = list->pids[i];
    list->count = kept;
}

/* The children of this process; as many as there is memory for. */
static struct pid_list children_list(void) {
    struct pid_list list = {0};
    char path[64];
    uint32_t pid, *pids;
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%" SCNu32, &pid) == 1 &&
           (pids = realloc(list.pids, (list.count + 1) * sizeof *list.pids))) {
        list.pids = pids;
        list.pids[list.count++] = pid;
    }
    if (file)
        fclose(file);
    return list;
}

/* Our own children: the program, orphans, and those that were there before. */
static void children_reap(struct record_tree *tree) {
    siginfo_t info = {0};
    int status;
    root_reap(tree);
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        if (info.si_pid == tree->root_pid) { /* it has ended just now */
            if (!root_reap(tree))
                return;
            continue;
        }
        struct recorded_process *process = process_find(tree, (uint32_t)info.si_pid);
        pid_list_remove(&tree->strangers, (uint32_t)info.si_pid); /* the number may be another's from now on */
        if (waitpid(info.si_pid, &status, 0) == info.si_pid && process) {
            status_set(process, status);
            process_has_ended(tree, process);
        }
        info.si_pid = 0;
    }
}

static void unwatched_look(struct record_tree *tree) {
    for (struct recorded_process *process = tree->processes; process; process = process->next)
        if (process->pidfd < 0 && !process->has_ended)
            process_look_after(tree, process);
}

static void ends_look(struct record_tree *tree) {
    struct epoll_event events[ENDS_AT_ONCE];
    int count = epoll_wait(tree->epoll, events, ENDS_AT_ONCE, 0);
    for (int i = 0; i < count; i++)
        process_has_ended(tree, events[i].data.ptr);
    if (++tree->look_count % UNWATCHED_PERIOD == 0)
        unwatched_look(tree);
    children_reap(tree);
}

/* ---- claims and notes ---- */

static void note_apply(struct record_tree *tree, const struct control_exec *note) {
    struct recorded_process *process = process_now(tree, note->pid);
    bool is_news = note->what != NOTE_EXEC || note->path[0];
    if (!process && is_news && (!pid_is_recent(tree, note->pid) || process_pid_is_alive(note->pid)) &&
        (process = process_add(tree, note->pid, note->parent_pid)))
        process->came = TREE_EXEC;
    if (!process || process->state == PROCESS_RUNNING)
        return;
    if (note->what == NOTE_EXEC)
        memcpy(process->exec_path, note->path, CONTROL_PATH_BYTES);
    else if (note->what < NOTE_COUNT)
        process->denied = (enum control_note)note->what;
    process->exec_path[CONTROL_PATH_BYTES - 1] = 0;
}

/* One that is not whole yet is waited for; for a while, as its process may have been killed over it. */
static void notes_read(struct record_tree *tree) {
    struct record_control *control = tree->slots->control;
    uint64_t count = atomic_load(&control->exec_count);
    if (count - tree->exec_seen > CONTROL_EXEC_COUNT)
        tree->exec_seen = count - CONTROL_EXEC_COUNT;
    for (; tree->exec_seen < count; tree->exec_seen++) {
        const struct control_exec *shown = &control->execs[tree->exec_seen % CONTROL_EXEC_COUNT];
        if (atomic_load(&shown->serial) == tree->exec_seen + 1) {
            struct control_exec note = *shown;
            if (atomic_load(&shown->serial) == tree->exec_seen + 1) /* else another one has come over it */
                note_apply(tree, &note);
        } else if (atomic_load(&shown->serial) < tree->exec_seen + 1 && tree->note_patience) {
            tree->note_patience--;
            return;
        }
        tree->note_patience = NOTE_PATIENCE;
    }
}

/* The children of unseen forks that wait for this moment get what is alive now. */
static enum err stamp_reached(void *ctx, struct recorded_process *parent, struct diag *diag) {
    struct record_tree *tree = ctx;
    uint64_t now = merge_next(parent->merge);
    parent->guess_stamp = UINT64_MAX;
    for (struct recorded_process *child = tree->processes; child; child = child->next) {
        struct live_set live;
        if (child->state != PROCESS_AWAITING || child->fork_number || child->has_guess ||
            child->parent_life != parent->life)
            continue;
        if (child->parent_stamp > now) {
            if (child->parent_stamp < parent->guess_stamp)
                parent->guess_stamp = child->parent_stamp;
            continue;
        }
        if (namer_live_take(parent->namer, &live))
            return diag_set(diag, ERR_NOMEM, NULL, "out of memory for what a forked child inherits");
        namer_inherit(child->namer, &live);
        child->has_guess = true;
    }
    return ERR_OK;
}

/* A process claims once, and keeps its slot over an exec that it announces: a second claim is that of the next one of
 * the same pid, or of what it has become by an exec of which nobody knew. */
static struct recorded_process *claimant_find(struct record_tree *tree, uint32_t pid) {
    struct recorded_process *process = process_now(tree, pid);
    if (process && !process->session)
        return process;
    struct recorded_process *claimant = process_add(tree, pid, 0);
    if (claimant && process) {
        process->is_replaced = !process_is_over(process);
        process_has_ended(tree, process);
    }
    return claimant;
}

static enum err claims_take(struct record_tree *tree, struct diag *diag) {
    const struct process_watcher watcher = {
        .ctx = tree,
        .told = process_told,
        .stamp_reached = stamp_reached,
        .beside = beside_fork,
        .number_take = number_take,
        .number_return = number_return,
        .image_over = image_over,
    };
    struct slot_claim claim;
    while (slots_next_claim(tree->slots, &claim)) {
        struct recorded_process *process = claimant_find(tree, claim.pid);
        if (!process)
            return out_of_memory(diag);
        process->slot = claim.slot;
        process->state = PROCESS_CLAIMING;
        process->clock_start_ns = tree->clock_start_ns;
        process->clock_unit_ns = record_time_unit_ns(tree->options->time);
        process->bounds = &tree->bounds;
        enum err err =
            process_attach(process, &tree->slots->sessions[claim.slot], tree->stage, tree->output, &watcher, diag);
        if (err)
            return err;
        if (process->pidfd < 0 && !process->has_ended)
            process_look_after(tree, process);
    }
    return ERR_OK;
}

/* It has told where it comes from; one that died before that is finished as it is. */
static void claim_hear(struct record_tree *tree, struct recorded_process *process) {
    struct control_slot *slot = &tree->slots->control->slots[process->slot];
    if (!atomic_load(&slot->is_told))
        return;
    uint32_t failure = atomic_load(&slot->failure);
    process->came = slot->came == CAME_START ? TREE_START : slot->came == CAME_FORK ? TREE_FORK : TREE_EXEC;
    process->parent_pid = slot->parent_pid;
    process->parent_life = slot->parent_life;
    process->fork_number = slot->fork_number;
    process->parent_stamp = slot->parent_stamp;
    if (slot->claimed_ns > tree->start_ns && slot->claimed_ns <= clock_now_ns())
        process->begin_us = (slot->claimed_ns - tree->start_ns) / 1000;
    process->state = process->came == TREE_FORK ? PROCESS_AWAITING : PROCESS_RUNNING;
    if (process->came == TREE_EXEC)
        forks_drop_needless(tree);
    if (!failure)
        return;
    process->state = PROCESS_RUNNING;
    process->err = diag_set(&process->diag, ERR_UNSUPPORTED, NULL,
                            "it could not open the recorder's /proc/PID/fd (%s): does it run as another user?",
                            strerror((int)failure));
}

/* A fork that its parent did not announce: what the parent has when it gets there, or has by now, if it is past. */
static bool inheritance_guess(struct record_tree *tree, struct recorded_process *process,
                              struct recorded_process *parent) {
    if (process->has_guess)
        return true;
    if (!parent || parent->state == PROCESS_NAMED || parent->err) {
        process->has_lost_inheritance = true;
        return true;
    }
    if (parent->state == PROCESS_CLAIMING) /* its own claim came in the same round */
        return false;
    bool has_more = parent->state == PROCESS_AWAITING || !parent->has_ended || parent->is_busy;
    if (has_more && merge_next(parent->merge) < process->parent_stamp) {
        if (process->parent_stamp < parent->guess_stamp)
            parent->guess_stamp = process->parent_stamp;
        return false;
    }
    return stamp_reached(tree, parent, NULL) == ERR_OK && process->has_guess;
}

/* The child has told how far its parent was when it was copied. What it tells is not trusted, nor can it do harm. */
static void fork_cut(const struct recorded_process *child, struct tree_fork *fork) {
    const struct record_shared *shared = child->session->shared;
    if (cut_apply(&fork->live, &fork->beside, shared->parent_heads,
                  shared->parent_ring_count < RECORD_RING_COUNT_MAX ? shared->parent_ring_count : RECORD_RING_COUNT_MAX,
                  &fork->uncertain_count))
        fork->uncertain_count = fork->beside.count + fork->beside.missed_count;
    cut_log_clear(&fork->beside);
}

/* Whether the parent may yet tell of a fork that its child tells of: it does so before the child can. */
static bool fork_may_come(const struct recorded_process *parent, const struct recorded_process *child) {
    return parent && !parent->err &&
           (parent->state != PROCESS_RUNNING || merge_next(parent->merge) < child->parent_stamp);
}

/* @return whether the process may run: its inheritance is there, or will never be. */
static bool inheritance_take(struct record_tree *tree, struct recorded_process *process) {
    struct recorded_process *parent = life_find(tree, process->parent_life);
    if (!process->fork_number)
        return inheritance_guess(tree, process, parent);
    struct tree_fork *fork = fork_find(tree, process->parent_life, process->fork_number);
    if (!fork) {
        process->has_lost_inheritance = !fork_may_come(parent, process) || tree->bounds.stop;
        return process->has_lost_inheritance;
    }
    if (!fork->is_over && parent && !parent->err && !tree->bounds.stop)
        return false;
    fork_cut(process, fork);
    namer_inherit(process->namer, &fork->live);
    process->inherited_uncertain_count = fork->uncertain_count;
    tree->report->uncertain_count += fork->uncertain_count;
    fork->is_claimed = true;
    fork->child = process;
    return true;
}

/* ---- the end of a process ---- */

static const char *end_text(const struct record_tree *tree, const struct recorded_process *process, char *buffer,
                            size_t buffer_bytes) {
    char status[64];
    const char *end = process->has_status    ? record_end_text(process->wait_status, status, sizeof status)
                      : process->is_replaced ? "exec"
                      : process->has_ended   ? "ended, nobody knows how"
                                             : "it ran on";
    bounds_describe(&tree->bounds, process->is_late, !process->has_status, buffer, buffer_bytes);
    size_t length = strlen(buffer);
    snprintf(buffer + length, buffer_bytes - length, "%s", end);
    return buffer;
}

static enum err row_without_trace(struct record_tree *tree, const struct recorded_process *process, const char *reason,
                                  struct diag *diag) {
    char end[256];
    struct tree_process *row = row_add(tree, diag);
    if (!row)
        return ERR_NOMEM;
    row->pid = process->pid;
    row->parent_pid = process->parent_pid;
    row->came = process->came;
    row->begin_us = process->begin_us;
    row->end_us = now_us(tree);
    row->command = process_command(process);
    if (!row->command && process->exec_path[0])
        trace_text_set(&row->command, process->exec_path);
    trace_text_set(&row->end, end_text(tree, process, end, sizeof end));
    return row_reason(row, reason) ? out_of_memory(diag) : ERR_OK;
}

/* What is to be said of one that has no trace; NULL: nothing, it never was a process of its own account. */
static const char *reason_find(const struct record_tree *tree, const struct recorded_process *process, char *buffer,
                               size_t buffer_bytes) {
    char path[RECORD_TEXT_BYTES];
    exec_path_of(process, path);
    if (process->err) {
        diag_format(&process->diag, buffer, buffer_bytes);
        return buffer;
    }
    if (!process->session && process->denied == NOTE_FOREIGN)
        return "it lives in a pid namespace of its own (unshare, a container): its processes cannot be told from "
               "others";
    if (!process->session && process->denied == NOTE_DENIED)
        return "too many processes at once for the limit on open files (ulimit -n)";
    if (path[0]) {
        exec_reason(process, path, buffer, buffer_bytes);
        return buffer;
    }
    if (process->session && atomic_load(&process->session->shared->hooks_lost))
        return "the interpreter replaced the recorder's hooks: run it without PYTHONMALLOC, PYTHONDEVMODE and -X dev";
    if (process->session && atomic_load(&process->session->shared->python_left_out))
        return "it is CPython, and --python=off leaves it out";
    if (process->session && atomic_load(&process->session->shared->malloc_elsewhere))
        return "it brings its own malloc, past which nothing came";
    if (tree->bounds.is_waiting && process->image_count)
        return "it ended before the time that --start-after gives";
    if (process->is_late)
        return "it made no allocation call after the time that --start-after gives";
    if (process->state == PROCESS_CLAIMING || process->state == PROCESS_AWAITING)
        return process->has_ended ? "it ended in its first allocation call"
                                  : "the recording ended before it was known what it had inherited";
    if (process->came == TREE_EXEC && process->state == PROCESS_NAMED)
        return NULL;
    return process->has_ended ? "it made no allocation call"
                              : "it had made no allocation call when the recording ended";
}

/* How it ended, and that the trace does not reach so far. */
static const char *end_text_whole(const struct record_tree *tree, const struct recorded_process *process, char *buffer,
                                  size_t buffer_bytes) {
    end_text(tree, process, buffer, buffer_bytes);
    size_t length = strlen(buffer);
    if (process->err)
        snprintf(buffer + length, buffer_bytes - length, "; the trace ends before: %.200s", process->diag.text);
    return buffer;
}

/* Why a trace may not be all of what its process did; NULL: it is. */
static const char *trace_doubt(const struct recorded_process *process) {
    const struct record_shared *shared = process->session->shared;
    if (process->has_lost_inheritance)
        return "what it inherited is not in the trace: its parent had gone, or did not tell of it";
    if (atomic_load(&shared->malloc_elsewhere))
        return "it brings its own malloc; only what passed through the preloaded one is in the trace";
    if (atomic_load(&shared->python_late))
        return "CPython came into it too late for its domains to be followed; only what it took from malloc is in the "
               "trace";
    if (atomic_load(&shared->deep_unbound) || atomic_load(&shared->namespaces))
        return "it opened libraries past the recorder (RTLD_DEEPBIND, dlmopen); what they took is not in the trace";
    if (atomic_load(&shared->deep_count))
        return "it opened libraries with RTLD_DEEPBIND; what their constructors took is not in the trace";
    return NULL;
}

static enum err process_close_trace(struct record_tree *tree, struct recorded_process *process, struct diag *diag) {
    char text[sizeof process->diag.text + sizeof process->diag.path];
    struct tree_process *row = row_add(tree, diag);
    if (!row)
        return ERR_NOMEM;
    process->err = process_trace_end(process, end_text_whole(tree, process, text, sizeof text), true, &tree->host, row,
                                     &process->diag);
    row->end_us = now_us(tree);
    report_add(tree, process, row);
    if (process->err) {
        diag_format(&process->diag, text, sizeof text);
        tree->report->fault_count++;
        return row_reason(row, text) ? out_of_memory(diag) : ERR_OK;
    }
    const char *doubt = trace_doubt(process);
    return doubt && row_reason(row, doubt) ? out_of_memory(diag) : ERR_OK;
}

/* Whether the image that is there now is worth a trace of its own. */
static bool process_has_trace(const struct recorded_process *process) {
    char path[RECORD_TEXT_BYTES];
    if (!process->session || !process->trace || process->state != PROCESS_RUNNING)
        return false;
    uint64_t own = process_own_operation_count(process);
    exec_path_of(process, path);
    if (path[0] || atomic_load(&process->session->shared->hooks_lost))
        return path[0] && own >= RECORD_IMAGE_OPERATIONS_KEPT;
    return own > 0;
}

static void process_forget(struct record_tree *tree, struct recorded_process *process) {
    struct recorded_process **link = &tree->processes;
    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
    if (tree->root == process)
        tree->root = NULL;
    tree->recent[tree->recent_count++ % RECENT_COUNT] = process->pid;
    forks_settle(tree, process);
    for (struct tree_fork *fork = tree->forks, *next; fork; fork = next) {
        next = fork->next;
        if (fork->child == process && (fork->is_claimed || !(fork->child = process_find(tree, process->pid))))
            fork_remove(tree, fork);
    }
    uint32_t slot = process->slot;
    bool has_slot = process->session != NULL;
    process_destroy(process);
    if (has_slot)
        slots_release(tree->slots, slot);
}

static enum err process_finish(struct record_tree *tree, struct recorded_process *process, struct diag *diag) {
    char buffer[1200], path[RECORD_TEXT_BYTES];
    enum err err = ERR_OK;
    bool has_trace = process_has_trace(process);
    exec_path_of(process, path);
    if (has_trace)
        err = process_close_trace(tree, process, diag);
    if (!err && (!has_trace || path[0])) {
        const char *reason = reason_find(tree, process, buffer, sizeof buffer);
        tree->report->fault_count += !has_trace && process->err && process->err != ERR_UNSUPPORTED;
        if (reason)
            err = row_without_trace(tree, process, reason, diag);
    }
    early_count(tree, process);
    process_forget(tree, process);
    return err;
}

/* Nobody can tell any more how it ended, or somebody has. */
static bool status_is_settled(const struct record_tree *tree, const struct recorded_process *process) {
    return process->has_status || process->is_replaced || !process_find(tree, process->parent_pid) ||
           clock_now_ns() - process->ended_ns > STATUS_PATIENCE_NS;
}

/* ---- the loop ---- */

static void process_fail(struct recorded_process *process, enum err err) {
    process->err = err;
    session_stop(process->session);
}

static bool process_advance(struct record_tree *tree, struct recorded_process *process) {
    bool progress = false;
    if (process->state == PROCESS_CLAIMING)
        claim_hear(tree, process);
    if (process->state == PROCESS_AWAITING && inheritance_take(tree, process)) {
        process->state = PROCESS_RUNNING;
        slots_answer(tree->slots, process->slot);
    }
    if (process->state != PROCESS_RUNNING || process->err)
        return false;
    enum err err = process_step(process, process->has_ended, &progress, &process->diag);
    if (err)
        process_fail(process, err);
    return progress && !err;
}

/* What has ended and has nothing more to say is taken off. Parents last: their children may still want from them. */
static enum err ended_finish(struct record_tree *tree, struct diag *diag) {
    enum err err = ERR_OK;
    for (struct recorded_process *process = tree->processes, *next; process && !err; process = next) {
        next = process->next;
        if (!process->ended_ns && process->has_ended) { /* when it was named; it may have made a claim since */
            process_has_ended(tree, process);
            continue;
        }
        bool is_drained = process->has_ended && !process->is_busy && process->state != PROCESS_AWAITING;
        if (is_drained && status_is_settled(tree, process))
            err = process_finish(tree, process, diag);
    }
    return err;
}

/* Whether there is anybody left that may have something to be recorded. */
static bool tree_is_alive(const struct record_tree *tree) {
    for (const struct recorded_process *process = tree->processes; process; process = process->next) {
        bool may_come = process->state != PROCESS_NAMED || (!process->exec_path[0] && process->denied != NOTE_FOREIGN);
        if (may_come || process->has_ended || process == tree->root)
            return true;
    }
    return false;
}

/* Those that have ended come before those that would begin: they hold memory and descriptors. */
static bool tree_has_room(const struct record_tree *tree) {
    unsigned ended = 0;
    for (const struct recorded_process *process = tree->processes; process; process = process->next)
        ended += process->has_ended && process->session;
    return ended < ENDED_COUNT_MAX;
}

static enum err tree_round(struct record_tree *tree, bool *progress, struct diag *diag) {
    *progress = false;
    if (tree_has_room(tree))
        slots_fill(tree->slots, named_fd_count(tree));
    notes_read(tree);
    enum err err = claims_take(tree, diag);
    for (struct recorded_process *process = tree->processes; process && !err; process = process->next) {
        process->is_busy = process_advance(tree, process);
        *progress = *progress || process->is_busy;
    }
    if (!err)
        err = ended_finish(tree, diag);
    if (!*progress || ++tree->round % ENDS_PERIOD == 0)
        ends_look(tree);
    return err;
}

/* An orphan that nobody has spoken of: it became our child when its parent ended. */
static bool orphans_find(struct record_tree *tree) {
    struct pid_list children = children_list();
    bool has_found = false;
    for (size_t i = 0; i < children.count; i++) {
        uint32_t pid = children.pids[i];
        if (process_find(tree, pid) || pid_list_has(&tree->strangers, pid))
            continue;
        struct recorded_process *process = process_add(tree, pid, 0);
        has_found = has_found || process;
        if (process)
            process->came = TREE_FORK;
    }
    free(children.pids);
    return has_found;
}

/* Of what is in traces, or, before they begin, of all. */
static uint64_t tree_event_count(const struct record_tree *tree) {
    uint64_t count = tree->bounds.is_waiting ? tree->early_event_count : tree->report->event_count;
    for (const struct recorded_process *process = tree->processes; process; process = process->next)
        count += process_event_count(process, tree->bounds.is_waiting);
    return count;
}

static bool tree_is_bounded(struct record_tree *tree) {
    tree->bounds.event_count = tree->bounds.is_waiting ? 0 : tree_event_count(tree);
    return bounds_reached(&tree->bounds);
}

/* All traces begin at one moment, each with what is alive in its process by then. */
static void traces_begin_late(struct record_tree *tree) {
    uint64_t event_count = tree_event_count(tree);
    if (!event_count || !bounds_start_due(&tree->bounds, event_count))
        return;
    bounds_start_now(&tree->bounds);
    for (struct recorded_process *process = tree->processes; process; process = process->next) {
        enum err err = process_begin_late(process, &process->diag);
        if (err)
            process_fail(process, err);
    }
}

/* What was written until everybody had heard that nothing is recorded any more. */
static enum err rest_drain(struct record_tree *tree) {
    bool progress = true;
    for (int pass = 0; progress && pass < REST_PASSES_MAX; pass++) {
        progress = false;
        for (struct recorded_process *process = tree->processes; process; process = process->next)
            progress = process_advance(tree, process) || progress;
    }
    return ERR_OK;
}

/* Once, when it will not be over in a moment. */
static void lingering_tell(struct record_tree *tree) {
    uint64_t others = 0;
    if (!tree->root_has_ended || tree->has_told || clock_now_ns() - tree->root_ended_ns < LINGERING_NS)
        return;
    for (const struct recorded_process *process = tree->processes; process; process = process->next)
        others += process->state != PROCESS_NAMED;
    tree->has_told = true;
    if (others && tree->output->program_ended)
        tree->output->program_ended(tree->output->ctx, others);
}

/* Now and then the sinks are to make last what they have, so that little is lost if the recorder dies. */
static void sinks_sync(struct record_tree *tree) {
    uint64_t now_ns = clock_now_ns();
    if (now_ns - tree->synced_ns < RECORD_SYNC_MS * UINT64_C(1000000))
        return;
    tree->synced_ns = now_ns;
    for (struct recorded_process *process = tree->processes; process; process = process->next) {
        enum err err = process_sync(process, &tree->host, &process->diag);
        if (err)
            process_fail(process, err);
    }
}

static enum err tree_drain(struct record_tree *tree, struct diag *diag) {
    bool progress;
    enum err err = ERR_OK;
    while (!err && !tree_is_bounded(tree)) {
        lingering_tell(tree);
        err = tree_round(tree, &progress, diag);
        if (tree->bounds.is_waiting)
            traces_begin_late(tree);
        sinks_sync(tree);
        if (err || progress)
            continue;
        if (tree_is_alive(tree))
            slots_sleep(tree->slots);
        else if (!orphans_find(tree))
            break;
    }
    slots_stop(tree->slots);
    guard_release();
    if (!err && tree->bounds.stop)
        err = rest_drain(tree);
    while (tree->processes) { /* those that run on; after a failure, too: what they have stands */
        enum err finished = process_finish(tree, tree->processes, err ? NULL : diag);
        err = err ? err : finished;
    }
    return err;
}

static enum err tree_start(struct record_tree *tree, struct diag *diag) {
    struct record_session *session = slots_first(tree->slots);
    struct control_slot *slot = &tree->slots->control->slots[0];
    slot->came = CAME_START;
    slot->parent_pid = tree->slots->control->recorder_pid;
    atomic_store(&slot->is_told, 1);
    session->address_fd = tree->slots->fd;
    session->claim_word = &slot->claim;
    session->files_max = &tree->files;
    bounds_start(&tree->bounds, tree->options);
    tree->start_ns = tree->synced_ns = tree->bounds.start_ns;
    tree->clock_start_ns = tree->options->time ? record_time_now_ns(tree->options->time) : 0;
    tree->strangers = children_list();
    enum err err = session_spawn(session, tree->options, diag);
    if (err)
        return err;
    guard_watch(session->pid);
    tree->root_pid = session->pid;
    tree->shim_fd = session->shim_fd; /* stays open as long as anybody may start */
    session->shim_fd = -1;
    if (!(tree->root = process_add(tree, (uint32_t)session->pid, slot->parent_pid)))
        return out_of_memory(diag);
    snprintf(tree->root->exec_path, CONTROL_PATH_BYTES, "%s", tree->options->argv[0]);
    return ERR_OK;
}

static enum err tree_create(struct record_tree *tree, struct diag *diag) {
    tree->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (tree->epoll < 0)
        return diag_errno(diag, ERR_IO, NULL, "cannot make an epoll descriptor");
    enum err err = pointer_map_init(&tree->trace_counts, false) ? out_of_memory(diag) : ERR_OK;
    if (!err)
        err = slots_create(tree->options, &tree->slots, diag);
    if (!err && (err = stage_create(&tree->stage)))
        diag_set(diag, err, NULL, "no memory or no thread for the recorder");
    if (!err && (record_host_describe(&tree->host, slots_first(tree->slots)->started) ||
                 record_time_describe(tree->options->time, &tree->host)))
        err = out_of_memory(diag);
    return err;
}

static void tree_clear(struct record_tree *tree) {
    if (tree->slots)
        slots_stop(tree->slots);
    for (struct recorded_process *process = tree->processes, *next; process; process = next) {
        next = process->next;
        process_destroy(process);
    }
    while (tree->forks)
        fork_remove(tree, tree->forks);
    free(tree->strangers.pids);
    pointer_map_free(&tree->trace_counts);
    slots_destroy(tree->slots);
    stage_destroy(tree->stage);
    trace_info_clear(&tree->host);
    if (tree->shim_fd >= 0)
        close(tree->shim_fd);
    if (tree->epoll >= 0)
        close(tree->epoll);
}

static enum err tree_describe(const struct record_tree *tree, struct diag *diag) {
    struct trace_tree *list = tree->list;
    enum err err = record_command_text(tree->options->argv, &list->command);
    if (!err)
        err = trace_text_set(&list->date, tree->host.capture_date);
    if (!err)
        err = trace_text_set(&list->tool, tree->host.capture_tool);
    return err ? out_of_memory(diag) : ERR_OK;
}

static enum err tree_run(struct record_tree *tree, struct diag *diag) {
    enum err err = tree_create(tree, diag);
    if (!err)
        err = tree_describe(tree, diag);
    if (!err)
        err = tree_start(tree, diag);
    if (!err)
        err = tree_drain(tree, diag);
    tree->report->duration_ns = clock_now_ns() - tree->bounds.start_ns;
    tree->report->stop = tree->bounds.stop;
    if (tree->slots)
        tree->report->denied_count = atomic_load(&tree->slots->control->denied_count);
    return err;
}

static enum err options_check(const struct record_options *options, struct diag *diag) {
    if (!options->argv || !options->argv[0])
        return diag_set(diag, ERR_USAGE, NULL, "no command to record");
    if (access(options->shim_path, R_OK))
        return diag_errno(diag, ERR_NOT_FOUND, options->shim_path, "the capture library is missing");
    return record_probe(options->argv[0], diag);
}

static void report_count(const struct trace_tree *list, struct record_tree_report *report) {
    report->process_count = list->process_count;
    for (size_t i = 0; i < list->process_count; i++)
        report->trace_count += list->processes[i].file != NULL;
}

enum err record_tree_run(const struct record_options *options, const struct record_tree_output *output,
                         struct trace_tree *list, struct record_tree_report *report, struct diag *diag) {
    struct record_tree tree = {
        .options = options, .output = output, .list = list, .report = report, .epoll = -1, .shim_fd = -1};
    memset(report, 0, sizeof *report);
    enum err err = options_check(options, diag);
    if (err)
        return err;
    if (getrlimit(RLIMIT_NOFILE, &tree.files))
        return diag_errno(diag, ERR_IO, NULL, "cannot tell how many files may be open");
    guard_begin();
    const struct rlimit raised = {tree.files.rlim_max, tree.files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &raised);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    err = tree_run(&tree, diag);
    tree_clear(&tree);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    setrlimit(RLIMIT_NOFILE, &tree.files);
    trace_tree_sort(list);
    report_count(list, report);
    return err;
}

bool record_tree_runs_on(struct record_tree_report *report) {
    return guard_is_watching() && !guard_poll(&report->wait_status);
}

void record_tree_wait(struct record_tree_report *report) {
    guard_wait(&report->wait_status);
    report->signal_number = guard_signal();
    guard_end();
}
