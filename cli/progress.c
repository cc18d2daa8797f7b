#include "cli/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR_CELLS = 24 };

static bool shown;

static bool terminal_can(void) {
    static int can = -1;
    if (can < 0) {
        const char *term = getenv("TERM");
        can = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    }
    return can;
}

void progress_show(size_t done, size_t total, const char *label) {
    if (!terminal_can() || !total)
        return;
    char bar[BAR_CELLS + 1];
    size_t filled = done * BAR_CELLS / total;
    memset(bar, '#', filled);
    memset(bar + filled, '.', BAR_CELLS - filled);
    bar[BAR_CELLS] = '\0';
    fprintf(stderr, "\r\033[K[%s] %zu/%zu %.50s", bar, done, total, label);
    fflush(stderr);
    shown = true;
}

void progress_clear(void) {
    if (!shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    shown = false;
}
