#include "cli/version.h"

#include <cyaml/cyaml.h>
#include <gnu/libc-version.h>
#include <jansson.h>
#include <zlib.h>

void version_print(FILE *out) {
    fprintf(out,
            "mmreplay " MMREPLAY_VERSION "\n"
            "built with %s %s, C library %s, zlib %s, libcyaml %s, jansson %s\n",
#ifdef __clang__
            "clang",
#else
            "gcc",
#endif
            __VERSION__, gnu_get_libc_version(), zlibVersion(), cyaml_version_str, JANSSON_VERSION);
}
