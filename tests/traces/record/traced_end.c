/* Makes N blocks of 1,000 bytes, then ends in the way that is asked for; 10 blocks of 77,777 bytes mark the last ones.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile keep;

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
    if (strcmp(argv[1], "exec") == 0)
        execl(argv[3], argv[3], "_exit", "7", (char *)NULL);
    return 4;
}
