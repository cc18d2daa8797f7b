#include "compare/allocator.h"
#include "compare/library_find.h"
#include "compare/python_library.h"
#include "core/base/nearest.h"
#include "core/fast.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct allocator_kind allocator_kinds[] = {
    {"pool", "CPython's small-block allocator (pymalloc), built into mmreplay", WORKER_POOL, {NULL}, NULL},
    {"pool:fast", "an allocator for CPython's traffic without CPython's addresses", WORKER_POOL, {NULL}, NULL},
    {"system", "malloc of the C library", WORKER_LIBC, {NULL}, NULL},
    {"jemalloc", "jemalloc", WORKER_LIBC, {"libjemalloc.so.2", NULL}, "libjemalloc2"},
    {"mimalloc", "mimalloc", WORKER_LIBC, {"libmimalloc.so.2", "libmimalloc.so.3", NULL}, "libmimalloc2.0"},
    {"tcmalloc",
     "tcmalloc of gperftools",
     WORKER_LIBC,
     {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4", NULL},
     "libtcmalloc-minimal4"},
    {"cpython", "the allocator of an installed libpython", WORKER_CPYTHON, {NULL}, NULL},
    {"null", "functions that do nothing: the cost of the replay loop itself", WORKER_NULL, {NULL}, NULL},
    {NULL, NULL, WORKER_NULL, {NULL}, NULL},
};

/* Copies `bytes` bytes as a string. @return false when they do not fit. */
static bool text_copy(char *to, size_t to_bytes, const char *from, size_t bytes) {
    if (bytes >= to_bytes)
        return false;
    memcpy(to, from, bytes);
    to[bytes] = '\0';
    return true;
}

static enum err kind_resolve(const struct allocator_kind *kind, struct allocator *allocator, struct diag *diag) {
    allocator->backend = kind->backend;
    if (kind->backend == WORKER_CPYTHON)
        return python_library_resolve("", allocator, diag);
    if (!kind->sonames[0])
        return ERR_OK;
    for (size_t i = 0; kind->sonames[i]; i++)
        if (library_find(kind->sonames[i], NULL, allocator->library))
            return ERR_OK;
    return diag_set(diag, ERR_NOT_FOUND, NULL,
                    "%s: %s is not installed; on Debian and Ubuntu: apt-get install %s, or give %s=/path/lib.so",
                    kind->name, kind->sonames[0], kind->package, kind->name);
}

static enum err library_resolve(const char *path, struct allocator *allocator, struct diag *diag) {
    struct stat stat_buffer;
    char absolute[PATH_MAX];
    if (!realpath(path, absolute) || stat(absolute, &stat_buffer))
        return diag_errno(diag, ERR_NOT_FOUND, path, "cannot open the allocator library");
    if (!S_ISREG(stat_buffer.st_mode))
        return diag_set(diag, ERR_NOT_FOUND, path, "not a file, let alone an allocator library");
    if (strpbrk(absolute, " :\t\n"))
        return diag_set(diag, ERR_UNSUPPORTED, path,
                        "blanks and colons cannot stand in the path of a preloaded library; copy it elsewhere");
    if (!text_copy(allocator->library, sizeof allocator->library, absolute, strlen(absolute)))
        return diag_set(diag, ERR_LIMIT, path, "the path is too long");
    allocator->backend = WORKER_LIBC;
    return ERR_OK;
}

static enum err settings_resolve(const char *settings, struct allocator *allocator, struct diag *diag) {
    struct pool_config config;
    if (worker_settings_are_fast(settings)) {
        allocator->backend = WORKER_POOL;
        return text_copy(allocator->settings, sizeof allocator->settings, settings, strlen(settings)) ? ERR_OK
                                                                                                      : ERR_LIMIT;
    }
    enum err err = pool_config_parse(settings, &config, diag);
    if (err)
        return err;
    allocator->backend = WORKER_POOL;
    pool_config_format(&config, allocator->settings);
    return ERR_OK;
}

