#include "traces/record/record_time.h"

static uint64_t ns_of(const struct timespec *time) {
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

uint64_t record_time_now_ns(enum record_time time) {
    struct timespec now = {0};
    clock_gettime(record_time_clock(time), &now);
    return ns_of(&now);
}

enum err record_time_describe(enum record_time time, struct trace_info *info) {
    struct timespec resolution = {0};
    if (time == RECORD_TIME_OFF)
        return ERR_OK;
    clock_getres(record_time_clock(time), &resolution);
    info->capture_clock_resolution_ns = ns_of(&resolution);
    if (info->capture_clock_resolution_ns < record_time_unit_ns(time))
        info->capture_clock_resolution_ns = record_time_unit_ns(time);
    return trace_text_set(&info->capture_clock,
                          time == RECORD_TIME_COARSE ? "CLOCK_MONOTONIC_COARSE" : "CLOCK_MONOTONIC");
}
