/**
 * check_against.h: `mmreplay check --against`: our pool held against a real CPython.
 */
#ifndef MMREPLAY_CLI_CHECK_AGAINST_H
#define MMREPLAY_CLI_CHECK_AGAINST_H

#include <limits.h>
#include <stdbool.h>

#include "compare/allocator.h"

struct check_against {
    struct allocator allocator;
    char worker_path[PATH_MAX];
    uint64_t stats_every;
    uint64_t residues[WORKER_RESIDUE_MAX];
    uint32_t residue_count;
    bool quiet;
};

/**
 * @param name the allocator. @param settings of our pool, NULL: the library's version. @param residues "0,4K,…"; NULL:
 * aligned.
 * @return ERR_USAGE, ERR_NOT_FOUND, …
 */
enum err check_against_open(const char *name, const char *settings, const char *residues, struct check_against *out,
                            struct diag *diag);

/** Runs one trace and tells on stdout. @return an exit code: EXIT_CODE_NO when they differ. */
int check_against_run(const struct check_against *against, const char *path);

#endif
