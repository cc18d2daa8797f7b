/*
 * Allocates in every way that is hard to record, and tells exactly what it did (stress_tally.h): threads that are born
 * and die all the time hand blocks to each other through atomic exchanges, grow and free each other's; destructors
 * allocate; signal handlers allocate, one inside the other, wherever the allocator is not at work; threads fork, the
 * children allocate and end in many ways; at last the program becomes itself anew by exec, or ends in one of many ways.
 *
 * usage: traced_stress SEED THREADS OPERATIONS REPORT FLAGS [IMAGE]
 * FLAGS: s signals, f forks, x exec at the end, e an end of any kind; IMAGE: the how-manieth image this is
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress_tally.h"

enum { SLOTS = 48, HANDLER_SLOTS = 8, OWN = 16, ALIVE = 4, REPORT_BYTES = 1 << 17, MAGIC = 0x5eed };

/* At the start of every block of the program's own. Blocks hold at least this. */
struct header {
    uint32_t maker;
    uint16_t magic;
    uint8_t context;
    uint8_t epoch;
    uint64_t serial;
    uint64_t size_bytes;
};

struct worker {
    uint32_t id;
    uint32_t state; /* of the draws */
    volatile sig_atomic_t is_active;
    volatile sig_atomic_t is_calling; /* the allocator: a handler that comes now may not */
    uint64_t births[STRESS_CONTEXT_COUNT];
    struct header *own[OWN]; /* that no other thread sees */
    void *tag;
};

static struct stress_tally tallies[STRESS_THREADS_MAX][STRESS_CONTEXT_COUNT];
static struct header *_Atomic slots[SLOTS];
static struct header *_Atomic handler_slots[STRESS_CONTEXT_COUNT][HANDLER_SLOTS];
static __thread struct worker *volatile self;
static pthread_key_t key;
static _Atomic uint32_t fork_budget;
static uint32_t seed;
static uint32_t operations;
static uint32_t thread_count;
static uint8_t epoch; /* forks between the first image's start and this process */
static const char *report_path;
static const char *flags;
static int image = 1;

static void fail(const char *what) {
    char text[128];
    int length = snprintf(text, sizeof text, "traced_stress: %s\n", what);
    if (write(2, text, (size_t)length) < 0)
        _exit(98);
    _exit(99);
}

