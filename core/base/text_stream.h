/**
 * text_stream.h: texts written through stdio of which nothing gets lost without a word.
 *
 * fclose() tells of its own flush alone, and what an earlier one could not write is gone by then. open_memstream() of
 * glibc does not tell at all that there was no memory: the text ends before.
 */
#ifndef MMREPLAY_CORE_BASE_TEXT_STREAM_H
#define MMREPLAY_CORE_BASE_TEXT_STREAM_H

#include <stddef.h>
#include <stdio.h>

/**
 * A stream into memory; it can tell its place (ftell), and not move.
 * @param text from the closing on (and each flush) what was written, with a NUL behind it, also when not all was; owned
 * by the caller (free). @param bytes without the NUL. Both must outlive the stream.
 * @return closed with text_stream_close; NULL: no memory, and *text is NULL.
 */
FILE *text_stream_memory(char **text, size_t *bytes);

/**
 * Closes the stream.
 * @return 0; −1 when anything that was written to it got lost, now or before, with errno set: 0 when the reason is
 * not known any more.
 */
int text_stream_close(FILE *stream);

#endif
