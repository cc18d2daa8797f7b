/**
 * record_guard.h: the recorder's manners while a program runs below it: signals, and the terminal they share.
 *
 * SIGINT is the recorder's: the first one asks for the recording to end while the program runs on; any later one, and
 * any that comes when nothing is recorded any more, is passed on to the program (as SIGTERM to one that was started
 * with SIGINT ignored); after that, one more lets the recorder go without waiting. SIGTERM and SIGHUP are passed on.
 *
 * A terminal sends ^C to every process of its foreground group. So that the program is spared the recorder's, it gets a
 * group of its own when the recorder is in the foreground, and the recorder's stays there. A program that wants to read
 * the terminal, or to set it up, is stopped by the kernel for that (SIGTTIN, SIGTTOU): it is then given the foreground
 * and goes on, and from there on ^C is its own, as an interactive program needs it. ^Z stops both, whoever has the
 * terminal; SIGWINCH, SIGQUIT and SIGHUP reach the program's whole group. Anywhere else (a script without a terminal, a
 * job in the background, below timeout) the program stays in the recorder's group, and a signal to that group is
 * everybody's.
 *
 * One at a time per process: a signal handler knows nothing but static data.
 */
#ifndef MMREPLAY_TRACES_RECORD_RECORD_GUARD_H
#define MMREPLAY_TRACES_RECORD_RECORD_GUARD_H

#include <stdbool.h>
#include <sys/types.h>

/** Installs the handlers, looks for the terminal. */
void guard_begin(void);

/** True when the program is to be put into a process group of its own; then guard_watch must be called. */
bool guard_wants_group(void);

/** Which of the signals the program is to inherit ignored. Async-signal-safe. */
bool guard_keeps_ignored(int number);

/** From here on, and if they came since guard_begin, signals go to `pid`; its group is its own if the guard wanted
 * that. */
void guard_watch(pid_t pid);

/** SIGINT has asked for the recording to end. */
bool guard_is_asked(void);

/** Nothing is recorded any more: SIGINT is the program's from here on. */
void guard_release(void);

/** True from guard_watch to guard_end. */
bool guard_is_watching(void);

/** Looks after the program without waiting. @return true when it has ended (and was reaped): *wait_status is filled. */
bool guard_poll(int *wait_status);

/** Waits until the program has ended, or until one asks for the third time. @return as guard_poll. */
bool guard_wait(int *wait_status);

/** The signal that ended the run, 0 = none: one that was passed on, or the SIGINT that the program died of, too. */
int guard_signal(void);

/** Takes the terminal back, puts the handlers back. Harmless when there is no guard. */
void guard_end(void);

#endif
