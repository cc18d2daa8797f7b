/**
 * json_values.h: jansson values as all results of this project spell them: what cannot be had is null.
 */
#ifndef MMREPLAY_COMPARE_JSON_VALUES_H
#define MMREPLAY_COMPARE_JSON_VALUES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "core/base/err.h"

/** Text that may not be UTF-8 (a path, a command; then '?' stands for what is not ASCII) or missing (null). */
json_t *text_json(const char *text);

/** Beyond 2^63 - 1, what jansson can hold, the nearest real. */
json_t *count_json(uint64_t count);

/** An array of counts. */
json_t *counts_json(const uint64_t *counts, size_t count);

/** A number that is 12 and not 12.0 where it is whole: counts and bytes. Not finite: null. */
json_t *number_json(double value);

/** The document every result begins as: {"mmreplay": {"schema", "version"}}. @return NULL: out of memory. */
json_t *document_json(int schema);

/** Writes a document and a newline. @return ERR_IO. */
enum err document_json_write(const json_t *root, FILE *out);

#endif