static uint32_t draw(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* ---- the program's own blocks ---- */

static struct header *block_made(struct worker *worker, enum stress_context context, void *memory, uint64_t bytes) {
    struct header *block = memory;
    if (!block)
        fail("no memory");
    *block = (struct header){worker->id, MAGIC, (uint8_t)context, epoch, ++worker->births[context], bytes};
    return block;
}

static struct stress_tally *tally_of(const struct worker *worker, enum stress_context context) {
    return &tallies[worker->id][context];
}

static void ended(const struct worker *worker, enum stress_context context, enum stress_kind kind,
                  const struct header *old, uint64_t bytes) {
    if (old->magic != MAGIC || old->context != context)
        fail("a block was overwritten");
    if (old->epoch == epoch)
        stress_count(tally_of(worker, context), worker->id, kind, old->maker, old->serial, bytes);
    else
        stress_count(tally_of(worker, context), worker->id, kind, STRESS_INHERITED, old->size_bytes, bytes);
}

static struct header *make(struct worker *worker, enum stress_context context, uint32_t how) {
    uint64_t bytes = stress_size(context, 2 + (how >> 8) % ((how & 7) == 7 ? 600 : 30));
    void *memory = NULL;
    enum stress_kind kind = STRESS_MALLOC;
    worker->is_calling++;
    switch (how >> 4 & 7) {
    case 0:
        memory = calloc(1, bytes);
        kind = STRESS_CALLOC;
        for (uint64_t i = 0; memory && i < bytes; i++)
            if (((char *)memory)[i])
                fail("calloc gave no zeros");
        break;
    case 1:
        if (posix_memalign(&memory, (size_t)32 << (how >> 20) % 6, bytes))
            memory = NULL;
        kind = STRESS_ALIGNED;
        break;
    case 2:
        memory = realloc(NULL, bytes);
        kind = STRESS_REALLOC;
        break;
    default:
        memory = malloc(bytes);
    }
    worker->is_calling--;
    stress_count(tally_of(worker, context), worker->id, kind, STRESS_NOBODY, 0, bytes);
    return block_made(worker, context, memory, bytes);
}

static void give_back(struct worker *worker, enum stress_context context, struct header *block) {
    if (!block)
        return;
    const struct header old = *block;
    ended(worker, context, STRESS_FREE, &old, 0);
    worker->is_calling++;
    if (old.serial % 8)
        free(block);
    else if (realloc(block, 0)) /* which frees, here */
        fail("realloc to 0 gave a block");
    worker->is_calling--;
}

static struct header *grow(struct worker *worker, enum stress_context context, struct header *block, uint32_t how) {
    const struct header old = *block;
    uint64_t bytes = stress_size(context, 2 + how % ((how >> 16 & 7) == 7 ? 2000 : 60));
    ended(worker, context, STRESS_REALLOC, &old, bytes);
    worker->is_calling++;
    void *memory = realloc(block, bytes);
    worker->is_calling--;
    return block_made(worker, context, memory, bytes);
}

/* ---- signal handlers ---- */

static void handler_act(enum stress_context context, uint32_t how) {
    struct worker *worker = self;
    int saved = errno;
    if (!worker || !worker->is_active || worker->is_calling)
        return;
    struct header *block = make(worker, context, how);
    block = atomic_exchange(&handler_slots[context][how >> 8 & (HANDLER_SLOTS - 1)], block);
    if (block && (how & 3) == 0)
        block = atomic_exchange(&handler_slots[context][how >> 12 & (HANDLER_SLOTS - 1)],
                                grow(worker, context, block, how));
    give_back(worker, context, block);
    errno = saved;
}

static void nested_handle(int number) {
    static _Atomic uint32_t state = 77;
    (void)number;
    handler_act(STRESS_NESTED, atomic_fetch_add(&state, 0x9e3779b9u) * 2654435761u);
}

static void alarm_handle(int number) {
    static _Atomic uint32_t state = 99;
    uint32_t how = atomic_fetch_add(&state, 0x9e3779b9u) * 2654435761u;
    (void)number;
    handler_act(STRESS_HANDLER, how);
    if ((how >> 28 & 3) == 0)
        raise(SIGUSR2); /* at once, inside this one */
    handler_act(STRESS_HANDLER, how * 31);
}

static void signals_begin(void) {
    struct sigaction action = {.sa_handler = alarm_handle, .sa_flags = SA_RESTART};
    struct sigaction nested = {.sa_handler = nested_handle, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR2, &nested, NULL);
    const struct itimerval often = {{0, 150}, {0, 150}};
    setitimer(ITIMER_REAL, &often, NULL);
}

static void signals_end(void) {
    const struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    usleep(2000);
}

/* ---- threads ---- */

static void tag_open(struct worker *worker, uint32_t id) {
    *worker = (struct worker){.id = id, .state = (seed + id) * 2654435761u | 1};
    worker->tag = malloc(STRESS_TAG_BYTES + id);
    self = worker;
    worker->is_active = 1;
}

static void tag_close(struct worker *worker) {
    worker->is_active = 0;
    self = NULL;
    free(worker->tag);
}

static void report_write(const char *role) {
    static char text[REPORT_BYTES];
    int used = snprintf(text, sizeof text, "stress %d %d %s %u\n", (int)getpid(), image, role, thread_count);
    for (uint32_t id = 0; id < thread_count; id++)
        for (int context = 0; context < STRESS_CONTEXT_COUNT; context++) {
            const struct stress_tally *tally = &tallies[id][context];
            used += snprintf(text + used, sizeof text - (size_t)used, "%u %d %lu %lu %lu %lu %lu %lu %lu %lx\n", id,
                             context, tally->counts[0], tally->counts[1], tally->counts[2], tally->counts[3],
                             tally->counts[4], tally->handed_count, tally->bytes, tally->order);
        }
    int fd = open(report_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, text, (size_t)used) != used)
        fail("cannot write the report");
    close(fd);
}

static void image_exec(const char *next_flags) {
    char words[3][16];
    snprintf(words[0], sizeof words[0], "%u", seed + 1000);
    snprintf(words[1], sizeof words[1], "%u", operations / 4 + 10);
    snprintf(words[2], sizeof words[2], "%d", image + 1);
    execl("/proc/self/exe", "traced_stress", words[0], "3", words[1], report_path, next_flags, words[2], (char *)NULL);
    fail("cannot exec");
}

/* In the child of a thread that forked: the only thread there. `forker` is its parent's, with blocks it inherits. */
static void child_run(struct worker *forker, uint32_t how) {
    struct worker worker;
    bool becomes = (how & 7) == 0;
    struct header *inherited[OWN];
    memcpy(inherited, forker->own, sizeof inherited);
    self = NULL;
    epoch++;
    memset(tallies, 0, sizeof tallies);
    thread_count = 1;
    tag_open(&worker, 0);
    for (int i = 0; i < 200; i++) {
        uint32_t what = draw(&worker.state);
        struct header **place = &worker.own[what % OWN];
        if (*place && what & 64)
            *place = grow(&worker, STRESS_ORDINARY, *place, what >> 7);
        else {
            give_back(&worker, STRESS_ORDINARY, *place);
            *place = make(&worker, STRESS_ORDINARY, what >> 7);
        }
    }
    for (int i = 0; i < OWN; i++) {
        if (inherited[i] && i & 1)
            inherited[i] = grow(&worker, STRESS_ORDINARY, inherited[i], (uint32_t)i * 77);
        give_back(&worker, STRESS_ORDINARY, inherited[i]);
    }
    tag_close(&worker);
    if (becomes) /* too short to leave a trace of its own */
        image_exec("e");
    report_write("child");
    if ((how & 7) == 1)
        kill(getpid(), SIGKILL);
    if ((how & 7) == 2)
        abort();
    _exit(7);
}

