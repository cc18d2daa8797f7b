#include "traces/record/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/*
 * exec replaces the image without a word to anybody. When the new one never shows up in the recording (statically
 * linked, environment cleared), the recorder must know that what it has is not the program that was meant.
 */

extern char **environ;

/* True when this process is the recorded one (and not, say, the child of a vfork on its way elsewhere). A program may
   do so before anything else: the shim starts now. */
static bool exec_announce(const char *path) {
    shim_start();
    shim_process_exec((uint32_t)getpid(), (uint32_t)getppid(), path);
    if (!shim.shared || shim_is_off() || (uint32_t)getpid() != shim.pid)
        return false;
    shim_text_copy(shim.shared->exec_path, path);
    atomic_store(&shim.shared->exec_pending, 1);
    return true;
}

static int exec_failed(bool announced, int result) {
    shim_process_exec((uint32_t)getpid(), 0, NULL);
    if (announced)
        atomic_store(&shim.shared->exec_pending, 0);
    return result;
}

SHIM_EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
    bool announced = exec_announce(path);
    return exec_failed(announced, shim.real.execve(path, argv, envp));
}

SHIM_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]) {
    bool announced = exec_announce(file);
    return exec_failed(announced, shim.real.execvpe(file, argv, envp));
}

/* The file that the descriptor leads to, with `below` behind it if that is not empty. */
static const char *fd_path(char out[RECORD_TEXT_BYTES], int fd, const char *below) {
    char link[SHIM_FD_PATH_BYTES];
    shim_fd_path(link, (uint32_t)getpid(), (uint32_t)fd);
    ssize_t length = readlink(link, out, RECORD_TEXT_BYTES - 1);
    char *at = length > 0 ? out + length : stpcpy(out, link);
    char *end = out + RECORD_TEXT_BYTES - 1;
    if (*below && at < end)
        *at++ = '/';
    while (*below && at < end)
        *at++ = *below++;
    *at = 0;
    return out;
}

SHIM_EXPORT int fexecve(int fd, char *const argv[], char *const envp[]) {
    char path[RECORD_TEXT_BYTES];
    bool announced = exec_announce(fd_path(path, fd, ""));
    return exec_failed(announced, shim.real.fexecve(fd, argv, envp));
}

int execveat(int folder, const char *path, char *const argv[], char *const envp[], int flags);
SHIM_EXPORT int execveat(int folder, const char *path, char *const argv[], char *const envp[], int flags) {
    char whole[RECORD_TEXT_BYTES];
    bool is_plain = *path == '/' || folder == AT_FDCWD;
    bool announced = exec_announce(is_plain ? path : fd_path(whole, folder, path));
    int result = -1;
    if (shim.real.execveat)
        result = shim.real.execveat(folder, path, argv, envp, flags);
    else
        errno = ENOSYS;
    return exec_failed(announced, result);
}

SHIM_EXPORT int execv(const char *path, char *const argv[]) {
    return execve(path, argv, environ);
}

SHIM_EXPORT int execvp(const char *file, char *const argv[]) {
    return execvpe(file, argv, environ);
}

/* The variadic forms: count, then gather on the stack, as exec must work in signal handlers and after vfork. */
static size_t arguments_count(va_list arguments) {
    size_t count = 1;
    while (va_arg(arguments, char *)) /* NOLINT(clang-analyzer-valist.Uninitialized): started by the caller */
        count++;
    return count;
}

static void arguments_gather(char **argv, const char *first, va_list arguments) {
    memcpy(argv++, &first, sizeof first); /* exec's own signature takes the const away */
    while ((*argv++ = va_arg(arguments, char *))) {
    }
}

#define EXEC_GATHER(first)                                                                                             \
    va_list arguments;                                                                                                 \
    va_start(arguments, first);                                                                                        \
    size_t count = arguments_count(arguments);                                                                         \
    va_end(arguments);                                                                                                 \
    char **argv = __builtin_alloca((count + 1) * sizeof *argv);                                                        \
    va_start(arguments, first);                                                                                        \
    arguments_gather(argv, first, arguments);

SHIM_EXPORT int execl(const char *path, const char *argument, ...) {
    EXEC_GATHER(argument)
    va_end(arguments);
    return execve(path, argv, environ);
}

SHIM_EXPORT int execlp(const char *file, const char *argument, ...) {
    EXEC_GATHER(argument)
    va_end(arguments);
    return execvpe(file, argv, environ);
}

SHIM_EXPORT int execle(const char *path, const char *argument, ...) {
    EXEC_GATHER(argument)
    char *const *envp = va_arg(arguments, char *const *);
    va_end(arguments);
    return execve(path, argv, envp);
}
