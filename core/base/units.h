/**
 * units.h: text to numbers and back, strictly.
 *
 * Parsers take the whole text (no leading or trailing blanks, no sign, no
 * junk), return ERR_FORMAT for anything else and ERR_LIMIT for a number that
 * does not fit.
 */
#ifndef MMREPLAY_CORE_BASE_UNITS_H
#define MMREPLAY_CORE_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

/** Decimal digits only. */
enum err units_parse_u64(const char *text, uint64_t *out);

/** A count: digits with an optional decimal suffix k or K, M, G (`10M` is 10,000,000) or exponent (`1e6`). */
enum err units_parse_count(const char *text, uint64_t *out);

/** Bytes: digits with an optional binary suffix K, M, G or T (also KiB, MiB, …): `16K` is 16384. */
enum err units_parse_bytes(const char *text, uint64_t *out_bytes);

/** Nanoseconds: digits with a suffix ns, us, ms, s or m (minutes); the suffix is required: `5ms`, `2s`. */
enum err units_parse_duration(const char *text, uint64_t *out_ns);

/** Room for any text the formatters below make. */
enum { UNITS_TEXT_BYTES = 32 };

/** `987 B`, `97.4 KiB`, `1.20 GiB`: three significant digits above 1 KiB. @return buffer. */
const char *units_format_bytes(uint64_t bytes, char buffer[UNITS_TEXT_BYTES]);

/** `12,345,678`. @return buffer. */
const char *units_format_count(uint64_t count, char buffer[UNITS_TEXT_BYTES]);

/** `850 ns`, `12.3 ms`, `1.50 s`. @return buffer. */
const char *units_format_duration(uint64_t ns, char buffer[UNITS_TEXT_BYTES]);

/** What a plain noun ends in behind this count: "" for 1, "s" for all else. */
const char *units_plural(uint64_t count);

#endif
