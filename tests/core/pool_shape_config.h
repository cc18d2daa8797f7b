/**
 * pool_shape_config.h: settings by their four sizes; the rest is as in CPython 3.10 and newer.
 */
#ifndef MMREPLAY_TESTS_CORE_POOL_SHAPE_CONFIG_H
#define MMREPLAY_TESTS_CORE_POOL_SHAPE_CONFIG_H

#include "core/pool_config.h"

/** An initializer. */
#define POOL_CONFIG(label, align, threshold, pool, arena)                                                              \
    {                                                                                                                  \
        .name = (label), .align_bytes = (align), .threshold_bytes = (threshold), .pool_bytes = (pool),                 \
        .arena_bytes = (arena), .keep_count = 1                                                                        \
    }

#endif
