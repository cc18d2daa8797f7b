/**
 * traced.h: what tests have in common that record real programs, built beside them.
 */
#ifndef MMREPLAY_TESTS_TRACED_H
#define MMREPLAY_TESTS_TRACED_H

#include <stdbool.h>

#include "tests/support.h"
#include "traces/record/record.h"
#include "traces/tracker.h"

/** The capture shim to preload. */
extern const char *shim_path;

/** Takes the test's arguments, the shim and the folder of the programs. Exits with 2 without them. */
void traced_begin(int argc, char **argv);

/** The path of a program in that folder; it is good for three more calls. */
char *program(const char *name);

/** True when a warning of the recording has these words. */
bool traced_warns(const struct record_report *report, const char *words);

/** Applies a sink's events to the tracker, which refuses anything impossible; what it refuses is told. */
enum err traced_follow(struct tracker *tracker, const struct event *events, size_t count, struct diag *diag);

#endif
