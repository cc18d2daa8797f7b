/*
 * Holds the trace of traced_stress against what the program itself counted (record/stress_tally.h).
 *
 * usage: stress_verify TRACE.yaml REPORT [PID IMAGE]   (without: the last image that REPORT tells of)
 * Exit code 0: every thread did in the trace what it says it did, in its order, with the very blocks.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/format.h"
#include "tests/traces/record/stress_tally.h"
#include "traces/event.h"

enum { BLOCKS_PER_THREAD_FIRST = 1024, LINE_BYTES = 512 };

/* A block of a trace's thread, by its number in there. */
struct made {
    uint64_t size_bytes;
    uint64_t serial; /* among the maker's of that context */
    int32_t context; /* −1: not the program's own */
    uint32_t maker;
};

struct traced_thread {
    struct made *blocks;
    uint64_t block_count, block_capacity;
    bool is_tagged; /* between the making of its tag and the freeing */
    uint32_t id;
    uint64_t tag_number;
    uint64_t births[STRESS_CONTEXT_COUNT];
};

struct verification {
    struct traced_thread *threads;
    uint64_t thread_capacity;
    struct stress_tally found[STRESS_THREADS_MAX][STRESS_CONTEXT_COUNT];
    struct stress_tally told[STRESS_THREADS_MAX][STRESS_CONTEXT_COUNT];
    unsigned thread_count;
    uint64_t inherited_count; /* blocks at the head of the trace that are */
    uint64_t tag_count;
};

static void *grown(void *memory, uint64_t *capacity, uint64_t least, size_t bytes) {
    uint64_t wanted = *capacity ? *capacity : BLOCKS_PER_THREAD_FIRST;
    while (wanted <= least)
        wanted *= 2;
    char *larger = realloc(memory, wanted * bytes);
    if (!larger)
        exit(2);
    memset(larger + *capacity * bytes, 0, (wanted - *capacity) * bytes);
    *capacity = wanted;
    return larger;
}

static struct traced_thread *thread_of(struct verification *all, uint32_t number) {
    if (number >= all->thread_capacity)
        all->threads = grown(all->threads, &all->thread_capacity, number, sizeof *all->threads);
    return &all->threads[number];
}

static struct made *made_find(struct verification *all, uint64_t name) {
    return name ? &thread_of(all, event_block_thread(name))->blocks[event_block_seq(name) - 1] : NULL;
}

/* The block that the event makes, before anything is counted. */
static struct made *made_add(struct verification *all, const struct event *event) {
    struct traced_thread *thread = thread_of(all, event->thread);
    if (thread->block_count >= thread->block_capacity)
        thread->blocks = grown(thread->blocks, &thread->block_capacity, thread->block_count, sizeof *thread->blocks);
    struct made *made = &thread->blocks[thread->block_count++];
    *made = (struct made){.size_bytes = event->size_bytes, .context = -1, .maker = STRESS_NOBODY};
    bool is_inherited = all->inherited_count > 0;
    all->inherited_count -= is_inherited;
    if (!thread->is_tagged && !is_inherited)
        return made;
    made->context = stress_context_of(event->size_bytes);
    made->maker = is_inherited ? STRESS_INHERITED : thread->id;
    if (made->context >= 0)
        made->serial = is_inherited ? event->size_bytes : ++thread->births[made->context];
    return made;
}

static void tag_look(struct verification *all, const struct event *event, bool is_inherited) {
    struct traced_thread *thread = thread_of(all, event->thread);
    if (event->kind == EVENT_MALLOC && event->size_bytes >= STRESS_TAG_BYTES &&
        event->size_bytes < STRESS_TAG_END_BYTES && !thread->is_tagged && !is_inherited) {
        thread->is_tagged = true;
        thread->id = (uint32_t)(event->size_bytes - STRESS_TAG_BYTES);
        thread->tag_number = thread->block_count;
        all->tag_count++;
    }
    if (event->kind == EVENT_FREE && thread->is_tagged && event_block_thread(event->block) == event->thread &&
        event_block_seq(event->block) == thread->tag_number)
        thread->is_tagged = false;
}

static void event_follow(struct verification *all, const struct event *event) {
    if (!event_is_operation(event->kind))
        return;
    bool is_inherited = all->inherited_count > 0;
    const struct made *old = event->kind >= EVENT_REALLOC ? made_find(all, event->block) : NULL;
    const struct made before = old ? *old : (struct made){.context = -1, .maker = STRESS_NOBODY};
    const struct made *made = event_makes_block(event->kind) ? made_add(all, event) : NULL;
    struct traced_thread *thread = thread_of(all, event->thread);
    int context = made ? made->context : before.context;
    if (thread->is_tagged && context >= 0)
        stress_count(&all->found[thread->id][context], thread->id, (enum stress_kind)event->kind, before.maker,
                     before.serial, event->size_bytes);
    tag_look(all, event, is_inherited);
}

