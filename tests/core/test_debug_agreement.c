/*
 * Domains and debug hooks against those of an installed CPython, byte for byte.
 *
 *     test_debug_agreement [--version 3.N | --library FILE] [--ops N] [--seed S]
 *
 * The library is looked for in the directories of MMREPLAY_LIBPYTHON_DIRS (a list with colons), then where the system's
 * loader looks. Exits 77 when there is none.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/units.h"
#include "core/memory.h"
#include "core/pages.h"
#include "tests/core/random_source.h"
#include "tests/core/recorder.h"

enum { EXIT_SKIPPED = 77, CHILD_AGREES = 0, CHILD_DIFFERS = 1, CHILD_CANNOT = 3 };

/* The functions of a libpython; the struct layouts are those of PyMemAllocatorEx and PyObjectArenaAllocator. */
struct python {
    void *library;
    int minor;
    void (*allocator_get)(int domain, struct domain_allocator *out);
    void (*allocator_set)(int domain, const struct domain_allocator *allocator);
    void (*hooks_install)(void);
    void (*source_get)(struct pool_arena_source *out);
    void (*source_set)(const struct pool_arena_source *source);
    ssize_t (*block_count)(void);
    void (*initialize)(int signals);
    struct domain_allocator calls[DOMAIN_ID_COUNT]; /* PyMem_RawMalloc and so on, which have no context */
};

/* What is asked for, of either. */
struct subject {
    const struct python *python; /* NULL: `memory` */
    struct memory *memory;
};

static void *subject_malloc(const struct subject *subject, enum domain_id domain, size_t bytes) {
    if (!subject->python)
        return memory_malloc(subject->memory, domain, bytes);
    return ((void *(*)(size_t))(void *)subject->python->calls[domain].malloc)(bytes);
}

static void *subject_calloc(const struct subject *subject, enum domain_id domain, size_t count, size_t bytes) {
    if (!subject->python)
        return memory_calloc(subject->memory, domain, count, bytes);
    return ((void *(*)(size_t, size_t))(void *)subject->python->calls[domain].calloc)(count, bytes);
}

static void *subject_realloc(const struct subject *subject, enum domain_id domain, void *block, size_t bytes) {
    if (!subject->python)
        return memory_realloc(subject->memory, domain, block, bytes);
    return ((void *(*)(void *, size_t))(void *)subject->python->calls[domain].realloc)(block, bytes);
}

static void subject_free(const struct subject *subject, enum domain_id domain, void *block) {
    if (!subject->python)
        memory_free(subject->memory, domain, block);
    else
        ((void (*)(void *))(void *)subject->python->calls[domain].free)(block);
}

static __attribute__((format(printf, 1, 2))) int differs(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    return CHILD_DIFFERS;
}

/* What this version's hooks are built with. */
static struct debug_settings version_settings(const struct python *python) {
    struct debug_settings settings = debug_settings_default();
    settings.serial_numbers = python->minor <= 7;
    if (python->minor <= 6)
        settings.bytes = DEBUG_BYTES_OLD;
    return settings;
}

static struct memory *memory_make(const struct python *python, bool debug, const struct pool_arena_source *arenas) {
    struct debug_settings settings = version_settings(python);
    struct memory_settings wanted = {.choice = {.pool = true, .debug = debug},
                                     .pool = pool_profile_find("3.11"),
                                     .arenas = arenas,
                                     .debug = &settings};
    struct memory *memory;
    if (memory_create(&wanted, &memory, NULL))
        abort();
    return memory;
}

/* ---- over a recorder: every byte that reaches the allocator below, at the moment it does ---- */

enum { SLOTS = 40 };

static struct recorder recorders[2];

struct script {
    uint64_t seed;
    size_t operation_count;
};

