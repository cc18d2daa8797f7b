#include "traces/record/record_host.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/text_stream.h"

enum { TEXT_BYTES = 256 };

static void cpu_text(char out[TEXT_BYTES]) {
    out[0] = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[TEXT_BYTES];
    while (file && !out[0] && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon || (strncmp(line, "model name", 10) != 0 && strncmp(line, "CPU part", 8) != 0))
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(out, TEXT_BYTES, "%.*s", (int)strcspn(colon, "\n"), colon);
    }
    if (file)
        fclose(file);
}

static void date_text(time_t date, char out[TEXT_BYTES]) {
    struct tm parts;
    out[0] = 0;
    if (gmtime_r(&date, &parts))
        strftime(out, TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

enum err record_host_describe(struct trace_info *info, time_t started) {
    char date[TEXT_BYTES], cpu[TEXT_BYTES], libc[TEXT_BYTES], kernel[2 * sizeof(struct utsname)] = "";
    struct utsname system;
    date_text(started, date);
    cpu_text(cpu);
    snprintf(libc, sizeof libc, "glibc %s", gnu_get_libc_version());
    if (uname(&system) == 0)
        snprintf(kernel, sizeof kernel, "%s %s %s", system.sysname, system.release, system.machine);
    info->capture_page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    enum err err = trace_text_set(&info->capture_date, date);
    if (!err)
        err = trace_text_set(&info->capture_tool, "mmreplay " MMREPLAY_VERSION);
    if (!err)
        err = trace_text_set(&info->capture_cpu, cpu[0] ? cpu : NULL);
    if (!err)
        err = trace_text_set(&info->capture_kernel, kernel[0] ? kernel : NULL);
    return err ? err : trace_text_set(&info->capture_libc, libc);
}

enum err record_host_copy(struct trace_info *info, const struct trace_info *from) {
    info->capture_page_bytes = from->capture_page_bytes;
    info->capture_clock_resolution_ns = from->capture_clock_resolution_ns;
    enum err err = trace_text_set(&info->capture_clock, from->capture_clock);
    if (!err)
        err = trace_text_set(&info->capture_date, from->capture_date);
    if (!err)
        err = trace_text_set(&info->capture_tool, from->capture_tool);
    if (!err)
        err = trace_text_set(&info->capture_cpu, from->capture_cpu);
    if (!err)
        err = trace_text_set(&info->capture_kernel, from->capture_kernel);
    return err ? err : trace_text_set(&info->capture_libc, from->capture_libc);
}

static int word_is_plain(const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    return *word && word[strspn(word, plain)] == 0;
}

static void word_write(FILE *out, const char *word) {
    if (word_is_plain(word)) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++) {
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    }
    fputc('\'', out);
}

enum err record_command_text(char *const *argv, char **out) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = text_stream_memory(&text, &length);
    if (!stream)
        return ERR_NOMEM;
    for (size_t i = 0; argv[i]; i++) {
        if (i)
            fputc(' ', stream);
        word_write(stream, argv[i]);
    }
    if (text_stream_close(stream)) {
        free(text);
        return ERR_NOMEM;
    }
    *out = text;
    return ERR_OK;
}

const char *record_end_text(int wait_status, char *buffer, size_t buffer_bytes) {
    if (!WIFSIGNALED(wait_status)) {
        snprintf(buffer, buffer_bytes, "exit %d", WEXITSTATUS(wait_status));
        return buffer;
    }
    int number = WTERMSIG(wait_status);
    const char *name = sigabbrev_np(number);
    snprintf(buffer, buffer_bytes, name ? "signal %d (SIG%s)" : "signal %d", number, name);
    return buffer;
}

enum err record_python_describe(const char *version, struct trace_info *info) {
    char text[64];
    int length = (int)strcspn(version, " ");
    snprintf(text, sizeof text, "%.*s", length, version);
    enum err err = trace_text_set(&info->program_version, text);
    snprintf(text, sizeof text, "CPython %.*s", length, version);
    return err ? err : trace_text_set(&info->program_interpreter, text);
}
