#include "compare/library_find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool library_in_directory(const char *directory, size_t directory_bytes, const char *soname,
                                 char path[WORKER_PATH_BYTES]) {
    char candidate[WORKER_PATH_BYTES];
    int length = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)directory_bytes, directory, soname);
    if (!directory_bytes || length < 0 || (size_t)length >= sizeof candidate || access(candidate, R_OK))
        return false;
    memcpy(path, candidate, (size_t)length + 1);
    return true;
}

/* Looks in a colon-separated list of directories. */
static bool library_in_list(const char *list, const char *soname, char path[WORKER_PATH_BYTES]) {
    while (list && *list) {
        size_t length = strcspn(list, ":");
        if (library_in_directory(list, length, soname, path))
            return true;
        list += length + (list[length] == ':');
    }
    return false;
}

bool library_find(const char *soname, const char *first, char path[WORKER_PATH_BYTES]) {
    static const char standard[] = MMREPLAY_JEMALLOC_LIBDIR ":/usr/local/lib"
                                                            ":/usr/lib/" MMREPLAY_MULTIARCH ":/lib/" MMREPLAY_MULTIARCH
                                                            ":/usr/lib64:/lib64:/usr/lib:/lib";
    return library_in_list(first, soname, path) || library_in_list(getenv("LD_LIBRARY_PATH"), soname, path) ||
           library_in_list(standard, soname, path);
}
