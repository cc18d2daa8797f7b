#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/progress.h"
#include "core/base/shown.h"
#include "core/base/text_stream.h"

enum { MESSAGE_BYTES = 8192 };

__attribute__((format(printf, 2, 0))) static void line_print(const char *prefix, const char *format,
                                                             va_list arguments) {
    char text[MESSAGE_BYTES];
    vsnprintf(text, sizeof text, format, arguments);
    progress_clear();
    fprintf(stderr, "mmreplay: %s%s\n", prefix, text_make_shown(text));
}

int message_error(const struct diag *diag) {
    char text[sizeof diag->path + sizeof diag->text + 64];
    diag_format(diag, text, sizeof text);
    return message_failure("%s", text);
}

int message_failure(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    line_print("", format, arguments);
    va_end(arguments);
    return EXIT_CODE_FAILURE;
}

void message_warning(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    line_print("warning: ", format, arguments);
    va_end(arguments);
}

void message_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    line_print("", format, arguments);
    va_end(arguments);
}

void shown_print(const char *text) {
    char *copy = strdup(text);
    fputs(copy ? text_make_shown(copy) : "(out of memory)", stdout);
    free(copy);
}

void streams_hold(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int output_finish(int code) {
    if (!text_stream_close(stdout) || code == EXIT_CODE_FAILURE)
        return code;
    return errno ? message_failure("cannot write the output: %s", strerror(errno))
                 : message_failure("cannot write the output");
}
