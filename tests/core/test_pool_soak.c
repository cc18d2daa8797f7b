/*
 * pool_check after every one of many random operations, for every version's settings and for what-ifs.
 *
 *     test_pool_soak [--ops N] [--seed S] [SETTINGS…]      N operations each; without SETTINGS all
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/units.h"
#include "core/pool.h"
#include "tests/core/random_source.h"

enum { SLOTS_MAX = 16000, ARENAS_ABOUT = 3, BLOCK_BYTES_MAX = 530 };

static const char *const what_ifs[] = {
    "arena=64K,pool=4K,keep=0",
    "arena=64K,pool=4K,keep=3",
    "arena=64K,pool=4K,order=emptiest,keep=2",
    "arena=64K,pool=4K,order=address,keep=0",
    "arena=64K,pool=4K,order=linear,reentry=back",
    "arena=64K,pool=4K,headers=side,residues=0+0x0",
    "arena=128K,pool=16K,headers=side,reentry=back,residues=0x1000+0x3000+0",
    "arena=64K,pool=8K,align=8,threshold=1024,source=malloc",
    "arena=1M,pool=64K,align=32,order=emptiest,headers=side",
};

struct soak {
    struct pool *pool;
    struct random_source random;
    void *blocks[SLOTS_MAX];
    uint32_t slot_count; /* for a few arenas */
    uint32_t reach;      /* slots in use: it swings, so that arenas come and go */
};

/* Waves: filled, drained at random, filled, drained to the last blocks. */
static uint32_t slot_pick(struct soak *soak, uint64_t operation) {
    uint64_t wave_length = 3 * (uint64_t)soak->slot_count, wave = operation / wave_length;
    if (operation % wave_length == 0)
        soak->reach = wave % 2 ? random_below(&soak->random, soak->slot_count / 64 + 1) : soak->slot_count;
    return wave % 4 == 3 ? (uint32_t)(operation % soak->slot_count) : random_below(&soak->random, soak->slot_count);
}

static void step(struct soak *soak, uint64_t operation) {
    uint32_t slot = slot_pick(soak, operation), die = random_below(&soak->random, 8);
    size_t bytes = 1 + random_below(&soak->random, BLOCK_BYTES_MAX);
    void **block = &soak->blocks[slot];
    if (slot >= soak->reach || (*block && die > 1)) {
        pool_free(soak->pool, *block);
        *block = NULL;
    } else if (die < 2) {
        *block = pool_realloc(soak->pool, *block, bytes);
    } else {
        *block = die == 2 ? pool_calloc(soak->pool, 1, bytes) : pool_malloc(soak->pool, bytes);
    }
}

static bool settings_hold(const char *settings, uint64_t operation_count, uint64_t seed) {
    static struct soak soak;
    struct pool_config config;
    struct diag diag;
    struct pool_counts counts;
    memset(&soak, 0, sizeof soak);
    soak.random = random_seeded(seed);
    enum err err = pool_config_parse(settings, &config, &diag);
    if (!err)
        err = pool_create(&config, NULL, &soak.pool, &diag);
    soak.slot_count = err ? 1 : (uint32_t)(ARENAS_ABOUT * 2 * config.arena_bytes / BLOCK_BYTES_MAX);
    for (uint64_t i = 0; i < operation_count && !err; i++) {
        step(&soak, i);
        err = pool_check(soak.pool, &diag);
        if (err)
            fprintf(stderr, "%s: after operation %" PRIu64 ":\n", settings, i);
    }
    if (err) {
        fprintf(stderr, "%s: %s\n", settings, diag.text);
        return false;
    }
    pool_counts_get(soak.pool, &counts);
    printf("pool:%s: %" PRIu64 " operations and checks, %" PRIu64 " arenas mapped, %" PRIu64 " returned\n", settings,
           operation_count, counts.arenas_mapped_count, counts.arenas_returned_count);
    fflush(stdout);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        pool_free(soak.pool, soak.blocks[i]);
    pool_destroy(soak.pool);
    return true;
}

static bool all_hold(uint64_t operation_count, uint64_t seed) {
    bool hold = true;
    for (size_t i = 0; pool_profile_at(i); i++)
        hold &= settings_hold(pool_profile_at(i)->config.name, operation_count, seed);
    for (size_t i = 0; i < sizeof what_ifs / sizeof what_ifs[0]; i++)
        hold &= settings_hold(what_ifs[i], operation_count, seed);
    return hold;
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"ops", required_argument, NULL, 'o'}, {"seed", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    uint64_t operation_count = 5000, seed = 9;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
        if (option == '?' || units_parse_u64(optarg, option == 'o' ? &operation_count : &seed)) {
            fprintf(stderr, "usage: %s [--ops N] [--seed S] [SETTINGS…]\n", argv[0]);
            return EXIT_FAILURE;
        }
    printf("seed %" PRIu64 "\n", seed);
    bool hold = optind < argc || all_hold(operation_count, seed);
    for (int i = optind; i < argc; i++)
        hold &= settings_hold(argv[i], operation_count, seed);
    return hold ? EXIT_SUCCESS : EXIT_FAILURE;
}