/* Runs the script; notes in the log where every answer lies. */
static void script_run(const struct subject *subject, struct recorder *recorder, const struct script *script) {
    struct random_source random = random_seeded(script->seed);
    uint8_t *blocks[SLOTS] = {NULL};
    enum domain_id domains[SLOTS] = {DOMAIN_ID_RAW};
    for (size_t i = 0; i < script->operation_count; i++) {
        uint32_t slot = random_below(&random, SLOTS), kind = random_below(&random, 5);
        size_t bytes = random_below(&random, random_below(&random, 3) ? 300 : 900);
        recorder->refuses = random_below(&random, 12) == 0;
        uint8_t *block = blocks[slot];
        if (!block) {
            domains[slot] = (enum domain_id)random_below(&random, DOMAIN_ID_COUNT);
            block = kind < 2 ? subject_calloc(subject, domains[slot], 3, bytes / 3)
                             : subject_malloc(subject, domains[slot], bytes);
            if (block && kind != 1) /* the data as found, then the program's */
                recorder_note(recorder, block, bytes / 3 * 3);
        } else if (kind < 3) {
            block = subject_realloc(subject, domains[slot], block, bytes);
        } else {
            subject_free(subject, domains[slot], block);
            blocks[slot] = NULL;
            continue;
        }
        int64_t place = block ? block - recorder->buffer : -1;
        recorder_note(recorder, &place, sizeof place);
        if (!block)
            continue;
        blocks[slot] = block;
        memset(block, (int)random_below(&random, 256), random_below(&random, 2) ? bytes / 3 * 3 : 0);
    }
    recorder->refuses = false;
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (blocks[slot])
            subject_free(subject, domains[slot], blocks[slot]);
}

static void recorder_install(const struct subject *subject, struct recorder *recorder, int first, int last) {
    struct domain_allocator below = recorder_allocator(recorder);
    recorder_clear(recorder);
    for (int domain = first; domain <= last; domain++) {
        if (subject->python)
            subject->python->allocator_set(domain, &below);
        else
            memory_allocator_set(subject->memory, (enum domain_id)domain, &below);
    }
    if (subject->python)
        subject->python->hooks_install();
    else if (memory_debug_install(subject->memory, NULL))
        abort();
}

static int recorders_compare(void) {
    const struct recorder *ours = &recorders[0], *real = &recorders[1];
    uint64_t at = 0;
    while (at < ours->log_bytes && at < real->log_bytes && ours->log[at] == real->log[at])
        at++;
    if (at < ours->log_bytes || at < real->log_bytes)
        return differs("logs of %" PRIu64 " and %" PRIu64 " bytes (real) differ at %" PRIu64 ": %#x and %#x",
                       ours->log_bytes, real->log_bytes, at, ours->log[at], real->log[at]);
    for (at = 0; at < RECORDER_BUFFER_BYTES; at++)
        if (ours->buffer[at] != real->buffer[at])
            return differs("memory differs at %" PRIu64 ": %#x and %#x", at, ours->buffer[at], real->buffer[at]);
    return CHILD_AGREES;
}

static int recorded_use_agrees(const struct python *python, const struct script *script) {
    if (python->minor <= 6)
        return CHILD_CANNOT; /* its realloc does not hide the old place */
    const struct subject ours = {.memory = memory_make(python, false, NULL)}, real = {.python = python};
    recorder_install(&ours, &recorders[0], DOMAIN_ID_RAW, DOMAIN_ID_OBJ);
    recorder_install(&real, &recorders[1], DOMAIN_ID_RAW, DOMAIN_ID_OBJ);
    uint64_t calls = 0;
    for (uint64_t i = 0; i < script->operation_count; i += 2000) {
        struct script part = {script->seed + i, 2000};
        for (int who = 0; who < 2; who++) {
            uint64_t kept = recorders[who].used_bytes;
            recorders[who].used_bytes = recorders[who].block_count = 0;
            recorders[who].log_bytes = recorders[who].call_count = 0;
            memset(recorders[who].buffer, 0, kept);
        }
        script_run(&ours, &recorders[0], &part);
        script_run(&real, &recorders[1], &part);
        if (recorders_compare())
            return CHILD_DIFFERS;
        calls += recorders[0].call_count;
    }
    printf("  %" PRIu64 " calls to the allocator below: every byte of every block equal\n", calls);
    return CHILD_AGREES;
}

/* ---- the pool between the hooks of obj and those of raw: large objects are decorated twice ---- */