static void fork_once(struct worker *worker, uint32_t how) {
    uint32_t left = atomic_load(&fork_budget);
    while (left && !atomic_compare_exchange_weak(&fork_budget, &left, left - 1)) {
    }
    if (!left)
        return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGALRM, SIG_IGN);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        child_run(worker, how);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
}

static void step(struct worker *worker) {
    uint32_t what = draw(&worker->state), how = draw(&worker->state);
    struct header *_Atomic *from = &slots[what >> 8 & 31], *_Atomic *to = &slots[what >> 16 & 31];
    struct header **own = &worker->own[what >> 8 & (OWN - 1)];
    struct header *block;
    switch (what & 7) {
    case 0:
    case 1:
        give_back(worker, STRESS_ORDINARY, atomic_exchange(to, make(worker, STRESS_ORDINARY, how)));
        break;
    case 2:
    case 3:
    case 4: /* the race: somebody else may have the very address the moment it is free */
        block = atomic_exchange(from, NULL);
        block = block ? grow(worker, STRESS_ORDINARY, block, how) : make(worker, STRESS_ORDINARY, how);
        give_back(worker, STRESS_ORDINARY, atomic_exchange(to, block));
        break;
    case 5:
        give_back(worker, STRESS_ORDINARY, atomic_exchange(from, NULL));
        break;
    default:
        give_back(worker, STRESS_ORDINARY, *own);
        *own = make(worker, STRESS_ORDINARY, how);
    }
    if ((what >> 21) == 5)
        fork_once(worker, how);
    if ((what >> 22) == 3)
        sched_yield();
}

static void worker_end(void *argument) {
    struct worker *worker = argument;
    for (int i = 0; i < OWN; i++)
        give_back(worker, STRESS_ORDINARY, worker->own[i]);
    give_back(worker, STRESS_ORDINARY, atomic_exchange(&slots[worker->id % SLOTS], NULL));
    tag_close(worker);
}

static void *worker_run(void *id) {
    static __thread struct worker worker;
    tag_open(&worker, (uint32_t)(uintptr_t)id);
    if (worker.id % 3 == 0)
        pthread_setspecific(key, &worker); /* this one ends in its destructor */
    for (uint32_t i = 0; i < operations; i++)
        step(&worker);
    if (worker.id % 3)
        worker_end(&worker);
    return NULL;
}

static void threads_run(struct worker *main_worker) {
    pthread_t alive[ALIVE];
    for (uint32_t id = 1; id < thread_count + ALIVE; id++) {
        if (id > ALIVE)
            pthread_join(alive[id % ALIVE], NULL);
        main_worker->is_calling++; /* pthread_create allocates, too */
        if (id < thread_count && pthread_create(&alive[id % ALIVE], NULL, worker_run, (void *)(uintptr_t)id))
            fail("cannot make a thread");
        main_worker->is_calling--;
    }
}

/* ---- ends ---- */

static void fault_handle(int number) {
    char text[64];
    self = NULL;
    free(malloc(100));
    snprintf(text, sizeof text, "%d", number);
    signal(number, SIG_DFL);
}

static void *exit_run(void *unused) {
    (void)unused;
    exit(3);
}

static void image_end(void) {
    static char small[8192];
    const stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
    struct sigaction action = {.sa_handler = fault_handle, .sa_flags = SA_ONSTACK};
    pthread_t thread;
    switch (seed % 6) {
    case 0:
        abort();
    case 1:
        kill(getpid(), SIGKILL);
        break;
    case 2:
        _exit(3);
    case 3: /* its handler allocates, on a stack that is nearly too small */
        sigaltstack(&stack, NULL);
        sigaction(SIGSEGV, &action, NULL);
        *(volatile int *)(uintptr_t)16 = 1;
        break;
    case 4:
        pthread_create(&thread, NULL, exit_run, NULL);
        pause();
        break;
    default:
        exit(3);
    }
}

int main(int argc, char **argv) {
    if (argc < 6)
        return 2;
    seed = (uint32_t)atol(argv[1]);
    thread_count = (uint32_t)atol(argv[2]) + 1; /* and this one */
    operations = (uint32_t)atol(argv[3]);
    report_path = argv[4];
    flags = argv[5];
    image = argc > 6 ? atoi(argv[6]) : 1;
    if (thread_count > STRESS_THREADS_MAX - ALIVE)
        return 2;
    struct worker worker;
    atomic_store(&fork_budget, strchr(flags, 'f') ? 6 : 0);
    pthread_key_create(&key, worker_end);
    tag_open(&worker, 0);
    if (strchr(flags, 's'))
        signals_begin();
    threads_run(&worker);
    if (strchr(flags, 's'))
        signals_end();
    for (int i = 0; i < SLOTS; i++)
        give_back(&worker, STRESS_ORDINARY, atomic_exchange(&slots[i], NULL));
    tag_close(&worker);
    report_write("image");
    if (strchr(flags, 'x'))
        image_exec("e");
    if (strchr(flags, 'e'))
        image_end();
    return 0;
}
