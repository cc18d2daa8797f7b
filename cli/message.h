/**
 * message.h: what the tool says on stderr, always `mmreplay: …`, lower-case.
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

/** Flushes stdout; a full disk or a closed pipe becomes an error. @return `code`, or EXIT_CODE_FAILURE. */
int output_finish(int code);

#endif
