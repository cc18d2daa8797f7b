#include "cli/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/progress.h"

__attribute__((format(printf, 2, 0))) static void line_print(const char *prefix, const char *format,
                                                             va_list arguments) {
    progress_clear();
    fprintf(stderr, "mmreplay: %s", prefix);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
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

int output_finish(int code) {
    int failed = ferror(stdout);
    errno = 0;
    if (fclose(stdout) || failed)
        return message_failure("cannot write the output: %s", strerror(errno ? errno : EIO));
    return code;
}
