#include "core/base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Reads the leading digits; *end is the first other character. */
static enum err digits_parse(const char *text, uint64_t *out, const char **end) {
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return ERR_LIMIT;
    }
    if (p == text)
        return ERR_FORMAT;
    *out = value;
    *end = p;
    return ERR_OK;
}

static enum err scale(uint64_t value, uint64_t factor, uint64_t *out) {
    uint64_t product;
    if (__builtin_mul_overflow(value, factor, &product))
        return ERR_LIMIT;
    *out = product;
    return ERR_OK;
}

enum err units_parse_u64(const char *text, uint64_t *out) {
    uint64_t value;
    const char *end;
    enum err err = digits_parse(text, &value, &end);
    if (err)
        return err;
    if (*end)
        return ERR_FORMAT;
    *out = value;
    return ERR_OK;
}

/* 10^exponent, for the exponents that fit. */
static enum err power_of_ten(uint64_t exponent, uint64_t *out) {
    uint64_t power = 1;
    if (exponent > 19)
        return ERR_LIMIT;
    for (; exponent; exponent--)
        power *= 10;
    *out = power;
    return ERR_OK;
}

enum err units_parse_count(const char *text, uint64_t *out) {
    uint64_t value, exponent = 0, power;
    const char *end;
    enum err err = digits_parse(text, &value, &end);
    if (err)
        return err;
    if (*end == 'e' || *end == 'E') {
        err = units_parse_u64(end + 1, &exponent);
    } else if (*end) {
        static const char letters[] = "kKMG";
        static const uint8_t exponents[] = {3, 3, 6, 9};
        const char *letter = strchr(letters, *end);
        if (!letter || end[1])
            return ERR_FORMAT;
        exponent = exponents[letter - letters];
    }
    if (!err)
        err = power_of_ten(exponent, &power);
    return err ? err : scale(value, power, out);
}

enum err units_parse_bytes(const char *text, uint64_t *out_bytes) {
    static const char letters[] = "KMGT";
    uint64_t value;
    const char *end;
    enum err err = digits_parse(text, &value, &end);
    if (err)
        return err;
    if (*end == '\0' || strcmp(end, "B") == 0)
        return scale(value, 1, out_bytes);
    const char *letter = strchr(letters, *end >= 'a' && *end <= 'z' ? *end - ('a' - 'A') : *end);
    if (!letter || (end[1] && strcmp(end + 1, "iB") != 0))
        return ERR_FORMAT;
    return scale(value, (uint64_t)1 << (10 * (letter - letters + 1)), out_bytes);
}

enum err units_parse_duration(const char *text, uint64_t *out_ns) {
    static const struct {
        const char *suffix;
        uint64_t ns;
    } units[] = {
        {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"m", 60 * (uint64_t)1000000000},
    };
    uint64_t value;
    const char *end;
    enum err err = digits_parse(text, &value, &end);
    if (err)
        return err;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].suffix) == 0)
            return scale(value, units[i].ns, out_ns);
    return ERR_FORMAT;
}

/* Three significant digits, unless `value` is 1000 or more (only just below the next unit). */
static void significant_format(double value, const char *unit, char buffer[UNITS_TEXT_BYTES]) {
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(buffer, UNITS_TEXT_BYTES, "%.*f %s", decimals, value, unit);
}

const char *units_format_bytes(uint64_t bytes, char buffer[UNITS_TEXT_BYTES]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(buffer, UNITS_TEXT_BYTES, "%" PRIu64 " B", bytes);
        return buffer;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1023.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    significant_format(value, units[unit], buffer);
    return buffer;
}

const char *units_format_count(uint64_t count, char buffer[UNITS_TEXT_BYTES]) {
    char digits[UNITS_TEXT_BYTES];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count);
    size_t to = 0;
    for (size_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            buffer[to++] = ',';
        buffer[to++] = digits[i];
    }
    buffer[to] = '\0';
    return buffer;
}

const char *units_format_duration(uint64_t ns, char buffer[UNITS_TEXT_BYTES]) {
    static const char *const units[] = {"us", "ms", "s"};
    if (ns < 1000) {
        snprintf(buffer, UNITS_TEXT_BYTES, "%" PRIu64 " ns", ns);
        return buffer;
    }
    double value = (double)ns / 1000;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    significant_format(value, units[unit], buffer);
    return buffer;
}

const char *units_plural(uint64_t count) {
    return count == 1 ? "" : "s";
}
