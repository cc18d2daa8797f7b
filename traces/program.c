#include "traces/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "traces/sample_plan.h"
#include "traces/tracker.h"

_Static_assert((int)OP_SIZE_SHIFT - (int)OP_SLOT_SHIFT == TRACKER_SLOT_BITS, "a slot fills its field");
_Static_assert(EVENT_FREE < 1 << OP_KIND_BITS, "operation kinds fit their field");

enum { WRITER_WORDS = 1 << 13, RUN_EVENTS = 1 << 10, HEADER_BYTES = 4096 };
_Static_assert(sizeof(struct program_header) <= HEADER_BYTES, "the header fits its page");

/* Everything a compilation holds. */
struct compiler {
    int fd;
    size_t used;           /* of words */
    uint64_t offset_bytes; /* where in the file words[0] will go */
    struct tracker *tracker;
    struct program_sample now; /* the state after the last operation */
    struct sample_plan plan;
    struct placement placements[RUN_EVENTS];
    uint64_t words[WRITER_WORDS];
};
_Static_assert(2 * RUN_EVENTS <= WRITER_WORDS, "a run of wide ops fits");

static enum err bytes_write(int fd, const void *bytes, size_t count, uint64_t offset, struct diag *diag) {
    const char *from = bytes;
    while (count) {
        ssize_t written = pwrite(fd, from, count, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return diag_errno(diag, ERR_IO, NULL, "cannot write the compiled program to memory");
        from += written;
        offset += (uint64_t)written;
        count -= (size_t)written;
    }
    return ERR_OK;
}

static enum err words_flush(struct compiler *compiler, struct diag *diag) {
    size_t bytes = compiler->used * sizeof *compiler->words;
    enum err err = bytes_write(compiler->fd, compiler->words, bytes, compiler->offset_bytes, diag);
    compiler->offset_bytes += bytes;
    compiler->used = 0;
    return err;
}

/* Appends the op of `event`; room for two words is the caller's care. */
static inline void op_append(struct compiler *compiler, const struct event *event, const struct placement *placement) {
    uint64_t op = (uint64_t)event->kind | (uint64_t)placement->domain << OP_DOMAIN_SHIFT |
                  (uint64_t)placement->slot << OP_SLOT_SHIFT;
    uint64_t *to = &compiler->words[compiler->used];
    if (event->kind == EVENT_FREE) {
        to[0] = op;
        compiler->used++;
    } else if (event->size_bytes >> OP_SIZE_BITS || event->kind == EVENT_ALIGNED_ALLOC) {
        to[0] = op | (uint64_t)1 << OP_WIDE_BIT;
        to[1] = event->size_bytes | (uint64_t)event->align_log2 << OP_WIDE_ALIGN_SHIFT;
        compiler->used += 2;
    } else {
        to[0] = op | event->size_bytes << OP_SIZE_SHIFT;
        compiler->used++;
    }
}

/* Ops and samples of a run that the tracker has accepted. */
static enum err run_emit(struct compiler *compiler, const struct event *events, size_t count) {
    uint64_t words_before = (compiler->offset_bytes - HEADER_BYTES) / sizeof(uint64_t);
    for (size_t i = 0; i < count; i++) {
        if (!event_is_operation(events[i].kind))
            continue;
        const struct placement *placement = &compiler->placements[i];
        op_append(compiler, &events[i], placement);
        compiler->now = (struct program_sample){.word_index = words_before + compiler->used,
                                                .operation_index = compiler->now.operation_index + 1,
                                                .live_bytes = placement->live_bytes,
                                                .live_blocks = placement->live_blocks};
        enum err err = sample_plan_see(&compiler->plan, &compiler->now);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err block_compile(struct compiler *compiler, const struct event_block *block, struct diag *diag) {
    for (size_t i = 0; i < block->count;) {
        size_t run = block->count - i < RUN_EVENTS ? block->count - i : RUN_EVENTS;
        size_t applied = 0;
        enum err err = tracker_apply(compiler->tracker, block->events + i, run, compiler->placements, &applied);
        if (err)
            return tracker_explain(compiler->tracker, err, block, i + applied, diag);
        if (compiler->used + 2 * run > WRITER_WORDS && (err = words_flush(compiler, diag)))
            return err;
        if (run_emit(compiler, block->events + i, run))
            return diag_set(diag, ERR_NOMEM, NULL, "out of memory while planning the samples");
        i += run;
    }
    return ERR_OK;
}

static enum err ops_compile(struct compiler *compiler, const struct event_source *source, struct diag *diag) {
    for (;;) {
        struct event_block block;
        enum err err = source->next(source->ctx, &block, diag);
        if (err)
            return err;
        if (!block.count)
            return words_flush(compiler, diag);
        err = block_compile(compiler, &block, diag);
        if (err)
            return err;
    }
}

/*
 * F_SEAL_WRITE would be as good, but it fails (EBUSY) while the kernel itself holds one of the pages, as its migration
 * and reclaim do now and then. There is no writable mapping that would go on under this one: all was written by
 * write().
 */
enum { SEALS = F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK };

static enum err samples_write(struct compiler *compiler, struct program_header *header, struct diag *diag) {
    struct sample_list list = {0};
    enum err err = sample_plan_gather(&compiler->plan, &compiler->now, &list, &header->peak_sample);
    if (err) {
        diag_set(diag, err, NULL, "out of memory while planning the samples");
    } else {
        size_t bytes = list.count * sizeof *list.samples;
        err = bytes_write(compiler->fd, list.samples, bytes, header->samples_offset_bytes, diag);
        header->sample_count = list.count;
        header->file_bytes = header->samples_offset_bytes + bytes;
    }
    free(list.samples);
    return err;
}

static enum err file_finish(struct compiler *compiler, struct diag *diag) {
    struct program_header header = {
        .magic = PROGRAM_MAGIC,
        .ops_offset_bytes = HEADER_BYTES,
        .word_count = (compiler->offset_bytes - HEADER_BYTES) / sizeof(uint64_t),
        .samples_offset_bytes = compiler->offset_bytes,
        .slot_count = tracker_slot_peak(compiler->tracker) + 1,
        .summary = *tracker_summary(compiler->tracker),
    };
    enum err err = samples_write(compiler, &header, diag);
    if (!err)
        err = bytes_write(compiler->fd, &header, sizeof header, 0, diag);
    if (!err && fcntl(compiler->fd, F_ADD_SEALS, SEALS))
        err = diag_errno(diag, ERR_IO, NULL, "cannot seal the compiled program");
    return err;
}

static void compiler_destroy(struct compiler *compiler) {
    tracker_destroy(compiler->tracker);
    sample_plan_clear(&compiler->plan);
    if (compiler->fd >= 0)
        close(compiler->fd);
    free(compiler);
}

enum err program_compile(const struct event_source *source, struct program *out, struct diag *diag) {
    struct compiler *compiler = calloc(1, sizeof *compiler);
    if (!compiler)
        return diag_set(diag, ERR_NOMEM, NULL, "out of memory");
    compiler->offset_bytes = HEADER_BYTES;
    compiler->plan.grid_step = compiler->plan.grid_next = 1;
    enum err err = ERR_OK;
    compiler->fd = memfd_create("mmreplay-program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (compiler->fd < 0)
        err = diag_errno(diag, ERR_IO, NULL, "cannot create a memory file");
    else if ((err = tracker_create(&compiler->tracker)))
        diag_set(diag, err, NULL, "out of memory");
    if (!err)
        err = ops_compile(compiler, source, diag);
    if (!err)
        err = file_finish(compiler, diag);
    if (!err) {
        err = program_open(compiler->fd, out, diag);
        compiler->fd = -1;
    }
    compiler_destroy(compiler);
    return err;
}

static bool header_holds(const struct program_header *header, uint64_t file_bytes) {
    uint64_t ops_end, samples_end;
    return header->magic == PROGRAM_MAGIC && header->file_bytes == file_bytes &&
           header->ops_offset_bytes == HEADER_BYTES && header->slot_count >= 1 &&
           !__builtin_mul_overflow(header->word_count, sizeof(uint64_t), &ops_end) &&
           !__builtin_add_overflow(ops_end, HEADER_BYTES, &ops_end) && ops_end == header->samples_offset_bytes &&
           !__builtin_mul_overflow(header->sample_count, sizeof(struct program_sample), &samples_end) &&
           !__builtin_add_overflow(samples_end, ops_end, &samples_end) && samples_end == file_bytes &&
           (!header->sample_count || header->peak_sample < header->sample_count);
}

enum err program_open(int fd, struct program *out, struct diag *diag) {
    struct stat stat;
    const char *map = MAP_FAILED;
    enum err err = ERR_INVALID;
    if (fstat(fd, &stat) || stat.st_size < HEADER_BYTES || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS) {
        diag_set(diag, err, NULL, "descriptor %d is not a compiled program", fd);
        goto fail;
    }
    /* Private, yet never written, so the pages are the file's own: Linux before 6.7 refuses shared mappings of a
     * write-sealed file, even read-only ones. */
    map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        err = diag_errno(diag, ERR_IO, NULL, "cannot map the compiled program");
        goto fail;
    }
    const struct program_header *header = (const void *)map;
    if (!header_holds(header, (uint64_t)stat.st_size)) {
        diag_set(diag, err, NULL, "the compiled program's header contradicts its size");
        goto fail;
    }
    *out = (struct program){.fd = fd,
                            .header = header,
                            .ops = (const void *)(map + header->ops_offset_bytes),
                            .samples = (const void *)(map + header->samples_offset_bytes)};
    return ERR_OK;
fail:
    if (map != MAP_FAILED)
        munmap((void *)(uintptr_t)map, (size_t)stat.st_size);
    close(fd);
    return err;
}

void program_close(struct program *program) {
    if (!program || !program->header)
        return;
    munmap((void *)(uintptr_t)program->header, program->header->file_bytes);
    close(program->fd);
    memset(program, 0, sizeof *program);
}
