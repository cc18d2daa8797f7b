#include "formats/tree_index.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text_stream.h"
#include "core/base/units.h"
#include "formats/base64.h"
#include "formats/description_document.h"
#include "formats/regular_file.h"
#include "formats/trace_target.h"
#include "formats/yaml_text.h"

enum { HEAD_BYTES = 4096 };

/*
 * One row per key: X(key, type, required, field). Every value is read as text, because libcyaml takes junk for
 * numbers.
 */
#define TOP_LEAVES(X)                                                                                                  \
    X(name, TEXT, true, name)                                                                                          \
    X(command, TEXT, false, command)                                                                                   \
    X(date, TEXT, false, date)                                                                                         \
    X(tool, TEXT, false, tool)

#define ROW_LEAVES(X)                                                                                                  \
    X(pid, NUMBER, true, pid)                                                                                          \
    X(parent, NUMBER, false, parent_pid)                                                                               \
    X(came, CAME, true, came)                                                                                          \
    X(command, TEXT, false, command)                                                                                   \
    X(began_us, NUMBER, true, begin_us)                                                                                \
    X(ended_us, NUMBER, true, end_us)                                                                                  \
    X(end, TEXT, false, end)                                                                                           \
    X(events, NUMBER, false, event_count)                                                                              \
    X(inherited_blocks, NUMBER, false, inherited_blocks)                                                               \
    X(lost, NUMBER, false, lost_count)                                                                                 \
    X(file, TEXT, false, file)                                                                                         \
    X(reason, TEXT, false, reason)

#define TEXT_MEMBER(key, type, required, field) char *key;

struct row_text {
    ROW_LEAVES(TEXT_MEMBER)
};

struct index_text {
    char *mmreplay_processes;
    TOP_LEAVES(TEXT_MEMBER)
    struct row_text *processes;
    unsigned processes_count;
};

#define FIELD_FLAGS(required) (CYAML_FLAG_POINTER | ((required) ? CYAML_FLAG_DEFAULT : CYAML_FLAG_OPTIONAL))
#define ROW_FIELD(key, type, required, field)                                                                          \
    CYAML_FIELD_STRING_PTR(#key, FIELD_FLAGS(required), struct row_text, key, 0, CYAML_UNLIMITED),
#define TOP_FIELD(key, type, required, field)                                                                          \
    CYAML_FIELD_STRING_PTR(#key, FIELD_FLAGS(required), struct index_text, key, 0, CYAML_UNLIMITED),

static const cyaml_schema_field_t row_fields[] = {ROW_LEAVES(ROW_FIELD) CYAML_FIELD_END};

static const cyaml_schema_value_t row_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct row_text, row_fields),
};

static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_STRING_PTR(TREE_INDEX_KEY, CYAML_FLAG_POINTER, struct index_text, mmreplay_processes, 0,
                           CYAML_UNLIMITED),
    TOP_LEAVES(TOP_FIELD) CYAML_FIELD_SEQUENCE("processes", CYAML_FLAG_POINTER, struct index_text, processes,
                                               &row_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t index_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct index_text, top_fields),
};

static const cyaml_config_t config = {
    .log_fn = NULL, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR, .flags = CYAML_CFG_NO_ALIAS};

