#include "cli/tree_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/info_page.h"
#include "cli/message.h"
#include "core/base/units.h"
#include "formats/native_reader.h"
#include "formats/tree_index.h"

enum { FILE_WIDTH_MAX = 40, END_WIDTH_MAX = 24 };

struct list_totals {
    uint64_t trace_count;
    uint64_t event_count;
    uint64_t lost_count;
    size_t file_width; /* of the columns that differ from list to list */
    size_t end_width;
};

static void width_raise(size_t *width, const char *text, size_t most) {
    size_t length = text ? strlen(text) : 0;
    if (length > *width)
        *width = length < most ? length : most;
}

static struct list_totals totals_of(const struct trace_tree *tree) {
    struct list_totals totals = {.file_width = strlen("trace"), .end_width = strlen("end")};
    for (size_t i = 0; i < tree->process_count; i++) {
        const struct tree_process *process = &tree->processes[i];
        totals.lost_count += process->lost_count;
        width_raise(&totals.file_width, process->file, FILE_WIDTH_MAX);
        width_raise(&totals.end_width, process->end, END_WIDTH_MAX);
        if (!process->file)
            continue;
        totals.trace_count++;
        totals.event_count += process->event_count;
    }
    return totals;
}

static void column_print(const char *text, size_t width) {
    size_t length = strlen(text);
    shown_print(text);
    printf("%*s  ", length < width ? (int)(width - length) : 0, "");
}

static void process_print(const struct tree_process *process, const struct list_totals *totals) {
    char events[UNITS_TEXT_BYTES], began[UNITS_TEXT_BYTES], lived[UNITS_TEXT_BYTES], inherited[UNITS_TEXT_BYTES];
    uint64_t lived_us = process->end_us > process->begin_us ? process->end_us - process->begin_us : 0;
    printf("%9" PRIu64 " %9" PRIu64 "  %-5s %9s %9s %14s %11s  ", process->pid, process->parent_pid,
           tree_came_names[process->came], units_format_duration(process->begin_us * 1000, began),
           units_format_duration(lived_us * 1000, lived),
           process->file ? units_format_count(process->event_count, events) : "-",
           process->inherited_blocks ? units_format_count(process->inherited_blocks, inherited) : "-");
    column_print(process->file ? process->file : "-", totals->file_width);
    column_print(process->end ? process->end : "", totals->end_width);
    shown_print(process->command ? process->command : "");
    putchar('\n');
    if (process->reason) {
        printf("%26s", "");
        shown_print(process->reason);
        putchar('\n');
    }
}

void tree_list_print(const struct trace_tree *tree) {
    char traces[UNITS_TEXT_BYTES], processes[UNITS_TEXT_BYTES], events[UNITS_TEXT_BYTES], lost[UNITS_TEXT_BYTES];
    const struct list_totals totals = totals_of(tree);
    shown_print(tree->name);
    printf(": a process tree, %s trace%s in a list of %s\n", units_format_count(totals.trace_count, traces),
           units_plural(totals.trace_count), units_format_count(tree->process_count, processes));
    info_row_print("command", tree->command);
    info_row_print("captured", tree->date);
    info_row_print("events", units_format_count(totals.event_count, events));
    info_row_print("lost", units_format_count(totals.lost_count, lost));
    printf("\n%9s %9s  %-5s %9s %9s %14s %11s  %-*s  %-*s  %s\n", "pid", "parent", "came", "began", "lived", "events",
           "inherited", (int)totals.file_width, "trace", (int)totals.end_width, "end", "command");
    for (size_t i = 0; i < tree->process_count; i++)
        process_print(&tree->processes[i], &totals);
}

static enum err operand_add(struct tree_operands *operands, char *path) {
    char **larger = path ? realloc(operands->paths, (operands->count + 2) * sizeof *larger) : NULL;
    if (!larger) {
        free(path);
        return ERR_NOMEM;
    }
    operands->paths = larger;
    operands->paths[operands->count++] = path;
    operands->paths[operands->count] = NULL;
    return ERR_OK;
}

static enum err index_expand(const char *path, struct tree_operands *out) {
    struct trace_tree tree;
    if (tree_index_load(path, &tree, NULL))
        return operand_add(out, strdup(path));
    enum err err = ERR_OK;
    for (size_t i = 0; i < tree.process_count && !err; i++)
        if (tree.processes[i].file)
            err = operand_add(out, native_events_path(path, tree.processes[i].file));
    trace_tree_clear(&tree);
    return err;
}

enum err tree_operands_expand(char *const *operands, size_t operand_count, struct tree_operands *out) {
    struct tree_operands made = {0};
    enum err err = ERR_OK;
    for (size_t i = 0; i < operand_count && !err; i++)
        err = tree_index_is(operands[i]) ? index_expand(operands[i], &made) : operand_add(&made, strdup(operands[i]));
    if (err)
        tree_operands_clear(&made);
    else
        *out = made;
    return err;
}

void tree_operands_clear(struct tree_operands *operands) {
    for (size_t i = 0; i < operands->count; i++)
        free(operands->paths[i]);
    free(operands->paths);
    *operands = (struct tree_operands){0};
}
