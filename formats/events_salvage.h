/**
 * events_salvage.h: what can be had from a damaged or cut events file: the whole members from its start on. The
 * description is not needed.
 */
#ifndef MMREPLAY_FORMATS_EVENTS_SALVAGE_H
#define MMREPLAY_FORMATS_EVENTS_SALVAGE_H

#include "formats/events_reader.h"

struct events_salvage {
    struct events_progress found;
    struct diag fault; /**< why it ends there; its err is ERR_OK for an undamaged file */
};

/**
 * Reads all of `path`.
 * @return ERR_OK whatever the file holds; ERR_NOT_FOUND, ERR_IO, ERR_NOMEM; ERR_VERSION, ERR_FORMAT: not even a first
 *         member of this version.
 */
enum err events_salvage_scan(const char *path, struct events_salvage *out, struct diag *diag);

/** Opens `path` so that its events end, without an error, behind the members that the scan found. */
enum err events_salvage_open(const char *path, const struct events_salvage *salvage, struct events_reader **out,
                             struct diag *diag);

#endif
