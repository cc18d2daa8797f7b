#include "cli/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "core/base/nearest.h"
#include "core/base/units.h"

enum { WORD_BYTES_MAX = 64 };

static int usage_failure(const struct command *command, const char *problem, const char *word, const char *nearest) {
    if (nearest)
        return message_failure("%s: %s '%s'; did you mean '%s'?", command->name, problem, word, nearest);
    return message_failure("%s: %s '%s'; see 'mmreplay %s --help'", command->name, problem, word, command->name);
}

static int unknown_option(const struct command *command, const char *word) {
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX];
    size_t count = 0;
    names[count++] = "help";
    for (const struct option_spec *option = command->options; option && option->name && count < NAMES_MAX; option++)
        names[count++] = option->name;
    char bare[WORD_BYTES_MAX];
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word, "="), word);
    const char *found = word[0] == '-' && word[1] == '-' ? word_nearest(bare + 2, names, count) : NULL;
    char nearest[WORD_BYTES_MAX + 2];
    if (found)
        snprintf(nearest, sizeof nearest, "--%s", found);
    return usage_failure(command, "unknown option", word, found ? nearest : NULL);
}

static int value_failure(const struct command *command, const struct option_spec *option, const char *text) {
    static const char *const wanted[OPTION_TYPE_COUNT] = {
        [OPTION_COUNT] = "a whole number",
        [OPTION_AMOUNT] = "a count such as 500000, 10M or 1e6",
        [OPTION_BYTES] = "a size such as 4096, 16K or 1M",
        [OPTION_DURATION] = "a duration such as 5ms or 2s",
    };
    return message_failure("%s: --%s wants %s, not '%s'", command->name, option->name, wanted[option->type], text);
}

/* Writes the option's value. @return EXIT_CODE_DONE or EXIT_CODE_FAILURE. */
static int option_set(const struct command *command, const struct option_spec *option, const char *text, void *values) {
    void *field = (char *)values + option->offset;
    enum err err = ERR_OK;
    switch (option->type) {
    case OPTION_FLAG:
        *(bool *)field = true;
        break;
    case OPTION_TEXT:
    case OPTION_TEXT_OPTIONAL:
        *(const char **)field = text;
        break;
    case OPTION_COUNT:
        err = units_parse_u64(text, field);
        break;
    case OPTION_AMOUNT:
        err = units_parse_count(text, field);
        break;
    case OPTION_BYTES:
        err = units_parse_bytes(text, field);
        break;
    case OPTION_DURATION:
        err = units_parse_duration(text, field);
        break;
    case OPTION_TYPE_COUNT:
        break;
    }
    return err ? value_failure(command, option, text) : EXIT_CODE_DONE;
}

static const struct option_spec *option_by_name(const struct command *command, const char *name, size_t length) {
    for (const struct option_spec *option = command->options; option && option->name; option++)
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static const struct option_spec *option_by_letter(const struct command *command, char letter) {
    for (const struct option_spec *option = command->options; option && option->name; option++)
        if (option->letter == letter)
            return option;
    return NULL;
}

/* argv on its way through the parser. */
struct cursor {
    int argc;
    char **argv;
    int at;
};

static int option_with_argument(const struct command *command, const struct option_spec *option, const char *attached,
                                struct cursor *cursor, void *values) {
    if (!attached && cursor->at + 1 >= cursor->argc)
        return message_failure("%s: --%s needs %s; see 'mmreplay %s --help'", command->name, option->name,
                               option->argument, command->name);
    return option_set(command, option, attached ? attached : cursor->argv[++cursor->at], values);
}

static int long_option_parse(const struct command *command, struct cursor *cursor, void *values) {
    const char *word = cursor->argv[cursor->at];
    size_t length = strcspn(word + 2, "=");
    const char *attached = word[2 + length] ? word + 2 + length + 1 : NULL;
    const struct option_spec *option = option_by_name(command, word + 2, length);
    if (!option)
        return unknown_option(command, word);
    if (option->type == OPTION_TEXT_OPTIONAL)
        return option_set(command, option, attached ? attached : "", values);
    if (option->type != OPTION_FLAG)
        return option_with_argument(command, option, attached, cursor, values);
    if (attached)
        return message_failure("%s: --%s takes no value", command->name, option->name);
    return option_set(command, option, NULL, values);
}

static int letters_parse(const struct command *command, struct cursor *cursor, void *values) {
    const char *word = cursor->argv[cursor->at];
    for (const char *letter = word + 1; *letter; letter++) {
        const struct option_spec *option = option_by_letter(command, *letter);
        if (!option)
            return unknown_option(command, word);
        if (option->type != OPTION_FLAG && option->type != OPTION_TEXT_OPTIONAL)
            return option_with_argument(command, option, letter[1] ? letter + 1 : NULL, cursor, values);
        option_set(command, option, "", values);
    }
    return EXIT_CODE_DONE;
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Moves operands to argv[0 …] and fills values. @return an exit code, or -1 when help was printed. */
static int arguments_parse(const struct command *command, int argc, char **argv, void *values, size_t *operand_count) {
    struct cursor cursor = {.argc = argc, .argv = argv, .at = 1};
    size_t operands = 0;
    bool options_ended = false;
    for (; cursor.at < argc; cursor.at++) {
        char *word = argv[cursor.at];
        if (options_ended || word[0] != '-' || !word[1]) {
            argv[operands++] = word;
            options_ended = options_ended || command->ends_at_operand;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            options_ended = true;
            continue;
        }
        if (is_help(word)) {
            command_help_print(command, stdout);
            return -1;
        }
        int code =
            word[1] == '-' ? long_option_parse(command, &cursor, values) : letters_parse(command, &cursor, values);
        if (code)
            return code;
    }
    argv[operands] = NULL; /* argv[argc] is NULL already, and operands < argc: argv[0] was the command's name */
    *operand_count = operands;
    return EXIT_CODE_DONE;
}

int command_main(const struct command *command, int argc, char **argv) {
    size_t operands = 0;
    void *values = calloc(1, command->values_bytes + 1);
    if (!values)
        return message_failure("out of memory");
    if (command->defaults)
        memcpy(values, command->defaults, command->values_bytes);
    int code = arguments_parse(command, argc, argv, values, &operands);
    if (code == EXIT_CODE_DONE && operands < command->operands_min)
        code = message_failure("%s: nothing given where %s is expected; see 'mmreplay %s --help'", command->name,
                               command->operands, command->name);
    else if (code == EXIT_CODE_DONE && operands > command->operands_max)
        code = usage_failure(command, "one argument too many:", argv[command->operands_max], NULL);
    else if (code == EXIT_CODE_DONE)
        code = command->run(values, argv, operands);
    free(values);
    return code < 0 ? EXIT_CODE_DONE : code;
}
