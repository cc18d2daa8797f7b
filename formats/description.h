/**
 * description.h: NAME.yaml, the description of a trace (NATIVE.md, "The description").
 */
#ifndef MMREPLAY_FORMATS_DESCRIPTION_H
#define MMREPLAY_FORMATS_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/diag.h"
#include "traces/trace.h"

enum { DESCRIPTION_SCHEMA = 1, DESCRIPTION_BYTES_MAX = 1 << 20 };

#define DESCRIPTION_CODEC "mmreplay-events-1"

/** True when `text` (the start of a file, not terminated) looks like a description of any schema version. */
bool description_recognise(const char *text, size_t bytes);

/**
 * Reads a description strictly: unknown, duplicate and missing keys, values of the wrong type and numbers with junk are
 * errors with line and column.
 * @param path for the diag.
 * @return ERR_OK and *out owned by the caller (trace_info_clear); ERR_FORMAT, ERR_VERSION, ERR_LIMIT, ERR_NOMEM.
 */
enum err description_parse(const char *path, const char *text, size_t bytes, struct trace_info *out, struct diag *diag);

/** As description_parse, for the file `path`. @return also ERR_NOT_FOUND, ERR_IO. */
enum err description_load(const char *path, struct trace_info *out, struct diag *diag);

/**
 * The text of a description; reading it again gives the same `info`, byte for byte.
 * @param info name and events_* must be set.
 * @return ERR_OK and *out, *bytes owned by the caller (free), or ERR_NOMEM.
 */
enum err description_format(const struct trace_info *info, char **out, size_t *bytes);

#endif
