#include "cli/tree_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "core/base/units.h"
#include "formats/native_reader.h"
#include "formats/tree_index.h"

static void text_row(const char *label, const char *text) {
    if (!text || !*text)
        return;
    printf("  %-14s ", label);
    shown_print(text);
    putchar('\n');
}

static void process_print(const struct tree_process *process) {
    char events[UNITS_TEXT_BYTES], lived[UNITS_TEXT_BYTES];
    uint64_t lived_us = process->end_us > process->begin_us ? process->end_us - process->begin_us : 0;
    printf("%9" PRIu64 " %9" PRIu64 "  %-5s %9s %14s  ", process->pid, process->parent_pid,
           tree_came_names[process->came], units_format_duration(lived_us * 1000, lived),
           process->file ? units_format_count(process->event_count, events) : "-");
    shown_print(process->end ? process->end : "");
    fputs("  ", stdout);
    shown_print(process->command ? process->command : "");
    putchar('\n');
    if (process->reason) {
        printf("%26s", "");
        shown_print(process->reason);
        putchar('\n');
    }
}

static size_t trace_count(const struct trace_tree *tree) {
    size_t count = 0;
    for (size_t i = 0; i < tree->process_count; i++)
        count += tree->processes[i].file != NULL;
    return count;
}

void tree_list_print(const struct trace_tree *tree, const char *path) {
    char traces[UNITS_TEXT_BYTES], processes[UNITS_TEXT_BYTES], stem[4200];
    snprintf(stem, sizeof stem, "%.*s", (int)(strlen(path) > 5 ? strlen(path) - 5 : 0), path);
    shown_print(tree->name);
    printf(": a process tree of %s, %s with a trace\n", units_format_count(tree->process_count, processes),
           units_format_count(trace_count(tree), traces));
    text_row("command", tree->command);
    text_row("captured", tree->date);
    text_row("traces", stem);
    printf("\n%9s %9s  %-5s %9s %14s  %s\n", "pid", "parent", "came", "lived", "events", "end, command");
    for (size_t i = 0; i < tree->process_count; i++)
        process_print(&tree->processes[i]);
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
