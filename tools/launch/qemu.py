# SPDX-License-Identifier: BSD-2-Clause
"""The AMD machine: QEMU's software emulation with SVM and nested paging. No KVM is used."""
import os
import socket
import subprocess

from .machine import BaseMachine, need_command

OVMF = "/usr/share/ovmf/OVMF.fd"


class Machine(BaseMachine):
    def start(self):
        """The emulator process, and our ends of its serial lines by COM number."""
        ours, theirs = {}, {}
        for com in self.coms:
            ours[com], theirs[com] = socket.socketpair()
        child = subprocess.Popen(self.argv({com: end.fileno() for com, end in theirs.items()}),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 pass_fds=[end.fileno() for end in theirs.values()])
        for end in theirs.values():
            end.close()
        return child, ours

    def argv(self, fds):
        opts = self.opts
        argv = [os.environ.get("UMBRA_QEMU") or need_command("qemu-system-x86_64"),
                "-M", "q35", "-cpu", opts.model or "EPYC", "-smp", str(opts.pcpus), "-m", f"{opts.pmem >> 20}",
                "-nodefaults", "-no-reboot", "-display", "none",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        for com in range(1, max(fds) + 1):
            backend = f"socket,id=com{com},fd={fds[com]}" if com in fds else f"null,id=com{com}"
            argv += ["-chardev", backend, "-serial", f"chardev:com{com}"]
        argv += ["-icount", "shift=0,sleep=off"] if opts.icount else []
        return argv + self.boot() + opts.emulator

    def boot(self):
        opts = self.opts
        if opts.boot != "direct":
            return ["-cdrom", self.make_iso()] + (["-bios", OVMF] if opts.boot == "uefi" else [])
        # QEMU takes a doubled comma for a comma that does not separate two modules.
        modules = [f"{self.plain_path(path)} {words}".replace(",", ",,") for path, words in opts.modules]
        return ["-kernel", opts.image, "-append", opts.hv_cmdline, "-initrd", ",".join(modules)]
