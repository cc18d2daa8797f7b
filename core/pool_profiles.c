/*
 * CPython's versions on 64 bits. Beside each: the real ones that the row was compared with, by running both
 * (tests/core/test_pool_agreement.c).
 */
#include <stdio.h>
#include <string.h>

#include "core/pool_config.h"

/* The newest version whose arenas are wholly known: whether 3.15 advises huge pages in every build is not. */
const char pool_profile_default[] = "3.14";

/* clang-format off */
#define SMALL_ARENAS .threshold_bytes = 512, .pool_bytes = 4 << 10, .arena_bytes = 256 << 10, .arena_map = POOL_ARENA_MAP_NONE
#define LARGE_ARENAS .threshold_bytes = 512, .pool_bytes = 16 << 10, .arena_bytes = 1 << 20, .align_bytes = 16, .keep_count = 1

static const struct pool_profile profiles[] = {
    {"3.7.0 to 3.7.3", "classic: 8-byte classes; arenas sorted by a walk, none kept", /* never executed */
     {.name = "3.7", .align_bytes = 8, SMALL_ARENAS, .order = POOL_ORDER_LINEAR}},
    {"3.7.4 and later 3.7", "16-byte classes (bpo-27987)", /* executed: 3.7.16, and 3.6.15, which is alike */
     {.name = "3.7.4", .align_bytes = 16, SMALL_ARENAS, .order = POOL_ORDER_LINEAR}},
    {"3.8", "arenas sorted by fingers (bpo-37029)", /* executed: 3.8.18 */
     {.name = "3.8", .align_bytes = 16, SMALL_ARENAS}},
    {"3.9", "the last empty arena is kept (bpo-37257)", /* executed: 3.9.18 */
     {.name = "3.9", .align_bytes = 16, SMALL_ARENAS, .keep_count = 1}},
    {"3.10", "16 KiB pools, 1 MiB arenas, arena map of 48-bit addresses (bpo-37448)", /* executed: 3.10.13 */
     {.name = "3.10", LARGE_ARENAS, .arena_map = POOL_ARENA_MAP_48}},
    {"3.11", "arena map of 64-bit addresses", /* executed: 3.11.2, 3.11.7 */
     {.name = "3.11", LARGE_ARENAS}},
    {"3.12", "as 3.11; the state is per interpreter", /* executed: 3.12.1 */
     {.name = "3.12", LARGE_ARENAS}},
    {"3.13", "as 3.12", /* executed: 3.13.0 */
     {.name = "3.13", LARGE_ARENAS}},
    {"3.14", "as 3.12", /* never executed */
     {.name = "3.14", LARGE_ARENAS}},
    {"3.15", "as 3.12; with hugepages: 2 MiB arenas", /* never executed */
     {.name = "3.15", LARGE_ARENAS}},
};
/* clang-format on */

const struct pool_profile *pool_profile_at(size_t index) {
    return index < sizeof profiles / sizeof profiles[0] ? &profiles[index] : NULL;
}

const struct pool_config *pool_profile_find(const char *name) {
    if (strcmp(name, "classic") == 0)
        name = "3.7";
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
        if (strcmp(profiles[i].config.name, name) == 0)
            return &profiles[i].config;
    return NULL;
}

const struct pool_config *pool_profile_of_version(const char *version) {
    unsigned major, minor, patch;
    char name[32];
    if (sscanf(version, "%u.%u.%u", &major, &minor, &patch) != 3 || major != 3)
        return NULL;
    /* bpo-27987 reached 3.7 with its fourth release. */
    snprintf(name, sizeof name, "3.%u%s", minor, minor == 7 && patch >= 4 ? ".4" : "");
    return pool_profile_find(name);
}
