#include "tests/core/fast_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pages.h"

static bool counted_obtain(void *ctx, void *arena, size_t bytes) {
    struct fast_counted_source *source = ctx;
    source->request_count++;
    if (source->refuse_from && source->request_count >= source->refuse_from)
        return false;
    if (!pages_commit(arena, bytes))
        return false;
    source->obtained_count++;
    return true;
}

static void counted_give_back(void *ctx, void *arena, size_t bytes) {
    struct fast_counted_source *source = ctx;
    source->returned_count++;
    pages_decommit(arena, bytes);
}

struct fast *fast_counted_create(struct fast_counted_source *source) {
    struct fast_source arenas = {source, counted_obtain, counted_give_back};
    struct fast *fast;
    struct diag diag;
    if (fast_create(&arenas, &fast, &diag))
        fail_msg("%s", diag.text);
    return fast;
}

void fast_check_assert(const struct fast *fast) {
    struct diag diag;
    if (fast_check(fast, &diag))
        fail_msg("%s", diag.text);
}
