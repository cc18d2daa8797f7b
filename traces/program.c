#include "traces/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "traces/tracker.h"

_Static_assert((int)OP_SIZE_SHIFT - (int)OP_SLOT_SHIFT == TRACKER_SLOT_BITS, "a slot fills its field");
_Static_assert(EVENT_FREE < 1 << OP_KIND_BITS, "operation kinds fit their field");

enum { WRITER_WORDS = 1 << 16, SAMPLE_STEPS = 256, HEADER_BYTES = 4096 };
_Static_assert(sizeof(struct program_header) <= HEADER_BYTES, "the header fits its page");

/* Words on their way to the memory file. */
struct word_writer {
    int fd;
    size_t used;
    uint64_t offset_bytes;
    uint64_t *words;
};

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

static enum err words_flush(struct word_writer *writer, struct diag *diag) {
    size_t bytes = writer->used * sizeof *writer->words;
    enum err err = bytes_write(writer->fd, writer->words, bytes, writer->offset_bytes, diag);
    writer->offset_bytes += bytes;
    writer->used = 0;
    return err;
}

/* Appends the op of `event`; room for two words is the caller's care. */
static void op_append(struct word_writer *writer, const struct event *event, const struct placement *placement) {
    uint64_t op = (uint64_t)event->kind | (uint64_t)placement->domain << OP_DOMAIN_SHIFT |
                  (uint64_t)placement->slot << OP_SLOT_SHIFT;
    if (event->kind == EVENT_FREE) {
        writer->words[writer->used++] = op;
    } else if (event->size_bytes >> OP_SIZE_BITS || event->kind == EVENT_ALIGNED_ALLOC) {
        writer->words[writer->used++] = op | (uint64_t)1 << OP_WIDE_BIT;
        writer->words[writer->used++] = event->size_bytes | (uint64_t)event->align_log2 << OP_WIDE_ALIGN_SHIFT;
    } else {
        writer->words[writer->used++] = op | event->size_bytes << OP_SIZE_SHIFT;
    }
}

static enum err block_compile(struct word_writer *writer, struct tracker *tracker, const struct event_block *block,
                              struct diag *diag) {
    for (size_t i = 0; i < block->count; i++) {
        struct placement placement;
        enum err err = tracker_apply(tracker, &block->events[i], &placement);
        if (err)
            return tracker_explain(tracker, err, block, i, diag);
        if (!event_is_operation(block->events[i].kind))
            continue;
        if (writer->used + 2 > WRITER_WORDS && (err = words_flush(writer, diag)))
            return err;
        op_append(writer, &block->events[i], &placement);
    }
    return ERR_OK;
}

static enum err ops_compile(struct word_writer *writer, struct tracker *tracker, const struct event_source *source,
                            struct diag *diag) {
    for (;;) {
        struct event_block block;
        enum err err = source->next(source->ctx, &block, diag);
        if (err)
            return err;
        if (!block.count)
            return words_flush(writer, diag);
        err = block_compile(writer, tracker, &block, diag);
        if (err)
            return err;
    }
}

/* The sampling plan, found by walking the finished ops once more with a size per slot. */
struct sampler {
    uint64_t *slot_bytes;
    struct program_sample *samples;
    size_t count;
    size_t capacity;
    uint64_t live_bytes;
    uint64_t live_blocks;
    uint64_t highest_sampled; /* live bytes of the highest sample */
    uint64_t peak_bytes;      /* where the walk is told the peak lies */
    bool peak_taken;
    uint32_t peak_sample;
};

static enum err sample_take(struct sampler *sampler, uint64_t word_index, uint64_t operation_index) {
    if (sampler->count && sampler->samples[sampler->count - 1].word_index == word_index)
        return ERR_OK;
    if (sampler->count == sampler->capacity) {
        size_t capacity = sampler->capacity ? sampler->capacity * 2 : 2 * SAMPLE_STEPS;
        struct program_sample *samples = realloc(sampler->samples, capacity * sizeof *samples);
        if (!samples)
            return ERR_NOMEM;
        sampler->samples = samples;
        sampler->capacity = capacity;
    }
    sampler->samples[sampler->count++] = (struct program_sample){.word_index = word_index,
                                                                 .operation_index = operation_index,
                                                                 .live_bytes = sampler->live_bytes,
                                                                 .live_blocks = sampler->live_blocks};
    if (sampler->live_bytes > sampler->highest_sampled)
        sampler->highest_sampled = sampler->live_bytes;
    return ERR_OK;
}

/* True when the state just reached must be sampled wherever the step grid lies. */
static bool sampler_at_new_peak(struct sampler *sampler) {
    if (sampler->live_bytes == sampler->peak_bytes && !sampler->peak_taken) {
        sampler->peak_taken = true;
        sampler->peak_sample = (uint32_t)sampler->count;
        return true;
    }
    return sampler->live_bytes > sampler->highest_sampled + sampler->highest_sampled / 100 &&
           sampler->live_bytes >= sampler->peak_bytes / 16;
}

