#include "core/base/text_stream.h"

#include <errno.h>

int text_stream_close(FILE *stream) {
    int failed = ferror(stream);
    errno = 0;
    if (!fclose(stream) && !failed)
        return 0;
    errno = errno ? errno : EIO;
    return -1;
}
