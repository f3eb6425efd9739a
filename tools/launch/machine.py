# SPDX-License-Identifier: BSD-2-Clause
"""What the emulated machines have in common: the image, packages, boot media, serial lines."""
import os
import shutil
import subprocess
import tempfile

from .options import TOP, UsageError

LOG_COM = 2


def need_command(command):
    """The command's path. If it is missing, tools/setup says which package has it."""
    path = shutil.which(command)
    if not path:
        subprocess.run([f"{TOP}/tools/setup", "run"], check=False)
        path = shutil.which(command)
    if not path:
        raise UsageError(f"{command} is missing: run tools/setup run")
    return path


class BaseMachine:
    """A machine that will run `opts`; a context, since it needs a directory while it runs."""

    def __init__(self, opts):
        self.opts = opts
        # Serial port -> the launcher's end: one for each guest, one for the log.
        self.coms = sorted([guest.com for guest in opts.guests] + [LOG_COM])

    def __enter__(self):
        if not os.path.exists(self.opts.image):
            subprocess.run(["make", "-s", "-C", TOP], stdout=2, check=False)
        if not os.path.exists(self.opts.image):
            raise UsageError(f"{self.opts.image}: no such file, and it could not be built")
        self.dir = tempfile.mkdtemp(prefix="umbra-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

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
        if subprocess.run(argv, stdout=2, check=False).returncode:
            raise UsageError("the ISO image could not be made")
        return iso
