#include <signal.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/message.h"
#include "cli/version.h"
#include "core/base/nearest.h"

static const struct command *command_find(const char *name) {
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int command_unknown(const char *name) {
    enum { NAMES_MAX = 32 };
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (; count < NAMES_MAX && commands[count]; count++)
        names[count] = commands[count]->name;
    const char *nearest = word_nearest(name, names, count);
    const char *what = name[0] == '-' ? "option" : "command";
    if (nearest)
        return message_failure("unknown %s '%s'; did you mean '%s'?", what, name, nearest);
    return message_failure("unknown %s '%s'; see 'mmreplay --help'", what, name);
}

static bool word_is(const char *word, const char *long_name, const char *short_name) {
    return strcmp(word, long_name) == 0 || strcmp(word, short_name) == 0;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        overview_print(stderr);
        return EXIT_CODE_FAILURE;
    }
    if (word_is(argv[1], "--version", "-V")) {
        version_print(stdout);
        return EXIT_CODE_DONE;
    }
    bool help = word_is(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0;
    if (help && argc < 3) {
        overview_print(stdout);
        return EXIT_CODE_DONE;
    }
    const char *name = argv[help ? 2 : 1];
    const struct command *command = command_find(name);
    if (!command)
        return command_unknown(name);
    if (help) {
        command_help_print(command, stdout);
        return EXIT_CODE_DONE;
    }
    return command_main(command, argc - 1, argv + 1);
}

int main(int argc, char **argv) {
    streams_hold();
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error to be told, with cleanup, not the end */
    return output_finish(dispatch(argc, argv));
}
