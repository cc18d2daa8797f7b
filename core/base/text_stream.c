#include "core/base/text_stream.h"

#include <errno.h>

int text_stream_close(FILE *stream) {
    int failed = ferror(stream);
    errno = 0;
    return fclose(stream) || failed ? -1 : 0;
}
