#include <string.h>

#include "core/pages.h"
#include "core/pool_internal.h"

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
    size_t pool = config->pool_bytes, header = pool_header_room(config);
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
        return diag_set(diag, ERR_USAGE, NULL, "pool: arena size %zu holds %zu pool%s of %zu; %d to %d are possible",
                        arena, arena / pool, arena / pool == 1 ? "" : "s", pool, POOL_ARENA_POOLS_MIN,
                        POOL_ARENA_POOLS_MAX);
    return ERR_OK;
}

/* Residues are chosen by mapping; malloc's arenas lie where it puts them. */
static enum err residue_rules_check(const struct pool_config *config, struct diag *diag) {
    size_t page = pages_size_bytes();
    if (config->residue_count > POOL_RESIDUES_MAX)
        return diag_set(diag, ERR_USAGE, NULL, "pool: %u residues; %d at most", config->residue_count,
                        POOL_RESIDUES_MAX);
    if (config->residue_count && config->residues != POOL_RESIDUES_AUTO)
        return diag_set(diag, ERR_USAGE, NULL, "pool: residues of a list and others exclude each other");
    if ((config->residue_count || config->residues == POOL_RESIDUES_TRACE) && config->source != POOL_SOURCE_MMAP)
        return diag_set(diag, ERR_USAGE, NULL,
                        "pool: residues need source=mmap: malloc's arenas lie where it puts them");
    for (uint32_t i = 0; i < config->residue_count; i++)
        if (config->residues_bytes[i] >= config->pool_bytes || config->residues_bytes[i] % page)
            return diag_set(diag, ERR_USAGE, NULL,
                            "pool: residue %#x is not a multiple of the page size %zu below pool size %zu",
                            config->residues_bytes[i], page, config->pool_bytes);
    return ERR_OK;
}

static enum err hugepage_rules_check(const struct pool_config *config, struct diag *diag) {
    if (!config->hugepages)
        return ERR_OK;
    if (config->source != POOL_SOURCE_MMAP)
        return diag_set(diag, ERR_USAGE, NULL,
                        "pool: hugepages need source=mmap: malloc's pages are not ours to choose");
    if (config->residue_count || config->residues == POOL_RESIDUES_TRACE)
        return diag_set(diag, ERR_USAGE, NULL,
                        "pool: hugepages and residues exclude each other: huge pages are aligned");
    if (config->arena_bytes % ((size_t)2 << 20))
        return diag_set(diag, ERR_USAGE, NULL, "pool: arena size %zu is not a multiple of a huge page, 2M",
                        config->arena_bytes);
    return ERR_OK;
}

static enum err choice_rules_check(const struct pool_config *config, struct diag *diag) {
    if (config->order >= POOL_ORDER_COUNT || config->reentry >= POOL_REENTRY_COUNT ||
        config->headers >= POOL_HEADERS_COUNT || config->source >= POOL_SOURCE_COUNT ||
        config->hugepages >= POOL_HUGEPAGES_COUNT || config->arena_map >= POOL_ARENA_MAP_COUNT ||
        config->residues >= POOL_RESIDUES_COUNT)
        return diag_set(diag, ERR_USAGE, NULL, "pool: a setting has a value that does not exist");
    return ERR_OK;
}

enum err pool_config_check(const struct pool_config *config, struct diag *diag) {
    enum err err = class_rules_check(config, diag);
    if (!err)
        err = pool_rules_check(config, diag);
    if (!err)
        err = arena_rules_check(config, diag);
    if (!err)
        err = choice_rules_check(config, diag);
    if (!err)
        err = residue_rules_check(config, diag);
    if (!err)
        err = hugepage_rules_check(config, diag);
    return err;
}
