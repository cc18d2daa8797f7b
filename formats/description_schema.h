/**
 * description_schema.h: the keys of a description, once: reading, checking and writing all walk this table.
 */
#ifndef MMREPLAY_FORMATS_DESCRIPTION_SCHEMA_H
#define MMREPLAY_FORMATS_DESCRIPTION_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stddef.h>

enum leaf_type {
    LEAF_TEXT,  /**< char * in struct trace_info; absent = NULL */
    LEAF_NUMBER /**< uint64_t; absent = 0 */
};

/** A key with a single value. */
struct leaf {
    const char *path; /**< "events.count" */
    enum leaf_type type;
    bool required;
    size_t text_offset; /**< char * in struct description_text */
    size_t info_offset; /**< in struct trace_info; of `mmreplay` and `codec` unused */
};

/** In the order in which they are written. */
extern const struct leaf description_leaves[];
extern const size_t description_leaf_count;

/** All values as text, as libcyaml loads them: it reads `12abc` as 12 and `1e6` as 1 when it is asked for numbers. */
struct description_text;

/** The schema of the document, for cyaml_load_data and for checks of our own. */
extern const cyaml_schema_value_t description_schema;

#endif