bool tree_index_recognise(const char *text, size_t bytes) {
    static const char key[] = TREE_INDEX_KEY ":";
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

bool tree_index_is(const char *path) {
    char head[HEAD_BYTES];
    size_t bytes = 0;
    return !regular_file_read(path, head, sizeof head, &bytes, NULL) && tree_index_recognise(head, bytes);
}

/* ---- reading ---- */

struct index_reading {
    struct description_document document;
    const yaml_node_t *row; /* that is read */
};

static enum err fault(struct index_reading *reading, enum err err, struct diag *diag, const char *key,
                      const char *what) {
    return description_document_fault(&reading->document, reading->row, err, diag, "\"%s\" %s", key, what);
}

static enum err take_NUMBER(struct index_reading *reading, const char *key, char **text, uint64_t *field,
                            struct diag *diag) {
    if (!*text)
        return ERR_OK;
    enum err err = units_parse_u64(*text, field);
    return err ? fault(reading, err, diag, key, "must be a whole number in decimal digits") : ERR_OK;
}

static enum err take_CAME(struct index_reading *reading, const char *key, char **text, enum tree_came *field,
                          struct diag *diag) {
    for (int came = 0; came < TREE_CAME_COUNT; came++)
        if (strcmp(*text, tree_came_names[came]) == 0) {
            *field = (enum tree_came)came;
            return ERR_OK;
        }
    return fault(reading, ERR_FORMAT, diag, key, "must be start, fork or exec");
}

/* Takes the text over from libcyaml's struct; both use malloc. */
static enum err take_TEXT(struct index_reading *reading, const char *key, char **text, char **field,
                          struct diag *diag) {
    const yaml_node_t *node = reading->row ? description_document_in(&reading->document, reading->row, key)
                                           : description_document_find(&reading->document, key);
    if (*text && node && node->tag && strcmp((const char *)node->tag, DESCRIPTION_TAG_BINARY) == 0) {
        size_t bytes;
        if (base64_decode(*text, &bytes) || memchr(*text, '\0', bytes))
            return fault(reading, ERR_FORMAT, diag, key, "is not valid base64, or has a NUL in it");
        (*text)[bytes] = '\0';
    }
    *field = *text;
    *text = NULL;
    return ERR_OK;
}

#define TAKE_ROW(key, type, required, field)                                                                           \
    if (!err)                                                                                                          \
        err = take_##type(reading, #key, &text->key, &row->field, diag);

static enum err row_take(struct index_reading *reading, struct row_text *text, struct tree_process *row,
                         struct diag *diag) {
    enum err err = ERR_OK;
    ROW_LEAVES(TAKE_ROW)
    if (!err && row->file && (!*row->file || strchr(row->file, '/') || row->file[0] == '.'))
        err = fault(reading, ERR_FORMAT, diag, "file", "must be a plain file name: the traces lie beside the index");
    return err;
}

#define TAKE_TOP(key, type, required, field)                                                                           \
    if (!err)                                                                                                          \
        err = take_##type(reading, #key, &text->key, &tree->field, diag);

static enum err index_take(struct index_reading *reading, struct index_text *text, struct trace_tree *tree,
                           struct diag *diag) {
    enum err err = ERR_OK;
    TOP_LEAVES(TAKE_TOP)
    for (unsigned i = 0; i < text->processes_count && !err; i++) {
        struct tree_process *process = trace_tree_add(tree);
        if (!process)
            return diag_set(diag, ERR_NOMEM, reading->document.path, "out of memory");
        reading->row = description_document_entry(&reading->document, "processes", i);
        err = row_take(reading, &text->processes[i], process, diag);
    }
    return err;
}

/* An index of another schema is told by its version, whatever else in it may be unknown. */
static enum err version_check(struct index_reading *reading, struct diag *diag) {
    uint64_t version;
    const yaml_node_t *node = description_document_find(&reading->document, TREE_INDEX_KEY);
    const char *text = node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
    if (!node)
        return ERR_OK; /* the schema tells that it is missing */
    if (units_parse_u64(text, &version))
        return description_document_fault(&reading->document, node, ERR_FORMAT, diag, "\"%s\" must be a version number",
                                          TREE_INDEX_KEY);
    if (version != TREE_INDEX_SCHEMA)
        return description_document_fault(&reading->document, node, ERR_VERSION, diag,
                                          "an index of version %" PRIu64 "; this build reads version %d", version,
                                          TREE_INDEX_SCHEMA);
    return ERR_OK;
}

static enum err text_load(struct index_reading *reading, const char *bytes, size_t count, struct index_text **out,
                          struct diag *diag) {
    cyaml_err_t result =
        cyaml_load_data((const uint8_t *)bytes, count, &config, &index_schema, (cyaml_data_t **)(void *)out, NULL);
    if (result == CYAML_ERR_OOM)
        return diag_set(diag, ERR_NOMEM, reading->document.path, "out of memory");
    if (result != CYAML_OK)
        return description_document_fault(&reading->document, NULL, ERR_FORMAT, diag, "cannot read the index: %s",
                                          cyaml_strerror(result));
    return ERR_OK;
}

static enum err index_parse(const char *path, const char *bytes, size_t count, struct trace_tree *tree,
                            struct diag *diag) {
    struct index_reading reading = {.row = NULL};
    struct index_text *text = NULL;
    enum err err = description_document_open(path, bytes, count, &reading.document, diag);
    if (err)
        return err;
    err = version_check(&reading, diag);
    if (!err)
        err = description_document_check(&reading.document, &index_schema, diag);
    if (!err)
        err = text_load(&reading, bytes, count, &text, diag);
    if (!err)
        err = index_take(&reading, text, tree, diag);
    cyaml_free(&config, &index_schema, text, 0);
    description_document_close(&reading.document);
    return err;
}

enum err tree_index_load(const char *path, struct trace_tree *out, struct diag *diag) {
    struct trace_tree tree = {.name = NULL};
    size_t count = 0;
    char *bytes = malloc(TREE_INDEX_BYTES_MAX + 1); /* pages come as they are needed */
    if (!bytes)
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    enum err err = regular_file_read(path, bytes, TREE_INDEX_BYTES_MAX + 1, &count, diag);
    if (!err && count > TREE_INDEX_BYTES_MAX)
        err = diag_set(diag, ERR_LIMIT, path, "an index is at most 64 MiB long");
    if (!err)
        err = index_parse(path, bytes, count, &tree, diag);
    free(bytes);
    if (err)
        trace_tree_clear(&tree);
    else
        *out = tree;
    return err;
}

/* ---- writing ---- */

static enum err write_NUMBER(FILE *out, int indent, const char *key, bool required, uint64_t number) {
    if (number || required)
        fprintf(out, "%*s%s: %" PRIu64 "\n", indent, "", key, number);
    return ERR_OK;
}

static enum err write_CAME(FILE *out, int indent, const char *key, bool required, enum tree_came came) {
    (void)required;
    fprintf(out, "%*s%s: %s\n", indent, "", key, tree_came_names[came]);
    return ERR_OK;
}

static enum err write_TEXT(FILE *out, int indent, const char *key, bool required, const char *text) {
    (void)required;
    if (!text)
        return ERR_OK;
    fprintf(out, "%*s%s: ", indent, "", key);
    return yaml_text_write(out, text, indent + 2);
}

#define WRITE(key, type, required, field)                                                                              \
    if (!err)                                                                                                          \
        err = write_##type(out, indent, #key, required, from->field);

static enum err row_write(FILE *out, const struct tree_process *from) {
    enum { indent = 4 };
    enum err err = ERR_OK;
    fputs("  -\n", out);
    ROW_LEAVES(WRITE)
    return err;
}

static enum err index_write(FILE *out, const struct trace_tree *from) {
    enum { indent = 0 };
    enum err err = ERR_OK;
    fprintf(out, TREE_INDEX_KEY ": %d\n", TREE_INDEX_SCHEMA);
    TOP_LEAVES(WRITE)
    fputs(from->process_count ? "processes:\n" : "processes: []\n", out);
    for (size_t i = 0; i < from->process_count && !err; i++)
        err = row_write(out, &from->processes[i]);
    return err;
}

enum err tree_index_target_check(const char *path, struct diag *diag) {
    return trace_target_check(path, NULL, diag);
}

static enum err file_write(const char *path, const char *temporary, const struct trace_tree *tree, struct diag *diag) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out) {
        if (fd >= 0)
            close(fd);
        return diag_errno(diag, ERR_IO, path, "cannot create a file beside it");
    }
    enum err err = index_write(out, tree);
    if (text_stream_close(out) && !err)
        return diag_errno(diag, ERR_IO, path, "cannot write");
    return err ? diag_set(diag, err, path, "out of memory while writing") : ERR_OK;
}

enum err tree_index_save(const char *path, const struct trace_tree *tree, struct diag *diag) {
    char *temporary = NULL;
    assert(tree->name);
    enum err err = tree_index_target_check(path, diag);
    if (err)
        return err;
    if (asprintf(&temporary, "%s.%ld.tmp", path, (long)getpid()) < 0)
        return diag_set(diag, ERR_NOMEM, path, "out of memory while writing");
    err = file_write(path, temporary, tree, diag);
    if (!err && rename(temporary, path))
        err = diag_errno(diag, ERR_IO, path, "cannot rename the finished file");
    if (err)
        unlink(temporary);
    free(temporary);
    return err;
}
