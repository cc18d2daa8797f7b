/**
 * shown.h: text from files and command lines made fit to be shown on one line of a terminal.
 *
 * A trace's texts and file names may hold anything: a newline would forge lines of a report, an escape sequence would
 * reach the terminal.
 */
#ifndef MMREPLAY_CORE_BASE_SHOWN_H
#define MMREPLAY_CORE_BASE_SHOWN_H

/**
 * Changes `text` in place, its length stays: line breaks and tabs become blanks; other control characters (C0, DEL, C1,
 * Unicode's line separators) and bytes that are not UTF-8 become '?'. Everything else stays as it is.
 * @return text.
 */
char *text_make_shown(char *text);

#endif
