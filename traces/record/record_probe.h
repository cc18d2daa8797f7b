/**
 * record_probe.h: can this command be recorded at all? Asked before it is started, so that the answer has a reason.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_PROBE_H
#define MMREPLAY_TRACES_RECORD_RECORD_PROBE_H

#include "core/base/diag.h"

/**
 * Finds `command` in PATH, follows `#!` to the ELF file and looks at that.
 * @return ERR_OK (also when the file cannot be read: the attempt will tell), ERR_NOT_FOUND,
 *         ERR_UNSUPPORTED (statically linked, another machine's, setuid to somebody else).
 */
enum err record_probe(const char *command, struct diag *diag);

#endif
