/**
 * fast_support.h: a source of arenas for pool:fast that counts and fails on command.
 */
#ifndef MMREPLAY_TESTS_CORE_FAST_SUPPORT_H
#define MMREPLAY_TESTS_CORE_FAST_SUPPORT_H

#include "core/fast.h"

struct fast_counted_source {
    uint64_t obtained_count;
    uint64_t returned_count;
    uint64_t request_count;
    uint64_t refuse_from; /**< requests from this number on are refused; 0 = none */
};

/** An instance on that source, which it borrows; ends the test when there is none. */
struct fast *fast_counted_create(struct fast_counted_source *source);

/** Ends the test with the broken invariant when there is one. */
void fast_check_assert(const struct fast *fast);

#endif
