#include "compare/trace_arenas.h"

#include <stdio.h>
#include <string.h>

#include "core/pages.h"

static bool places_are_pages(const struct arena_list *list) {
    for (uint64_t i = 0; i < list->count; i++)
        if (list->places_bytes[i] % pages_size_bytes())
            return false;
    return true;
}

enum err trace_arenas_read(const char *path, const struct trace_info *info, struct trace_arenas *out,
                           struct diag *diag) {
    static const char maker[] = "CPython ";
    struct trace_arenas arenas = {.arena_bytes = info->capture_arena_bytes, .arena_count = info->capture_arena_count};
    const char *interpreter = info->program_interpreter ? info->program_interpreter : "";
    if (!info->capture_arena_places) {
        *out = (struct trace_arenas){0};
        return ERR_OK;
    }
    enum err err = arena_list_parse(path, info->capture_arena_places, &arenas.list, diag);
    if (err)
        return err;
    if (!places_are_pages(&arenas.list))
        arena_list_clear(&arenas.list);
    snprintf(arenas.interpreter, sizeof arenas.interpreter, "%s", interpreter);
    if (strncmp(interpreter, maker, sizeof maker - 1) == 0)
        arenas.profile = pool_profile_of_version(interpreter + sizeof maker - 1);
    *out = arenas;
    return ERR_OK;
}

void trace_arenas_clear(struct trace_arenas *arenas) {
    if (arenas)
        arena_list_clear(&arenas->list);
}

/* Same arenas, obtained at the same operations: versions that differ in name only are alike. */
static bool settings_are_recorded(const struct trace_arenas *arenas, const struct pool_config *config) {
    char text[POOL_CONFIG_TEXT_BYTES];
    struct pool_config renamed = *config;
    if (!arenas->profile || arenas->arena_bytes != config->arena_bytes ||
        arenas->profile->arena_map != config->arena_map)
        return false;
    renamed.name = arenas->profile->name;
    renamed.residues = POOL_RESIDUES_AUTO;
    return strcmp(pool_config_format(&renamed, text), renamed.name) == 0;
}

enum err trace_arenas_choose(const struct trace_arenas *arenas, const struct allocator *allocator,
                             enum worker_arenas *out, struct diag *diag) {
    struct pool_config config;
    bool is_recorded = arenas && arenas->list.count;
    *out = WORKER_ARENAS_OWN;
    if (worker_settings_are_fast(allocator->settings) || allocator->debug_hooks ||
        !allocator_pool_config(allocator, &config))
        return ERR_OK;
    if (config.residues == POOL_RESIDUES_TRACE && !is_recorded)
        return diag_set(diag, ERR_USAGE, NULL,
                        "allocator '%s': residues=trace, but the trace does not tell where its program's arenas lay "
                        "(no CPython, or recorded without)",
                        allocator->name);
    if (is_recorded && config.residues != POOL_RESIDUES_NONE && settings_are_recorded(arenas, &config))
        *out = WORKER_ARENAS_RECORDED;
    else if (config.residues == POOL_RESIDUES_TRACE)
        *out = WORKER_ARENAS_RESIDUES;
    return ERR_OK;
}
