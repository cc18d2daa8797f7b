/*
 * Our pool against the pymalloc of an installed libpython: every block address and every statistics text.
 * Each scenario runs in a process of its own, because the real allocator's state is one per process.
 *
 *     test_pool_agreement [--ops N] [--seed S] [--version 3.N | --library FILE]    random traffic, N operations each
 *     test_pool_agreement --trace FILE… [--version 3.N | --library FILE]           the traffic of recorded programs
 *
 * A version's library is looked for in the directories of MMREPLAY_LIBPYTHON_DIRS (a list with colons), then where the
 * system's loader looks. Exits 77 when there is none.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/units.h"
#include "formats/format.h"
#include "tests/core/agreement.h"
#include "tests/core/random_source.h"

enum { EXIT_SKIP = 77, TRACES_MAX = 16 };

struct options {
    const char *version;
    const char *library; /* NULL: to be looked for */
    const char *traces[TRACES_MAX];
    int trace_count;
    uint64_t operation_count; /* of each scenario */
    uint64_t seed;
};

struct scenario {
    const char *name;
    struct agreement_settings settings;
    const char *trace; /* NULL: random traffic */
};

static const struct scenario scenarios[] = {
    {.name = "aligned arenas", .settings = {.slot_count = 300000, .compare_every = 5000}},
    {.name = "arenas a quarter pool off", .settings = {.slot_count = 60000, .compare_every = 5000, .residue_steps = 1}},
    {.name = "mixed residues, four radix nodes",
     .settings = {.slot_count = 150000, .compare_every = 5000, .residues_mixed = true, .spread = true}},
    {.name = "few blocks", .settings = {.slot_count = 3000, .compare_every = 500, .residues_mixed = true}},
};

/* ---- random traffic ---- */

/* Phases of growth and shrinking, each with its own sizes and its own order of frees. */
struct traffic {
    struct random_source random;
    struct agreement *agreement;
    uint32_t *live; /* live_count used slots, then the empty ones */
    uint32_t live_count;
    uint32_t phase_left;
    uint32_t grow_percent;
    uint32_t size_mix;
    uint32_t narrow_bytes;
    uint32_t free_order;
    uint32_t sweep;
};

static void phase_begin(struct traffic *traffic) {
    struct random_source *random = &traffic->random;
    traffic->phase_left = 1 + random_below(random, traffic->agreement->slot_count / 2);
    traffic->grow_percent = 5 + random_below(random, 91);
    traffic->size_mix = random_below(random, 4);
    traffic->narrow_bytes = 1 + random_below(random, 512);
    traffic->free_order = random_below(random, 3);
}

static size_t size_pick(struct traffic *traffic) {
    struct random_source *random = &traffic->random;
    uint32_t die = random_below(random, 1000);
    if (die < 3)
        return 0;
    if (die < 15)
        return 513 + random_below(random, 3000);
    switch (traffic->size_mix) {
    case 0: /* uniform */
        return 1 + random_below(random, 512);
    case 1: /* mostly small, as programs ask */
        return 1 + random_below(random, 1u << (3 + random_below(random, 7)));
    case 2: /* one size and its neighbours */
        return 1 + (traffic->narrow_bytes + random_below(random, 24)) % 512;
    default: /* one size */
        return traffic->narrow_bytes;
    }
}

static uint32_t victim_pick(struct traffic *traffic) {
    switch (traffic->free_order) {
    case 0:
        return random_below(&traffic->random, traffic->live_count);
    case 1: /* the newest */
        return traffic->live_count - 1;
    default: /* in the order of birth, roughly */
        return traffic->sweep++ % traffic->live_count;
    }
}

static void traffic_allocate(struct traffic *traffic) {
    uint32_t slot = traffic->live[traffic->live_count++];
    size_t bytes = size_pick(traffic);
    switch (random_below(&traffic->random, 8)) {
    case 0:
        agreement_calloc(traffic->agreement, slot, bytes);
        break;
    case 1: /* of an empty slot */
        agreement_realloc(traffic->agreement, slot, bytes);
        break;
    default:
        agreement_malloc(traffic->agreement, slot, bytes);
    }
}

static void traffic_free(struct traffic *traffic) {
    uint32_t index = victim_pick(traffic), slot = traffic->live[index];
    traffic->live[index] = traffic->live[--traffic->live_count];
    traffic->live[traffic->live_count] = slot;
    agreement_free(traffic->agreement, slot);
}

static void traffic_step(struct traffic *traffic) {
    if (traffic->phase_left-- == 0)
        phase_begin(traffic);
    bool full = traffic->live_count == traffic->agreement->slot_count;
    if (traffic->live_count && random_below(&traffic->random, 10) == 0)
        agreement_realloc(traffic->agreement, traffic->live[victim_pick(traffic)], size_pick(traffic));
    else if (!traffic->live_count || (!full && random_below(&traffic->random, 100) < traffic->grow_percent))
        traffic_allocate(traffic);
    else
        traffic_free(traffic);
}

static void traffic_run(struct agreement *agreement, uint64_t operation_count, uint64_t seed) {
    struct traffic traffic = {.random = random_seeded(seed), .agreement = agreement};
    traffic.live = malloc(agreement->slot_count * sizeof *traffic.live);
    if (!traffic.live)
        abort();
    for (uint32_t i = 0; i < agreement->slot_count; i++)
        traffic.live[i] = i;
    while (agreement->operation_count < operation_count && !agreement->failed)
        traffic_step(&traffic);
    free(traffic.live);
}

/* ---- scenarios ---- */

