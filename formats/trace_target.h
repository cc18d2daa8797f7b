/**
 * trace_target.h: may a new trace take the place of what has its name? Only another trace, or an empty file.
 */
#ifndef MMREPLAY_FORMATS_TRACE_TARGET_H
#define MMREPLAY_FORMATS_TRACE_TARGET_H

#include "core/base/diag.h"

/**
 * What lies at both paths, if anything: a description must begin with its key `mmreplay:`, or that of the index of a
 * process tree (comments and `---` may stand before it), an events file with a member's header.
 * @param events_path NULL: none will be written.
 * @return ERR_OK; ERR_USAGE: something else lies there, which is told; ERR_IO.
 */
enum err trace_target_check(const char *yaml_path, const char *events_path, struct diag *diag);

#endif
