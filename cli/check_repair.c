#include "cli/check_repair.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/message.h"
#include "core/base/units.h"
#include "formats/native_repair.h"

static void fault_print(const char *label, const struct diag *fault) {
    char text[sizeof fault->path + sizeof fault->text + 64];
    diag_format(fault, text, sizeof text);
    fputs(label, stdout);
    shown_print(text);
    putchar('\n');
}

static void loss_print(const struct native_repair_report *report) {
    char lost[UNITS_TEXT_BYTES];
    if (!report->is_stated)
        puts("  lost: an unknown number of events behind them");
    else if (report->stated_count > report->kept_count)
        printf("  lost: %s events\n", units_format_count(report->stated_count - report->kept_count, lost));
    if (!report->is_described)
        puts("  lost: the description; the new one says only what the events tell");
}

static void report_print(const char *output, const struct native_repair_report *report, const struct diag *why) {
    char kept[UNITS_TEXT_BYTES], stated[UNITS_TEXT_BYTES];
    shown_print(output);
    printf(": written: %s%s%s events kept\n", units_format_count(report->kept_count, kept),
           report->is_stated ? " of " : "", report->is_stated ? units_format_count(report->stated_count, stated) : "");
    if (!why) {
        puts("  nothing was wrong: this is a copy");
        return;
    }
    loss_print(report);
    if (!report->is_described)
        fault_print("  the description: ", &report->description_fault);
    if (report->events_fault.err)
        fault_print("  the events: ", &report->events_fault);
    else if (report->is_described)
        fault_print("  mended: ", why);
}

int check_repair_run(const char *path, const char *output, const struct diag *why, bool quiet) {
    struct native_repair_report report;
    struct diag diag;
    if (native_repair(path, output, why, &report, &diag))
        return message_error(&diag);
    if (!quiet)
        report_print(output, &report, why);
    return EXIT_CODE_DONE;
}

/* NAME.yaml.….tmp, of a recorder that was killed. */
static bool is_unfinished(const char *name, const char *base) {
    size_t length = strlen(name), base_length = strlen(base);
    return length > base_length + 4 && strncmp(name, base, base_length) == 0 && name[base_length] == '.' &&
           strcmp(name + length - 4, ".tmp") == 0;
}

void check_unfinished_tell(const char *path) {
    const char *slash = strrchr(path, '/');
    int folder_bytes = slash ? (int)(slash + 1 - path) : 0;
    char folder[4096];
    snprintf(folder, sizeof folder, "%.*s", folder_bytes, path);
    DIR *entries = opendir(folder_bytes ? folder : ".");
    for (const struct dirent *entry; entries && (entry = readdir(entries));)
        if (is_unfinished(entry->d_name, path + folder_bytes))
            message_note("what an unfinished recording of that name left: %s%s; 'mmreplay check --repair -o OUT.yaml "
                         "%s%s' mends it",
                         folder, entry->d_name, folder, entry->d_name);
    if (entries)
        closedir(entries);
}
