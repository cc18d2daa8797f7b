/*
 * A program that cannot see its recorder's number, as in another pid namespace: it has overwritten the number with one
 * that nobody has. It stops the recorder, then makes N blocks of 1,000 bytes.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "traces/record/record_ring.h"

static void *volatile keep;

static int number_hide(void) {
    const char *path = getenv(RECORD_ENVIRONMENT);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return 1;
    struct record_shared *shared = mmap(NULL, record_header_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED || shared->magic != RECORD_MAGIC)
        return 1;
    shared->recorder_pid = INT_MAX;
    return 0;
}

int main(int count, char **words) {
    if (count < 2 || number_hide() || kill(getppid(), SIGSTOP))
        return 1;
    for (long i = atol(words[1]); i > 0; i--)
        keep = malloc(1000);
    return 0;
}
