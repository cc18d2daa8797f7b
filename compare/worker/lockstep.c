#include "compare/worker/lockstep.h"

#include <string.h>
#include <sys/mman.h>

#include "compare/worker/library_check.h"
#include "compare/worker/stats_text.h"

/* Places are compared first: they tell most. */
static struct worker_place place_of(const struct lockstep *lockstep, int side, uint32_t slot) {
    const void *block = lockstep->blocks[side][slot];
    struct worker_place place = {.refused = !block};
    place.in_arena = arena_places_find(&lockstep->places[side], block, &place.arena_order, &place.offset_bytes);
    return place;
}

static bool places_are_equal(const struct worker_place *a, const struct worker_place *b) {
    return a->refused == b->refused && a->in_arena == b->in_arena && a->arena_order == b->arena_order &&
           a->offset_bytes == b->offset_bytes;
}

static void side_print(const struct lockstep *lockstep, int side, FILE *out) {
    if (side == LOCKSTEP_OURS)
        pool_stats_print(lockstep->pool, out);
    else
        real_python_stats_print(&lockstep->real, out);
}

/* Two static texts: one per side. @return the length. */
static size_t text_take(const struct lockstep *lockstep, int side, const char **out) {
    static struct stats_text texts[LOCKSTEP_SIDE_COUNT];
    FILE *stream = stats_text_open(&texts[side]);
    *out = texts[side].text;
    if (!stream)
        return 0;
    side_print(lockstep, side, stream);
    return stats_text_finish(&texts[side], stream);
}

static bool differ(struct lockstep *lockstep, enum worker_difference difference) {
    lockstep->result->difference = difference;
    for (int side = 0; side < LOCKSTEP_SIDE_COUNT; side++) {
        const char *text;
        size_t bytes = text_take(lockstep, side, &text);
        memcpy(lockstep->texts[side].text, text, bytes);
        lockstep->texts[side].bytes = bytes;
        lockstep->texts[side].operation_index = lockstep->result->operation_count;
    }
    return false;
}

bool lockstep_compare(struct lockstep *lockstep) {
    struct worker_lockstep *result = lockstep->result;
    const char *text[LOCKSTEP_SIDE_COUNT];
    struct pool_counts counts;
    size_t ours = text_take(lockstep, LOCKSTEP_OURS, &text[LOCKSTEP_OURS]);
    size_t real = text_take(lockstep, LOCKSTEP_REAL, &text[LOCKSTEP_REAL]);
    if (!ours || ours != real || memcmp(text[LOCKSTEP_OURS], text[LOCKSTEP_REAL], ours) != 0)
        return differ(lockstep, WORKER_DIFFERENT_STATISTICS);
    pool_counts_get(lockstep->pool, &counts);
    result->block_count[LOCKSTEP_OURS] = counts.blocks_count + counts.raw_blocks_count;
    result->block_count[LOCKSTEP_REAL] =
        lockstep->real.block_count ? (uint64_t)lockstep->real.block_count() : result->block_count[LOCKSTEP_OURS];
    if (result->block_count[LOCKSTEP_OURS] != result->block_count[LOCKSTEP_REAL])
        return differ(lockstep, WORKER_DIFFERENT_COUNT);
    if (pool_check(lockstep->pool, NULL))
        return differ(lockstep, WORKER_BROKEN_POOL);
    result->compared_count++;
    result->agreed_operation = result->operation_count;
    return true;
}

static void *ours_execute(struct lockstep *lockstep, const struct lockstep_operation *operation, size_t bytes,
                          void *block) {
    switch (operation->kind) {
    case EVENT_FREE:
        pool_free(lockstep->pool, block);
        return NULL;
    case EVENT_REALLOC:
        return pool_realloc(lockstep->pool, block, bytes);
    case EVENT_CALLOC:
        return pool_calloc(lockstep->pool, 1, bytes);
    default:
        return pool_malloc(lockstep->pool, bytes);
    }
}

static void *real_execute(struct lockstep *lockstep, const struct lockstep_operation *operation, size_t bytes,
                          void *block) {
    const struct real_allocator *real = &lockstep->real.obj;
    switch (operation->kind) {
    case EVENT_FREE:
        real->free(real->ctx, block);
        return NULL;
    case EVENT_REALLOC:
        return real->realloc(real->ctx, block, bytes);
    case EVENT_CALLOC:
        return real->calloc(real->ctx, 1, bytes);
    default:
        return real->malloc(real->ctx, bytes);
    }
}

