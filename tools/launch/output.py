# SPDX-License-Identifier: BSD-2-Clause
"""Where a run's bytes go: descriptors whose readers may be slow, stand still, or be gone.

What somebody does not read waits here, so that the run goes on, and ends when its time is over. The descriptors stay
as they are: others may share them, and would be surprised to find them non-blocking.
"""
import os
import select

PIECE = 4096     # what a pipe takes without a wait when it is ready (PIPE_BUF)
LIMIT = 1 << 20  # with so much waiting, the machine is not listened to until some of it has been read


class UsageError(Exception):
    """What was asked for cannot be; one sentence for the user."""


class ReaderGone(Exception):
    """Nobody will ever read this: the end, as a program has it that SIGPIPE ends."""


def wait_for(readers, writers, seconds):
    """Wait until one of these is ready, for at most so long: the ready readers' and writers' descriptors."""
    poll = select.poll()
    for fd in {*readers, *writers}:
        poll.register(fd, (select.POLLIN if fd in readers else 0) | (select.POLLOUT if fd in writers else 0))
    ready = poll.poll(None if seconds == float("inf") else max(0, int(seconds * 1000 + 1)))
    has_ended = select.POLLERR | select.POLLHUP | select.POLLNVAL  # which reading or writing will tell
    return ([fd for fd, events in ready if fd in readers and events & (select.POLLIN | has_ended)],
            [fd for fd, events in ready if fd in writers and events & (select.POLLOUT | has_ended)])


class Output:
    """Standard output, standard error or a file. name: for a message."""

    def __init__(self, fd, name):
        self.fd, self.name, self.waiting = fd, name, bytearray()

    def write(self, data):
        self.waiting += data
        self.drain()

    def drain(self):
        """As far as it goes without a wait."""
        while self.waiting and wait_for([], [self.fd], 0)[1]:
            try:
                del self.waiting[:os.write(self.fd, self.waiting[:PIECE])]
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.waiting.clear()
                raise ReaderGone from None
            except OSError as error:
                self.waiting.clear()
                raise UsageError(f"{self.name}: {error.strerror}") from None

    def finish(self):
        """All of it, however long its reader takes."""
        while self.waiting:
            wait_for([], [self.fd], float("inf"))
            self.drain()