static int layers_agree(const struct python *python, const struct script *script) {
    if (python->minor >= 12 || python->minor <= 6)
        return CHILD_CANNOT; /* the pool wants a thread state; realloc as above */
    const struct subject ours = {.memory = memory_make(python, false, NULL)}, real = {.python = python};
    const struct subject *subjects[] = {&ours, &real};
    ssize_t before = python->block_count();
    for (int who = 0; who < 2; who++) {
        const struct subject *subject = subjects[who];
        struct recorder *recorder = &recorders[who];
        struct random_source random = random_seeded(script->seed);
        void *blocks[SLOTS];
        subject_malloc(subject, DOMAIN_ID_OBJ, 1); /* CPython's arena tables are raw's: there before we listen */
        recorder_install(subject, recorder, DOMAIN_ID_RAW, DOMAIN_ID_RAW);
        for (int i = 0; i < SLOTS; i++) {
            size_t bytes = 470 + random_below(&random, 40);
            blocks[i] = i % 2 ? subject_malloc(subject, DOMAIN_ID_OBJ, bytes)
                              : subject_calloc(subject, DOMAIN_ID_MEM, 1, bytes);
        }
        for (int i = 0; i < SLOTS; i++)
            blocks[i] = subject_realloc(subject, i % 2 ? DOMAIN_ID_OBJ : DOMAIN_ID_MEM, blocks[i],
                                        380 + random_below(&random, 400));
        uint64_t live = who ? (uint64_t)(python->block_count() - before) : memory_blocks_count(ours.memory);
        recorder_note(recorder, &live, sizeof live);
        for (int i = 0; i < SLOTS; i++)
            subject_free(subject, i % 2 ? DOMAIN_ID_OBJ : DOMAIN_ID_MEM, blocks[i]);
        live = who ? (uint64_t)(python->block_count() - before) : memory_blocks_count(ours.memory);
        recorder_note(recorder, &live, sizeof live);
    }
    if (recorders_compare())
        return CHILD_DIFFERS;
    printf("  %" PRIu64 " calls to raw below two layers of hooks: equal; block counts too\n", recorders[0].call_count);
    return CHILD_AGREES;
}

/* ---- an interpreter started with PYTHONMALLOC=debug ---- */

/* What surrounds a block; `outer`: of a second layer too. The serial numbers of an interpreter are its own. */
static int block_compare(const char *when, const uint8_t *ours, const uint8_t *real, size_t bytes, size_t outer,
                         size_t serial_bytes) {
    for (ptrdiff_t i = -16 - (ptrdiff_t)outer; i < (ptrdiff_t)(bytes + 8 + (outer ? serial_bytes + 8 : 0)); i++) {
        bool is_serial = i >= (ptrdiff_t)bytes + 8 && i < (ptrdiff_t)(bytes + 8 + serial_bytes);
        if (!is_serial && ours[i] != real[i])
            return differs("%s, %zu bytes: byte %td is %#x, and %#x in CPython", when, bytes, i, ours[i], real[i]);
    }
    return CHILD_AGREES;
}

static int lives_agree(const struct subject *ours, const struct subject *real, enum domain_id domain, size_t bytes) {
    static const size_t resizes[] = {130, 20, 400, 489, 3000, 600, 7};
    size_t serial_bytes = real->python->minor <= 7 ? 8 : 0, extra = 24 + serial_bytes;
    uint8_t *a = subject_malloc(ours, domain, bytes), *b = subject_malloc(real, domain, bytes);
    uint8_t *c = subject_calloc(ours, domain, 1, bytes), *d = subject_calloc(real, domain, 1, bytes);
    size_t outer = domain != DOMAIN_ID_RAW && bytes + extra > 512 ? 16 : 0;
    int result = block_compare("malloc", a, b, bytes, outer, serial_bytes);
    if (!result)
        result = block_compare("calloc", c, d, bytes, outer, serial_bytes);
    for (size_t i = 0; i < sizeof resizes / sizeof resizes[0] && !result; i++) {
        memset(a, 'a' + (int)i, bytes), memset(b, 'a' + (int)i, bytes);
        bytes = resizes[i];
        a = subject_realloc(ours, domain, a, bytes), b = subject_realloc(real, domain, b, bytes);
        outer = domain != DOMAIN_ID_RAW && (outer || bytes + extra > 512) ? 16 : 0;
        result = block_compare("realloc", a, b, bytes, outer, serial_bytes);
    }
    subject_free(ours, domain, a), subject_free(real, domain, b);
    subject_free(ours, domain, c), subject_free(real, domain, d);
    return result;
}

/* A freed block that stays in its pool, behind the link of the free list. */
static int graves_agree(const struct subject *ours, const struct subject *real, enum domain_id domain, size_t bytes) {
    uint8_t *keep_a = subject_malloc(ours, domain, bytes), *a = subject_malloc(ours, domain, bytes);
    uint8_t *keep_b = subject_malloc(real, domain, bytes), *b = subject_malloc(real, domain, bytes);
    subject_free(ours, domain, a), subject_free(real, domain, b);
    int result = CHILD_AGREES;
    for (ptrdiff_t i = -8; i < (ptrdiff_t)bytes + 8 && !result; i++)
        if (a[i] != b[i])
            result = differs("free, %zu bytes: byte %td is %#x, and %#x in CPython", bytes, i, a[i], b[i]);
    subject_free(ours, domain, keep_a), subject_free(real, domain, keep_b);
    return result;
}

