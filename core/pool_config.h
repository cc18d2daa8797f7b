/**
 * pool_config.h: the settings of a pool: CPython's versions, and what-ifs.
 *
 * As text, settings are what stands behind `pool:` on the command line: `3.9`, `arena=256K,keep=0`, `3.9,keep=0`. What
 * is not said is the profile's; without a profile, the default one's.
 */
#ifndef MMREPLAY_CORE_POOL_CONFIG_H
#define MMREPLAY_CORE_POOL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/diag.h"
#include "core/base/err.h"

/** Which arena gives the next pool: the first of usable_arenas, which is kept in this order. */
enum pool_order {
    POOL_ORDER_FULLEST,  /**< fewest free pools first, a finger per number of them (CPython since 3.8) */
    POOL_ORDER_LINEAR,   /**< the same order, found by a walk (CPython to 3.7) */
    POOL_ORDER_EMPTIEST, /**< most free pools first */
    POOL_ORDER_ADDRESS,  /**< lowest address first */
    POOL_ORDER_COUNT
};

/** Where a full pool that gets a block back enters its class's list. */
enum pool_reentry { POOL_REENTRY_FRONT, POOL_REENTRY_BACK, POOL_REENTRY_COUNT };

/** Where pool headers lie. */
enum pool_headers { POOL_HEADERS_POOL, POOL_HEADERS_SIDE, POOL_HEADERS_COUNT };

/** Where the default arena source takes arenas from. */
enum pool_source { POOL_SOURCE_MMAP, POOL_SOURCE_MALLOC, POOL_SOURCE_COUNT };

/** Huge pages under the default source's arenas. */
enum pool_hugepages {
    POOL_HUGEPAGES_NO,
    POOL_HUGEPAGES_ADVISE, /**< madvise(MADV_HUGEPAGE) */
    POOL_HUGEPAGES_MAP,    /**< MAP_HUGETLB where the system has such pages to give, else plain */
    POOL_HUGEPAGES_COUNT
};

/** Where arenas begin within a pool, when there is no list of residues. Here both mean: aligned. */
enum pool_residues {
    POOL_RESIDUES_AUTO,  /**< nothing is said: a replay may do as the recorded interpreter did */
    POOL_RESIDUES_NONE,  /**< aligned, whatever was recorded */
    POOL_RESIDUES_TRACE, /**< as recorded: whoever makes the pool must bring the source that does it */
    POOL_RESIDUES_COUNT
};

/** The map of arenas that the statistics text tells of. */
enum pool_arena_map {
    POOL_ARENA_MAP_64,   /**< a radix tree over addresses of 64 bits (CPython since 3.11) */
    POOL_ARENA_MAP_48,   /**< of 48 bits (3.10) */
    POOL_ARENA_MAP_NONE, /**< none: addresses are tested by the index in a pool's header (to 3.9) */
    POOL_ARENA_MAP_COUNT
};

enum { POOL_RESIDUES_MAX = 32 };

struct pool_config {
    const char *name;       /**< of the profile it derives from: "3.11"; any other name is the caller's own */
    size_t align_bytes;     /**< of every block; also the size-class step */
    size_t threshold_bytes; /**< largest small request */
    size_t pool_bytes;      /**< power of two */
    size_t arena_bytes;     /**< multiple of pool_bytes */
    uint32_t keep_count;    /**< wholly free arenas that may be kept; POOL.md says which */
    uint8_t order;          /**< enum pool_order */
    uint8_t reentry;        /**< enum pool_reentry */
    uint8_t headers;        /**< enum pool_headers */
    uint8_t source;         /**< enum pool_source */
    uint8_t hugepages;      /**< enum pool_hugepages */
    uint8_t arena_map;      /**< enum pool_arena_map; the profile's, and of the statistics text only */
    uint8_t residues;       /**< enum pool_residues; with a list POOL_RESIDUES_AUTO */
    uint32_t residue_count; /**< of the default source; 0 = no list: aligned to the pool size */
    uint32_t residues_bytes[POOL_RESIDUES_MAX]; /**< address mod pool_bytes of arenas in turn, over and over */
};

/** A CPython version's settings. */
struct pool_profile {
    const char *versions; /**< "3.7.0 - 3.7.3" */
    const char *differs;  /**< from the row before it */
    struct pool_config config;
};

/** Oldest first. @return NULL past the last one. Static. */
const struct pool_profile *pool_profile_at(size_t index);

/** What `pool` means. */
extern const char pool_profile_default[];

/** The profile of that name ("3.11"; "classic" is 3.7), or NULL. Static. */
const struct pool_config *pool_profile_find(const char *name);

/** The profile of a version as CPython writes it ("3.7.16", "3.11.2 (main, …)"), or NULL. Static. */
const struct pool_config *pool_profile_of_version(const char *version);

/** A setting that stands in settings text as key=value. */
struct pool_setting {
    const char *key;
    const char *values; /**< "SIZE", "front|back" */
    const char *reason; /**< why one would change it, in a line */
};

/** In the order of the text. @return NULL past the last one. Static. */
const struct pool_setting *pool_setting_at(size_t index);

/** True for a setting that is a choice of words or a list, not a number. */
bool pool_setting_is_choice(size_t index);

/** Room for any settings text. */
enum { POOL_CONFIG_TEXT_BYTES = 512 };

/** A setting's value as text. @return buffer. */
const char *pool_setting_value(size_t index, const struct pool_config *config, char buffer[POOL_CONFIG_TEXT_BYTES]);

/**
 * Settings from text: `[PROFILE][,KEY=VALUE…]`; "" is the default profile.
 * @return ERR_USAGE (an unknown word, the nearest told; a broken rule, told), ERR_UNSUPPORTED (sizes of 32 bits).
 */
enum err pool_config_parse(const char *text, struct pool_config *out, struct diag *diag);

/**
 * The shortest text that pool_config_parse makes `config` of: the profile, and what differs from it. @return buffer.
 */
const char *pool_config_format(const struct pool_config *config, char buffer[POOL_CONFIG_TEXT_BYTES]);

/** The value of every setting, `key=value` apart by blanks, for a reader. @return buffer. */
const char *pool_config_describe(const struct pool_config *config, char buffer[POOL_CONFIG_TEXT_BYTES]);

/** Checks the rules a config must keep. @return ERR_OK or ERR_USAGE with the broken rule in diag. */
enum err pool_config_check(const struct pool_config *config, struct diag *diag);

#endif