static enum err name_unknown(const char *text, struct diag *diag) {
    const char *names[sizeof allocator_kinds / sizeof allocator_kinds[0]];
    size_t count = 0;
    for (; allocator_kinds[count].name; count++)
        names[count] = allocator_kinds[count].name;
    const char *nearest = word_nearest(text, names, count);
    if (nearest)
        return diag_set(diag, ERR_USAGE, NULL, "unknown allocator '%s'; did you mean '%s'?", text, nearest);
    return diag_set(diag, ERR_USAGE, NULL,
                    "unknown allocator '%s'; see 'mmreplay allocators', or give NAME=/path/lib.so", text);
}

static enum err name_take(const char *name, size_t length, struct allocator *allocator, struct diag *diag) {
    if (!length || !text_copy(allocator->name, sizeof allocator->name, name, length))
        return diag_set(diag, ERR_USAGE, NULL, "an allocator's name has 1 to %d characters", ALLOCATOR_NAME_BYTES - 1);
    for (const char *p = allocator->name; *p; p++)
        if ((unsigned char)*p <= ' ')
            return diag_set(diag, ERR_USAGE, NULL, "an allocator's name has no blanks: '%s'", allocator->name);
    return ERR_OK;
}

/*
 * NAME of NAME=…: not one under which a reader expects what is built in. jemalloc=/path/lib.so and its like name the
 * same allocator from another file, which is what that form is for.
 */
static enum err own_name_check(const char *text, const char *name, struct diag *diag) {
    if (strchr(name, ':'))
        return diag_set(
            diag, ERR_USAGE, NULL,
            "'%s' is neither an allocator with settings (pool:arena=256K) nor NAME=/path/lib.so, whose name "
            "has no colon; see 'mmreplay allocators'",
            text);
    for (const struct allocator_kind *kind = allocator_kinds; kind->name; kind++)
        if (!kind->sonames[0] && strcmp(kind->name, name) == 0)
            return diag_set(diag, ERR_USAGE, NULL,
                            "'%s' is built in and cannot stand for a library; give it another name: my-%s%s", name,
                            name, text + strlen(name));
    return ERR_OK;
}

enum { CPYTHON_BYTES = sizeof "cpython" - 1 };

/* "cpython", "cpython:…", "cpython+aligned": not what merely begins so. */
static bool is_cpython(const char *text) {
    return strncmp(text, "cpython", CPYTHON_BYTES) == 0 && strchr(":+", text[CPYTHON_BYTES]);
}

/* A path would make a long name: its last part stands for it. */
static enum err cpython_parse(const char *text, struct allocator *out, struct diag *diag) {
    struct allocator allocator = {.backend = WORKER_CPYTHON};
    const char *slash = strrchr(text, '/');
    char name[WORKER_PATH_BYTES];
    snprintf(name, sizeof name, "%s%s", slash ? "cpython:" : "", slash ? slash + 1 : text);
    enum err err = python_library_resolve(text + CPYTHON_BYTES, &allocator, diag);
    if (!err)
        err = name_take(name, strlen(name), &allocator, diag);
    if (!err)
        *out = allocator;
    return err;
}

enum err allocator_parse(const char *text, struct allocator *out, struct diag *diag) {
    struct allocator allocator = {.backend = WORKER_LIBC};
    if (is_cpython(text))
        return cpython_parse(text, out, diag);
    bool has_settings = strncmp(text, "pool:", 5) == 0;
    size_t name_length = has_settings ? strlen(text) : strcspn(text, "=");
    enum err err = name_take(text, name_length, &allocator, diag);
    if (!err && text[name_length] == '=')
        err = own_name_check(text, allocator.name, diag);
    if (err)
        return err;
    if (text[name_length] == '=' && is_cpython(text + name_length + 1)) {
        err = python_library_resolve(text + name_length + 1 + CPYTHON_BYTES, &allocator, diag);
    } else if (text[name_length] == '=') {
        err = library_resolve(text + name_length + 1, &allocator, diag);
    } else if (has_settings) {
        err = settings_resolve(text + 5, &allocator, diag);
    } else if (strcmp(text, "pool") == 0) {
        err = settings_resolve("", &allocator, diag);
    } else {
        const struct allocator_kind *kind = allocator_kinds;
        while (kind->name && strcmp(kind->name, text) != 0)
            kind++;
        err = kind->name ? kind_resolve(kind, &allocator, diag) : name_unknown(text, diag);
    }
    if (!err)
        *out = allocator;
    return err;
}

