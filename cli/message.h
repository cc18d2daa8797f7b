/**
 * message.h: what the tool says on stderr, always `mmreplay: …`, lower-case, one line each: control characters of file
 * names and texts within are replaced (core/base/shown.h).
 */
#ifndef MMREPLAY_CLI_MESSAGE_H
#define MMREPLAY_CLI_MESSAGE_H

#include "core/base/diag.h"

/** `mmreplay: <place>: <text>`. @return EXIT_CODE_FAILURE, so that `return message_error(&diag);` ends a command. */
int message_error(const struct diag *diag);

/** `mmreplay: <text>`. @return EXIT_CODE_FAILURE. */
int message_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** `mmreplay: warning: <text>`. */
void message_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Plain progress news on stderr: `mmreplay: <text>`. */
void message_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Prints a text that comes from outside (a trace, a file name) to stdout, fit for one line of a terminal. */
void shown_print(const char *text);

/**
 * Occupies those of the descriptors 0, 1 and 2 that were closed by the caller, so that no file of ours gets their
 * number; not for reading or writing anything, and not inherited. To be called first.
 */
void streams_hold(void);

/** Flushes stdout; a full disk or a closed pipe becomes an error; a stdout that was closed from the start does
 * only when something was printed. @return `code`, or EXIT_CODE_FAILURE. */
int output_finish(int code);

#endif