static int interpreter_agrees(const struct python *python, const struct script *script) {
    (void)script;
    const struct subject ours = {.memory = memory_make(python, true, NULL)}, real = {.python = python};
    if (python->minor <= 6)
        return CHILD_CANNOT; /* PYTHONMALLOC is its command line's business */
    setenv("PYTHONMALLOC", "debug", 1);
    struct domain_allocator allocator;
    python->initialize(0);
    python->allocator_get(DOMAIN_ID_OBJ, &allocator);
    for (int domain = 0; domain < DOMAIN_ID_COUNT; domain++)
        for (size_t bytes = 0; bytes < 1200; bytes += 1 + bytes / 16) {
            if (lives_agree(&ours, &real, (enum domain_id)domain, bytes))
                return CHILD_DIFFERS;
            if (domain != DOMAIN_ID_RAW && bytes <= 400 && graves_agree(&ours, &real, (enum domain_id)domain, bytes))
                return CHILD_DIFFERS;
        }
    printf("  blocks in an interpreter under PYTHONMALLOC=debug: equal\n");
    return CHILD_AGREES;
}

/* ---- faults ---- */

static struct debug_fault told;

static void fault_keep(void *ctx, const struct debug_fault *fault) {
    (void)ctx;
    told = *fault;
}

struct damage {
    size_t bytes;
    int64_t offset;
    uint8_t value;
    bool resized;
};

static void damage_do(const struct subject *subject, const struct damage *damage) {
    uint8_t *block = subject_malloc(subject, DOMAIN_ID_OBJ, damage->bytes);
    block[damage->offset] = damage->value;
    if (damage->resized)
        subject_realloc(subject, DOMAIN_ID_OBJ, block, damage->bytes + 1);
    else
        subject_free(subject, DOMAIN_ID_OBJ, block);
}

/* What CPython writes to stderr before it ends itself. */
static void words_of_death(const struct subject *real, const struct damage *damage, char *text, size_t text_bytes) {
    int ends[2];
    fflush(stdout);
    if (pipe(ends))
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        static const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        damage_do(real, damage);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    char rest[256];
    ssize_t got;
    while ((got = read(ends[0], used < text_bytes - 1 ? text + used : rest,
                       used < text_bytes - 1 ? text_bytes - 1 - used : sizeof rest)) > 0)
        used += used < text_bytes - 1 ? (size_t)got : 0;
    text[used] = '\0';
    close(ends[0]);
    int status;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        snprintf(text, text_bytes, "nothing");
}

static int damage_compare(const struct subject *ours, const struct subject *real, const struct damage *damage) {
    static char text[1 << 14];
    char wanted[128];
    told = (struct debug_fault){.kind = DEBUG_FAULT_NONE};
    damage_do(ours, damage);
    words_of_death(real, damage, text, sizeof text);
    if (told.kind == DEBUG_FAULT_NONE)
        snprintf(wanted, sizeof wanted, "nothing");
    else if (told.kind == DEBUG_FAULT_UNDERRUN)
        snprintf(wanted, sizeof wanted, "at p-%d: 0x%02x *** OUCH", (int)-told.offset, told.found);
    else if (told.kind == DEBUG_FAULT_OVERRUN)
        snprintf(wanted, sizeof wanted, "at tail+%d: 0x%02x *** OUCH", (int)told.offset - (int)damage->bytes,
                 told.found);
    else
        snprintf(wanted, sizeof wanted, "verified using API 'o'");
    const char *message = told.kind == DEBUG_FAULT_NONE       ? "nothing"
                          : told.kind == DEBUG_FAULT_UNDERRUN ? "bad leading pad byte"
                          : told.kind == DEBUG_FAULT_OVERRUN  ? "bad trailing pad byte"
                                                              : "bad ID";
    if (!strstr(text, wanted) || !strstr(text, message))
        return differs("byte %" PRId64 " of %zu set to %#x: we tell %s; CPython says:\n%s", damage->offset,
                       damage->bytes, damage->value, debug_fault_kind_name(told.kind), text);
    return CHILD_AGREES;
}

