/**
 * utf8.h: code points out of UTF-8, strictly (no overlong forms, no surrogates).
 */
#ifndef MMREPLAY_CORE_BASE_UTF8_H
#define MMREPLAY_CORE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Decodes the code point at `text` (NUL-terminated, not at its end). @return its length in bytes, 0 when malformed. */
size_t utf8_decode(const char *text, uint32_t *point);

/** How many columns valid UTF-8 takes, where every code point takes one. */
size_t utf8_columns(const char *text);

/** True for what may stand unescaped in a YAML scalar, in all readers' view: no controls, line breaks, byte order mark.
 */
bool utf8_is_printable(uint32_t point);

#endif
