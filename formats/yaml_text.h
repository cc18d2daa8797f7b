/**
 * yaml_text.h: any text as a YAML value, in the form that is easiest to read: plain, quoted, folded, literal; what is
 * not UTF-8 as !!binary.
 */
#ifndef MMREPLAY_FORMATS_YAML_TEXT_H
#define MMREPLAY_FORMATS_YAML_TEXT_H

#include <stdio.h>

#include "core/base/err.h"

/**
 * Writes the value and the newline behind it.
 * @param indent of lines below the key.
 * @return ERR_OK, ERR_NOMEM; whether `out` took it, the caller asks `out`.
 */
enum err yaml_text_write(FILE *out, const char *text, int indent);

#endif
