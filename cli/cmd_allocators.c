#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "compare/launch.h"
#include "compare/python_library.h"

static const struct option_spec allocators_options[] = {{0}};

static void row_print(const char *name, const char *state, const char *text) {
    printf("%-12s  %-8s  %s\n", name, state, text);
}

static enum err name_print(const char *name, const struct allocator_kind *kind, const char *worker_path,
                           struct diag *diag) {
    struct allocator allocator;
    struct launch_result run;
    struct diag refusal;
    if (allocator_parse(name, &allocator, &refusal)) {
        const char *colon = strstr(refusal.text, ": ");
        row_print(name, "missing", colon ? colon + 2 : refusal.text);
        return ERR_OK;
    }
    enum err err = launch_probe(worker_path, &allocator, &run, diag);
    if (err)
        return err;
    char text[WORKER_PATH_BYTES + 256];
    if (allocator.backend == WORKER_NULL || allocator.backend == WORKER_POOL)
        snprintf(text, sizeof text, "%s%s%s", kind->summary, allocator.settings[0] ? "; as pool:" : "",
                 allocator.settings);
    else
        snprintf(text, sizeof text, "%s%s%s", run.shared->reply.version, run.shared->reply.version[0] ? ", " : "",
                 run.shared->reply.library);
    row_print(name, run.status == RUN_DONE ? "ready" : "unusable", run.status == RUN_DONE ? text : run.text);
    launch_result_release(&run);
    return ERR_OK;
}

/* A row for each libpython, where there is one. */
static enum err kind_print(const struct allocator_kind *kind, const char *worker_path, struct diag *diag) {
    static struct python_library libraries[PYTHON_LIBRARY_MAX];
    size_t count = kind->backend == WORKER_CPYTHON ? python_library_list(libraries) : 0;
    enum err err = count ? ERR_OK : name_print(kind->name, kind, worker_path, diag);
    for (size_t i = 0; i < count && !err; i++) {
        char name[ALLOCATOR_NAME_BYTES];
        snprintf(name, sizeof name, "%.32s:%.8s", kind->name, libraries[i].version);
        err = name_print(name, kind, worker_path, diag);
    }
    return err;
}

/* The pool's versions as they are given by name, each with what makes it differ, and its settings. */
static void profiles_print(void) {
    for (size_t i = 0; pool_profile_at(i); i++) {
        const struct pool_profile *profile = pool_profile_at(i);
        char name[64], text[POOL_CONFIG_TEXT_BYTES];
        snprintf(name, sizeof name, "pool:%s", profile->config.name);
        printf("%-12s  CPython %s: %s\n", name, profile->versions, profile->differs);
        printf("%-12s  %s\n", "", pool_config_describe(&profile->config, text));
    }
}

static void settings_print(void) {
    for (size_t i = 0; pool_setting_at(i); i++) {
        const struct pool_setting *setting = pool_setting_at(i);
        printf("  %s=%s\n      %s\n", setting->key, setting->values, setting->reason);
    }
}

static int allocators_run(const void *values, char **operands, size_t operand_count) {
    char worker_path[PATH_MAX];
    struct diag diag;
    (void)values, (void)operands, (void)operand_count;
    enum err err = libexec_path("mmreplay-worker", worker_path, sizeof worker_path, &diag);
    for (const struct allocator_kind *kind = allocator_kinds; kind->name && !err; kind++)
        err = kind_print(kind, worker_path, &diag);
    if (err)
        return message_error(&diag);
    row_print("cpython:PATH", "", "any libpython from 3.7 on; +aligned behind it: arenas mapped as the pool maps them");
    row_print("NAME=PATH", "", "any library that defines malloc, calloc, realloc and free");
    printf("\nversions of the pool\n");
    profiles_print();
    printf("\nsettings of the pool, as pool:keep=0 or pool:3.9,arena=1M,pool=16K\n");
    settings_print();
    return EXIT_CODE_DONE;
}

const struct command command_allocators = {
    .name = "allocators",
    .operands = "",
    .summary = "what can be replayed on this machine, and why not the rest",
    .description = "Starts a worker on each allocator that this build knows and tells which library answers; for the "
                   "missing ones it tells what to install. Then it lists the versions "
                   "and the settings of the pool.\n",
    .examples = "  mmreplay allocators\n",
    .options = allocators_options,
    .run = allocators_run,
};
