#include <string.h>

#include "cli/arguments.h"
#include "cli/terminal.h"
#include "core/base/utf8.h"

enum { HELP_INDENT = 2, HELP_COLUMN = 28, WIDTH_MAX = 100 };

static size_t help_width(void) {
    size_t width = terminal_width();
    return width < WIDTH_MAX ? width : WIDTH_MAX;
}

/* Prints `text` wrapped to the width, every line after the first indented by `column`; the cursor is at `column`. */
static void wrapped_print(FILE *out, const char *text, size_t column) {
    size_t at = column;
    size_t width = help_width();
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (at > column && at + 1 + word > width) {
            fprintf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", (int)word, text);
        at += word;
        text += word;
        if (*text == '\n') {
            fprintf(out, "\n%*s", text[1] ? (int)column : 0, "");
            at = column;
        }
        if (*text)
            text++;
    }
    if (at > column)
        fputc('\n', out);
}

static void row_print(FILE *out, const char *left, const char *right) {
    int column = HELP_INDENT + (int)utf8_columns(left);
    fprintf(out, "%*s%s", HELP_INDENT, "", left);
    if (column + 2 > HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - column, "");
    wrapped_print(out, right, HELP_COLUMN);
}

static void option_print(FILE *out, const struct option_spec *option) {
    char left[96];
    char letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    if (option->type == OPTION_TEXT_OPTIONAL)
        snprintf(left, sizeof left, "%s--%s[=%s]", letter, option->name, option->argument);
    else
        snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "");
    row_print(out, left, option->help);
}

void command_help_print(const struct command *command, FILE *out) {
    fprintf(out, "usage: mmreplay %s [OPTION…]%s%s\n\nexamples:\n%s\n", command->name, *command->operands ? " " : "",
            command->operands, command->examples);
    wrapped_print(out, command->description, 0);
    fprintf(out, "\noptions:\n");
    for (const struct option_spec *option = command->options; option && option->name; option++)
        option_print(out, option);
    row_print(out, "-h, --help", "show this help");
}

void overview_print(FILE *out) {
    fputs("usage: mmreplay COMMAND [OPTION…] [ARGUMENT…]\n\n"
          "Captures the allocation calls of a real program and replays them on CPython's memory manager,\n"
          "the system malloc, jemalloc and others; reports fragmentation, arena return and ns per operation.\n\n"
          "examples:\n"
          "  mmreplay record -o app.yaml -- python3 app.py      capture a program once\n"
          "  mmreplay replay app.yaml                           replay it on pool, system and jemalloc\n"
          "  mmreplay replay app.yaml -a system,jemalloc -n 20  choose allocators and rounds\n\n"
          "commands:\n",
          out);
    for (size_t i = 0; commands[i]; i++)
        row_print(out, commands[i]->name, commands[i]->summary);
    fputs("\n'mmreplay COMMAND --help' tells more; 'mmreplay --version' tells what was built.\n"
          "exit codes: 0 done; 1 the answer is no; 2 usage, input or tool failure.\n",
          out);
}
