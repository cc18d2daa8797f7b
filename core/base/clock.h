/**
 * clock.h: the monotonic clock. One reading costs about 20 ns (vDSO): never per operation in a timed loop.
 */
#ifndef MMREPLAY_CORE_BASE_CLOCK_H
#define MMREPLAY_CORE_BASE_CLOCK_H

#include <stdint.h>

/** Nanoseconds since an arbitrary fixed point (CLOCK_MONOTONIC). */
uint64_t clock_now_ns(void);

#endif
