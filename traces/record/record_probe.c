#include "traces/record/record_probe.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "traces/record/record_symbols.h"

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
    if (near_miss)
        return near_miss;
    return strchr(command, ' ') ? "no such program in PATH (a command line in quotes? give its words apart, or sh -c)"
                                : "no such program in PATH";
}

static size_t head_read(const char *path, char head[HEAD_BYTES]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, head, HEAD_BYTES - 1);
    if (fd >= 0)
        close(fd);
    head[length > 0 ? length : 0] = 0;
    return length > 0 ? (size_t)length : 0;
}

/* *is_static: the program headers name no dynamic linker. @return its name, within the head; NULL: there is none, or
 * the head does not hold it, which is not to be held against the program. */
static const char *elf_linker(const char *head, size_t length, bool *is_static) {
    Elf64_Ehdr header;
    memcpy(&header, head, sizeof header);
    *is_static = header.e_phentsize == sizeof(Elf64_Phdr);
    for (unsigned i = 0; *is_static && i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t at = header.e_phoff + (uint64_t)i * sizeof segment;
        if (at > length || length - at < sizeof segment) {
            *is_static = false;
            return NULL;
        }
        memcpy(&segment, head + at, sizeof segment);
        if (segment.p_type != PT_INTERP)
            continue;
        *is_static = false;
        bool is_whole = segment.p_offset <= length && segment.p_filesz <= length - segment.p_offset;
        return is_whole && memchr(head + segment.p_offset, 0, segment.p_filesz) ? head + segment.p_offset : NULL;
    }
    return NULL;
}

static enum err linker_probe(const char *path, const char *head, size_t length, struct diag *diag) {
    bool is_static;
    const char *linker = elf_linker(head, length, &is_static);
    if (is_static && record_symbols_is_linker(path))
        return ERR_OK;
    if (is_static && record_symbols_is_go(path))
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "a Go program: it is statically linked, and its memory is its runtime's own affair, which "
                        "never calls malloc");
    if (is_static)
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "statically linked: nothing can be preloaded into it; record a dynamically linked build");
    if (linker && access(linker, X_OK))
        return diag_set(diag, ERR_NOT_FOUND, path, "its dynamic linker %.200s is not here: it cannot run", linker);
#ifdef __GLIBC__
    if (linker && strstr(linker, "/ld-musl"))
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "linked to musl, and this recorder to the GNU C library; record a build for that one");
#endif
    return ERR_OK;
}

/* Running the file gives rights that its user has not, so that the dynamic linker trusts nobody. Not where the system
 * does not let files do that. */
static const char *rights_fault(const char *path) {
    struct stat status;
    struct statvfs place;
    if (stat(path, &status) || (statvfs(path, &place) == 0 && (place.f_flag & ST_NOSUID)))
        return NULL;
    bool changes_user = ((status.st_mode & S_ISUID) && status.st_uid != geteuid()) ||
                        ((status.st_mode & S_ISGID) && status.st_gid != getegid());
    if (changes_user && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return "setuid or setgid: the system drops preloaded libraries; run it as its owner, or record a copy without "
               "the bit";
    if (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
        return "it has file capabilities: the system drops preloaded libraries; run it as root, or record a copy, "
               "which "
               "has none";
    return NULL;
}

static enum err elf_probe(const char *path, const char *head, size_t length, struct diag *diag) {
    Elf64_Ehdr header;
    if (length < sizeof header)
        return diag_set(diag, ERR_UNSUPPORTED, path, "it begins like a program and is cut short");
    memcpy(&header, head, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || (MACHINE != EM_NONE && header.e_machine != MACHINE))
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "a program for another kind of machine (or 32-bit); the recorder can only be loaded into "
                        "programs of its own kind");
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        return diag_set(diag, ERR_UNSUPPORTED, path, "an object file or a core, not a program");
    enum err err = linker_probe(path, head, length, diag);
    const char *fault = err ? NULL : rights_fault(path);
    return fault ? diag_set(diag, ERR_UNSUPPORTED, path, "%s", fault) : err;
}

static enum err file_probe(const char *path, int depth, struct diag *diag);

/* `line`: behind the "#!" of the script at `path`. */
static enum err script_probe(const char *path, char *line, int depth, struct diag *diag) {
    char *interpreter = line + strspn(line, " \t");
    size_t length = strcspn(interpreter, " \t\n");
    interpreter[length] = 0;
    if (!length)
        return ERR_OK;
    if (interpreter[length - 1] == '\r')
        return diag_set(diag, ERR_NOT_FOUND, path,
                        "its first line ends in a carriage return, which the system takes for a part of the "
                        "interpreter's name: it cannot run");
    const char *fault = program_fault(interpreter);
    return fault ? diag_set(diag, ERR_NOT_FOUND, path, "its interpreter, %.200s: %s", interpreter, fault)
                 : file_probe(interpreter, depth + 1, diag);
}

static enum err file_probe(const char *path, int depth, struct diag *diag) {
    char head[HEAD_BYTES];
    size_t length = head_read(path, head);
    if (length >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0)
        return elf_probe(path, head, length, diag);
    bool is_script = length > 2 && head[0] == '#' && head[1] == '!';
    return is_script && depth < SCRIPT_DEPTH_MAX ? script_probe(path, head + 2, depth, diag) : ERR_OK;
}

enum err record_probe(const char *command, struct diag *diag) {
    char path[PATH_MAX];
    const char *fault = path_search(command, path);
    if (fault)
        return diag_set(diag, ERR_NOT_FOUND, NULL, "%s: %s", *command ? command : "''", fault);
    return file_probe(path, 0, diag);
}
