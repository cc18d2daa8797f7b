#include "formats/events_salvage.h"

enum err events_salvage_scan(const char *path, struct events_salvage *out, struct diag *diag) {
    struct events_reader *reader;
    struct event_block block = {.count = 1};
    struct diag fault = {.err = ERR_OK};
    enum err err = events_reader_open(path, NULL, &reader, diag);
    if (err)
        return err;
    events_reader_want_times(reader, true);
    err = events_reader_rewind(reader, &fault);
    while (!err && block.count)
        err = events_reader_next(reader, &block, &fault);
    if (err == ERR_IO || err == ERR_NOMEM) {
        if (diag)
            *diag = fault;
    } else {
        *out = (struct events_salvage){.found = events_reader_progress(reader), .fault = fault};
        err = ERR_OK;
    }
    events_reader_close(reader);
    return err;
}

enum err events_salvage_open(const char *path, const struct events_salvage *salvage, struct events_reader **out,
                             struct diag *diag) {
    enum err err = events_reader_open(path, NULL, out, diag);
    if (err)
        return err;
    events_reader_limit(*out, salvage->found.member_count);
    events_reader_want_times(*out, true);
    err = events_reader_rewind(*out, diag);
    if (err)
        events_reader_close(*out);
    return err;
}
