/**
 * environment.h: the machine and the state it was in, as far as they bear on the figures.
 */
#ifndef MMREPLAY_COMPARE_ENVIRONMENT_H
#define MMREPLAY_COMPARE_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

/** Texts are empty when the machine does not tell. */
struct environment {
    char host[256];
    char cpu[128];
    char kernel[256];
    char governor[32]; /**< of the pinned CPU; "" where the kernel does not steer the clock (most VMs) */
    char turbo[8];     /**< "on", "off" */
    char thp[16];      /**< transparent huge pages: always, madvise, never */
    char aslr[8];      /**< of the workers: "on", "off"; filled by the experiment */
    char libc[64];     /**< "glibc 2.36" */
    char compiler[128];
    char started[32];    /**< ISO 8601, UTC */
    char settings[1024]; /**< variables that steer allocators, as NAME=value separated by blanks: MALLOC_CONF, … */
    bool virtual_machine;
    bool has_load;
    double load_average;             /**< of the last minute, at the start */
    uint64_t memory_available_bytes; /**< what can be used without swapping, at the start; 0: unknown */
    int cpu_count;                   /**< online */
    int pinned_cpu;                  /**< −1: not pinned */
};

/** Reads everything that can be had; never fails. @param pinned_cpu the CPU the workers run on, or −1. */
void environment_read(int pinned_cpu, struct environment *out);

/** The CPU to pin to: the last one this process may use (interrupts tend to the first). @return −1 when unknown. */
int environment_cpu_choose(void);

/** True when this process may run on that CPU. */
bool environment_cpu_allowed(uint64_t cpu);

#endif
