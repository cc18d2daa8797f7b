#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text_stream.h"
#include "formats/description.h"
#include "formats/description_schema.h"
#include "formats/yaml_text.h"

enum { INDENT_STEP = 2 };

/* Length of the common part of two paths, up to and including a dot. */
static size_t paths_share(const char *a, const char *b) {
    size_t shared = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.')
            shared = i + 1;
    return shared;
}

/* The sections of `path` that the key before was not in, then the key; returns the key's indent. */
static int key_write(FILE *out, const char *path, const char *before) {
    size_t shared = paths_share(path, before);
    int indent = 0;
    const char *at = path;
    for (const char *dot; (dot = strchr(at, '.')); at = dot + 1) {
        if ((size_t)(dot + 1 - path) > shared)
            fprintf(out, "%*s%.*s:\n", indent, "", (int)(dot - at), at);
        if (indent == 0 && (size_t)(dot + 1 - path) > shared && strncmp(path, "events.", dot + 1 - path) == 0)
            fprintf(out, "%*scodec: " DESCRIPTION_CODEC "\n", INDENT_STEP, "");
        indent += INDENT_STEP;
    }
    fprintf(out, "%*s%s: ", indent, "", at);
    return indent;
}

/* True when the leaf has something to say. */
static bool leaf_is_stated(const struct leaf *leaf, const struct trace_info *info) {
    const char *field = (const char *)info + leaf->info_offset;
    uint64_t number = 0;
    if (leaf->type == LEAF_TEXT)
        return *(char *const *)(const void *)field != NULL;
    memcpy(&number, field, sizeof number);
    return leaf->required || number;
}

static enum err leaf_write(FILE *out, const struct leaf *leaf, const struct trace_info *info, const char *before) {
    const void *field = (const char *)info + leaf->info_offset;
    int indent = key_write(out, leaf->path, before);
    if (leaf->type == LEAF_TEXT)
        return yaml_text_write(out, *(char *const *)field, indent + INDENT_STEP);
    fprintf(out, "%" PRIu64 "\n", *(const uint64_t *)field);
    return ERR_OK;
}

enum err description_format(const struct trace_info *info, char **out, size_t *bytes) {
    char *text = NULL;
    size_t length = 0;
    const char *before = "";
    enum err err = ERR_OK;
    FILE *stream = text_stream_memory(&text, &length);
    if (!stream)
        return ERR_NOMEM;
    fprintf(stream, "mmreplay: %d\n", DESCRIPTION_SCHEMA);
    for (size_t i = 0; i < description_leaf_count && !err; i++) {
        const struct leaf *leaf = &description_leaves[i];
        if (!leaf_is_stated(leaf, info))
            continue;
        err = leaf_write(stream, leaf, info, before);
        before = leaf->path;
    }
    if (text_stream_close(stream) || err) {
        free(text);
        return ERR_NOMEM;
    }
    *out = text;
    *bytes = length;
    return ERR_OK;
}
