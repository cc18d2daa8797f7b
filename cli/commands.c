#include "cli/commands.h"

const struct command *const commands[] = {
    &command_record, &command_replay, &command_info, &command_check, &command_generate, &command_allocators, NULL,
};
