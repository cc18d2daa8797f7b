/**
 * record_session.h: the shared memory and the process that is recorded.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_SESSION_H
#define MMREPLAY_TRACES_RECORD_RECORD_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

#include "core/base/diag.h"
#include "traces/record/record.h"
#include "traces/record/record_ring.h"

struct record_session {
    struct record_shared *shared; /**< mapped; NULL before create */
    uint64_t bytes;
    int fd;
    int address_fd; /**< of what the environment of the program names: this memory, or a tree's control memory */
    _Atomic uint64_t *claim_word;   /**< NULL, or where the program's pid goes before it runs (record_control.h) */
    const struct rlimit *files_max; /**< NULL, or the limit on descriptors that the program is to have */
    int shim_fd;                    /**< -1, or what a shim path that LD_PRELOAD cannot spell is reached by */
    pid_t pid;                      /**< 0 before spawn */
    bool has_ended;
    int wait_status;
    uint64_t life;  /**< 0, or in a tree, as in the shared memory */
    time_t started; /**< when the session was made */
};

/**
 * Memory that can be shared by its descriptor, zeroed, mapped, and of this size for ever.
 * @param fd, memory the caller's to close and to unmap. @return ERR_OK, ERR_IO.
 */
enum err session_memory_create(const char *name, uint64_t bytes, int *fd, void **memory, struct diag *diag);

/** @return ERR_OK, ERR_USAGE (ring settings), ERR_IO. */
enum err session_create(const struct record_options *options, struct record_session *out, struct diag *diag);

/** Starts the command with the shim in it. @return ERR_OK, ERR_NOT_FOUND, ERR_IO. */
enum err session_spawn(struct record_session *session, const struct record_options *options, struct diag *diag);

/** Looks whether the program has ended; fills has_ended and wait_status. */
void session_poll(struct record_session *session);

/** Sleeps until a ring fills or a few milliseconds have passed. */
void session_sleep(struct record_session *session);

/** From here on the program does not wait for anybody. */
void session_stop(struct record_session *session);

/** Frees the rings of threads that died without saying so, when the rings have run out. */
void session_reap_rings(struct record_session *session);

/** Unmaps. The program must have ended, or have been told to stop recording. */
void session_close(struct record_session *session);

#endif