/* Loads what the program told of that image. @return false: it did not. */
static bool report_load(struct verification *all, const char *path, long pid, int image) {
    char line[LINE_BYTES], role[16];
    bool is_wanted = false, is_found = false;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        long line_pid;
        int line_image, context;
        unsigned id, count;
        struct stress_tally tally = {0};
        uint64_t *kinds = tally.counts;
        if (sscanf(line, "stress %ld %d %15s %u", &line_pid, &line_image, role, &count) == 4) {
            is_wanted = !pid || (line_pid == pid && line_image == image);
            if (is_wanted) {
                memset(all->told, 0, sizeof all->told);
                all->thread_count = count;
                is_found = true;
            }
        } else if (is_wanted &&
                   sscanf(line,
                          "%u %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                          " %" SCNx64,
                          &id, &context, &kinds[0], &kinds[1], &kinds[2], &kinds[3], &kinds[4], &tally.handed_count,
                          &tally.bytes, &tally.order) == 10 &&
                   id < STRESS_THREADS_MAX && context >= 0 && context < STRESS_CONTEXT_COUNT) {
            all->told[id][context] = tally;
        }
    }
    if (file)
        fclose(file);
    return is_found;
}

static enum err trace_follow(struct verification *all, const char *path, struct diag *diag) {
    struct trace_reader *reader = NULL;
    struct event_source source;
    struct event_block block = {.count = 1};
    enum err err = trace_reader_open(path, &reader, diag);
    if (!err)
        all->inherited_count = trace_reader_info(reader)->capture_inherited_blocks;
    if (!err)
        err = trace_reader_events(reader, &source, diag);
    while (!err && block.count) {
        err = source.next(source.ctx, &block, diag);
        for (size_t i = 0; !err && i < block.count; i++)
            event_follow(all, &block.events[i]);
    }
    trace_reader_close(reader);
    return err;
}

static void tally_print(const char *who, const struct stress_tally *tally) {
    printf("    %s: malloc %" PRIu64 " calloc %" PRIu64 " aligned %" PRIu64 " realloc %" PRIu64 " free %" PRIu64
           " handed %" PRIu64 " bytes %" PRIu64 " order %" PRIx64 "\n",
           who, tally->counts[0], tally->counts[1], tally->counts[2], tally->counts[3], tally->counts[4],
           tally->handed_count, tally->bytes, tally->order);
}

static unsigned differences_print(const struct verification *all, uint64_t *operations, uint64_t *handed) {
    unsigned count = 0;
    for (unsigned id = 0; id < STRESS_THREADS_MAX; id++)
        for (int context = 0; context < STRESS_CONTEXT_COUNT; context++) {
            const struct stress_tally *told = &all->told[id][context], *found = &all->found[id][context];
            for (int kind = 0; kind < STRESS_KIND_COUNT; kind++)
                *operations += found->counts[kind];
            *handed += found->handed_count;
            if (memcmp(told, found, sizeof *told) == 0)
                continue;
            if (count++ < 5) {
                printf("  thread %u, context %d differs\n", id, context);
                tally_print("told ", told);
                tally_print("found", found);
            }
        }
    return count;
}

int main(int argc, char **argv) {
    static struct verification all;
    struct diag diag;
    uint64_t operations = 0, handed = 0;
    if (argc != 3 && argc != 5)
        return 2;
    if (!report_load(&all, argv[2], argc == 5 ? atol(argv[3]) : 0, argc == 5 ? atoi(argv[4]) : 0)) {
        printf("%s tells nothing of that image\n", argv[2]);
        return 1;
    }
    if (trace_follow(&all, argv[1], &diag)) {
        printf("%s: %s\n", argv[1], diag.text);
        return 1;
    }
    unsigned differing = differences_print(&all, &operations, &handed);
    printf("%s: %u threads, %" PRIu64 " operations, %" PRIu64 " blocks handed over: %u tallies differ\n", argv[1],
           all.thread_count, operations, handed, differing);
    for (uint64_t i = 0; i < all.thread_capacity; i++)
        free(all.threads[i].blocks);
    free(all.threads);
    return differing || all.tag_count != all.thread_count;
}
