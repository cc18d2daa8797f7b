/* Process trees of every shape. Sizes tell who made a block: 500 the parent before it forked, 600 a child, 700 a leaf.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "traces/record/record_control.h"
#include "traces/record/record_ring.h"

enum {
    KEPT = 300,
    CHILD_BLOCKS = 50,
    THREADS = 3,
    STORMED = 64,
    FORKS_BESIDE_THREADS = 20,
    AT_ONCE = 10,
    CROWD_BLOCKS = 20000,
    UNSEEN = 20,
    NUMBER_TRIES = 500,
    RING_OVERRUN = 400000, /* operations that no ring holds */
    CANNOT = 77,           /* exit code: not allowed to, here */
    STACK_BYTES = 1 << 16,
    STORM_NS = 40000
};

extern char **environ;

static void *kept[KEPT];
static _Atomic int is_over;

static void kept_fill(void) {
    for (int i = 0; i < KEPT; i++)
        kept[i] = malloc(500);
}

static void blocks_make(size_t bytes, int count) {
    for (int i = 0; i < count; i++) {
        volatile char *block = malloc(bytes);
        block[0] = 1;
        free((void *)block);
    }
}

/* A child's life: it frees what it inherited. */
static void child_live(void) {
    blocks_make(600, CHILD_BLOCKS);
    for (int i = 0; i < KEPT; i++)
        free(kept[i]);
}

static void child_run(void) {
    child_live();
    _exit(0);
}

