#include "formats/sha256.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

/* Fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t word, unsigned count) {
    return word >> count | word << (32 - count);
}

static uint32_t big_endian_load(const uint8_t *from) {
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void schedule_expand(uint32_t words[64], const uint8_t *block) {
    for (size_t i = 0; i < 16; i++)
        words[i] = big_endian_load(block + (size_t)4 * i);
    for (size_t i = 16; i < 64; i++) {
        uint32_t early = words[i - 15], late = words[i - 2];
        words[i] = words[i - 16] + words[i - 7] + (rotate_right(early, 7) ^ rotate_right(early, 18) ^ early >> 3) +
                   (rotate_right(late, 17) ^ rotate_right(late, 19) ^ late >> 10);
    }
}

static void block_compress(uint32_t state[8], const uint8_t *block) {
    uint32_t words[64];
    schedule_expand(words, block);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t choice = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t first = h + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) + choice +
                         round_constants[i] + words[i];
        uint32_t second = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) + majority;
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void blocks_compress(uint32_t state[8], const uint8_t *blocks, size_t count) {
    for (; count; count--, blocks += SHA256_BLOCK_BYTES)
        block_compress(state, blocks);
}

#ifdef __x86_64__
/* The instructions keep the state as two words of four, in the orders ABEF and CDGH, and do two rounds at a time. */
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_compress_sha(uint32_t state[8], const uint8_t *blocks,
                                                                            size_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, hgfe, 8);
    __m128i cdgh = _mm_blend_epi16(hgfe, cdab, 0xf0);
    for (; count; count--, blocks += SHA256_BLOCK_BYTES) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i words[4]; /* the last 16 of the schedule */
        for (size_t i = 0; i < 16; i++) {
            __m128i *next = &words[i % 4];
            if (i < 4) {
                *next = _mm_loadu_si128((const __m128i *)(const void *)(blocks + 16 * i));
                *next = _mm_shuffle_epi8(*next, big_endian);
            } else {
                const __m128i newest = words[(i + 3) % 4];
                const __m128i seventh = _mm_alignr_epi8(newest, words[(i + 2) % 4], 4);
                *next = _mm_add_epi32(_mm_sha256msg1_epu32(*next, words[(i + 1) % 4]), seventh);
                *next = _mm_sha256msg2_epu32(*next, newest);
            }
            const __m128i *constants = (const __m128i *)(const void *)(round_constants + 4 * i);
            __m128i sum = _mm_add_epi32(*next, _mm_loadu_si128(constants));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Asked once: cpuid traps in a virtual machine. */
static bool processor_has_sha(void) {
    static atomic_int known; /* 0: not asked, 1: no, 2: yes */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (!answer) {
        unsigned a, b, c, d, features = 0;
        bool sse = __get_cpuid(1, &a, &b, &features, &d) && features & bit_SSE4_1 && features & bit_SSSE3;
        answer = sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA ? 2 : 1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}
#endif

void sha256_init(struct sha256 *hash) {
    sha256_init_portable(hash);
#ifdef __x86_64__
    if (processor_has_sha())
        hash->compress = blocks_compress_sha;
#endif
}

void sha256_init_portable(struct sha256 *hash) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, start, sizeof start);
    hash->total_bytes = 0;
    hash->compress = blocks_compress;
}

void sha256_update(struct sha256 *hash, const void *bytes, size_t count) {
    const uint8_t *from = bytes;
    size_t waiting = hash->total_bytes % SHA256_BLOCK_BYTES;
    hash->total_bytes += count;
    if (waiting) {
        size_t missing = SHA256_BLOCK_BYTES - waiting;
        size_t taken = count < missing ? count : missing;
        memcpy(hash->pending + waiting, from, taken);
        from += taken, count -= taken;
        if (taken < missing)
            return;
        hash->compress(hash->state, hash->pending, 1);
    }
    hash->compress(hash->state, from, count / SHA256_BLOCK_BYTES);
    size_t rest = count % SHA256_BLOCK_BYTES;
    if (rest)
        memcpy(hash->pending, from + count - rest, rest);
}

void sha256_finish(struct sha256 *hash, char out[SHA256_TEXT_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = hash->total_bytes * 8;
    size_t waiting = hash->total_bytes % SHA256_BLOCK_BYTES;
    uint8_t tail[2 * SHA256_BLOCK_BYTES] = {0x80};
    size_t tail_bytes = (waiting < 56 ? 64 : 128) - waiting;
    for (int i = 0; i < 8; i++)
        tail[tail_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
    sha256_update(hash, tail, tail_bytes);
    for (size_t i = 0; i < SHA256_DIGEST_BYTES; i++) {
        uint8_t byte = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15];
    }
    out[SHA256_TEXT_BYTES - 1] = '\0';
}