static enum err list_append(struct allocator_list *list, const char *text, struct diag *diag) {
    if (list->count == ALLOCATOR_LIST_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "at most %d allocators at once", ALLOCATOR_LIST_MAX);
    enum err err = allocator_parse(text, &list->items[list->count], diag);
    if (err)
        return err;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, list->items[list->count].name) == 0)
            return diag_set(diag, ERR_USAGE, NULL, "allocator '%s' is given twice", list->items[i].name);
    list->count++;
    return ERR_OK;
}

/* True when the item behind a comma goes on with the settings of a pool. */
static bool settings_go_on(const char *item) {
    size_t length = strcspn(item, ","), equals = strcspn(item, "=");
    if (equals < length)
        return !memchr(item, ':', equals) && !memchr(item, '/', length);
    return length == strlen("hugepages") && strncmp(item, "hugepages", length) == 0;
}

/* The length of the first item of a list. */
static size_t item_length(const char *text) {
    size_t length = strcspn(text, ",");
    if (strncmp(text, "pool:", 5) == 0)
        while (text[length] && settings_go_on(text + length + 1))
            length += 1 + strcspn(text + length + 1, ",");
    return length;
}

enum err allocator_list_parse(const char *text, struct allocator_list *out, struct diag *diag) {
    struct allocator_list list = {.count = 0};
    char item[ALLOCATOR_NAME_BYTES + WORKER_PATH_BYTES + 1];
    for (;;) {
        size_t length = item_length(text);
        if (!length)
            return diag_set(diag, ERR_USAGE, NULL, "an empty name in the list of allocators");
        if (!text_copy(item, sizeof item, text, length))
            return diag_set(diag, ERR_LIMIT, NULL, "the name of an allocator is too long");
        enum err err = list_append(&list, item, diag);
        if (err)
            return err;
        if (!text[length])
            break;
        text += length + 1;
    }
    *out = list;
    return ERR_OK;
}

bool allocator_pool_config(const struct allocator *allocator, struct pool_config *out) {
    if (allocator->backend == WORKER_POOL && worker_settings_are_fast(allocator->settings)) {
        *out = *fast_config_get();
        return true;
    }
    return allocator->backend == WORKER_POOL && !pool_config_parse(allocator->settings, out, NULL);
}

/* @return false when the name has no room for it. */
static bool debug_twin_make(const struct allocator *pool, struct allocator *out) {
    *out = *pool;
    out->debug_hooks = true;
    int length = snprintf(out->name, sizeof out->name, "%s+debug", pool->name);
    return length > 0 && (size_t)length < sizeof out->name;
}

enum err allocator_list_debug_add(struct allocator_list *list, struct diag *diag) {
    struct allocator_list longer = {.count = 0};
    for (size_t i = 0; i < list->count; i++) {
        const struct allocator *allocator = &list->items[i];
        bool is_pool = allocator->backend == WORKER_POOL && !worker_settings_are_fast(allocator->settings);
        if (longer.count + 1 + is_pool > ALLOCATOR_LIST_MAX)
            return diag_set(diag, ERR_LIMIT, NULL, "at most %d allocators at once, with those under debug hooks",
                            ALLOCATOR_LIST_MAX);
        longer.items[longer.count++] = *allocator;
        if (is_pool && !debug_twin_make(allocator, &longer.items[longer.count++]))
            return diag_set(diag, ERR_LIMIT, NULL, "the name '%s' is too long to take '+debug'", allocator->name);
    }
    if (longer.count == list->count)
        return diag_set(diag, ERR_USAGE, NULL,
                        "debug hooks lie around CPython's domains, which only its pool has, not pool:fast; add 'pool'");
    *list = longer;
    return ERR_OK;
}
