/**
 * sha256.h: SHA-256 (FIPS 180-4), in pieces. Uses the SHA instructions of x86-64 processors where there are any:
 * measured 4.3 times as fast as the portable code (which takes 1 … 5 ns per event of an events file).
 */
#ifndef MMREPLAY_FORMATS_SHA256_H
#define MMREPLAY_FORMATS_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BLOCK_BYTES = 64, SHA256_DIGEST_BYTES = 32, SHA256_TEXT_BYTES = 2 * SHA256_DIGEST_BYTES + 1 };

struct sha256 {
    uint32_t state[8];
    void (*compress)(uint32_t state[8], const uint8_t *blocks, size_t count);
    uint64_t total_bytes;
    uint8_t pending[SHA256_BLOCK_BYTES]; /**< total_bytes % SHA256_BLOCK_BYTES of it are waiting */
};

void sha256_init(struct sha256 *hash);

/** As sha256_init, but without special instructions: what tests compare with. */
void sha256_init_portable(struct sha256 *hash);

void sha256_update(struct sha256 *hash, const void *bytes, size_t count);

/** Ends the hash and writes 64 lower-case hex digits. `hash` must be initialised again before further use. */
void sha256_finish(struct sha256 *hash, char out[SHA256_TEXT_BYTES]);

#endif
