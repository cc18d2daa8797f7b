/**
 * native_repair.h: a new trace of what is whole in a damaged one.
 *
 * Kept are the events of all whole members from the events file's start on, up to the first event that contradicts
 * those before it. What lies behind damage is not used: its events speak of blocks whose making or freeing may be in
 * the damaged part. A description that cannot be read is replaced by one that says only what the events tell.
 */
#ifndef MMREPLAY_FORMATS_NATIVE_REPAIR_H
#define MMREPLAY_FORMATS_NATIVE_REPAIR_H

#include <stdbool.h>

#include "core/base/diag.h"

struct native_repair_report {
    uint64_t kept_count;           /**< events in the new trace */
    uint64_t stated_count;         /**< events there should be, by the description, else by the events file's index */
    bool is_stated;                /**< false: neither can be read */
    bool is_described;             /**< false: the new description is made from the events alone */
    struct diag description_fault; /**< why, then */
    struct diag events_fault;      /**< what ended the reading; ERR_OK: nothing */
};

/**
 * Writes OUT.yaml and OUT.events.gz from what can be kept of `path`.
 *
 * The new description has the texts of the old one; its provenance tells what was lost, and capture.lost counts it
 * where that is known.
 * @param path the trace's NAME.yaml (which may be missing or damaged; then NAME.events.gz beside it is used), or its
 *        events file.
 * @param why what is wrong with the trace, for the provenance; NULL: nothing, the provenance stays as it was.
 * @return ERR_OK and *out; ERR_NOT_FOUND, ERR_IO, ERR_NOMEM; ERR_TRUNCATED, ERR_FORMAT: not one whole member;
 *         ERR_VERSION: of a later version, and not to be called damaged; ERR_USAGE: `output` is what is to be mended,
 *         or no name for a trace. Nothing is written then.
 */
enum err native_repair(const char *path, const char *output, const struct diag *why, struct native_repair_report *out,
                       struct diag *diag);

#endif
