/*
 * Makes N blocks of 1,000 bytes, then ends in the way that is asked for; 10 blocks of 77,777 bytes mark the last ones.
 * A third argument is the program that it becomes.
 */
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile keep;

extern char **environ;

static void become(const char *how, char *path) {
    char *words[] = {path, "_exit", "7", NULL};
    if (strcmp(how, "exec") == 0)
        execl(path, path, "_exit", "7", (char *)NULL);
    if (strcmp(how, "fexecve") == 0)
        fexecve(open(path, O_PATH), words, environ);
#if __GLIBC_PREREQ(2, 34)
    if (strcmp(how, "execveat") == 0)
        execveat(AT_FDCWD, path, words, environ, 0);
    if (strcmp(how, "execveat-itself") == 0)
        execveat(open(path, O_PATH), "", words, environ, AT_EMPTY_PATH);
    if (strcmp(how, "execveat-below") == 0) {
        char *name = strdup(path), *folder = strdup(path);
        execveat(open(dirname(folder), O_PATH), basename(name), words, environ, 0);
    }
#endif
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    for (long i = atol(argv[2]); i > 0; i--)
        keep = malloc(1000);
    for (int i = 0; i < 10; i++)
        keep = malloc(77777);
    if (strcmp(argv[1], "kill") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(argv[1], "abort") == 0)
        abort();
    if (strcmp(argv[1], "segv") == 0)
        raise(SIGSEGV);
    if (strcmp(argv[1], "_exit") == 0)
        _exit(3);
    if (argc > 3)
        become(argv[1], argv[3]);
    return 4;
}
