/**
 * paths.h: where the installed (or built) pieces lie, found from the running executable.
 */
#ifndef MMREPLAY_CLI_PATHS_H
#define MMREPLAY_CLI_PATHS_H

#include <stddef.h>

#include "core/base/diag.h"

/**
 * The absolute path of a helper (`mmreplay-worker`, `libmmrecord.so`): `../libexec/mmreplay/NAME` from the directory
 * of the executable, in the build tree as after installation.
 * @return ERR_NOT_FOUND with the path looked at, when it is not there.
 */
enum err libexec_path(const char *name, char *buffer, size_t buffer_bytes, struct diag *diag);

#endif