static int faults_agree(const struct python *python, const struct script *script) {
    enum { DAMAGE_COUNT = 60 };
    struct debug_settings settings = version_settings(python);
    settings.report = fault_keep;
    struct memory_settings wanted = {.pool = NULL, .debug = &settings};
    struct memory *memory;
    if (memory_create(&wanted, &memory, NULL))
        abort();
    const struct subject ours = {.memory = memory}, real = {.python = python};
    recorder_install(&ours, &recorders[0], DOMAIN_ID_RAW, DOMAIN_ID_OBJ);
    recorder_install(&real, &recorders[1], DOMAIN_ID_RAW, DOMAIN_ID_OBJ);
    struct random_source random = random_seeded(script->seed);
    static const char marks[] = "rmoxz";
    for (int i = 0; i < DAMAGE_COUNT; i++) {
        struct damage damage = {.bytes = random_below(&random, 100), .resized = random_below(&random, 2)};
        damage.value = i % 3 ? (uint8_t)random_below(&random, 256) : settings.bytes.forbidden;
        damage.offset = random_below(&random, 2) ? (int64_t)(damage.bytes + random_below(&random, 8))
                                                 : -8 + (int64_t)random_below(&random, 8);
        if (damage.offset == -8 && random_below(&random, 4))
            damage.value = (uint8_t)marks[random_below(&random, 5)];
        if (damage_compare(&ours, &real, &damage))
            return CHILD_DIFFERS;
    }
    printf("  %d damaged blocks: told of the same way\n", DAMAGE_COUNT);
    return CHILD_AGREES;
}

/* ---- arenas, when their allocator is replaced in between ---- */

struct counted_arenas {
    size_t alloc_count, free_count;
};

static void *counted_alloc(void *ctx, size_t bytes) {
    ((struct counted_arenas *)ctx)->alloc_count++;
    return pages_map(bytes, bytes);
}

static void counted_free(void *ctx, void *arena, size_t bytes) {
    ((struct counted_arenas *)ctx)->free_count++;
    pages_unmap(arena, bytes);
}

