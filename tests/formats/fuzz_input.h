/**
 * fuzz_input.h: what the bytes of a fuzzer's input for the events reader stand for.
 *
 * Bytes that begin like gzip are an events file, but for the checksums of its member headers, which are made good. All
 * others are the raw contents of members, each led by its number of events and its length, two little-endian bytes
 * each; a correct file is made around them, so that the fuzzer gets past the checksums. The top bit of the first number
 * of events says that the members have times.
 */
#ifndef MMREPLAY_TESTS_FORMATS_FUZZ_INPUT_H
#define MMREPLAY_TESTS_FORMATS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

enum { FUZZ_FILE_BYTES_MAX = 1 << 20, FUZZ_MEMBER_LEAD_BYTES = 4, FUZZ_TIMES_BIT = 1 << 15 };

/** Makes the events file that `data` stands for at `out` (FUZZ_FILE_BYTES_MAX). @return its size. */
size_t fuzz_input_expand(const uint8_t *data, size_t size, uint8_t *out);

#endif
