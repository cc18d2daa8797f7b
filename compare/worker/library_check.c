#include "compare/worker/library_check.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The object that defines what a call of `name` from this program reaches; base NULL when there is none. */
static Dl_info definer_find(const char *name) {
    Dl_info info = {0};
    void *address = dlsym(RTLD_DEFAULT, name);
    if (!address || !dladdr(address, &info))
        return (Dl_info){0};
    return info;
}

struct build_id_search {
    const char *base;
    char *text;
};

static void build_id_format(const unsigned char *bytes, size_t count, char *text) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count && 2 * i + 2 < WORKER_BUILD_ID_BYTES; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
        text[2 * i + 2] = '\0';
    }
}

static void notes_search(const char *at, size_t bytes, char *text) {
    const char *end = at + bytes;
    while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)at;
        size_t name_bytes = ((size_t)note->n_namesz + 3) & ~(size_t)3;
        size_t body_bytes = ((size_t)note->n_descsz + 3) & ~(size_t)3;
        const char *name = at + sizeof *note;
        if (name_bytes + body_bytes > (size_t)(end - name))
            return;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
            build_id_format((const unsigned char *)name + name_bytes, note->n_descsz, text);
            return;
        }
        at = name + name_bytes + body_bytes;
    }
}

static int object_visit(struct dl_phdr_info *object, size_t info_bytes, void *ctx) {
    struct build_id_search *search = ctx;
    (void)info_bytes;
    ElfW(Addr) lowest = 0; /* the address that the object was linked at: the base is its load bias beyond that */
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_LOAD && !object->dlpi_phdr[i].p_offset)
            lowest = object->dlpi_phdr[i].p_vaddr;
    if (object->dlpi_addr + lowest != (uintptr_t)search->base)
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_NOTE)
            notes_search(search->base + (object->dlpi_phdr[i].p_vaddr - lowest), object->dlpi_phdr[i].p_memsz,
                         search->text);
    return 1;
}

static bool file_is_same(const char *a, const char *b) {
    struct stat stat_a, stat_b;
    return !stat(a, &stat_a) && !stat(b, &stat_b) && stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino;
}

static int object_is_library(struct dl_phdr_info *object, size_t info_bytes, void *ctx) {
    (void)info_bytes;
    return object->dlpi_name && object->dlpi_name[0] && file_is_same(object->dlpi_name, *(const char **)ctx);
}

/* True when the dynamic linker did take the library in. */
static bool library_is_loaded(const char *path) {
    return dl_iterate_phdr(object_is_library, &path);
}

static enum err malloc_place_check(const struct worker_request *request, const Dl_info *found, struct diag *diag) {
    Dl_info libc = definer_find("gnu_get_libc_version");
    if (!request->library[0]) {
        if (found->dli_fbase == libc.dli_fbase)
            return ERR_OK;
        return diag_set(diag, ERR_INVALID, NULL, "malloc lives in %s, not in the C library: something preloads it",
                        found->dli_fname);
    }
    if (file_is_same(found->dli_fname, request->library))
        return ERR_OK;
    if (!library_is_loaded(request->library))
        return diag_set(diag, ERR_INVALID, request->library,
                        "not a library that can be preloaded here; malloc still is the C library's");
    if (found->dli_fbase == libc.dli_fbase)
        return diag_set(diag, ERR_INVALID, request->library, "defines no malloc; give a library that does");
    return diag_set(diag, ERR_INVALID, request->library, "defines no malloc itself, it comes from %s: name that file",
                    found->dli_fname);
}

static enum err family_check(const Dl_info *owner, bool needs_aligned, struct diag *diag) {
    static const char *const names[] = {"calloc", "realloc", "free", "posix_memalign"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] - !needs_aligned; i++) {
        Dl_info info = definer_find(names[i]);
        if (info.dli_fbase != owner->dli_fbase)
            return diag_set(diag, ERR_INVALID, owner->dli_fname, "defines malloc but not %s, which comes from %s",
                            names[i], info.dli_fname ? info.dli_fname : "nowhere");
    }
    return ERR_OK;
}

enum err library_check(const struct worker_request *request, bool needs_aligned, struct worker_reply *reply,
                       struct diag *diag) {
    Dl_info owner = definer_find("malloc");
    if (!owner.dli_fbase)
        return diag_set(diag, ERR_INVALID, NULL, "this process has no malloc");
    enum err err = malloc_place_check(request, &owner, diag);
    if (!err)
        err = family_check(&owner, needs_aligned, diag);
    if (err)
        return err;
    library_describe(owner.dli_saddr, reply);
    reply->has_usable_size = definer_find("malloc_usable_size").dli_fbase == owner.dli_fbase;
    return ERR_OK;
}

void library_describe(const void *address, struct worker_reply *reply) {
    Dl_info owner = {0};
    if (!dladdr(address, &owner))
        return;
    reply->build_id[0] = '\0';
    snprintf(reply->library, sizeof reply->library, "%s", owner.dli_fname);
    struct build_id_search search = {owner.dli_fbase, reply->build_id};
    dl_iterate_phdr(object_visit, &search);
}

/* The function of that name, if the object of malloc defines it. */
static void *own_function(const char *name) {
    Dl_info function = definer_find(name);
    return function.dli_fbase && function.dli_fbase == definer_find("malloc").dli_fbase ? dlsym(RTLD_DEFAULT, name)
                                                                                        : NULL;
}

/* mimalloc.h: a digit each for major, minor and patch (209 is 2.0.9), from 2.4 and 3.2 on two for the last two (20401).
 */
void library_mimalloc_version_format(int version, char *out, size_t bytes) {
    int base = version < 10000 ? 10 : 100;
    snprintf(out, bytes, "mimalloc %d.%d.%d", version / (base * base), version / base % base, version % base);
}

void library_version_ask(struct worker_reply *reply) {
    char *out = reply->version;
    size_t bytes = sizeof reply->version;
    const char *text = NULL;
    size_t text_bytes = sizeof text;
    int (*jemalloc_control)(const char *, void *, size_t *, void *, size_t);
    int (*mimalloc_version)(void);
    const char *(*plain_version)(void);
    *(void **)&jemalloc_control = own_function("mallctl");
    *(void **)&mimalloc_version = own_function("mi_version");
    *(void **)&plain_version = own_function("gnu_get_libc_version");
    if (jemalloc_control && !jemalloc_control("version", &text, &text_bytes, NULL, 0) && text)
        snprintf(out, bytes, "jemalloc %.*s", (int)strcspn(text, "-"), text);
    else if (mimalloc_version)
        library_mimalloc_version_format(mimalloc_version(), out, bytes);
    else if (plain_version)
        snprintf(out, bytes, "glibc %s", plain_version());
}
