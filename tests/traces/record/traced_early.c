/*
 * Becomes itself before any constructor has run, by the call that is named; that image has no argument, and makes three
 * blocks of 1,000 bytes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile keep;

static void become_itself(int count, char **words, char **environment) {
    char *plain[] = {words[0], NULL};
    if (count < 2)
        return;
    if (strcmp(words[1], "execve") == 0)
        execve(words[0], plain, environment);
    if (strcmp(words[1], "execvpe") == 0)
        execvpe(words[0], plain, environment);
    if (strcmp(words[1], "fexecve") == 0)
        fexecve(open(words[0], O_RDONLY | O_CLOEXEC), plain, environment);
    _exit(9);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) = become_itself;

int main(void) {
    for (int i = 0; i < 3; i++)
        keep = malloc(1000);
    return 0;
}
