#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "core/base/nearest.h"
#include "core/base/units.h"
#include "formats/native_writer.h"
#include "traces/synthetic.h"
#include "traces/tracker.h"

struct generate_values {
    const char *output;
    const char *sizes;
    const char *order;
    const char *domain;
    uint64_t operation_count;
    uint64_t live_count;
    uint64_t cycle_count;
    uint64_t keep_every;
    uint64_t seed;
};

static const struct generate_values generate_defaults = {.sizes = "python", .domain = "obj", .seed = 1};

#define AT(field) offsetof(struct generate_values, field)

static const struct option_spec generate_options[] = {
    {"output", 'o', OPTION_TEXT, "NAME.yaml", AT(output), "description to write, the events beside it"},
    {"count", 'n', OPTION_COUNT, "N", AT(operation_count),
     "operations, rounded up to whole pairs or cycles (default 4000000, or 8 per live block if that is more)"},
    {"live", 'l', OPTION_COUNT, "N", AT(live_count),
     "most blocks live at once (default: pair 1, lifo and fifo 10000, replace 100000, ramp 200000)"},
    {"cycles", 0, OPTION_COUNT, "N", AT(cycle_count), "lifo, ramp: cycles up and down, instead of --count"},
    {"keep", 0, OPTION_COUNT, "K", AT(keep_every),
     "ramp: every K-th block survives the shrinking of its cycle, and the last cycle's the trace (default: none)"},
    {"order", 0, OPTION_TEXT, "ORDER", AT(order), "ramp: frees in random, newest or oldest order (default random)"},
    {"sizes", 's', OPTION_TEXT, "SIZES", AT(sizes),
     "of the blocks: one size (64), a uniform range (16-512), or python: as CPython programs ask (default)"},
    {"domain", 'd', OPTION_TEXT, "DOMAIN", AT(domain), "of the blocks: obj, mem, raw or c (default obj)"},
    {"seed", 0, OPTION_COUNT, "N", AT(seed), "of the random numbers: same seed, same trace (default 1)"},
    {0},
};

static enum err domain_parse(const char *text, enum domain *out, struct diag *diag) {
    for (size_t i = 0; i < DOMAIN_COUNT; i++)
        if (strcmp(text, domain_names[i]) == 0) {
            *out = (enum domain)i;
            return ERR_OK;
        }
    return diag_set(diag, ERR_USAGE, NULL, "a domain is obj, mem, raw or c, not '%s'", text);
}

static enum err settings_parse(const char *model, const struct generate_values *values, struct synthetic_settings *out,
                               struct diag *diag) {
    *out = (struct synthetic_settings){.operation_count = values->operation_count,
                                       .live_count = values->live_count,
                                       .cycle_count = values->cycle_count,
                                       .keep_every = values->keep_every,
                                       .seed = values->seed};
    enum err err = synthetic_model_parse(model, &out->model, diag);
    if (!err)
        err = synthetic_sizes_parse(values->sizes, &out->sizes, diag);
    if (!err && values->order)
        err = synthetic_order_parse(values->order, &out->order, diag);
    if (!err)
        err = domain_parse(values->domain, &out->domain, diag);
    return err ? err : synthetic_complete(out, diag);
}

/* The command that makes this very trace, defaults spelt out. */
static void command_format(const struct synthetic_settings *settings, const struct generate_values *values, char *text,
                           size_t text_bytes) {
    char length[64], keep[64] = "", order[32] = "";
    if (settings->cycle_count)
        snprintf(length, sizeof length, "--cycles %" PRIu64, settings->cycle_count);
    else
        snprintf(length, sizeof length, "--count %" PRIu64, settings->operation_count);
    if (settings->keep_every)
        snprintf(keep, sizeof keep, " --keep %" PRIu64, settings->keep_every);
    if (settings->model == SYNTHETIC_RAMP)
        snprintf(order, sizeof order, " --order %s", synthetic_order_names[settings->order]);
    snprintf(text, text_bytes, "mmreplay generate %s --live %" PRIu64 " %s%s%s --sizes %s --domain %s --seed %" PRIu64,
             synthetic_models[settings->model].name, settings->live_count, length, keep, order, values->sizes,
             values->domain, settings->seed);
}

