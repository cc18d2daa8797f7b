#include "formats/description_document.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 8, SHOWN_BYTES = 40 };

/* What a message shows of a text from the file: short, on one line. */
static const char *text_show(const char *text, size_t bytes, char out[SHOWN_BYTES + 4]) {
    size_t count = bytes < SHOWN_BYTES ? bytes : SHOWN_BYTES;
    for (size_t i = 0; i < count; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    memcpy(out + count, "...", 4);
    if (bytes <= SHOWN_BYTES)
        out[count] = '\0';
    return out;
}

static const char *node_show(const yaml_node_t *node, char out[SHOWN_BYTES + 4]) {
    return text_show((const char *)node->data.scalar.value, node->data.scalar.length, out);
}

static enum err mark_fault(const char *path, yaml_mark_t mark, struct diag *diag, const char *text) {
    return diag_at_line(diag, ERR_FORMAT, path, mark.line + 1, mark.column + 1, "%s", text);
}

/* Line and column of a byte that libyaml's reader stumbled over; it tells the offset only. */
static enum err byte_fault(const char *path, const char *text, size_t offset, struct diag *diag, const char *problem) {
    uint64_t line = 1, column = 1;
    for (size_t i = 0; i < offset; i++) {
        column++;
        if (text[i] == '\n')
            line++, column = 1;
    }
    return diag_at_line(diag, ERR_FORMAT, path, line, column, "%s", problem);
}

static enum err parser_fault(const yaml_parser_t *parser, const char *path, const char *text, size_t bytes,
                             struct diag *diag) {
    const char *problem = parser->problem ? parser->problem : "malformed YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    if (parser->error == YAML_READER_ERROR)
        return byte_fault(path, text, parser->problem_offset < bytes ? parser->problem_offset : bytes, diag, problem);
    return mark_fault(path, parser->problem_mark, diag, problem);
}

/* Anchors, tags and nesting are refused before anything is built from them. */
static enum err node_event_check(const yaml_char_t *anchor, const yaml_char_t *tag, yaml_mark_t mark, const char *path,
                                 struct diag *diag) {
    if (anchor)
        return mark_fault(path, mark, diag, "anchors are not used in descriptions");
    if (tag && strcmp((const char *)tag, DESCRIPTION_TAG_BINARY) != 0)
        return mark_fault(path, mark, diag, "the only tag used in descriptions is !!binary");
    return ERR_OK;
}

static enum err event_check(const yaml_event_t *event, unsigned *depth, unsigned *documents, const char *path,
                            struct diag *diag) {
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1)
            return mark_fault(path, event->start_mark, diag, "a second document in the file");
        return ERR_OK;
    case YAML_ALIAS_EVENT:
        return mark_fault(path, event->start_mark, diag, "aliases are not used in descriptions");
    case YAML_SCALAR_EVENT:
        return node_event_check(event->data.scalar.anchor, event->data.scalar.tag, event->start_mark, path, diag);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        if (++*depth > DEPTH_MAX)
            return mark_fault(path, event->start_mark, diag, "nested too deeply");
        if (event->type == YAML_MAPPING_START_EVENT)
            return node_event_check(event->data.mapping_start.anchor, event->data.mapping_start.tag, event->start_mark,
                                    path, diag);
        return node_event_check(event->data.sequence_start.anchor, event->data.sequence_start.tag, event->start_mark,
                                path, diag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        --*depth;
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static enum err events_scan(const char *path, const char *text, size_t bytes, struct diag *diag) {
    yaml_parser_t parser;
    unsigned depth = 0, documents = 0;
    enum err err = ERR_OK;
    bool ended = false;
    if (!yaml_parser_initialize(&parser))
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    while (!err && !ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            err = parser_fault(&parser, path, text, bytes, diag);
            break;
        }
        err = event_check(&event, &depth, &documents, path, diag);
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return err;
}

enum err description_document_open(const char *path, const char *text, size_t bytes, struct description_document *out,
                                   struct diag *diag) {
    yaml_parser_t parser;
    enum err err = events_scan(path, text, bytes, diag);
    if (err)
        return err;
    if (!yaml_parser_initialize(&parser))
        return diag_set(diag, ERR_NOMEM, path, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    if (!yaml_parser_load(&parser, &out->yaml))
        err = parser_fault(&parser, path, text, bytes, diag);
    else
        out->path = path;
    yaml_parser_delete(&parser);
    return err;
}

void description_document_close(struct description_document *document) {
    yaml_document_delete(&document->yaml);
}

static yaml_node_t *node_get(struct description_document *document, int index) {
    return yaml_document_get_node(&document->yaml, index);
}

static const yaml_node_t *root_get(struct description_document *document) {
    return yaml_document_get_root_node(&document->yaml);
}

static bool node_is(const yaml_node_t *node, const char *text, size_t bytes) {
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == bytes &&
           memcmp(node->data.scalar.value, text, bytes) == 0;
}

static const yaml_node_t *mapping_get(struct description_document *document, const yaml_node_t *mapping,
                                      const char *key, size_t bytes) {
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
         pair++)
        if (node_is(node_get(document, pair->key), key, bytes))
            return node_get(document, pair->value);
    return NULL;
}

const yaml_node_t *description_document_find(struct description_document *document, const char *key_path) {
    const yaml_node_t *node = root_get(document);
    while (node && *key_path) {
        size_t bytes = strcspn(key_path, ".");
        node = mapping_get(document, node, key_path, bytes);
        key_path += bytes + (key_path[bytes] == '.');
    }
    return node;
}

const yaml_node_t *description_document_in(struct description_document *document, const yaml_node_t *mapping,
                                           const char *key) {
    return mapping_get(document, mapping, key, strlen(key));
}

const yaml_node_t *description_document_entry(struct description_document *document, const char *key, size_t index) {
    const yaml_node_t *node = description_document_find(document, key);
    if (!node || node->type != YAML_SEQUENCE_NODE)
        return NULL;
    const yaml_node_item_t *items = node->data.sequence.items.start;
    return index < (size_t)(node->data.sequence.items.top - items) ? node_get(document, items[index]) : NULL;
}

enum err description_document_fault(struct description_document *document, const yaml_node_t *node, enum err err,
                                    struct diag *diag, const char *format, ...) {
    char text[sizeof diag->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments); // NOLINT(clang-analyzer-valist.Uninitialized): it is started above
    va_end(arguments);
    yaml_mark_t mark = {0};
    if (node)
        mark = node->start_mark;
    return diag_at_line(diag, err, document->path, mark.line + 1, mark.column + 1, "%s", text);
}

static const cyaml_schema_field_t *field_find(const cyaml_schema_field_t *fields, const yaml_node_t *key) {
    for (; fields->key; fields++)
        if (node_is(key, fields->key, strlen(fields->key)))
            return fields;
    return NULL;
}

/* Two keys of one name; descriptions are short. */
static enum err duplicate_check(struct description_document *document, const yaml_node_t *mapping,
                                const yaml_node_pair_t *pair, struct diag *diag) {
    char shown[SHOWN_BYTES + 4];
    const yaml_node_t *key = node_get(document, pair->key);
    for (const yaml_node_pair_t *other = mapping->data.mapping.pairs.start; other < pair; other++) {
        const yaml_node_t *first = node_get(document, other->key);
        if (node_is(first, (const char *)key->data.scalar.value, key->data.scalar.length))
            return description_document_fault(document, key, ERR_FORMAT, diag,
                                              "key \"%s\" is given twice; the first is in line %zu",
                                              node_show(key, shown), first->start_mark.line + 1);
    }
    return ERR_OK;
}

static enum err text_check(struct description_document *document, const char *name, const yaml_node_t *node,
                           struct diag *diag) {
    if (node->type != YAML_SCALAR_NODE)
        return description_document_fault(document, node, ERR_FORMAT, diag, "\"%s\" must be a single value", name);
    if (!node->data.scalar.length && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return description_document_fault(document, node, ERR_FORMAT, diag, "\"%s\" has no value", name);
    if (memchr(node->data.scalar.value, '\0', node->data.scalar.length))
        return description_document_fault(document, node, ERR_FORMAT, diag, "\"%s\" contains a NUL character", name);
    return ERR_OK;
}

static enum err mapping_check(struct description_document *document, const char *name, const yaml_node_t *node,
                              const cyaml_schema_field_t *fields, struct diag *diag);

static enum err sequence_check(struct description_document *document, const char *name, const yaml_node_t *node,
                               const cyaml_schema_value_t *entry, struct diag *diag) {
    if (node->type != YAML_SEQUENCE_NODE)
        return description_document_fault(document, node, ERR_FORMAT, diag, "\"%s\" must be a list", name);
    enum err err = ERR_OK;
    for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top && !err;
         item++)
        err = mapping_check(document, name, node_get(document, *item), entry->mapping.fields, diag);
    return err;
}

static enum err pair_check(struct description_document *document, const char *name, const yaml_node_t *mapping,
                           const yaml_node_pair_t *pair, const cyaml_schema_field_t *fields, struct diag *diag) {
    char shown[SHOWN_BYTES + 4];
    const yaml_node_t *key = node_get(document, pair->key);
    const yaml_node_t *value = node_get(document, pair->value);
    if (key->type != YAML_SCALAR_NODE)
        return description_document_fault(document, key, ERR_FORMAT, diag, "a key must be a single word");
    enum err err = duplicate_check(document, mapping, pair, diag);
    if (err)
        return err;
    const cyaml_schema_field_t *field = field_find(fields, key);
    if (!field)
        return description_document_fault(document, key, ERR_FORMAT, diag, "unknown key \"%s\" in %s",
                                          node_show(key, shown), name);
    if (field->value.type == CYAML_MAPPING)
        return mapping_check(document, field->key, value, field->value.mapping.fields, diag);
    if (field->value.type == CYAML_SEQUENCE)
        return sequence_check(document, field->key, value, field->value.sequence.entry, diag);
    return text_check(document, field->key, value, diag);
}

/* Recursion is bounded by the schema's own depth. */
static enum err mapping_check(struct description_document *document, const char *name, const yaml_node_t *node,
                              const cyaml_schema_field_t *fields, struct diag *diag) {
    if (node->type != YAML_MAPPING_NODE)
        return description_document_fault(document, node, ERR_FORMAT, diag, "%s must be a mapping of keys to values",
                                          name);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        enum err err = pair_check(document, name, node, pair, fields, diag);
        if (err)
            return err;
    }
    for (; fields->key; fields++)
        if (!(fields->value.flags & CYAML_FLAG_OPTIONAL) &&
            !mapping_get(document, node, fields->key, strlen(fields->key)))
            return description_document_fault(document, node, ERR_FORMAT, diag, "key \"%s\" is missing in %s",
                                              fields->key, name);
    return ERR_OK;
}

enum err description_document_check(struct description_document *document, const cyaml_schema_value_t *schema,
                                    struct diag *diag) {
    const yaml_node_t *root = root_get(document);
    if (!root)
        return description_document_fault(document, NULL, ERR_FORMAT, diag, "the description is empty");
    return mapping_check(document, "the description", root, schema->mapping.fields, diag);
}
