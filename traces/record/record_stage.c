#include "traces/record/record_stage.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct stage_run {
    struct stage_run *next; /* of the queue, or of the free ones */
    struct stage *stage;    /* whose events these are */
    size_t count;           /* 0: no events, but the sink's flush */
    bool is_timed;
    struct event events[STAGE_RUN_EVENTS];
    uint64_t times_ns[STAGE_RUN_EVENTS];
};

/* What stages share. */
struct stage_queue {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t has_run;   /* told to the thread */
    pthread_cond_t has_space; /* told to those who put or flush */
    struct stage_run *first, *last;
    struct stage_run *vacant; /* the last one used on top: while the sink keeps up, a few runs stay in the cache */
    uint32_t run_top;         /* runs from here on have never been used */
    uint32_t run_count;       /* in use */
    bool is_late;             /* the sinks have been told that they are awaited */
    uint32_t user_count;
    bool is_closed;
    struct stage_run runs[STAGE_RUN_COUNT];
};

struct stage {
    struct stage_queue *queue;
    struct event_sink sink;
    uint64_t queued_count; /* own runs in the queue */
    bool is_dropped;       /* nobody wants what is queued */
    bool is_late;          /* what its sink was told last; the queue's thread alone looks at it */
    enum err err;          /* the sink's; once set, runs are taken off without being pushed */
    struct diag diag;
};

/* A sink that falls behind is told before anybody has to wait for it, and when it has caught up. */
enum { LATE_RUNS = STAGE_RUN_COUNT / 8, IN_TIME_RUNS = STAGE_RUN_COUNT / 64 };

static void run_push(const struct stage_run *run, bool is_late) {
    struct stage *stage = run->stage;
    struct diag diag = {0};
    if (stage->sink.press && is_late != stage->is_late)
        stage->sink.press(stage->sink.ctx, is_late);
    stage->is_late = is_late;
    const uint64_t *times_ns = run->is_timed ? run->times_ns : NULL;
    enum err err = run->count          ? event_sink_put(&stage->sink, run->events, times_ns, run->count, &diag)
                   : stage->sink.flush ? stage->sink.flush(stage->sink.ctx, &diag)
                                       : ERR_OK;
    if (!err)
        return;
    pthread_mutex_lock(&stage->queue->mutex);
    stage->err = err;
    stage->diag = diag;
    pthread_mutex_unlock(&stage->queue->mutex);
}

/* The run has gone into the sink, or nowhere. The mutex is held. */
static void run_release(struct stage_queue *queue, struct stage_run *run) {
    run->stage->queued_count--;
    run->next = queue->vacant;
    queue->vacant = run;
    queue->run_count--;
    pthread_cond_signal(&queue->has_space);
}

static void *queue_thread(void *ctx) {
    struct stage_queue *queue = ctx;
    pthread_mutex_lock(&queue->mutex);
    for (;;) {
        while (!queue->first && !queue->is_closed)
            pthread_cond_wait(&queue->has_run, &queue->mutex);
        if (queue->is_closed)
            break;
        struct stage_run *run = queue->first;
        queue->first = run->next;
        bool is_wanted = !run->stage->err && !run->stage->is_dropped;
        queue->is_late = queue->run_count > (queue->is_late ? IN_TIME_RUNS : LATE_RUNS);
        bool is_late = queue->is_late;
        pthread_mutex_unlock(&queue->mutex);
        if (is_wanted)
            run_push(run, is_late);
        pthread_mutex_lock(&queue->mutex);
        run_release(queue, run);
    }
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

/* Signals are for the thread that waits for the program. */
static int thread_start(struct stage_queue *queue) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&queue->thread, NULL, queue_thread, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static enum err queue_create(struct stage_queue **out) {
    struct stage_queue *queue = malloc(sizeof *queue); /* not cleared: the pages come as they are needed */
    if (!queue)
        return ERR_NOMEM;
    memset(queue, 0, offsetof(struct stage_queue, runs));
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->has_run, NULL);
    pthread_cond_init(&queue->has_space, NULL);
    if (thread_start(queue)) {
        free(queue);
        return ERR_IO;
    }
    *out = queue;
    return ERR_OK;
}

