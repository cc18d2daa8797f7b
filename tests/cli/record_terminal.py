"""What the recorder does at a terminal: a pseudo-terminal is typed into, and the processes are looked at.

usage: record_terminal.py MMREPLAY SCENARIO   (in an empty folder; exit code 0: as claimed)
"""
import os
import pty
import re
import select
import signal
import sys
import time

MMREPLAY = sys.argv[1]
PATIENCE = 60  # seconds: a hang is a failure, not a measurement


class Terminal:
    """A session of its own at a pseudo-terminal; the command is the session's leader, as if a shell had exec'ed it."""

    def __init__(self, *argv):
        self.seen = b""
        self.is_closed = False
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["PS1"] = "prompt> "
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvp(argv[0], argv)

    def read(self, seconds):
        ready = select.select([self.fd], [], [], seconds)[0]
        try:
            self.seen += os.read(self.fd, 65536) if ready else b""
        except OSError:  # nobody has the other side open any more
            self.is_closed = True
            time.sleep(0.01)

    def wait_for(self, pattern):
        """Until the output has the pattern; forgets what came up to there."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self.is_closed:
            found = re.search(pattern.encode(), self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            self.read(0.05)
        sys.exit(f"waited in vain for {pattern!r}; the last that came: {self.seen[-2000:]!r}")

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.read(0.05)
                return os.waitstatus_to_exitcode(status)
            self.read(0.02)
        sys.exit(f"the recorder does not end; the last that came: {self.seen[-2000:]!r}")


def must(what, holds):
    if not holds:
        sys.exit(f"not so: {what}")


def description():
    with open("t.yaml") as file:
        return file.read()


LOOP = 'import time\nprint("be" + "gun", flush=True)\nkeep = []\nend = time.time() + %s\n' \
       'while time.time() < end: keep.append(bytearray(100)); time.sleep(0.001)\nprint("through", flush=True)'


def recording(program, *options):
    return Terminal(MMREPLAY, "record", "-o", "t.yaml", *options, "--", *program)


def first_interrupt_ends_the_recording_not_the_program():
    terminal = recording([sys.executable, "-c", LOOP % 1.5])
    terminal.wait_for("begun")
    terminal.type("\x03")
    terminal.wait_for("events in")
    terminal.wait_for("the program runs on")
    terminal.wait_for("through")
    must("exit code 0", terminal.wait() == 0)
    must("the description says it", "recording ended by SIGINT; the program ran on" in description())


def second_interrupt_ends_the_program():
    terminal = recording([sys.executable, "-c", LOOP % PATIENCE])
    terminal.wait_for("begun")
    terminal.type("\x03")
    terminal.wait_for("the program runs on")
    terminal.type("\x03")
    terminal.wait_for("KeyboardInterrupt")
    must("dies by SIGINT", terminal.wait() == -signal.SIGINT)


def third_interrupt_lets_the_recorder_go():
    terminal = recording(["bash", "-c", "trap '' INT; echo pid $$; echo begun; for i in {1..2000}; do sleep 0.05; done"])
    pid = int(terminal.wait_for("pid ([0-9]+)").group(1))
    terminal.wait_for("begun")
    terminal.type("\x03")
    terminal.wait_for("the program runs on")
    terminal.type("\x03")
    time.sleep(0.2)
    must("the program ignores the second", os.path.exists(f"/proc/{pid}"))
    terminal.type("\x03")
    must("dies by SIGINT", terminal.wait() == -signal.SIGINT)
    must("the program was left alone", os.path.exists(f"/proc/{pid}"))
    os.kill(pid, signal.SIGKILL)


def a_program_that_reads_the_terminal_gets_it():
    terminal = recording(["bash", "-c", "echo begun; read -r line; echo got $line; read -r line; echo then $line"])
    terminal.wait_for("begun")
    terminal.type("one\r")
    terminal.wait_for("got one")
    terminal.type("two\r")
    terminal.wait_for("then two")
    must("exit code 0", terminal.wait() == 0)


def interrupts_of_an_interactive_program_are_its_own():
    terminal = recording(["bash", "--norc", "--noprofile", "--noediting", "-i"])
    terminal.wait_for("prompt> ")
    terminal.type("echo a$((1))b; sleep 100\r")
    terminal.wait_for("a1b")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.wait_for("prompt> ")
    terminal.type("echo still $((40 + 2)); exit 0\r")
    terminal.wait_for("still 42")
    must("exit code 0", terminal.wait() == 0)
    must("recorded to its end", "end: exit 0" in description())


def stopping_stops_both_and_both_go_on():
    terminal = Terminal("bash", "--norc", "--noprofile", "--noediting", "-i")
    terminal.wait_for("prompt> ")
    program = "for i in {1..30}; do echo tick $i; sleep 0.05; done; read -r line; echo got $line"
    terminal.type(f"{MMREPLAY} record -o t.yaml -- bash -c '{program}'\r")
    terminal.wait_for("tick 3")
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    terminal.wait_for("prompt> ")
    terminal.read(0.3)
    seen = terminal.seen
    terminal.read(0.3)
    must("the program has stopped, too", terminal.seen == seen)
    terminal.type("bg\r")
    terminal.wait_for("tick 30")
    time.sleep(0.3)
    terminal.type("\r")
    terminal.wait_for("Stopped")  # it wants to read, from the background
    terminal.type("fg\r")
    terminal.type("word\r")
    terminal.wait_for("got word")
    terminal.wait_for("events in")
    terminal.type("echo code $?; exit 0\r")
    terminal.wait_for("code 0")
    must("the shell ends", terminal.wait() == 0)
    must("recorded to its end", "end: exit 0" in description())


globals()[sys.argv[2]]()
