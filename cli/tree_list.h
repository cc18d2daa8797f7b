/**
 * tree_list.h: the index of a process tree, where a trace is expected.
 */
#ifndef MMREPLAY_CLI_TREE_LIST_H
#define MMREPLAY_CLI_TREE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/diag.h"
#include "traces/trace_tree.h"

/** Prints the list: a line for each process, and under it why one has no trace. */
void tree_list_print(const struct trace_tree *tree);

/** Operands with every index replaced by the traces that it lists. */
struct tree_operands {
    char **paths; /**< owned, each */
    size_t count;
};

/**
 * @return ERR_OK and *out owned by the caller (tree_operands_clear), ERR_NOMEM; what cannot be read stays as it is, for
 * the one who opens it to tell.
 */
enum err tree_operands_expand(char *const *operands, size_t operand_count, struct tree_operands *out);
void tree_operands_clear(struct tree_operands *operands);

#endif
