#include "formats/events_input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "formats/regular_file.h"

enum err events_input_open(struct events_input *input, const char *path, struct diag *diag) {
    input->path = path;
    enum err err = regular_file_open(path, "cannot open the events file", &input->fd, diag);
    if (err)
        return err;
    input->byte = 0;
    input->at = input->buffer;
    input->available = 0;
    sha256_init(&input->hash);
    return ERR_OK;
}

void events_input_close(struct events_input *input) {
    if (input->fd >= 0)
        close(input->fd);
    input->fd = -1;
}

enum err events_input_seek(struct events_input *input, uint64_t byte, struct diag *diag) {
    if (byte > INT64_MAX || lseek(input->fd, (off_t)byte, SEEK_SET) < 0)
        return diag_errno(diag, ERR_IO, input->path, "cannot go to another place in the events file");
    input->byte = byte;
    input->at = input->buffer;
    input->available = 0;
    sha256_init(&input->hash);
    return ERR_OK;
}

enum err events_input_fill(struct events_input *input, size_t bytes, struct diag *diag) {
    if (input->available >= bytes)
        return ERR_OK;
    memmove(input->buffer, input->at, input->available);
    input->at = input->buffer;
    while (input->available < bytes) {
        uint8_t *to = input->buffer + input->available;
        ssize_t got = read(input->fd, to, EVENTS_INPUT_BYTES - input->available);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return diag_errno(diag, ERR_IO, input->path, "cannot read the events file");
        if (got == 0)
            return ERR_OK;
        sha256_update(&input->hash, to, (size_t)got);
        input->available += (size_t)got;
    }
    return ERR_OK;
}

void events_input_skip(struct events_input *input, size_t bytes) {
    input->at += bytes;
    input->available -= bytes;
    input->byte += bytes;
}

enum err events_input_drain(struct events_input *input, char sha256[SHA256_TEXT_BYTES], struct diag *diag) {
    do {
        events_input_skip(input, input->available);
        enum err err = events_input_fill(input, 1, diag);
        if (err)
            return err;
    } while (input->available);
    struct sha256 hash = input->hash;
    sha256_finish(&hash, sha256);
    return ERR_OK;
}
