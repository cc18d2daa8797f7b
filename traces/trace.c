#include "traces/trace.h"

#include <stdlib.h>
#include <string.h>

void trace_info_clear(struct trace_info *info) {
    char *const owned[] = {
        info->name,
        info->description,
        info->program_command,
        info->program_version,
        info->program_interpreter,
        info->capture_date,
        info->capture_tool,
        info->capture_cpu,
        info->capture_kernel,
        info->capture_libc,
        info->capture_end,
        info->capture_arena_places,
        info->capture_clock,
        info->events_file,
        info->events_sha256,
        info->provenance,
        info->licence,
    };
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    memset(info, 0, sizeof *info);
}

enum err trace_text_set(char **field, const char *text) {
    char *copy = NULL;
    if (text && !(copy = strdup(text)))
        return ERR_NOMEM;
    free(*field);
    *field = copy;
    return ERR_OK;
}
