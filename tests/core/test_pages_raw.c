#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>

#include "core/pages.h"
#include "core/raw.h"

static void pages_are_aligned_as_asked_and_zero(void **state) {
    (void)state;
    for (size_t align = 1; align <= (size_t)4 << 20; align *= 4) {
        char *pages[8];
        for (int i = 0; i < 8; i++) {
            pages[i] = pages_map(12288, align);
            assert_non_null(pages[i]);
            assert_int_equal((uintptr_t)pages[i] & (align - 1), 0);
            assert_int_equal(pages[i][0] | pages[i][12287], 0);
            pages[i][12287] = 1;
        }
        for (int i = 0; i < 8; i++)
            pages_unmap(pages[i], 12288);
    }
}

static void pages_leave_the_residue_asked_for(void **state) {
    (void)state;
    for (size_t residue = 0; residue < 65536; residue += 12288) {
        char *pages[4];
        for (int i = 0; i < 4; i++) {
            pages[i] = pages_map_residue(1 << 20, 65536, residue);
            assert_non_null(pages[i]);
            assert_int_equal((uintptr_t)pages[i] % 65536, residue);
            pages[i][0] = pages[i][(1 << 20) - 1] = 1;
        }
        for (int i = 0; i < 4; i++)
            pages_unmap(pages[i], 1 << 20);
    }
}

static void huge_pages_are_had_or_refused(void **state) {
    (void)state;
    size_t bytes = 4 << 20;
    char *pages = pages_map_huge(bytes);
    if (pages) {
        pages[bytes - 1] = 1;
        pages_unmap(pages, bytes);
    }
    pages = pages_map(bytes, 1);
    pages_advise_huge(pages, bytes);
    pages[bytes - 1] = 1;
    pages_unmap(pages, bytes);
}

static void unmapped_pages_are_gone(void **state) {
    (void)state;
    size_t page = pages_size_bytes();
    char *pages = pages_map(4 * page, 1 << 20);
    unsigned char resident[4];
    assert_int_equal(mincore(pages, 4 * page, resident), 0);
    pages_unmap(pages, 4 * page);
    assert_int_equal(mincore(pages, 4 * page, resident), -1);
    assert_int_equal(errno, ENOMEM);
    pages_unmap(NULL, page);
}

static void impossible_mappings_are_null(void **state) {
    (void)state;
    assert_null(pages_map((size_t)1 << 60, 1));
    assert_null(pages_map(SIZE_MAX & ~(size_t)4095, (size_t)1 << 20));
}

static void raw_requests_of_nothing_are_blocks(void **state) {
    (void)state;
    void *blocks[] = {raw_malloc(0), raw_calloc(0, 8), raw_calloc(8, 0), raw_realloc(NULL, 0),
                      raw_aligned_alloc(64, 0)};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        assert_non_null(blocks[i]);
        assert_true(raw_usable_size(blocks[i]) >= 1);
        blocks[i] = raw_realloc(blocks[i], 0);
        assert_non_null(blocks[i]);
        raw_free(blocks[i]);
    }
    raw_free(NULL);
    assert_int_equal(raw_usable_size(NULL), 0);
}

static void raw_requests_beyond_ptrdiff_max_are_refused(void **state) {
    (void)state;
    volatile size_t beyond = (size_t)PTRDIFF_MAX + 1;
    assert_null(raw_malloc(beyond));
    assert_null(raw_calloc(1, beyond));
    assert_null(raw_calloc(beyond, 2));
    assert_null(raw_realloc(NULL, beyond));
    assert_null(raw_aligned_alloc(64, beyond));
}

static void raw_blocks_are_aligned_as_asked(void **state) {
    (void)state;
    for (size_t align = 8; align <= 1 << 20; align *= 2) {
        void *block = raw_aligned_alloc(align, 100);
        assert_int_equal((uintptr_t)block & (align - 1), 0);
        raw_free(block);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_aligned_as_asked_and_zero),
        cmocka_unit_test(pages_leave_the_residue_asked_for),
        cmocka_unit_test(huge_pages_are_had_or_refused),
        cmocka_unit_test(unmapped_pages_are_gone),
        cmocka_unit_test(impossible_mappings_are_null),
        cmocka_unit_test(raw_requests_of_nothing_are_blocks),
        cmocka_unit_test(raw_requests_beyond_ptrdiff_max_are_refused),
        cmocka_unit_test(raw_blocks_are_aligned_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
