#include "traces/record/record_probe.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, SCRIPT_DEPTH_MAX = 4 };

#if defined __x86_64__
enum { MACHINE = EM_X86_64 };
#elif defined __aarch64__
enum { MACHINE = EM_AARCH64 };
#elif defined __riscv
enum { MACHINE = EM_RISCV };
#else
enum { MACHINE = EM_NONE };
#endif

/* NULL: `path` can be run; otherwise why not. */
static const char *program_fault(const char *path) {
    struct stat status;
    if (stat(path, &status))
        return errno == EACCES ? "permission denied on the way to it" : "no such program";
    if (S_ISDIR(status.st_mode))
        return "this is a directory, not a program";
    if (!S_ISREG(status.st_mode))
        return "this is no regular file, so no program";
    return access(path, X_OK) ? "it is not executable (see chmod +x, or name its interpreter)" : NULL;
}

/* NULL: *out can be run; otherwise why nothing was found. */
static const char *path_search(const char *command, char out[PATH_MAX]) {
    const char *fault = NULL, *near_miss = NULL;
    if (!*command)
        return "the program's name is empty";
    if (strchr(command, '/')) {
        snprintf(out, PATH_MAX, "%s", command);
        return program_fault(out);
    }
    const char *folders = getenv("PATH");
    if (!folders)
        folders = "/usr/local/bin:/usr/bin:/bin";
    while (*folders) {
        size_t length = strcspn(folders, ":");
        snprintf(out, PATH_MAX, "%.*s/%s", (int)(length ? length : 1), length ? folders : ".", command);
        fault = program_fault(out);
        if (!fault)
            return NULL;
        if (access(out, F_OK) == 0)
            near_miss = fault;
        folders += length + (folders[length] == ':');
    }
    return near_miss ? near_miss : "no such program in PATH";
}

static size_t head_read(const char *path, char head[HEAD_BYTES]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, head, HEAD_BYTES - 1);
    if (fd >= 0)
        close(fd);
    head[length > 0 ? length : 0] = 0;
    return length > 0 ? (size_t)length : 0;
}

/* Whether the program headers within the head name a dynamic linker. A head that does not hold them all: benefit of
 * the doubt. */
static bool elf_is_static(const char *head, size_t length) {
    Elf64_Ehdr header;
    memcpy(&header, head, sizeof header);
    if (header.e_phentsize != sizeof(Elf64_Phdr))
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t at = header.e_phoff + (uint64_t)i * sizeof segment;
        if (at > length || length - at < sizeof segment)
            return false;
        memcpy(&segment, head + at, sizeof segment);
        if (segment.p_type == PT_INTERP)
            return false;
    }
    return true;
}

static enum err elf_probe(const char *path, const char *head, size_t length, struct diag *diag) {
    Elf64_Ehdr header;
    memcpy(&header, head, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || (MACHINE != EM_NONE && header.e_machine != MACHINE))
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "a program for another kind of machine (or 32-bit); the recorder can only be loaded into "
                        "programs of its own kind");
    if (elf_is_static(head, length))
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "statically linked: nothing can be preloaded into it; record a dynamically linked build");
    struct stat status;
    if (stat(path, &status) == 0 && (((status.st_mode & S_ISUID) && status.st_uid != geteuid()) ||
                                     ((status.st_mode & S_ISGID) && status.st_gid != getegid())))
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "setuid or setgid: the system drops preloaded libraries; run it as its owner, or record a "
                        "copy without the bit");
    return ERR_OK;
}

static enum err file_probe(const char *path, int depth, struct diag *diag) {
    char head[HEAD_BYTES];
    size_t length = head_read(path, head);
    if (length >= sizeof(Elf64_Ehdr) && memcmp(head, ELFMAG, SELFMAG) == 0)
        return elf_probe(path, head, length, diag);
    if (depth < SCRIPT_DEPTH_MAX && head[0] == '#' && head[1] == '!') {
        char *interpreter = head + 2 + strspn(head + 2, " \t");
        interpreter[strcspn(interpreter, " \t\r\n")] = 0;
        return *interpreter ? file_probe(interpreter, depth + 1, diag) : ERR_OK;
    }
    return ERR_OK;
}

enum err record_probe(const char *command, struct diag *diag) {
    char path[PATH_MAX];
    const char *fault = path_search(command, path);
    if (fault)
        return diag_set(diag, ERR_NOT_FOUND, NULL, "%s: %s", *command ? command : "''", fault);
    return file_probe(path, 0, diag);
}
