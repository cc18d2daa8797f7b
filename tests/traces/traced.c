#include "tests/traces/traced.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_MAX = 4096 };

const char *shim_path;
static const char *programs_folder;

void traced_begin(int argc, char **argv) {
    if (argc < 3)
        exit(2);
    shim_path = argv[1];
    programs_folder = argv[2];
}

char *program(const char *name) {
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", programs_folder, name);
    return path;
}

bool traced_warns(const struct record_report *report, const char *words) {
    for (uint32_t i = 0; i < report->warning_count; i++)
        if (strstr(report->warnings[i], words))
            return true;
    return false;
}

enum err traced_follow(struct tracker *tracker, const struct event *events, size_t count, struct diag *diag) {
    struct event_block block = {.events = events, .count = count, .first_index = tracker_summary(tracker)->event_count};
    struct placement placements[RUN_MAX];
    size_t applied = 0;
    if (count > RUN_MAX)
        return diag_set(diag, ERR_LIMIT, NULL, "a run of %zu events", count);
    enum err err = tracker_apply(tracker, events, count, placements, &applied);
    return err ? tracker_explain(tracker, err, &block, applied, diag) : ERR_OK;
}
