/**
 * trace_tree.h: the traces of one recording of a process tree, and the processes that left none.
 */
#ifndef MMREPLAY_TRACES_TRACE_TREE_H
#define MMREPLAY_TRACES_TRACE_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

/** How what is recorded came to be. */
enum tree_came {
    TREE_START, /**< it was started by the recorder */
    TREE_FORK,  /**< as a copy of its parent, with its live blocks */
    TREE_EXEC,  /**< as a new program image, with nothing */
    TREE_CAME_COUNT
};

/** "start", "fork", "exec" */
extern const char *const tree_came_names[TREE_CAME_COUNT];

/** One trace, or one process without any. Strings are owned; NULL = not known. */
struct tree_process {
    uint64_t pid;
    uint64_t parent_pid; /**< 0 = not known */
    enum tree_came came;
    char *command;
    uint64_t begin_us; /**< since the recording began, as the recorder saw it */
    uint64_t end_us;
    char *end;            /**< how it ended: "exit 0", "signal 9 (SIGKILL)" */
    uint64_t event_count; /**< those that make what it inherited included */
    uint64_t inherited_blocks;
    uint64_t lost_count;
    char *file;   /**< description of its trace, beside the index; NULL: there is none */
    char *reason; /**< why there is no trace */
};

struct trace_tree {
    char *name;
    char *command; /**< that was recorded */
    char *tool;
    char *date; /**< ISO 8601, UTC */
    struct tree_process *processes;
    size_t process_count;
};

/** A row for one more process, all zero. Pointers to earlier rows are void then. @return NULL: no memory. */
struct tree_process *trace_tree_add(struct trace_tree *tree);

/** In order of beginning, then of coming into the list. */
void trace_tree_sort(struct trace_tree *tree);

/** Frees everything and zeroes the struct. */
void trace_tree_clear(struct trace_tree *tree);

#endif
