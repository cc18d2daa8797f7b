/**
 * record_control.h: the memory that all processes of a recorded tree share with the recorder.
 *
 * Every recorded process has a memory file of its own (record_ring.h). The recorder makes some ready beforehand and
 * lists them here, a slot each; a process that comes new (the child of a fork at its first call, a program at its
 * start) claims one and opens it by way of /proc. When none is ready it waits until the recorder has made one. A slot
 * stays with its process over an exec that was announced there, and until its end. A pid may come again while the slot
 * of the process that had it before is not empty yet: the recorder takes the pid out of the claim when it sees the end.
 *
 * Beside that, processes note here which program they are about to become, because one that cannot be recorded will
 * not say so itself; and those that could say so, that and why they are not.
 *
 * The recorder trusts nothing in here: any process of the tree may have overwritten it.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_CONTROL_H
#define MMREPLAY_TRACES_RECORD_RECORD_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

#define RECORD_CONTROL_MAGIC 0x4c525443504d4d00ull

enum {
    CONTROL_SLOT_COUNT = 4096, /**< processes that are recorded at once */
    CONTROL_EXEC_COUNT = 256,  /**< notes of programs that wait for the recorder's look; older ones are overwritten */
    CONTROL_PATH_BYTES = 240
};

enum control_state { SLOT_EMPTY, SLOT_READY, SLOT_CLAIMED };

/** How a process came to its slot. */
enum control_came { CAME_START, CAME_FORK, CAME_EXEC, CAME_COUNT };

struct control_slot {
    _Alignas(64) _Atomic uint64_t claim; /**< enum control_state, and from bit 32 on the pid */
    _Atomic uint32_t fd;                 /**< of the memory file, in the recorder */
    uint32_t came;                       /**< enum control_came; valid, like the rest, when is_told */
    uint32_t parent_pid;
    uint64_t parent_life;     /**< of a fork: the parent's record_shared.life; its pid may be another's by now */
    uint64_t claimed_ns;      /**< when, by CLOCK_MONOTONIC */
    uint64_t fork_number;     /**< which fork of the parent's; 0 = one that the parent did not see coming */
    uint64_t parent_stamp;    /**< of a fork unseen: the parent had taken this many numbers by then, or a few fewer */
    _Atomic uint32_t is_told; /**< the process has filled in the rest */
    _Atomic uint32_t
        is_heard; /**< futex: the recorder knows what it inherits; who comes of a fork unseen waits for it */
    _Atomic uint32_t failure; /**< errno: it could not open the memory file and is not recorded */
};

enum control_note {
    NOTE_EXEC,    /**< the process is about to become another program, or has been started as one */
    NOTE_DENIED,  /**< it found no slot, and goes on unrecorded */
    NOTE_FOREIGN, /**< it lives in another pid namespace, where numbers mean others: it goes on unrecorded */
    NOTE_COUNT
};

struct control_exec {
    _Atomic uint64_t serial; /**< 1 + its number among all notes, when it is whole */
    uint32_t what;           /**< enum control_note */
    uint32_t pid;
    uint32_t parent_pid;
    char path[CONTROL_PATH_BYTES]; /**< as asked for; empty: it did not work out, forget the last note of this pid */
};

struct record_control {
    uint64_t magic;
    uint64_t control_bytes; /**< size of this struct: both sides must be of one build */
    uint64_t pid_namespace; /**< the recorder's: inode of /proc/self/ns/pid; 0: not known */
    uint32_t recorder_pid;
    _Atomic uint32_t recorder_life;   /**< FUTEX_OWNER_DIED in it: the recorder is dead (record_life.h) */
    _Atomic uint32_t stopped;         /**< nothing is recorded any more: claim nothing, wait for nobody */
    _Atomic uint32_t recorder_sleeps; /**< futex */
    _Atomic uint32_t slots_short;     /**< somebody waits for a slot */
    _Atomic uint32_t ready_count;     /**< futex: slots ever made ready */
    _Atomic uint32_t is_full;         /**< there will be no more slots: the limit, or no descriptors */
    _Atomic uint32_t denied_count;    /**< processes that went on unrecorded for that */
    _Atomic uint32_t slot_top;        /**< slots in use lie below this */
    _Atomic uint64_t exec_count;      /**< notes ever begun */
    struct control_exec execs[CONTROL_EXEC_COUNT];
    struct control_slot slots[CONTROL_SLOT_COUNT];
};

static inline uint64_t control_claim(enum control_state state, uint32_t pid) {
    return (uint64_t)pid << 32 | (uint64_t)state;
}

static inline enum control_state control_claim_state(uint64_t claim) {
    return (enum control_state)(claim & UINT32_MAX);
}

static inline uint32_t control_claim_pid(uint64_t claim) {
    return (uint32_t)(claim >> 32);
}

#endif