/* CPython has no aligned requests: beyond what its blocks are aligned to anyway, they are large ones here. */
static size_t request_bytes(const struct lockstep *lockstep, const struct lockstep_operation *operation) {
    const struct pool_config *config = &lockstep->real.config;
    bool beyond = operation->kind == EVENT_ALIGNED_ALLOC && (size_t)1 << operation->align_log2 > config->align_bytes;
    return beyond && operation->bytes <= config->threshold_bytes ? config->threshold_bytes + 1 : operation->bytes;
}

/* A refused realloc leaves the old block, a refused request an empty slot. */
static void answer_keep(void **slot, unsigned kind, void *block) {
    if (block || kind != EVENT_REALLOC)
        *slot = block;
}

static void operation_note(struct worker_lockstep *result, const struct lockstep_operation *operation) {
    result->op_kind = operation->kind;
    result->op_domain = operation->domain;
    result->op_slot = operation->slot;
    result->op_bytes = operation->bytes;
}

static void both_execute(struct lockstep *lockstep, const struct lockstep_operation *operation) {
    size_t bytes = request_bytes(lockstep, operation);
    void **ours = &lockstep->blocks[LOCKSTEP_OURS][operation->slot];
    void **real = &lockstep->blocks[LOCKSTEP_REAL][operation->slot];
    answer_keep(ours, operation->kind, ours_execute(lockstep, operation, bytes, *ours));
    answer_keep(real, operation->kind, real_execute(lockstep, operation, bytes, *real));
}

static bool comparison_is_due(const struct lockstep *lockstep) {
    const struct worker_lockstep *result = lockstep->result;
    return lockstep->compare_every && result->operation_count >= lockstep->compare_from &&
           result->operation_count - result->agreed_operation >= lockstep->compare_every;
}

bool lockstep_step(struct lockstep *lockstep, const struct lockstep_operation *operation) {
    struct worker_lockstep *result = lockstep->result;
    if (result->difference)
        return false;
    result->operation_count++;
    if (operation->domain == DOMAIN_RAW) {
        result->raw_count++;
        return true;
    }
    *(result->drained ? &result->drained_count : &result->replayed_count) += 1;
    both_execute(lockstep, operation);
    operation_note(result, operation);
    struct worker_place ours = place_of(lockstep, LOCKSTEP_OURS, operation->slot);
    struct worker_place real = place_of(lockstep, LOCKSTEP_REAL, operation->slot);
    if (!places_are_equal(&ours, &real)) {
        result->place[LOCKSTEP_OURS] = ours;
        result->place[LOCKSTEP_REAL] = real;
        return differ(lockstep, WORKER_DIFFERENT_PLACE);
    }
    return comparison_is_due(lockstep) ? lockstep_compare(lockstep) : true;
}

bool lockstep_end(struct lockstep *lockstep) {
    bool same = !lockstep->result->difference && lockstep_compare(lockstep);
    lockstep->result->drained = same;
    for (uint32_t slot = 0; slot < lockstep->slot_count && same; slot++) {
        struct lockstep_operation operation = {.kind = EVENT_FREE, .domain = DOMAIN_OBJ, .slot = slot};
        if (lockstep->blocks[LOCKSTEP_OURS][slot])
            same = lockstep_step(lockstep, &operation);
    }
    same = same && lockstep_compare(lockstep);
    for (int side = 0; side < LOCKSTEP_SIDE_COUNT; side++)
        lockstep->result->arena_count[side] = lockstep->places[side].obtained_count;
    return same;
}

static enum err slots_map(uint32_t count, void ***out, struct diag *diag) {
    void *slots = mmap(NULL, count * sizeof(void *), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED)
        return diag_errno(diag, ERR_NOMEM, NULL, "cannot map a table of %u slots", count);
    *out = slots;
    return ERR_OK;
}