static void queue_destroy(struct stage_queue *queue) {
    pthread_mutex_lock(&queue->mutex);
    queue->is_closed = true;
    pthread_cond_signal(&queue->has_run);
    pthread_mutex_unlock(&queue->mutex);
    pthread_join(queue->thread, NULL);
    pthread_cond_destroy(&queue->has_run);
    pthread_cond_destroy(&queue->has_space);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

static enum err stage_attach(struct stage_queue *queue, struct stage **out) {
    struct stage *stage = calloc(1, sizeof *stage);
    if (!stage)
        return ERR_NOMEM;
    stage->queue = queue;
    queue->user_count++;
    *out = stage;
    return ERR_OK;
}

enum err stage_create(struct stage **out) {
    struct stage_queue *queue;
    enum err err = queue_create(&queue);
    if (err)
        return err;
    err = stage_attach(queue, out);
    if (err)
        queue_destroy(queue);
    return err;
}

enum err stage_join(struct stage *other, struct stage **out) {
    return stage_attach(other->queue, out);
}

void stage_begin(struct stage *stage, struct event_sink sink) {
    pthread_mutex_lock(&stage->queue->mutex);
    assert(stage->queued_count == 0);
    stage->sink = sink;
    stage->is_late = false;
    pthread_mutex_unlock(&stage->queue->mutex);
}

static enum err error_tell(const struct stage *stage, struct diag *diag) {
    if (stage->err && diag)
        *diag = stage->diag;
    return stage->err;
}

/* Waits for a run that is free. The mutex is held. */
static struct stage_run *run_take(struct stage_queue *queue) {
    while (!queue->vacant && queue->run_top == STAGE_RUN_COUNT)
        pthread_cond_wait(&queue->has_space, &queue->mutex);
    struct stage_run *run = queue->vacant;
    if (!run)
        return &queue->runs[queue->run_top++];
    queue->vacant = run->next;
    return run;
}

static void run_append(struct stage_queue *queue, struct stage_run *run) {
    run->next = NULL;
    if (queue->first)
        queue->last->next = run;
    else
        queue->first = run;
    queue->last = run;
    queue->run_count++;
    run->stage->queued_count++;
    pthread_cond_signal(&queue->has_run);
}

static enum err run_queue_timed(void *ctx, const struct event *events, const uint64_t *times_ns, size_t count,
                                struct diag *diag) {
    struct stage *stage = ctx;
    struct stage_queue *queue = stage->queue;
    assert(count <= STAGE_RUN_EVENTS);
    pthread_mutex_lock(&queue->mutex);
    enum err err = error_tell(stage, diag);
    if (!err) {
        struct stage_run *run = run_take(queue);
        if (count)
            memcpy(run->events, events, count * sizeof *events);
        run->is_timed = times_ns != NULL;
        if (times_ns)
            memcpy(run->times_ns, times_ns, count * sizeof *times_ns);
        run->stage = stage;
        run->count = count;
        run_append(queue, run);
    }
    pthread_mutex_unlock(&queue->mutex);
    return err;
}

static enum err run_queue(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    return run_queue_timed(ctx, events, NULL, count, diag);
}

static enum err flush_queue(void *ctx, struct diag *diag) {
    return run_queue(ctx, NULL, 0, diag);
}

struct event_sink stage_sink(struct stage *stage) {
    return (struct event_sink){.ctx = stage, .put = run_queue, .put_timed = run_queue_timed, .flush = flush_queue};
}

enum err stage_flush(struct stage *stage, struct diag *diag) {
    struct stage_queue *queue = stage->queue;
    pthread_mutex_lock(&queue->mutex);
    while (stage->queued_count)
        pthread_cond_wait(&queue->has_space, &queue->mutex);
    enum err err = error_tell(stage, diag);
    pthread_mutex_unlock(&queue->mutex);
    return err;
}

void stage_destroy(struct stage *stage) {
    if (!stage)
        return;
    struct stage_queue *queue = stage->queue;
    if (--queue->user_count == 0) {
        queue_destroy(queue);
    } else {
        pthread_mutex_lock(&queue->mutex);
        stage->is_dropped = true;
        while (stage->queued_count)
            pthread_cond_wait(&queue->has_space, &queue->mutex);
        pthread_mutex_unlock(&queue->mutex);
    }
    free(stage);
}
