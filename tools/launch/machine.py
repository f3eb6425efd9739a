# SPDX-License-Identifier: BSD-2-Clause
"""What the emulated machines have in common: the image, packages, boot media, the process itself."""
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile

from .options import TOP, UsageError

LOG_COM = 2
PR_SET_PDEATHSIG = 1


def need_command(command):
    """The command's path. If it is missing, tools/setup says which package has it."""
    path = shutil.which(command)
    if not path:
        subprocess.run([f"{TOP}/tools/setup", "run"], check=False)
        path = shutil.which(command)
    if not path:
        raise UsageError(f"{command} is missing: run tools/setup run")
    return path


def need_built(name):
    """The path of build/NAME; made now if it is missing."""
    path = f"{TOP}/build/{name}"
    if not os.path.exists(path):
        subprocess.run(["make", "-s", "-C", TOP, f"build/{name}"], stdout=2, check=False)
    if not os.path.exists(path):
        raise UsageError(f"{path}: no such file, and it could not be built")
    return path


def die_with_parent():
    """In the child, before the emulator starts: whatever ends the launcher ends the emulator as well."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class BaseMachine:
    """A machine that will run `opts`; a context, since it needs a directory while it runs.

    A kind of machine adds start(), which fills .child and .ends; .wall_seconds, after which to give up
    by the clock (None: never); and explain_end(status, output, has_run), the launcher's status and the
    words for an emulator that ended without a verdict of Umbra's.
    """

    def __init__(self, opts):
        self.opts = opts
        # Serial port -> the launcher's end, a socket: one for each guest that has its own, one for the log.
        self.coms = sorted([guest.com for guest in opts.guests if not guest.is_shared] + [LOG_COM])
        self.child, self.ends = None, {}

    def __enter__(self):
        if not self.opts.image:
            self.opts.image = need_built("umbra.elf")
        self.dir = tempfile.mkdtemp(prefix="umbra-")
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def spawn(self, argv, **options):
        """Start the emulator. What it says itself goes to a file, so that it never waits for a reader."""
        with open(f"{self.dir}/emulator.out", "wb") as out:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          preexec_fn=die_with_parent, **options)

    def stop(self):
        """End the emulator, if it still runs. SIGKILL: Bochs does not end at anything less."""
        if self.child:
            self.child.kill()
            self.child.wait()
        for end in self.ends.values():
            end.close()

    def where(self):
        """Where the CPUs are, of a machine that is out of time, in lines; only an emulator knows how to tell."""
        return ""

    def output(self):
        """What the emulator said."""
        with open(f"{self.dir}/emulator.out", encoding="utf-8", errors="replace") as file:
            return file.read()

    def plain_path(self, path):
        """The file under a path without blanks, which would end it in a module line."""
        path = os.path.abspath(path)
        if " " in path:
            link = tempfile.mktemp(dir=self.dir)
            os.symlink(path, link)
            return link
        return path

    def make_iso(self):
        """A CD from which GRUB boots Umbra with the guests' files. GRUB keeps off the serial lines."""
        iso = f"{self.dir}/umbra.iso"
        argv = [f"{TOP}/tools/mkiso", "-q", "-o", iso, "-i", self.opts.image, "-c", self.opts.hv_cmdline]
        argv += [f"{self.plain_path(path)} {words}" for path, words in self.opts.modules]
        need_command("grub-mkrescue")
        if subprocess.run(argv, stdout=2, check=False, env=dict(os.environ, TMPDIR=self.dir)).returncode:
            raise UsageError("the ISO image could not be made")
        return iso
