/**
 * description_document.h: the nodes of a description with their places, which libcyaml does not tell, and the checks
 * that need them.
 */
#ifndef MMREPLAY_FORMATS_DESCRIPTION_DOCUMENT_H
#define MMREPLAY_FORMATS_DESCRIPTION_DOCUMENT_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "core/base/diag.h"

/* Never const: libyaml's accessors are not, though they change nothing. */
struct description_document {
    yaml_document_t yaml;
    const char *path; /**< of the file, for diagnostics; borrowed */
};

#define DESCRIPTION_TAG_BINARY "tag:yaml.org,2002:binary"

/** Parses `text` as one document without anchors, aliases and foreign tags. @return ERR_FORMAT, ERR_NOMEM. */
enum err description_document_open(const char *path, const char *text, size_t bytes, struct description_document *out,
                                   struct diag *diag);
void description_document_close(struct description_document *document);

/** The value of the key at a path ("events.count"), or NULL. */
const yaml_node_t *description_document_find(struct description_document *document, const char *key_path);

/** The value of a key of a mapping; the i-th entry of the sequence that a key at the top holds. NULL: there is none. */
const yaml_node_t *description_document_in(struct description_document *document, const yaml_node_t *mapping,
                                           const char *key);
const yaml_node_t *description_document_entry(struct description_document *document, const char *key, size_t index);

/** A fault at a node (NULL: the document's start). @return err. */
enum err description_document_fault(struct description_document *document, const yaml_node_t *node, enum err err,
                                    struct diag *diag, const char *format, ...) __attribute__((format(printf, 5, 6)));

/** Unknown, duplicate and missing keys and values of the wrong type, against the schema that libcyaml gets. */
enum err description_document_check(struct description_document *document, const cyaml_schema_value_t *schema,
                                    struct diag *diag);

#endif