static int arena_sources_agree(const struct python *python, const struct script *script) {
    enum { BLOCKS = 20000 };
    (void)script;
    if (python->minor != 10 && python->minor != 11)
        return CHILD_CANNOT; /* other arenas, or no use of them before there is an interpreter */
    struct counted_arenas counts[2][2] = {{{0}}};
    static void *blocks[BLOCKS];
    struct pool_arena_source first = {&counts[0][0], counted_alloc, counted_free};
    struct subject subjects[] = {{.memory = memory_make(python, false, &first)}, {.python = python}};
    for (int who = 0; who < 2; who++) {
        first.ctx = &counts[who][0];
        struct pool_arena_source second = {&counts[who][1], counted_alloc, counted_free}, now;
        if (who)
            python->source_set(&first);
        for (size_t i = 0; i < BLOCKS; i++) {
            if (i == BLOCKS / 2) {
                who ? python->source_get(&now) : memory_arena_source_get(subjects[0].memory, &now);
                if (now.ctx != first.ctx || now.alloc != first.alloc || now.free != first.free)
                    return differs("the arena allocator that was set is not the one to be had");
                who ? python->source_set(&second) : memory_arena_source_set(subjects[0].memory, &second);
            }
            blocks[i] = subject_malloc(&subjects[who], DOMAIN_ID_OBJ, 1 + i % 512);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            subject_free(&subjects[who], DOMAIN_ID_OBJ, blocks[i]);
    }
    if (memcmp(counts[0], counts[1], sizeof counts[0]) != 0 || !counts[0][1].alloc_count ||
        counts[0][1].free_count <= counts[0][1].alloc_count)
        return differs(
            "arenas from and to the first source %zu, %zu, the second %zu, %zu; in CPython %zu, %zu and %zu, %zu",
            counts[0][0].alloc_count, counts[0][0].free_count, counts[0][1].alloc_count, counts[0][1].free_count,
            counts[1][0].alloc_count, counts[1][0].free_count, counts[1][1].alloc_count, counts[1][1].free_count);
    printf("  arenas %zu + %zu, all %zu given back to the second source: equal\n", counts[0][0].alloc_count,
           counts[0][1].alloc_count, counts[0][1].free_count);
    return CHILD_AGREES;
}

/* ---- libraries ---- */

static bool symbol_find(const struct python *python, const char *name, void *out) {
    void *symbol = dlsym(python->library, name);
    memcpy(out, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool calls_find(struct python *python) {
    static const char *const prefixes[DOMAIN_ID_COUNT] = {"PyMem_Raw", "PyMem_", "PyObject_"};
    static const char *const names[] = {"Malloc", "Calloc", "Realloc", "Free"};
    bool found = true;
    for (int domain = 0; domain < DOMAIN_ID_COUNT; domain++) {
        void *symbols[4];
        for (int i = 0; i < 4; i++) {
            char name[32];
            snprintf(name, sizeof name, "%s%s", prefixes[domain], names[i]);
            found = symbol_find(python, name, &symbols[i]) && found;
        }
        memcpy(&python->calls[domain].malloc, symbols, sizeof symbols);
    }
    return found;
}

static const char *python_open(const char *path, struct python *out) {
    struct python python = {.library = dlopen(path, RTLD_NOW | RTLD_GLOBAL)};
    if (!python.library) {
        const char *why_not = dlerror();
        return why_not ? why_not : "it cannot be loaded";
    }
    const char *(*version)(void);
    bool found = symbol_find(&python, "PyMem_GetAllocator", &python.allocator_get);
    found = symbol_find(&python, "PyMem_SetAllocator", &python.allocator_set) && found;
    found = symbol_find(&python, "PyMem_SetupDebugHooks", &python.hooks_install) && found;
    found = symbol_find(&python, "PyObject_GetArenaAllocator", &python.source_get) && found;
    found = symbol_find(&python, "PyObject_SetArenaAllocator", &python.source_set) && found;
    found = symbol_find(&python, "Py_InitializeEx", &python.initialize) && found;
    found = symbol_find(&python, "Py_GetVersion", &version) && found;
    symbol_find(&python, "_Py_GetAllocatedBlocks", &python.block_count);
    if (!found || !calls_find(&python) || sscanf(version(), "3.%d", &python.minor) != 1)
        return "it lacks a function of CPython 3";
    printf("CPython %.*s\n", (int)strcspn(version(), " "), version());
    *out = python;
    return NULL;
}

static const char *python_find(const char *version, struct python *out) {
    const char *why_not = "no version";
    for (int i = 0; i < 2 && why_not; i++) {
        char soname[64], path[4096];
        snprintf(soname, sizeof soname, "libpython%s%s.so.1.0", version, i ? "m" : "");
        const char *list = getenv("MMREPLAY_LIBPYTHON_DIRS");
        while (list && *list && why_not) {
            int length = (int)strcspn(list, ":");
            snprintf(path, sizeof path, "%.*s/%s", length, list, soname);
            if (length && access(path, R_OK) == 0)
                why_not = python_open(path, out);
            list += length + (list[length] == ':');
        }
        if (why_not)
            why_not = python_open(soname, out);
    }
    return why_not;
}

typedef int scenario(const struct python *python, const struct script *script);

/* In a process of its own: the real manager is one per process, and keeps what is done to it. */
static bool scenario_holds(const char *name, scenario *run, const struct python *python, const struct script *script) {
    int status;
    printf("%s\n", name);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int result = run(python, script);
        fflush(stdout);
        _exit(result);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return false;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_CANNOT)
        printf("  not with this version\n");
    else if (WIFSIGNALED(status))
        printf("  ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) && (WEXITSTATUS(status) == CHILD_AGREES || WEXITSTATUS(status) == CHILD_CANNOT);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"version", 1, NULL, 'v'},
                                            {"library", 1, NULL, 'l'},
                                            {"ops", 1, NULL, 'o'},
                                            {"seed", 1, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    const char *version = "3.11", *library = NULL;
    struct script script = {.seed = 1, .operation_count = 40000};
    uint64_t number;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'v')
            version = optarg;
        else if (option == 'l')
            library = optarg;
        else if (option == '?' || units_parse_u64(optarg, &number))
            return 2;
        else if (option == 'o')
            script.operation_count = number;
        else
            script.seed = number;
    }
    struct python python;
    const char *why_not = library ? python_open(library, &python) : python_find(version, &python);
    if (why_not) {
        printf("skipped: %s\n", why_not);
        return EXIT_SKIPPED;
    }
    printf("seed %" PRIu64 "\n", script.seed);
    bool holds = scenario_holds("hooks over a recorder", recorded_use_agrees, &python, &script);
    holds &= scenario_holds("hooks around the pool", layers_agree, &python, &script);
    holds &= scenario_holds("an interpreter", interpreter_agrees, &python, &script);
    holds &= scenario_holds("faults", faults_agree, &python, &script);
    holds &= scenario_holds("arena allocators", arena_sources_agree, &python, &script);
    return holds ? 0 : 1;
}