/* The real one comes first: which profile is ours depends on it. */
static enum err sides_open(struct lockstep *lockstep, const char *python, const char *settings, struct diag *diag) {
    enum err err = real_python_open(python, &lockstep->sources[LOCKSTEP_REAL], &lockstep->real, diag);
    if (err)
        return err;
    struct pool_config config;
    if (!settings[0] && !pool_profile_find(lockstep->real.profile))
        return diag_set(diag, ERR_UNSUPPORTED, NULL, "this build has no pool profile %s to hold against CPython %s",
                        lockstep->real.profile, lockstep->real.version);
    err = pool_config_parse(settings[0] ? settings : lockstep->real.profile, &config, diag);
    if (err)
        return err;
    arena_places_size(&lockstep->places[LOCKSTEP_REAL], lockstep->real.config.arena_bytes);
    arena_places_size(&lockstep->places[LOCKSTEP_OURS], config.arena_bytes);
    for (int side = 0; side < LOCKSTEP_SIDE_COUNT; side++)
        if (!arena_places_fit(&lockstep->places[side]))
            return diag_set(diag, ERR_USAGE, NULL, "an arena residue is larger than an arena");
    return pool_create(&config, &lockstep->sources[LOCKSTEP_OURS], &lockstep->pool, diag);
}

enum err lockstep_begin(struct lockstep *lockstep, const char *python, const char *settings, struct diag *diag) {
    enum err err = ERR_OK;
    for (int side = 0; side < LOCKSTEP_SIDE_COUNT && !err; side++) {
        const uint64_t *residues = lockstep->places[side].residues;
        size_t residue_count = lockstep->places[side].residue_count;
        err = arena_places_create(&lockstep->places[side], 0, diag);
        lockstep->places[side].residues = residues;
        lockstep->places[side].residue_count = residue_count;
        lockstep->sources[side] = arena_places_source(&lockstep->places[side]);
        if (!err)
            err = slots_map(lockstep->slot_count, &lockstep->blocks[side], diag);
    }
    return err ? err : sides_open(lockstep, python, settings, diag);
}

static void program_step(struct lockstep *lockstep, const struct program *program) {
    bool same = true;
    for (uint64_t at = 0; at < program->header->word_count && same; at++) {
        uint64_t op = program->ops[at];
        uint64_t wide = op_is_wide(op) ? program->ops[++at] : 0;
        struct lockstep_operation operation = {.kind = op_kind(op),
                                               .domain = op_domain(op),
                                               .slot = op_slot(op),
                                               .bytes = op_is_wide(op) ? op_wide_size(wide) : op_size(op),
                                               .align_log2 = op_wide_align_log2(wide)};
        same = lockstep_step(lockstep, &operation);
    }
}

static void real_tell(const struct real_python *real, struct worker_reply *reply) {
    snprintf(reply->version, sizeof reply->version, "CPython %s", real->version);
    library_describe(real->address, reply);
    reply->pool = real->config;
}

/* Unless others were asked for, arenas lie as far behind a multiple of their size as the recorded ones. */
static void recorded_residues_take(struct lockstep *lockstep, struct worker_shared *shared) {
    const struct worker_request *request = &shared->request;
    uint64_t *places = worker_recorded_places(shared);
    uint64_t arena_bytes = request->recorded_bytes;
    if (request->residue_count || !request->recorded_count || arena_bytes != lockstep->real.config.arena_bytes ||
        arena_bytes != pool_config_get(lockstep->pool)->arena_bytes)
        return;
    for (uint64_t i = 0; i < request->recorded_count; i++)
        places[i] %= arena_bytes;
    for (int side = 0; side < LOCKSTEP_SIDE_COUNT; side++) {
        lockstep->places[side].residues = places;
        lockstep->places[side].residue_count = request->recorded_count;
    }
}

enum err lockstep_pass_run(const struct program *program, struct worker_shared *shared, struct diag *diag) {
    static struct lockstep lockstep;
    const struct worker_request *request = &shared->request;
    lockstep.slot_count = program->header->slot_count;
    lockstep.compare_every = request->compare_every;
    lockstep.compare_from = request->compare_from;
    lockstep.result = &shared->reply.lockstep;
    lockstep.texts = worker_texts(shared);
    for (int side = 0; side < LOCKSTEP_SIDE_COUNT; side++) {
        lockstep.places[side].residues = request->residues;
        lockstep.places[side].residue_count = request->residue_count;
    }
    enum err err = lockstep_begin(&lockstep, request->python, request->settings, diag);
    if (err)
        return err;
    recorded_residues_take(&lockstep, shared);
    real_tell(&lockstep.real, &shared->reply);
    shared->reply.operation_count = program->header->summary.operation_count;
    shared->reply.state = WORKER_RUNNING;
    program_step(&lockstep, program);
    lockstep_end(&lockstep);
    shared->reply.state = WORKER_DONE;
    return ERR_OK;
}
