#include "cli/output_file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err output_file_open(struct output_file *output, const char *path, struct diag *diag) {
    output->path = path;
    if (strcmp(path, "-") == 0) {
        output->file = stdout;
        return ERR_OK;
    }
    int length = snprintf(output->partial, sizeof output->partial, "%s.partial", path);
    if (length < 0 || (size_t)length >= sizeof output->partial)
        return diag_set(diag, ERR_LIMIT, path, "the path is too long");
    output->file = fopen(output->partial, "we");
    return output->file ? ERR_OK : diag_errno(diag, ERR_IO, path, "cannot write the result");
}

bool output_file_is_stdout(const struct output_file *output) {
    return output->file == stdout;
}

enum err output_file_commit(struct output_file *output, enum err err, struct diag *diag) {
    if (!output->file)
        return ERR_OK;
    if (output->file == stdout)
        return err ? diag_set(diag, err, NULL, "cannot write the output") : ERR_OK;
    if (fclose(output->file) || err || rename(output->partial, output->path)) {
        err = diag_errno(diag, ERR_IO, output->path, "cannot write the result");
        unlink(output->partial);
    }
    output->file = NULL;
    return err;
}

void output_file_discard(struct output_file *output) {
    if (!output->file || output->file == stdout)
        return;
    fclose(output->file);
    unlink(output->partial);
    output->file = NULL;
}

static enum err input_check(const char *output, const char *input, struct diag *diag) {
    struct stat out, in;
    if (stat(output, &out))
        return ERR_OK;
    if (S_ISDIR(out.st_mode))
        return diag_set(diag, ERR_USAGE, output, "is a directory; give the name of a file for the result");
    if (!stat(input, &in) && out.st_dev == in.st_dev && out.st_ino == in.st_ino)
        return diag_set(diag, ERR_USAGE, output, "is an input of this very command; give another file for the result");
    return ERR_OK;
}

enum err output_file_check(const char *path, const char *trace, const char *events_file, struct diag *diag) {
    if (!path || !*path || strcmp(path, "-") == 0)
        return ERR_OK;
    const char *slash = strrchr(trace, '/');
    char events[PATH_MAX];
    snprintf(events, sizeof events, "%.*s%s", slash ? (int)(slash + 1 - trace) : 0, trace,
             events_file ? events_file : "");
    enum err err = input_check(path, trace, diag);
    return err ? err : input_check(path, events, diag);
}