/* Neither date nor machine: the same command writes the same two files. */
static enum err info_describe(const struct synthetic_settings *settings, const struct generate_values *values,
                              struct trace_info *info, struct diag *diag) {
    char command[512], live[UNITS_TEXT_BYTES], description[256];
    command_format(settings, values, command, sizeof command);
    snprintf(description, sizeof description, "Synthetic: %s; at most %s live, sizes %s, seed %" PRIu64 ".",
             synthetic_models[settings->model].summary, units_format_count(settings->live_count, live), values->sizes,
             settings->seed);
    enum err err = trace_text_set(&info->description, description);
    if (!err)
        err = trace_text_set(&info->program_command, command);
    if (!err)
        err = trace_text_set(&info->capture_tool, "mmreplay " MMREPLAY_VERSION);
    if (!err)
        err = trace_text_set(&info->provenance, "Generated, not recorded: program.command makes it again.");
    return err ? diag_set(diag, err, NULL, "out of memory") : ERR_OK;
}

static enum err trace_generate(const struct synthetic_settings *settings, const struct generate_values *values,
                               struct diag *diag) {
    struct native_writer *writer = NULL;
    struct trace_info info = {0};
    enum err err = native_writer_create(values->output, NULL, &writer, diag);
    if (!err)
        err = info_describe(settings, values, &info, diag);
    if (!err) {
        struct event_sink sink = native_writer_sink(writer);
        err = synthetic_write(settings, &sink, diag);
    }
    if (!err)
        err = native_writer_finish(writer, &info, diag);
    if (!err)
        message_note("%s: %s", values->output, info.program_command);
    native_writer_destroy(writer);
    trace_info_clear(&info);
    return err;
}

static int generate_run(const void *values, char **operands, size_t operand_count) {
    const struct generate_values *options = values;
    struct synthetic_settings settings;
    struct diag diag;
    (void)operand_count;
    enum err err = settings_parse(operands[0], options, &settings, &diag);
    if (!err && !options->output)
        return message_failure("generate: no output given; say where to with -o NAME.yaml");
    if (!err)
        err = trace_generate(&settings, options, &diag);
    return err ? message_error(&diag) : EXIT_CODE_DONE;
}

const struct command command_generate = {
    .name = "generate",
    .operands = "MODEL",
    .summary = "make a synthetic trace, seeded",
    .description =
        "Writes a trace that follows a rule: mallocs and frees of one thread.\n"
        "Models: pair (malloc, free, again and again; with --live above 1 over blocks that stay), lifo (a stack: up "
        "to --live blocks and down again), fifo (a queue of --live blocks), replace (--live blocks: a random one goes, "
        "a new one comes), ramp (grow to --live blocks and shrink again, in cycles).\n"
        "The sizes called python are drawn as the bundled CPython traces ask, up to 512 bytes: the share of each step "
        "of 8 bytes was measured (traces/python_sizes.h).\n"
        "The same options write the same two files, byte for byte. The command with all defaults and the seed is "
        "printed, and kept in the description.\n",
    .examples = "  mmreplay generate replace --live 100000 -o replace.yaml\n"
                "  mmreplay generate ramp --live 1000000 --cycles 5 --keep 100 --sizes 16-512 -o ramp.yaml\n"
                "  mmreplay generate pair --sizes 64 --domain c --seed 7 -o pair.yaml\n",
    .options = generate_options,
    .values_bytes = sizeof(struct generate_values),
    .defaults = &generate_defaults,
    .operands_min = 1,
    .operands_max = 1,
    .run = generate_run,
};
