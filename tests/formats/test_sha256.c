#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/sha256.h"

static void (*const inits[])(struct sha256 *) = {sha256_init, sha256_init_portable};
enum { INITS = sizeof inits / sizeof inits[0] };

static void hash_expect(const char *text, size_t repeat, const char *expected) {
    for (size_t way = 0; way < INITS; way++) {
        struct sha256 hash;
        char digest[SHA256_TEXT_BYTES];
        inits[way](&hash);
        for (size_t i = 0; i < repeat; i++)
            sha256_update(&hash, text, strlen(text));
        sha256_finish(&hash, digest);
        assert_string_equal(digest, expected);
    }
}

/* The examples of FIPS 180-2, appendix B, and of the empty message. */
static void published_examples_agree(void **state) {
    (void)state;
    hash_expect("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_expect("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    hash_expect("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void pieces_and_instructions_do_not_matter(void **state) {
    (void)state;
    uint8_t bytes[300];
    char whole[SHA256_TEXT_BYTES], pieces[SHA256_TEXT_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        struct sha256 hash;
        sha256_init_portable(&hash);
        sha256_update(&hash, bytes, sizeof bytes);
        sha256_finish(&hash, whole);
        sha256_init(&hash);
        sha256_update(&hash, bytes, cut);
        sha256_update(&hash, bytes + cut, sizeof bytes - cut);
        sha256_finish(&hash, pieces);
        assert_string_equal(whole, pieces);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples_agree),
        cmocka_unit_test(pieces_and_instructions_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
