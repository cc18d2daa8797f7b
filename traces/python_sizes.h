/**
 * python_sizes.h: how often CPython programs ask for which size, measured; written by tests/bench/python_sizes.c.
 *
 * From the traces python-batch, python-graph and python-service, each weighing the same:
 * requests of 0 to 512 bytes in the domains mem and obj. Weight i is the share of (8 i, 8 i + 8] bytes; 0 bytes
 * count as 1.
 */
#ifndef MMREPLAY_TRACES_PYTHON_SIZES_H
#define MMREPLAY_TRACES_PYTHON_SIZES_H

#include <stdint.h>

enum { PYTHON_SIZES_STEP_BYTES = 8, PYTHON_SIZES_COUNT = 64, PYTHON_SIZES_TOTAL = 100000 };

// clang-format off
static const uint32_t python_size_weights[PYTHON_SIZES_COUNT] = {
    3272, 785, 6561, 19579, 3281, 13828, 22923, 10722, 2504, 392, 249, 697, 198, 200, 661, 301,
    118, 351, 551, 1665, 63, 83, 80, 288, 63, 1144, 264, 127, 3199, 206, 3792, 871,
    33, 65, 12, 137, 20, 12, 11, 133, 8, 11, 11, 9, 11, 8, 7, 8,
    6, 62, 20, 125, 8, 73, 10, 7, 7, 24, 7, 7, 5, 6, 6, 113,
};
// clang-format on

#endif