static int nested_run(int depth) {
    int status = 0;
    if (!depth)
        return 0;
    pid_t child = fork();
    if (child == 0) {
        blocks_make(600, CHILD_BLOCKS);
        free(kept[depth]);
        kept[depth] = malloc(501);
        _exit(nested_run(depth - 1));
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

/* A block is in its place from when malloc has returned until free is called: the child of a fork can free them all. */
static void *volatile stormed[THREADS][STORMED];

static void stormed_free(void *volatile *place) {
    void *block = *place;
    *place = NULL;
    free(block);
}

static void *storm(void *places) {
    void *volatile *own = places;
    for (unsigned i = 0; !atomic_load(&is_over); i++) {
        stormed_free(&own[i % STORMED]);
        own[i % STORMED] = i % 3 ? malloc(16 + i % 200) : realloc(malloc(20), 16 + i % 200);
    }
    for (int i = 0; i < STORMED; i++)
        stormed_free(&own[i]);
    return NULL;
}

/* Frees all that there is, and takes what has been free: an address that is not what its trace says would show. */
static void child_beside_threads_run(void) {
    for (int i = 0; i < THREADS * STORMED; i++)
        stormed_free(&stormed[i / STORMED][i % STORMED]);
    for (size_t bytes = 16; bytes < 216; bytes++)
        for (int i = 0; i < 8; i++)
            if (!malloc(bytes))
                _exit(1);
    child_run();
}

static int beside_threads_run(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, storm, (void *)(uintptr_t)stormed[i]);
    for (int i = 0; i < FORKS_BESIDE_THREADS; i++) {
        pid_t child = fork();
        if (child == 0)
            child_beside_threads_run();
        waitpid(child, NULL, 0);
    }
    atomic_store(&is_over, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static int daemon_run(void) {
    if (fork())
        return 0;
    setsid();
    if (fork())
        _exit(0);
    child_live();
    usleep(150000); /* outlives everybody above it */
    blocks_make(600, CHILD_BLOCKS);
    _exit(7);
}

static int leaf_run(void) {
    blocks_make(700, 10);
    return 3;
}

static int vfork_run(char *self) {
    int status;
    pid_t child = vfork();
    if (child == 0) {
        execl(self, self, "leaf", (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static int spawn_run(char *self) {
    int status;
    pid_t child;
    char command[4200];
    char *words[] = {self, "leaf", NULL};
    if (posix_spawn(&child, self, NULL, NULL, words, environ))
        return 1;
    waitpid(child, &status, 0);
    snprintf(command, sizeof command, "exec %s leaf", self);
    if (WEXITSTATUS(system(command)) != 3)
        return 1;
    FILE *pipe = popen(command, "r");
    return WEXITSTATUS(pclose(pipe)) == 3 && WEXITSTATUS(status) == 3 ? 0 : 1;
}

static int killed_run(void) {
    int ready[2];
    char byte;
    if (pipe(ready))
        return 1;
    pid_t child = fork();
    if (child == 0) {
        child_live();
        for (;;) {
            blocks_make(600, 1000);
            if (write(ready[1], "x", 1) != 1)
                _exit(1);
        }
    }
    for (int i = 0; i < 5; i++)
        if (read(ready[0], &byte, 1) != 1)
            return 1;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}

static int exec_run(char *self, char *program, int block_count, int is_bare) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        char *words[] = {self, "leaf", NULL};
        blocks_make(600, block_count);
        if (is_bare)
            syscall(SYS_execve, program, words, environ);
        execl(program, self, "leaf", (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Forks, becomes itself again, and forks again; then makes a file, empty, to say so. */
static int again_run(char *self, char *file) {
    if (fork() == 0)
        child_run();
    wait(NULL);
    blocks_make(600, 600); /* enough for a trace of its own */
    execl(self, self, "again-leaf", file, (char *)NULL);
    return 127;
}

static int again_leaf_run(const char *file) {
    blocks_make(700, 10);
    if (fork() == 0) {
        blocks_make(600, CHILD_BLOCKS);
        _exit(0);
    }
    wait(NULL);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    return fd < 0 || close(fd);
}

/* A child that ends early; then parent and child do something, wait for a file, at most for a while, and do more. */
static int late_run(const char *file) {
    if (fork() == 0)
        child_run();
    wait(NULL);
    pid_t child = fork();
    blocks_make(600, CHILD_BLOCKS);
    for (int i = 0; i < 4000 && access(file, F_OK); i++)
        usleep(5000);
    blocks_make(700, 10);
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return 0;
}

static int many_run(int count) {
    for (int i = 0; i < count; i++) {
        if (i >= AT_ONCE)
            wait(NULL);
        if (fork() == 0)
            child_run();
    }
    while (wait(NULL) > 0) {
    }
    return 0;
}

/* All are there at once, and have done nothing yet. */
static int crowd_run(int count) {
    for (int i = 0; i < count; i++)
        if (fork() == 0) {
            usleep(400000);
            blocks_make(601, CROWD_BLOCKS);
            _exit(0);
        }
    while (wait(NULL) > 0) {
    }
    return 0;
}

/* A child that is the first of a pid namespace, a child of that, and a program there. */
static int namespace_run(char *self) {
    int status;
    if (unshare(CLONE_NEWPID))
        return CANNOT;
    pid_t child = fork();
    if (child == 0) {
        blocks_make(600, CHILD_BLOCKS);
        if (fork() == 0)
            child_run();
        wait(&status);
        execl(self, self, "leaf", (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

/* A child that does nothing while its parent does a lot. */
static int idle_run(void) {
    int gate[2];
    char byte;
    if (pipe(gate))
        return 1;
    pid_t child = fork();
    if (child == 0) {
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) != 0);
    }
    blocks_make(601, RING_OVERRUN);
    close(gate[1]);
    waitpid(child, NULL, 0);
    return 0;
}

/* Frees what was made unseen, and becomes another program at once. */
static int unseen_run(char *self) {
    void *libc = dlopen("libc.so.6", RTLD_NOLOAD | RTLD_LAZY);
    void *(*unseen_malloc)(size_t);
    *(void **)&unseen_malloc = dlsym(libc, "malloc");
    blocks_make(600, 1500);
    for (int i = 0; i < UNSEEN; i++)
        free(unseen_malloc(33));
    execl(self, self, "leaf", (char *)NULL);
    return 127;
}

/* As if a process had been killed between taking a note's number and writing it. */
static int torn_note_run(char *self, char *program) {
    int fd = open(getenv(RECORD_ENVIRONMENT), O_RDWR);
    struct record_control *control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (control == MAP_FAILED)
        return 1;
    atomic_fetch_add(&control->exec_count, 1);
    exec_run(self, program, 0, 0);
    usleep(500000);
    return 0;
}

static int clone_child(void *unused) {
    (void)unused;
    child_run();
    return 0;
}

static int clone_run(void) {
    static char stack[STACK_BYTES] __attribute__((aligned(16)));
    pid_t child = clone(clone_child, stack + STACK_BYTES, SIGCHLD, NULL);
    waitpid(child, NULL, 0);
    return 0;
}

/* A fork of the C library's own, and after it a child that nobody announces. 77: there are no terminals here. */
static int forkpty_run(void) {
    int terminal;
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child < 0)
        return 77;
    if (child == 0)
        child_run();
    waitpid(child, NULL, 0);
    return clone_run();
}

static int late_child(void *unused) {
    (void)unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    blocks_make(601, RING_OVERRUN);
    _exit(4);
}

/* The C library forks by itself, and then there is a child that nobody tells of. */
static int untold_run(void) {
    static char stack[STACK_BYTES] __attribute__((aligned(16)));
    int terminal, status;
    alarm(30);
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child == 0)
        child_run();
    if (child < 0)
        return CANNOT;
    waitpid(child, NULL, 0);
    child = clone(late_child, stack + STACK_BYTES, SIGCHLD, NULL);
    waitpid(child, &status, 0);
    return WEXITSTATUS(status) == 4 ? 0 : 1;
}

static void allocating(int number) {
    (void)number;
    free(malloc(700));
}

/* In the calling process, from now on: real-time signals, which no one holds back. */
static void storm_begin(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    const struct itimerspec often = {{.tv_nsec = STORM_NS}, {.tv_nsec = STORM_NS}};
    int timer;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) ||
        syscall(SYS_timer_settime, timer, 0, &often, NULL))
        _exit(1);
}

/* Its status. It may hang with all signals blocked: it is killed after some seconds. */
static int patient_wait(pid_t child) {
    int status = 0;
    for (int i = 0; i < 50000; i++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        usleep(200);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return status;
}

/* Children whose first allocation is interrupted by handlers that allocate; needs a malloc that permits that. */
static int raised_run(int count) {
    int status = 0;
    const struct sigaction action = {.sa_handler = allocating, .sa_flags = SA_NODEFER};
    sigaction(SIGRTMIN, &action, NULL);
    for (int i = 0; i < count && status == 0; i++) {
        pid_t child = fork();
        if (child == 0) {
            storm_begin();
            blocks_make(600, CHILD_BLOCKS);
            _exit(0);
        }
        status = patient_wait(child);
    }
    return status != 0;
}

static int silent_run(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(5);
    waitpid(child, NULL, 0);
    return 0;
}

/* The next process gets this number, unless another one on the machine is faster. @return the last number; 0: it cannot
 * be. */
static pid_t number_set(pid_t number) {
    char text[16] = "";
    int fd = open("/proc/sys/kernel/ns_last_pid", O_RDWR);
    if (fd < 0)
        return 0;
    pid_t last = read(fd, text, sizeof text - 1) > 0 ? atoi(text) : 0;
    int length = snprintf(text, sizeof text, "%d", (int)number - 1);
    int is_set = pwrite(fd, text, (size_t)length, 0) == length;
    close(fd);
    return is_set ? last : 0;
}

/* As fork; the child has the number that another had before, and ends with its parent. -1: it cannot be. */
static pid_t fork_with_number(pid_t number) {
    char byte = 0;
    int gate[2];
    for (int i = 0; i < NUMBER_TRIES; i++) {
        pid_t last, child;
        if (pipe(gate) || !(last = number_set(number)))
            return -1;
        child = fork();
        if (child == 0) {
            close(gate[1]);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (read(gate[0], &byte, 1) != 1)
                _exit(0);
            close(gate[0]);
            return 0;
        }
        number_set(last + 1); /* the others on the machine are not to feel it */
        int is_it = child == number && write(gate[1], "x", 1) == 1;
        close(gate[0]);
        close(gate[1]);
        if (is_it)
            return child;
        waitpid(child, NULL, 0);
    }
    return -1;
}

/* A child, and another of the same number: at once; a while later, that begins a while later still; or a program. */
static int reused_run(char *self, const char *how) {
    int status, is_late = strcmp(how, "late") == 0;
    alarm(30);
    pid_t first = fork();
    if (first == 0) {
        blocks_make(600, RING_OVERRUN / 2);
        _exit(0);
    }
    waitpid(first, NULL, 0);
    if (is_late)
        usleep(100000);
    pid_t second = fork_with_number(first);
    if (second == 0) {
        if (is_late)
            usleep(50000);
        if (strcmp(how, "exec") == 0)
            execl(self, self, "reused-leaf", (char *)NULL);
        blocks_make(601, RING_OVERRUN);
        _exit(4);
    }
    if (second < 0)
        return CANNOT;
    waitpid(second, &status, 0);
    return WEXITSTATUS(status) == 4 ? 0 : 1;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (strcmp(what, "leaf") == 0)
        return leaf_run();
    if (strcmp(what, "again-leaf") == 0)
        return again_leaf_run(words[2]);
    if (strcmp(what, "reused-leaf") == 0) {
        blocks_make(601, RING_OVERRUN);
        return 4;
    }
    kept_fill();
    if (strcmp(what, "reused") == 0)
        return reused_run(words[0], words[2]);
    if (strcmp(what, "nested") == 0)
        return nested_run(3);
    if (strcmp(what, "threads") == 0)
        return beside_threads_run();
    if (strcmp(what, "daemon") == 0)
        return daemon_run();
    if (strcmp(what, "vfork") == 0)
        return vfork_run(words[0]);
    if (strcmp(what, "spawn") == 0)
        return spawn_run(words[0]);
    if (strcmp(what, "killed") == 0)
        return killed_run();
    if (strcmp(what, "exec") == 0 || strcmp(what, "bare-exec") == 0)
        return exec_run(words[0], words[2], atoi(words[3]), what[0] == 'b');
    if (strcmp(what, "again") == 0)
        return again_run(words[0], words[2]);
    if (strcmp(what, "late") == 0)
        return late_run(words[2]);
    if (strcmp(what, "many") == 0)
        return many_run(atoi(words[2]));
    if (strcmp(what, "untold") == 0)
        return untold_run();
    if (strcmp(what, "namespace") == 0)
        return namespace_run(words[0]);
    if (strcmp(what, "unseen") == 0)
        return unseen_run(words[0]);
    if (strcmp(what, "idle") == 0)
        return idle_run();
    if (strcmp(what, "torn-note") == 0)
        return torn_note_run(words[0], words[2]);
    if (strcmp(what, "crowd") == 0)
        return crowd_run(atoi(words[2]));
    if (strcmp(what, "clone") == 0)
        return clone_run();
    if (strcmp(what, "forkpty") == 0)
        return forkpty_run();
    if (strcmp(what, "raised") == 0)
        return raised_run(atoi(words[2]));
    return silent_run();
}
