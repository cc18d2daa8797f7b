#include <string.h>

#include "core/pages.h"
#include "core/pool_internal.h"

static const struct pool_config profiles[] = {
    {.name = "3.11", .align_bytes = 16, .threshold_bytes = 512, .pool_bytes = 16 << 10, .arena_bytes = 1 << 20},
};

const struct pool_config *pool_profile_find(const char *name) {
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    return NULL;
}

static bool is_power_of_two(size_t n) {
    return n && (n & (n - 1)) == 0;
}

static enum err class_rules_check(const struct pool_config *config, struct diag *diag) {
    size_t align = config->align_bytes;
    if (!is_power_of_two(align) || align < 8 || align > 256)
        return diag_set(diag, ERR_USAGE, NULL, "pool: align %zu is not a power of two from 8 to 256", align);
    if (config->threshold_bytes == 0 || config->threshold_bytes % align)
        return diag_set(diag, ERR_USAGE, NULL, "pool: threshold %zu is not a positive multiple of align %zu",
                        config->threshold_bytes, align);
    if (config->threshold_bytes / align > POOL_CLASS_MAX)
        return diag_set(diag, ERR_USAGE, NULL, "pool: threshold %zu with align %zu makes %zu size classes; %d at most",
                        config->threshold_bytes, align, config->threshold_bytes / align, POOL_CLASS_MAX);
    return ERR_OK;
}

static enum err pool_rules_check(const struct pool_config *config, struct diag *diag) {
    size_t pool = config->pool_bytes,
           header = (sizeof(struct pool_header) + config->align_bytes - 1) & ~(config->align_bytes - 1);
    if (!is_power_of_two(pool) || pool > (size_t)1 << 30)
        return diag_set(diag, ERR_USAGE, NULL, "pool: pool size %zu is not a power of two up to 1G", pool);
    if (pool < header + 2 * config->threshold_bytes)
        return diag_set(diag, ERR_USAGE, NULL,
                        "pool: pool size %zu holds no header of %zu and two blocks of the largest class, %zu", pool,
                        header, config->threshold_bytes);
    return ERR_OK;
}

static enum err arena_rules_check(const struct pool_config *config, struct diag *diag) {
    size_t arena = config->arena_bytes, pool = config->pool_bytes, page = pages_size_bytes();
    if (arena == 0 || arena % pool || arena > (size_t)1 << 30)
        return diag_set(diag, ERR_USAGE, NULL, "pool: arena size %zu is not a multiple of pool size %zu up to 1G",
                        arena, pool);
    if (arena % page)
        return diag_set(diag, ERR_USAGE, NULL, "pool: arena size %zu is not a multiple of the page size %zu", arena,
                        page);
    if (arena / pool < POOL_ARENA_POOLS_MIN || arena / pool > POOL_ARENA_POOLS_MAX)
        return diag_set(diag, ERR_USAGE, NULL, "pool: arena size %zu holds %zu pools of %zu; %d to %d are possible",
                        arena, arena / pool, pool, POOL_ARENA_POOLS_MIN, POOL_ARENA_POOLS_MAX);
    return ERR_OK;
}

enum err pool_config_check(const struct pool_config *config, struct diag *diag) {
    enum err err = class_rules_check(config, diag);
    if (!err)
        err = pool_rules_check(config, diag);
    if (!err)
        err = arena_rules_check(config, diag);
    return err;
}
