#include "traces/record/record_stage.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct stage_run {
    size_t count;
    struct event events[STAGE_RUN_EVENTS];
};

struct stage {
    struct event_sink sink;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t has_run;   /* told to the thread */
    pthread_cond_t has_space; /* told to the one who puts or flushes */
    uint64_t put_count;       /* runs ever put and taken off; a run is taken off after it has arrived */
    uint64_t taken_count;
    bool is_closed;
    enum err err; /* the sink's; once set, runs are taken off without being pushed */
    struct diag diag;
    struct stage_run runs[STAGE_RUN_COUNT];
};

static void run_push(struct stage *stage, const struct stage_run *run) {
    struct diag diag = {0};
    enum err err = stage->sink.put(stage->sink.ctx, run->events, run->count, &diag);
    if (!err)
        return;
    pthread_mutex_lock(&stage->mutex);
    stage->err = err;
    stage->diag = diag;
    pthread_mutex_unlock(&stage->mutex);
}

static void *stage_thread(void *ctx) {
    struct stage *stage = ctx;
    pthread_mutex_lock(&stage->mutex);
    for (;;) {
        while (stage->taken_count == stage->put_count && !stage->is_closed)
            pthread_cond_wait(&stage->has_run, &stage->mutex);
        if (stage->is_closed)
            break;
        struct stage_run *run = &stage->runs[stage->taken_count % STAGE_RUN_COUNT];
        bool is_wanted = !stage->err;
        pthread_mutex_unlock(&stage->mutex);
        if (is_wanted)
            run_push(stage, run);
        pthread_mutex_lock(&stage->mutex);
        stage->taken_count++;
        pthread_cond_signal(&stage->has_space);
    }
    pthread_mutex_unlock(&stage->mutex);
    return NULL;
}

/* Signals are for the thread that waits for the program. */
static int thread_start(struct stage *stage) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&stage->thread, NULL, stage_thread, stage);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

enum err stage_create(struct stage **out) {
    struct stage *stage = malloc(sizeof *stage); /* not cleared: the queue's pages come as they are needed */
    if (!stage)
        return ERR_NOMEM;
    memset(stage, 0, offsetof(struct stage, runs));
    pthread_mutex_init(&stage->mutex, NULL);
    pthread_cond_init(&stage->has_run, NULL);
    pthread_cond_init(&stage->has_space, NULL);
    if (thread_start(stage)) {
        free(stage);
        return ERR_IO;
    }
    *out = stage;
    return ERR_OK;
}

void stage_begin(struct stage *stage, struct event_sink sink) {
    pthread_mutex_lock(&stage->mutex);
    assert(stage->put_count == stage->taken_count);
    stage->sink = sink;
    pthread_mutex_unlock(&stage->mutex);
}

static enum err error_tell(const struct stage *stage, struct diag *diag) {
    if (stage->err && diag)
        *diag = stage->diag;
    return stage->err;
}

static enum err run_queue(void *ctx, const struct event *events, size_t count, struct diag *diag) {
    struct stage *stage = ctx;
    assert(count <= STAGE_RUN_EVENTS);
    pthread_mutex_lock(&stage->mutex);
    while (stage->put_count - stage->taken_count == STAGE_RUN_COUNT)
        pthread_cond_wait(&stage->has_space, &stage->mutex);
    enum err err = error_tell(stage, diag);
    if (!err) {
        struct stage_run *run = &stage->runs[stage->put_count % STAGE_RUN_COUNT];
        memcpy(run->events, events, count * sizeof *events);
        run->count = count;
        stage->put_count++;
        pthread_cond_signal(&stage->has_run);
    }
    pthread_mutex_unlock(&stage->mutex);
    return err;
}

struct event_sink stage_sink(struct stage *stage) {
    return (struct event_sink){.ctx = stage, .put = run_queue};
}

enum err stage_flush(struct stage *stage, struct diag *diag) {
    pthread_mutex_lock(&stage->mutex);
    while (stage->taken_count != stage->put_count)
        pthread_cond_wait(&stage->has_space, &stage->mutex);
    enum err err = error_tell(stage, diag);
    pthread_mutex_unlock(&stage->mutex);
    return err;
}

void stage_destroy(struct stage *stage) {
    if (!stage)
        return;
    pthread_mutex_lock(&stage->mutex);
    stage->is_closed = true;
    pthread_cond_signal(&stage->has_run);
    pthread_mutex_unlock(&stage->mutex);
    pthread_join(stage->thread, NULL);
    pthread_cond_destroy(&stage->has_run);
    pthread_cond_destroy(&stage->has_space);
    pthread_mutex_destroy(&stage->mutex);
    free(stage);
}
