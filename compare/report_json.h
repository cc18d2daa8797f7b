/**
 * report_json.h: the report for machines: schema 1. Numbers keep full precision; what cannot be had is null, with a
 * reason.
 */
#ifndef MMREPLAY_COMPARE_REPORT_JSON_H
#define MMREPLAY_COMPARE_REPORT_JSON_H

#include <stdio.h>

#include "compare/report.h"

/** A JSON document that grows trace by trace. */
struct report_json;

enum err report_json_create(struct report_json **out);
void report_json_destroy(struct report_json *json);

/** Adds a trace; the first also sets the context. @return ERR_NOMEM. */
enum err report_json_add(struct report_json *json, const struct report *report);

/** Writes the document and a newline. @return ERR_IO. */
enum err report_json_write(const struct report_json *json, FILE *out);

#endif
