/**
 * base64.h: bytes as text (RFC 4648), for strings that are not UTF-8 (YAML's !!binary).
 */
#ifndef MMREPLAY_FORMATS_BASE64_H
#define MMREPLAY_FORMATS_BASE64_H

#include <stddef.h>

#include "core/base/err.h"

/** Writes 4 × ⌈bytes / 3⌉ characters and a NUL at `to`. */
void base64_encode(const char *from, size_t bytes, char *to);

/** Decodes all of `text`, in place (line breaks and blanks are skipped). @return ERR_OK and *bytes, or ERR_FORMAT. */
enum err base64_decode(char *text, size_t *bytes);

#endif
