#include "compare/json_values.h"

#include <math.h>

json_t *text_json(const char *text) {
    if (!text || !text[0])
        return json_null();
    json_t *value = json_string(text);
    if (value)
        return value;
    char plain[2048];
    size_t used = 0;
    for (; text[used] && used + 1 < sizeof plain; used++)
        plain[used] = (unsigned char)text[used] < 128 ? text[used] : '?';
    plain[used] = '\0';
    return json_string(plain);
}

json_t *count_json(uint64_t count) {
    return count <= INT64_MAX ? json_integer((json_int_t)count) : json_real((double)count);
}

json_t *counts_json(const uint64_t *counts, size_t count) {
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, count_json(counts[i]));
    return array;
}

json_t *number_json(double value) {
    if (!isfinite(value))
        return json_null();
    if (value == floor(value) && fabs(value) < 9e15)
        return json_integer((json_int_t)value);
    return json_real(value);
}

json_t *document_json(int schema) {
    return json_pack("{s:{s:i, s:s}}", "mmreplay", "schema", schema, "version", MMREPLAY_VERSION);
}

enum err document_json_write(const json_t *root, FILE *out) {
    if (json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) || fputc('\n', out) == EOF)
        return ERR_IO;
    return ERR_OK;
}
