#include "traces/event.h"

const char *const event_kind_names[EVENT_KIND_COUNT] = {
    [EVENT_MALLOC] = "malloc",         [EVENT_CALLOC] = "calloc", [EVENT_ALIGNED_ALLOC] = "aligned_alloc",
    [EVENT_REALLOC] = "realloc",       [EVENT_FREE] = "free",     [EVENT_THREAD_START] = "thread_start",
    [EVENT_THREAD_END] = "thread_end",
};

const char *const domain_names[DOMAIN_COUNT] = {
    [DOMAIN_C] = "c",
    [DOMAIN_RAW] = "raw",
    [DOMAIN_MEM] = "mem",
    [DOMAIN_OBJ] = "obj",
};
