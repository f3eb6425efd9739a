# SPDX-License-Identifier: BSD-2-Clause
"""One run: the emulator's serial lines to the user's terminal and back, until there is a verdict.

The hypervisor's log is the single source of truth. Its line "umbra: exit status N" ends the run with N,
a line "panic: ..." with 103 (after the report that follows it), the emulator's end without either
with 103 as well: then Umbra was lost without a word. All that has been said on the consoles by
then is passed on first.

The log's line may carry a guest's words as well, and a firmware's. Umbra marks what it says itself
(marks=on, lib/log.h), in a way that no guest can, and only that is the log.
"""
import contextlib
import os
import re
import subprocess
import sys
import termios
import time

from .machine import LOG_COM
from .options import STATUS_INTERRUPTED, STATUS_PANIC, STATUS_TIMEOUT, UsageError, is_at_terminal
from .output import LIMIT, Output, wait_for

# Whole lines of Umbra's: it quotes its guests (their words for its firmware's console), but never at the left.
VERDICT = re.compile(rb"^umbra: exit status (\d+)$")
PANIC = re.compile(rb"^panic: ")
# lib/log.h: in front of what Umbra says, of what a guest says, and of a guest's byte that is one of these.
MARK_UMBRA, MARK_GUEST, MARK_ESCAPE, MARK_FLIP = b"\x1e", b"\x1f", b"\x10", 0x40
MARKS = re.compile(rb"([\x10\x1e\x1f])")
ESCAPE_KEY = b"\x1d"  # Ctrl-]
REPORT_SECONDS = 2    # how long after a panic its report may take
END_SECONDS = 2       # how long after a verdict the emulator may take to end
LINE_SECONDS = 0.5    # how long the first guest may take for the rest of its line, before others' lines go into it
EXIT_SECONDS = 20     # how long it may take after it has closed its serial lines


class Terminal:
    """The user's keys: raw while a run is on, if they come from a terminal in the foreground."""

    def __init__(self):
        self.fd = sys.stdin.fileno() if sys.stdin else None
        self.saved = None

    def __enter__(self):
        try:
            if is_at_terminal():
                self.saved = termios.tcgetattr(self.fd)
                raw = termios.tcgetattr(self.fd)
                raw[0] &= ~(termios.ICRNL | termios.IXON)
                raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
                termios.tcsetattr(self.fd, termios.TCSANOW, raw)
        except (OSError, termios.error, TypeError):
            self.saved = None  # no terminal
        return self

    def __exit__(self, *_):
        if self.saved:
            termios.tcsetattr(self.fd, termios.TCSANOW, self.saved)  # whoever shows what it says may stand still

    @property
    def is_interactive(self):
        return self.saved is not None


class Screen:
    """Standard output: the first guest's bytes as they come, and between its lines those of further guests."""

    def __init__(self, output):
        self.output, self.is_in_line, self.waiting = output, False, b""

    def feed(self, data):
        lines, newline, rest = data.rpartition(b"\n")
        if newline:
            self.output.write(lines + newline)
            self.flush()
        self.output.write(rest)
        self.is_in_line = bool(rest) or (self.is_in_line and not newline)

    def add_line(self, line):
        self.waiting += line
        if not self.is_in_line:
            self.flush()

    def flush(self):
        self.output.write(self.waiting)
        self.waiting = b""


class Console:
    """A guest's console: passed on as it is, or, for a further guest, line by line with its name."""

    def __init__(self, screen, guest, prefixed):
        self.screen = screen
        self.expect, self.seen = guest.expect, b""
        self.prefix = guest.name.encode() + b"| " if prefixed else None
        self.line = b""

    def feed(self, data):
        if self.expect is not None:
            self.seen = self.seen + data
            if self.expect in self.seen:
                self.expect = None
            else:
                self.seen = self.seen[-len(self.expect):]
        if self.prefix is None:
            self.screen.feed(data)
            return
        *lines, self.line = (self.line + data).split(b"\n")
        for line in lines:
            self.screen.add_line(self.prefix + line + b"\n")

    def close(self):
        if self.line:
            self.feed(b"\n")


