/**
 * version.h: what this build is.
 */
#ifndef MMREPLAY_CLI_VERSION_H
#define MMREPLAY_CLI_VERSION_H

#include <stdio.h>

/** `mmreplay 0.1.0` and the build facts: compiler, C library, libraries linked and the formats known. */
void version_print(FILE *out);

#endif
