/**
 * record_life.h: how the traced program learns that its recorder is dead, though its number may still be taken (a
 * zombie that nobody reaps; another pid namespace).
 *
 * A word of the shared memory is entered into the kernel's list of robust futexes of the calling thread: when that
 * thread ends, however it does, the kernel sets FUTEX_OWNER_DIED in it (set_robust_list(2)). No system call is needed
 * to look.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_LIFE_H
#define MMREPLAY_TRACES_RECORD_RECORD_LIFE_H

#include <stdatomic.h>
#include <stdint.h>

/** Ties `word` to the life of the calling thread; one word at a time. Where it cannot be done the word stays 0. */
void life_begin(_Atomic uint32_t *word);

/** The tie is undone; by the same thread. */
void life_end(void);

#endif
