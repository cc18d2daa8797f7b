/* Signals that come to the recorder go to the program, whenever they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traces/record/record_guard.h"

enum { PATIENCE_S = 20 };

/* A program that ends by any signal, at the latest by that of an alarm; back when it is so far. */
static pid_t program_start(int number) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (guard_wants_group())
            setpgid(0, 0);
        signal(number, SIG_DFL);
        alarm(PATIENCE_S);
        if (write(ready[1], "", 1) == 1)
            pause();
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void assert_passed_on(int number, int early) {
    int status = 0;
    guard_begin();
    if (early)
        raise(number);
    guard_watch(program_start(number));
    if (!early)
        raise(number);
    assert_true(guard_wait(&status));
    assert_int_equal(guard_signal(), number);
    guard_end();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
}

static void what_ends_the_recorder_ends_the_program(void **state) {
    (void)state;
    assert_passed_on(SIGTERM, 0);
    assert_passed_on(SIGHUP, 0);
}

static void what_comes_before_the_program_is_known_is_passed_on_later(void **state) {
    (void)state;
    assert_passed_on(SIGTERM, 1);
    assert_passed_on(SIGHUP, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ends_the_recorder_ends_the_program),
        cmocka_unit_test(what_comes_before_the_program_is_known_is_passed_on_later),
    };
    signal(SIGHUP, SIG_DFL); /* it may be run by nohup */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