static enum err trace_compile(const char *path, struct program *out, struct diag *diag) {
    struct trace_reader *reader;
    struct event_source events;
    enum err err = trace_reader_open(path, &reader, diag);
    if (err)
        return err;
    err = trace_reader_events(reader, &events, diag);
    if (!err)
        err = program_compile(&events, out, diag);
    trace_reader_close(reader);
    return err;
}

/* Compiles the scenario's trace, if it has one, and says how many slots are needed. */
static bool scenario_prepare(const struct scenario *scenario, struct agreement_settings *settings,
                             struct program *program) {
    struct diag diag;
    char line[2048];
    *settings = scenario->settings;
    if (!scenario->trace)
        return true;
    if (trace_compile(scenario->trace, program, &diag)) {
        diag_format(&diag, line, sizeof line);
        fprintf(stderr, "%s\n", line);
        return false;
    }
    settings->slot_count = program->header->slot_count;
    return true;
}

static int scenario_run(const struct scenario *scenario, const struct options *options, const struct real_pool *real) {
    static struct agreement agreement;
    struct agreement_settings settings;
    struct program program = {.fd = -1};
    if (!scenario_prepare(scenario, &settings, &program))
        return EXIT_FAILURE;
    if (!agreement_begin(&agreement, real, &settings)) {
        fprintf(stderr, "no memory for the test itself\n");
        return EXIT_FAILURE;
    }
    if (scenario->trace) {
        agreement_run_program(&agreement, &program);
        program_close(&program);
    } else {
        traffic_run(&agreement, options->operation_count, options->seed);
    }
    uint64_t operation_count = agreement.operation_count;
    struct pool_counts counts;
    pool_counts_get(agreement.pool, &counts);
    bool agreed = agreement_end(&agreement);
    printf("%s: %" PRIu64 " operations, %" PRIu64 " arenas mapped, %" PRIu64 " returned, peak %" PRIu64 ", %" PRIu64
           " texts compared: %s\n",
           scenario->name, operation_count, counts.arenas_mapped_count, counts.arenas_returned_count,
           counts.arenas_peak_count, agreement.compared_count, agreed ? "agree" : "DISAGREE");
    return agreed ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool scenario_fork(const struct scenario *scenario, const struct options *options,
                          const struct real_pool *real) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exit(scenario_run(scenario, options, real));
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: ended by signal %d\n", scenario->name, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static bool options_parse(int argc, char **argv, struct options *options) {
    static const struct option known[] = {
        {"ops", required_argument, NULL, 'o'},     {"seed", required_argument, NULL, 's'},
        {"library", required_argument, NULL, 'l'}, {"version", required_argument, NULL, 'v'},
        {"trace", required_argument, NULL, 't'},   {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'l')
            options->library = optarg;
        else if (option == 'v')
            options->version = optarg;
        else if (option == 't' && options->trace_count < TRACES_MAX)
            options->traces[options->trace_count++] = optarg;
        else if (option == '?' ||
                 units_parse_u64(optarg, option == 'o' ? &options->operation_count : &options->seed) != ERR_OK)
            return false;
    }
    return true;
}

/* ---- the library ---- */

static bool library_in_directories(const char *list, const char *soname, char *path, size_t path_bytes) {
    while (list && *list) {
        int length = (int)strcspn(list, ":");
        snprintf(path, path_bytes, "%.*s/%s", length, list, soname);
        if (length && access(path, R_OK) == 0)
            return true;
        list += length + (list[length] == ':');
    }
    return false;
}

/* By its file in a directory of the list, else by the loader. @return as real_pool_load. */
static const char *library_load(const struct options *options, struct real_pool *out) {
    static const char *const abi_flags[] = {"", "m"};
    const char *why_not = "";
    if (options->library)
        return real_pool_load(options->library, out);
    for (size_t i = 0; i < 2 && why_not; i++) {
        char soname[64], path[4096];
        snprintf(soname, sizeof soname, "libpython%s%s.so.1.0", options->version, abi_flags[i]);
        bool found = library_in_directories(getenv("MMREPLAY_LIBPYTHON_DIRS"), soname, path, sizeof path);
        why_not = real_pool_load(found ? path : soname, out);
    }
    return why_not;
}

static bool scenarios_agree(const struct options *options, const struct real_pool *real) {
    bool agreed = true;
    printf("seed %" PRIu64 "\n", options->seed);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        agreed &= scenario_fork(&scenarios[i], options, real);
    return agreed;
}

/* Each trace twice: with aligned arenas, and with some that are not, in four radix nodes. */
static bool traces_agree(const struct options *options, const struct real_pool *real) {
    bool agreed = true;
    for (int i = 0; i < options->trace_count; i++) {
        struct scenario scenario = {
            .name = options->traces[i], .settings = {.compare_every = 20000}, .trace = options->traces[i]};
        agreed &= scenario_fork(&scenario, options, real);
        scenario.settings.residues_mixed = scenario.settings.spread = true;
        agreed &= scenario_fork(&scenario, options, real);
    }
    return agreed;
}

int main(int argc, char **argv) {
    struct options options = {.version = "3.11", .operation_count = 1000000, .seed = 3};
    if (!options_parse(argc, argv, &options)) {
        fprintf(stderr, "usage: %s [--ops N] [--seed S] [--trace FILE]… [--version 3.N | --library FILE]\n", argv[0]);
        return EXIT_FAILURE;
    }
    struct real_pool real;
    const char *why_not = library_load(&options, &real);
    if (why_not) {
        printf("skipped: no libpython%s to compare with: %s\n", options.version, why_not);
        return EXIT_SKIP;
    }
    printf("CPython %s, pool:%s\n", real.version, real.config->name);
    bool agreed = options.trace_count ? traces_agree(&options, &real) : scenarios_agree(&options, &real);
    return agreed ? EXIT_SUCCESS : EXIT_FAILURE;
}