class Line:
    """The machine's own serial line, taken apart by its marks: Umbra's words and a guest's. Before the first mark a firmware spoke."""

    def __init__(self, log, console):
        self.log, self.console = log, console
        self.speaker, self.is_escaped = None, False

    def feed(self, data):
        self.log.is_empty = False
        for piece in MARKS.split(data):
            self.take(piece)

    def take(self, piece):
        if self.is_escaped and piece:
            piece, self.is_escaped = bytes([piece[0] ^ MARK_FLIP]) + piece[1:], False
        elif piece == MARK_UMBRA:
            self.speaker = self.log
            return
        elif piece == MARK_GUEST:
            self.speaker = self.console
            return
        elif piece == MARK_ESCAPE and self.speaker is self.console:
            self.is_escaped = True
            return
        if self.speaker and piece:
            self.speaker.feed(piece)


class Log:
    """The hypervisor's log: lines to stderr or a file, and what they say about the end."""

    def __init__(self, output):
        self.output = output
        self.line = b""
        self.is_empty = True
        self.status = None
        self.has_panic = False

    def feed(self, data):
        *lines, self.line = (self.line + data.replace(b"\r", b"")).split(b"\n")
        for line in filter(None, lines):  # an empty one ends a line of a guest's or a prompt
            self.read_line(line)

    def read_line(self, line):
        self.output.write(line + b"\n")
        if PANIC.search(line):
            self.has_panic = True
        if verdict := VERDICT.search(line):
            self.status = int(verdict[1])

    def close(self):
        if self.line:
            self.feed(b"\n")


def open_log(path):
    try:
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), f"--log: {path}")
    except OSError as error:
        raise UsageError(f"--log: {path}: {error.strerror}") from None


