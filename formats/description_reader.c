#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/units.h"
#include "formats/base64.h"
#include "formats/description.h"
#include "formats/description_document.h"
#include "formats/description_schema.h"
#include "formats/regular_file.h"
#include "formats/sha256.h"

bool description_recognise(const char *text, size_t bytes) {
    static const char key[] = "mmreplay:";
    for (const char *at = text, *end = text + bytes; (size_t)(end - at) >= sizeof key - 1;) {
        if (memcmp(at, key, sizeof key - 1) == 0)
            return true;
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at)
            return false;
        at++;
    }
    return false;
}

/* A description of another schema is told by its version, whatever else in it may be unknown. */
static enum err version_check(struct description_document *document, struct diag *diag) {
    uint64_t version;
    const yaml_node_t *node = description_document_find(document, "mmreplay");
    if (!node)
        return ERR_OK; /* the schema tells that it is missing */
    const char *text = node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
    if (units_parse_u64(text, &version))
        return description_document_fault(document, node, ERR_FORMAT, diag, "\"mmreplay\" must be a version number");
    if (version != DESCRIPTION_SCHEMA)
        return description_document_fault(document, node, ERR_VERSION, diag,
                                          "a description of version %" PRIu64 "; this build reads version %d", version,
                                          DESCRIPTION_SCHEMA);
    return ERR_OK;
}

/* One line of at most 40 bytes for a message. */
static void value_show(const char *text, char out[44]) {
    snprintf(out, 44, "%.40s%s", text, strlen(text) > 40 ? "..." : "");
    for (char *at = out; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}

static enum err number_take(struct description_document *document, const struct leaf *leaf, const char *text,
                            void *field, struct diag *diag) {
    char shown[44];
    uint64_t number;
    const yaml_node_t *node = description_document_find(document, leaf->path);
    enum err err = units_parse_u64(text, &number);
    value_show(text, shown);
    if (err == ERR_LIMIT)
        return description_document_fault(document, node, err, diag, "%s: %s is too large a number", leaf->path, shown);
    if (err)
        return description_document_fault(document, node, err, diag,
                                          "%s must be a whole number in decimal digits, not \"%s\"", leaf->path, shown);
    *(uint64_t *)field = number;
    return ERR_OK;
}

/* Takes the text over from libcyaml's struct; both use malloc. */
static enum err text_take(struct description_document *document, const struct leaf *leaf, char **text, char **field,
                          struct diag *diag) {
    const yaml_node_t *node = description_document_find(document, leaf->path);
    if (node && node->tag && strcmp((const char *)node->tag, DESCRIPTION_TAG_BINARY) == 0) {
        size_t bytes;
        if (base64_decode(*text, &bytes))
            return description_document_fault(document, node, ERR_FORMAT, diag, "%s is not valid base64", leaf->path);
        if (memchr(*text, '\0', bytes))
            return description_document_fault(document, node, ERR_FORMAT, diag, "%s contains a NUL character",
                                              leaf->path);
        (*text)[bytes] = '\0';
    }
    *field = *text;
    *text = NULL;
    return ERR_OK;
}

static enum err leaves_take(struct description_document *document, struct description_text *text,
                            struct trace_info *info, struct diag *diag) {
    for (size_t i = 0; i < description_leaf_count; i++) {
        const struct leaf *leaf = &description_leaves[i];
        char **from = (char **)(void *)((char *)text + leaf->text_offset);
        void *field = (char *)info + leaf->info_offset;
        enum err err = ERR_OK;
        if (!*from)
            continue;
        err = leaf->type == LEAF_TEXT ? text_take(document, leaf, from, field, diag)
                                      : number_take(document, leaf, *from, field, diag);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* What must hold beyond types. */
static enum err content_check(struct description_document *document, const struct trace_info *info, struct diag *diag) {
    const yaml_node_t *codec = description_document_find(document, "events.codec");
    if (codec && strcmp((const char *)codec->data.scalar.value, DESCRIPTION_CODEC) != 0)
        return description_document_fault(document, codec, ERR_VERSION, diag,
                                          "events are coded in a way this build does not know; it reads %s",
                                          DESCRIPTION_CODEC);
    const char *file = info->events_file;
    assert(file && info->events_sha256); /* both are required by the schema */
    if (!*file || strchr(file, '/') || strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
        return description_document_fault(document, description_document_find(document, "events.file"), ERR_FORMAT,
                                          diag, "events.file must be a plain file name: the file lies beside this one");
    const char *sha256 = info->events_sha256;
    if (strlen(sha256) != SHA256_TEXT_BYTES - 1 || strspn(sha256, "0123456789abcdef") != SHA256_TEXT_BYTES - 1)
        return description_document_fault(document, description_document_find(document, "events.sha256"), ERR_FORMAT,
                                          diag, "events.sha256 must be 64 lower-case hexadecimal digits");
    return ERR_OK;
}

static enum err text_load(struct description_document *document, const char *text, size_t bytes,
                          struct description_text **out, struct diag *diag) {
    static const cyaml_config_t config = {
        .log_fn = NULL, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR, .flags = CYAML_CFG_NO_ALIAS};
    cyaml_err_t result =
        cyaml_load_data((const uint8_t *)text, bytes, &config, &description_schema, (cyaml_data_t **)(void *)out, NULL);
    if (result == CYAML_ERR_OOM)
        return diag_set(diag, ERR_NOMEM, document->path, "out of memory");
    if (result != CYAML_OK)
        return description_document_fault(document, NULL, ERR_FORMAT, diag, "cannot read the description: %s",
                                          cyaml_strerror(result));
    return ERR_OK;
}

static void text_free(struct description_text *text) {
    static const cyaml_config_t config = {.log_fn = NULL, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
    cyaml_free(&config, &description_schema, text, 0);
}

static enum err document_read(struct description_document *document, const char *bytes, size_t count,
                              struct trace_info *info, struct diag *diag) {
    struct description_text *text = NULL;
    enum err err = version_check(document, diag);
    if (!err)
        err = description_document_check(document, &description_schema, diag);
    if (!err)
        err = text_load(document, bytes, count, &text, diag);
    if (!err)
        err = leaves_take(document, text, info, diag);
    if (!err)
        err = content_check(document, info, diag);
    text_free(text);
    return err;
}

enum err description_parse(const char *path, const char *text, size_t bytes, struct trace_info *out,
                           struct diag *diag) {
    struct description_document document;
    struct trace_info info = {.name = NULL};
    if (bytes > DESCRIPTION_BYTES_MAX)
        return diag_set(diag, ERR_LIMIT, path, "a description is at most 1 MiB long");
    enum err err = description_document_open(path, text, bytes, &document, diag);
    if (err)
        return err;
    err = document_read(&document, text, bytes, &info, diag);
    description_document_close(&document);
    if (err)
        trace_info_clear(&info);
    else
        *out = info;
    return err;
}

enum err description_load(const char *path, struct trace_info *out, struct diag *diag) {
    size_t bytes = 0;
    char *text = malloc(DESCRIPTION_BYTES_MAX + 1);
    if (!text)
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    enum err err = regular_file_read(path, text, DESCRIPTION_BYTES_MAX + 1, &bytes, diag);
    if (!err)
        err = description_parse(path, text, bytes, out, diag);
    free(text);
    return err;
}
