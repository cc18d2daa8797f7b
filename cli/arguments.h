/**
 * arguments.h: argv against a command's option table, and the help made from the same table.
 *
 * Accepts `--name value`, `--name=value`, `-n value`, `-nvalue`, bundled flags, `--` and options after operands.
 */
#ifndef MMREPLAY_CLI_ARGUMENTS_H
#define MMREPLAY_CLI_ARGUMENTS_H

#include <stdio.h>

#include "cli/command.h"
#include "core/base/diag.h"

/**
 * Parses and runs a command.
 * @param argv the command's own arguments, argv[0] being its name; operands are moved to the front of it.
 * @return the process's exit code; usage errors are told on stderr.
 */
int command_main(const struct command *command, int argc, char **argv);

void command_help_print(const struct command *command, FILE *out);

/** The overview: `mmreplay --help`. */
void overview_print(FILE *out);

#endif