class Keys:
    """One of the emulator's serial lines, in the direction of the machine: what it does not take waits."""

    def __init__(self, end):
        self.end, self.waiting = end, bytearray()
        end.setblocking(False)

    def write(self, data):
        self.waiting += data
        self.drain()

    def drain(self):
        try:
            while self.waiting:
                del self.waiting[:self.end.send(self.waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self.waiting.clear()  # the emulator is ending


class Session:
    def __init__(self, opts, machine):
        self.opts, self.machine = opts, machine
        self.errors = Output(2, "stderr")
        self.log = Log(open_log(opts.log) if opts.log else self.errors)
        self.screen = Screen(Output(1, "stdout"))
        self.outputs = {output.fd: output for output in (self.screen.output, self.log.output, self.errors)}
        self.consoles = {guest.com: Console(self.screen, guest, i > 0) for i, guest in enumerate(opts.guests)}
        # One that shares the log's line at a time; unless somebody attaches another, the first.
        shared = next((guest for guest in opts.guests if guest.is_shared), opts.guests[0])
        self.line = Line(self.log, self.consoles[shared.com])
        self.expects = any(guest.expect for guest in opts.guests)
        self.key_target, self.after_escape = LOG_COM if opts.guests[0].is_shared else opts.guests[0].com, False
        self.quit, self.deadline = False, float("inf")

    def run(self):
        """The exit status of the launcher."""
        with Terminal() as self.terminal:
            self.machine.start()
            self.child, self.ends = self.machine.child, self.machine.ends
            status = self.watch() if len(self.ends) == len(self.machine.coms) else None  # it has refused to start
        where = self.machine.where() if status == STATUS_TIMEOUT else ""
        self.machine.stop()
        for stream in [*self.consoles.values(), self.log]:
            stream.close()
        self.screen.flush()
        if not self.hand_out() and status != STATUS_INTERRUPTED:
            status = STATUS_TIMEOUT
        status = self.explain(status, where)
        self.hand_out()
        return status

    def hand_out(self):
        """The last bytes, to whoever reads them: False if that takes longer than the run may last, and a little."""
        deadline = max(self.deadline, time.monotonic() + END_SECONDS)
        while writers := [fd for fd, output in self.outputs.items() if output.waiting]:
            left = deadline - time.monotonic()
            if left <= 0 or self.quit:
                return False
            for fd in wait_for([], writers, left)[1]:
                self.outputs[fd].drain()
        return True

    def watch(self):
        """Pass bytes on until the run is decided: its status, or None if the emulator ended without a word."""
        self.deadline = time.monotonic() + (self.machine.wall_seconds or float("inf"))
        self.readers = {end.fileno(): self.reader(com, end) for com, end in self.ends.items()}
        self.keys = {com: Keys(end) for com, end in self.ends.items()}
        self.has_keys = self.terminal.fd is not None
        return self.loop(self.deadline)

    def serve(self, seconds):
        """Wait for whatever can go on, for at most so long, and pass it on. False: there was nothing."""
        readers, writers = {}, {}
        if all(len(output.waiting) < LIMIT for output in self.outputs.values()):
            readers.update(self.readers)
        # A person's keys are always listened to: one of them ends the run.
        if self.has_keys and (self.terminal.is_interactive or not any(keys.waiting for keys in self.keys.values())):
            readers[self.terminal.fd] = self.read_keys
        writers.update({fd: output for fd, output in self.outputs.items() if output.waiting})
        writers.update({keys.end.fileno(): keys for keys in self.keys.values() if keys.waiting})
        read, write = wait_for(readers, writers, seconds)
        for fd in write:
            writers[fd].drain()
        for fd in read:
            readers[fd]()
        return bool(read or write)

    def loop(self, deadline):
        result = None
        while self.readers:
            left = deadline - time.monotonic()
            if left <= 0:
                return result if result is not None else STATUS_TIMEOUT
            if not self.serve(min(left, LINE_SECONDS if self.screen.waiting else 3600)):
                self.screen.flush()
            if self.quit:
                return STATUS_INTERRUPTED
            if result is None and (result := self.verdict()) is not None:
                deadline = min(deadline, time.monotonic() + (REPORT_SECONDS if self.log.has_panic else END_SECONDS))
                if self.expects and result == 0:
                    break
        self.log.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(EXIT_SECONDS if result is None else END_SECONDS)
        return result if result is not None else self.verdict()

    def verdict(self):
        """The status if the run is decided, else None."""
        if self.log.has_panic:
            return STATUS_PANIC
        if self.expects and all(console.expect is None for console in self.consoles.values()):
            return 0
        if self.log.status is None:
            return None
        return self.log.status or (1 if self.expects else 0)

    def reader(self, com, end):
        stream = self.line if com == LOG_COM else self.consoles[com]

        def read():
            try:
                data = end.recv(65536)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if data:
                stream.feed(data)
            else:
                del self.readers[end.fileno()]
                self.keys.pop(com)
        return read

    def read_keys(self):
        try:
            data = os.read(self.terminal.fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # no input at all
        self.has_keys = bool(data)
        if not self.terminal.is_interactive:
            self.type(data)
            return
        for i in range(len(data)):
            self.read_key(data[i:i + 1])

    def type(self, data):
        if self.key_target in self.keys:
            self.keys[self.key_target].write(data)

    def read_key(self, key):
        """One of the launcher's own keys, or one to hand on."""
        if not self.after_escape and key == ESCAPE_KEY:
            self.after_escape = True
        elif self.after_escape and key == b"q":
            self.quit = True
        elif self.after_escape and key == b"m":
            self.switch_to_monitor()
            self.after_escape = False
        else:
            self.type(key)
            self.after_escape = False

    def switch_to_monitor(self):
        """Or back. On the log's own line it is Umbra's key that leaves the guest, and a command that comes back."""
        guest = self.opts.guests[0]
        if guest.is_shared:
            self.type(ESCAPE_KEY)
        else:
            self.key_target = LOG_COM if self.key_target == guest.com else guest.com

    def explain(self, status, where):
        """Say in a line why the run ended, where the log does not; the final status."""
        if status is None:
            status, words = self.machine.explain_end(self.child.returncode, self.machine.output(), not self.log.is_empty)
            self.say(words)
        elif status == STATUS_TIMEOUT and self.log.status is None:
            self.say(f"{where}umbra: no end within {self.machine.wall_seconds:g} s")
        elif status == STATUS_TIMEOUT:
            self.say("umbra: nobody has read the rest of what it said")
        elif status == 1 and self.expects and self.log.status == 0:
            self.say("umbra: the guest ended without the expected text on its console")
        return status

    def say(self, words):
        self.errors.write(words.encode() + b"\n")