static void sampler_step(struct sampler *sampler, uint64_t op, uint64_t size_bytes) {
    uint64_t *held = &sampler->slot_bytes[op_slot(op)]; /* size + 1; 0 = empty */
    if (*held) {
        sampler->live_bytes -= *held - 1;
        sampler->live_blocks--;
        *held = 0;
    }
    if (op_kind(op) != EVENT_FREE) {
        sampler->live_bytes += size_bytes;
        sampler->live_blocks++;
        *held = size_bytes + 1;
    }
}

static enum err samples_walk(struct sampler *sampler, const uint64_t *ops, uint64_t word_count,
                             uint64_t operation_count) {
    uint64_t operation = 0;
    uint64_t next_step = 0;
    uint64_t steps_taken = 0;
    for (uint64_t at = 0; at < word_count;) {
        if (operation == next_step) {
            enum err err = sample_take(sampler, at, operation);
            if (err)
                return err;
            steps_taken++;
            next_step = steps_taken * operation_count / SAMPLE_STEPS;
            if (next_step <= operation)
                next_step = operation + 1;
        }
        uint64_t op = ops[at++];
        sampler_step(sampler, op, op_is_wide(op) ? op_wide_size(ops[at++]) : op_size(op));
        operation++;
        if (sampler_at_new_peak(sampler)) {
            enum err err = sample_take(sampler, at, operation);
            if (err)
                return err;
        }
    }
    return sample_take(sampler, word_count, operation);
}

static enum err samples_plan(struct program_header *header, int fd, struct diag *diag) {
    struct sampler sampler = {.peak_bytes = header->summary.live_peak_bytes};
    size_t map_bytes = HEADER_BYTES + header->word_count * sizeof(uint64_t);
    const char *map = mmap(NULL, map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return diag_errno(diag, ERR_IO, NULL, "cannot map the compiled program");
    enum err err = ERR_NOMEM;
    sampler.slot_bytes = calloc(header->slot_count, sizeof *sampler.slot_bytes);
    if (sampler.slot_bytes)
        err = samples_walk(&sampler, (const uint64_t *)(const void *)(map + HEADER_BYTES), header->word_count,
                           header->summary.operation_count);
    if (err)
        diag_set(diag, err, NULL, "out of memory while planning the samples");
    else
        err = bytes_write(fd, sampler.samples, sampler.count * sizeof *sampler.samples, map_bytes, diag);
    header->samples_offset_bytes = map_bytes;
    header->sample_count = sampler.count;
    header->peak_sample = sampler.peak_sample;
    header->file_bytes = map_bytes + sampler.count * sizeof *sampler.samples;
    free(sampler.slot_bytes);
    free(sampler.samples);
    munmap((void *)(uintptr_t)map, map_bytes);
    return err;
}

enum { SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK };

static enum err file_finish(int fd, const struct tracker *tracker, uint64_t end_offset, struct diag *diag) {
    struct program_header header = {
        .magic = PROGRAM_MAGIC,
        .ops_offset_bytes = HEADER_BYTES,
        .word_count = (end_offset - HEADER_BYTES) / sizeof(uint64_t),
        .slot_count = tracker_slot_peak(tracker) + 1,
        .summary = *tracker_summary(tracker),
    };
    enum err err = samples_plan(&header, fd, diag);
    if (!err)
        err = bytes_write(fd, &header, sizeof header, 0, diag);
    if (!err && fcntl(fd, F_ADD_SEALS, SEALS))
        err = diag_errno(diag, ERR_IO, NULL, "cannot seal the compiled program");
    return err;
}

enum err program_compile(const struct event_source *source, struct program *out, struct diag *diag) {
    struct tracker *tracker = NULL;
    struct word_writer writer = {.offset_bytes = HEADER_BYTES};
    enum err err;
    writer.fd = memfd_create("mmreplay-program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (writer.fd < 0)
        return diag_errno(diag, ERR_IO, NULL, "cannot create a memory file");
    writer.words = malloc(WRITER_WORDS * sizeof *writer.words);
    if (!writer.words || tracker_create(&tracker)) {
        err = diag_set(diag, ERR_NOMEM, NULL, "out of memory");
        goto cleanup;
    }
    err = ops_compile(&writer, tracker, source, diag);
    if (!err)
        err = file_finish(writer.fd, tracker, writer.offset_bytes, diag);
    if (!err) {
        err = program_open(writer.fd, out, diag);
        writer.fd = -1;
    }
cleanup:
    tracker_destroy(tracker);
    free(writer.words);
    if (writer.fd >= 0)
        close(writer.fd);
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
