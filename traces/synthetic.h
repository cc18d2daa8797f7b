/**
 * synthetic.h: traces made from a rule instead of a program: the patterns that tell allocators apart.
 *
 * Same settings, same events, on every machine: the random numbers are splitmix64's, and nothing else is drawn from.
 * Thread 0 makes every block; the only operations are malloc and free.
 */
#ifndef MMREPLAY_TRACES_SYNTHETIC_H
#define MMREPLAY_TRACES_SYNTHETIC_H

#include <stdbool.h>

#include "core/base/diag.h"
#include "traces/stream.h"

enum synthetic_model {
    SYNTHETIC_PAIR,    /**< one malloc, its free, again and again; above live − 1 blocks that stay */
    SYNTHETIC_LIFO,    /**< cycles: live mallocs, then their frees, newest first */
    SYNTHETIC_FIFO,    /**< a queue of live blocks: free the oldest, make one */
    SYNTHETIC_REPLACE, /**< live blocks: free a random one, make one in its place */
    SYNTHETIC_RAMP,    /**< cycles: grow to live, shrink to nothing or to every k-th block, in a chosen order */
    SYNTHETIC_MODEL_COUNT
};

/** In which order a ramp frees. */
enum synthetic_order { SYNTHETIC_ORDER_RANDOM, SYNTHETIC_ORDER_NEWEST, SYNTHETIC_ORDER_OLDEST, SYNTHETIC_ORDER_COUNT };

/** Where sizes are drawn from. */
struct synthetic_sizes {
    bool is_python;     /**< as CPython programs ask (python_sizes.h): a class of 8 bytes, its largest size */
    uint64_t min_bytes; /**< otherwise uniformly from here … */
    uint64_t max_bytes; /**< … to here, both included; equal: one size */
};

struct synthetic_settings {
    enum synthetic_model model;
    enum synthetic_order order; /**< ramp */
    enum domain domain;         /**< of all blocks */
    struct synthetic_sizes sizes;
    uint64_t operation_count; /**< 0 = default: 4 million, but 8 a live block; rounded up to whole pairs or cycles */
    uint64_t live_count;      /**< most blocks live at once; 0 = the model's default */
    uint64_t cycle_count;     /**< lifo, ramp: this many cycles instead of operation_count; 0 = by that */
    uint64_t keep_every;      /**< ramp: every k-th block survives its cycle's shrinking; 0 = none */
    uint64_t seed;
};

/** A model's row for help and messages. */
struct synthetic_model_info {
    const char *name;
    const char *summary;
    uint64_t live_default_count;
    bool has_cycles;
};

extern const struct synthetic_model_info synthetic_models[SYNTHETIC_MODEL_COUNT];
extern const char *const synthetic_order_names[SYNTHETIC_ORDER_COUNT];

/** @return ERR_OK, or ERR_USAGE naming the nearest model, or all of them. */
enum err synthetic_model_parse(const char *text, enum synthetic_model *out, struct diag *diag);

/** `random`, `newest`, `oldest`. @return ERR_OK or ERR_USAGE. */
enum err synthetic_order_parse(const char *text, enum synthetic_order *out, struct diag *diag);

/** `64`, `16-512` (suffixes as units_parse_bytes), `python`. @return ERR_OK, ERR_USAGE or ERR_LIMIT. */
enum err synthetic_sizes_parse(const char *text, struct synthetic_sizes *out, struct diag *diag);

/**
 * Checks the settings against each other and puts numbers where they say "default".
 * @return ERR_USAGE (a setting that the model does not have, more live blocks than operations), ERR_LIMIT (more blocks
 *         than a trace can hold).
 */
enum err synthetic_complete(struct synthetic_settings *settings, struct diag *diag);

/**
 * Puts the whole trace into `sink`, in runs.
 *
 * What is live at the end stays: pair's standing blocks, a queue's, the replaced ones, the last ramp's survivors.
 * @param settings completed by synthetic_complete.
 * Memory: 8 bytes a live block, ramp 16. Cost: some 10 ns an event and the sink's.
 * @return ERR_NOMEM, or what the sink returned.
 */
enum err synthetic_write(const struct synthetic_settings *settings, const struct event_sink *sink, struct diag *diag);

#endif
