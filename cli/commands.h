/**
 * commands.h: the rows of the command table, each in its own cmd_NAME.c.
 */
#ifndef MMREPLAY_CLI_COMMANDS_H
#define MMREPLAY_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command command_record;
extern const struct command command_replay;
extern const struct command command_info;
extern const struct command command_check;
extern const struct command command_generate;
extern const struct command command_allocators;

#endif
