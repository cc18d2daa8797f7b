/* Forks in the middle, plainly and by the bare system call; the children allocate, free what they inherited, and end.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *blocks[1000];

static void blocks_fill(void) {
    for (int i = 0; i < 1000; i++)
        blocks[i] = malloc(500);
}

static void blocks_free(void) {
    for (int i = 0; i < 1000; i++)
        free(blocks[i]);
}

static int child_run(void) {
    blocks_free();
    blocks_fill();
    _exit(0);
}

int main(void) {
    int status;
    blocks_fill();
    pid_t child = fork();
    if (child == 0)
        child_run();
    waitpid(child, &status, 0);
    child = (pid_t)syscall(SYS_fork);
    if (child == 0)
        child_run();
    waitpid(child, &status, 0);
    blocks_free();
    return 0;
}
