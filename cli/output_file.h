/**
 * output_file.h: a result that goes to a file whole or not at all, or to stdout.
 */
#ifndef MMREPLAY_CLI_OUTPUT_FILE_H
#define MMREPLAY_CLI_OUTPUT_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/base/diag.h"

/** Zero-initialise. */
struct output_file {
    const char *path; /**< as given; borrowed */
    FILE *file;       /**< stdout for "-"; else PATH.partial, until it is committed; NULL: not open */
    char partial[PATH_MAX];
};

/** @param path "-": stdout. @return ERR_IO, ERR_LIMIT. */
enum err output_file_open(struct output_file *output, const char *path, struct diag *diag);

/** True when it is open and takes up stdout. */
bool output_file_is_stdout(const struct output_file *output);

/** Gives the written file its name. Does nothing when none is open. @param err of the writing, ERR_OK or ERR_IO. */
enum err output_file_commit(struct output_file *output, enum err err, struct diag *diag);

/** Removes what was not committed. */
void output_file_discard(struct output_file *output);

/**
 * A result that took the place of what it was made from would be the end of both.
 * @param trace a trace's path. @param events_file the name of its events file, beside it, or NULL.
 * @return ERR_USAGE when `path` (NULL, "" and "-" are no files) is a folder or one of these.
 */
enum err output_file_check(const char *path, const char *trace, const char *events_file, struct diag *diag);

#endif
