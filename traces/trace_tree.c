#include "traces/trace_tree.h"

#include <stdlib.h>

const char *const tree_came_names[TREE_CAME_COUNT] = {"start", "fork", "exec"};

struct tree_process *trace_tree_add(struct trace_tree *tree) {
    size_t count = tree->process_count;
    if ((count & (count - 1)) == 0) { /* capacity is the next power of two */
        struct tree_process *larger = realloc(tree->processes, (count ? 2 * count : 1) * sizeof *larger);
        if (!larger)
            return NULL;
        tree->processes = larger;
    }
    tree->processes[count] = (struct tree_process){0};
    tree->process_count++;
    return &tree->processes[count];
}

/* Insertion: rows come nearly in order, since short processes end soon. */
void trace_tree_sort(struct trace_tree *tree) {
    for (size_t i = 1; i < tree->process_count; i++) {
        struct tree_process moved = tree->processes[i];
        size_t at = i;
        for (; at && tree->processes[at - 1].begin_us > moved.begin_us; at--)
            tree->processes[at] = tree->processes[at - 1];
        tree->processes[at] = moved;
    }
}

void trace_tree_clear(struct trace_tree *tree) {
    for (size_t i = 0; i < tree->process_count; i++) {
        free(tree->processes[i].command);
        free(tree->processes[i].end);
        free(tree->processes[i].file);
        free(tree->processes[i].reason);
    }
    free(tree->processes);
    free(tree->name);
    free(tree->command);
    free(tree->tool);
    free(tree->date);
    *tree = (struct trace_tree){0};
}
