#include "compare/side_by_side.h"

#include <stdio.h>
#include <string.h>

static void text_keep(const struct worker_text *from, char to[WORKER_STATS_BYTES + 1]) {
    size_t bytes = from->bytes <= WORKER_STATS_BYTES ? from->bytes : 0;
    memcpy(to, from->text, bytes);
    to[bytes] = '\0';
}

static enum err outcome_keep(const struct launch_result *run, struct side_by_side *out, struct diag *diag) {
    if (run->status == RUN_INTERRUPTED)
        return diag_set(diag, ERR_INTERRUPTED, NULL, "%s", run->text);
    if (run->status != RUN_DONE)
        return diag_set(diag, run->status == RUN_REFUSED ? run->err : ERR_CHILD, NULL, "%s", run->text);
    const struct worker_reply *reply = &run->shared->reply;
    out->result = reply->lockstep;
    snprintf(out->library, sizeof out->library, "%s", reply->library);
    snprintf(out->version, sizeof out->version, "%s", reply->version);
    for (int side = 0; side < 2; side++)
        text_keep(&worker_texts(run->shared)[side], out->text[side]);
    return ERR_OK;
}

static enum err once_run(const struct launch *launch, struct side_by_side *out, struct diag *diag) {
    struct launch_result run;
    enum err err = launch_run(launch, &run, diag);
    if (err)
        return err;
    err = outcome_keep(&run, out, diag);
    launch_result_release(&run);
    return err;
}

enum { COMPARISONS_PER_WORKER = 64 };

/* Texts that differ say only that something went wrong since they last agreed. Comparing there after every operation
 * would take minutes; 64 times in that stretch, and again in the stretch found, takes a few short runs. */
static enum err difference_narrow(struct launch *lockstep, struct side_by_side *found, struct diag *diag) {
    static struct side_by_side again;
    enum err err = ERR_OK;
    while (!err && found->result.difference > WORKER_DIFFERENT_PLACE && lockstep->compare_every != 1) {
        uint64_t stretch = found->result.operation_count - found->result.agreed_operation;
        lockstep->compare_every = stretch > COMPARISONS_PER_WORKER ? stretch / COMPARISONS_PER_WORKER : 1;
        lockstep->compare_from = found->result.agreed_operation + 1;
        err = once_run(lockstep, &again, diag);
        if (!err && !again.result.difference)
            return diag_set(diag, ERR_CHILD, NULL, "a difference at operation %llu did not show again",
                            (unsigned long long)found->result.operation_count);
        if (!err)
            *found = again;
    }
    return err;
}

enum err side_by_side_run(const struct launch *launch, struct side_by_side *out, struct diag *diag) {
    static struct side_by_side found;
    struct launch lockstep = *launch;
    lockstep.pass = WORKER_LOCKSTEP;
    if (launch->allocator->backend != WORKER_CPYTHON)
        return diag_set(diag, ERR_USAGE, NULL,
                        "'%s' is no CPython: give cpython:3.11 or cpython:/path/libpython3.11.so.1.0",
                        launch->allocator->name);
    enum err err = once_run(&lockstep, &found, diag);
    if (!err)
        err = difference_narrow(&lockstep, &found, diag);
    if (!err)
        *out = found;
    return err;
}
