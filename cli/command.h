/**
 * command.h: what a command is: one table row, from which help, parsing and completion are made.
 */
#ifndef MMREPLAY_CLI_COMMAND_H
#define MMREPLAY_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Exit codes, the same for every command. */
enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_NO = 1,          /**< the answer is "no": regression, invalid trace */
    EXIT_CODE_FAILURE = 2,     /**< usage, input or tool failure */
    EXIT_CODE_INCONCLUSIVE = 3 /**< inconclusive or missing, when asked to fail on it */
};

/** How an option's text becomes a value, and the type of the field it goes to. */
enum option_type {
    OPTION_FLAG,          /**< no argument; bool becomes true */
    OPTION_TEXT,          /**< const char *, borrowed from argv */
    OPTION_TEXT_OPTIONAL, /**< the same, given only as --name=TEXT; "" for a bare --name */
    OPTION_COUNT,         /**< uint64_t, decimal */
    OPTION_AMOUNT,        /**< uint64_t, units_parse_count: 10M, 1e6 */
    OPTION_BYTES,         /**< uint64_t, units_parse_bytes: 16K, 1M */
    OPTION_DURATION,      /**< uint64_t nanoseconds, units_parse_duration: 5ms, 2s */
    OPTION_TYPE_COUNT
};

struct option_spec {
    const char *name; /**< long name without dashes; NULL ends the table */
    char letter;      /**< short name, or 0 */
    enum option_type type;
    const char *argument; /**< placeholder in help: "ROUNDS"; NULL for flags */
    size_t offset;        /**< of the field in the command's values struct */
    const char *help;     /**< one sentence, lower-case, unit and default stated */
};

struct command {
    const char *name;
    const char *operands;    /**< "TRACE…", for the usage line; "" when there are none */
    const char *summary;     /**< one line for the overview */
    const char *description; /**< a paragraph or more for `--help`; paragraphs end in \n */
    const char *examples;    /**< lines "  mmreplay …" */
    const struct option_spec *options;
    size_t values_bytes;  /**< size of the values struct; options write into it */
    const void *defaults; /**< a values struct to start from */
    size_t operands_min;
    size_t operands_max;
    bool ends_at_operand; /**< the first operand ends the options (record -- COMMAND ARG…) */

    /** @param values the filled struct. @param operands argv order, NULL-terminated. @return an exit code. */
    int (*run)(const void *values, char **operands, size_t operand_count);
};

/** All commands in the order of the overview, NULL-terminated. */
extern const struct command *const commands[];

#endif
