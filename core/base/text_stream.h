/**
 * text_stream.h: the end of what is written through stdio.
 *
 * fclose() tells of its own flush alone: what an earlier one could not write is gone by then, without a word.
 */
#ifndef MMREPLAY_CORE_BASE_TEXT_STREAM_H
#define MMREPLAY_CORE_BASE_TEXT_STREAM_H

#include <stdio.h>

/**
 * Closes the stream.
 * @return 0; −1 when anything that was written to it got lost, now or before, with errno set: EIO when the reason is
 * not known any more.
 */
int text_stream_close(FILE *stream);

#endif
