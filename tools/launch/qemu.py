# SPDX-License-Identifier: BSD-2-Clause
"""The AMD machine: QEMU's software emulation with SVM and nested paging. No KVM is used."""
import os
import socket

from .machine import BaseMachine, need_command
from .options import STATUS_BAD_CONFIG, STATUS_EMULATOR, STATUS_PANIC, UsageError

OVMF = "/usr/share/ovmf/OVMF.fd"


def socket_pair():
    """Both ends of a TCP connection. It holds millions of single bytes, a Unix socket some 250: each is a packet there.

    QEMU's UART stands still while a byte finds no room, and Umbra does not wait for it for ever.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours = server.accept()[0]
    return ours, theirs


class Machine(BaseMachine):
    base, default_model = "q35", "EPYC"

    def __init__(self, opts):
        if opts.cpu != "amd":
            raise UsageError("--emulator qemu: QEMU does not emulate VMX; Intel CPUs are Bochs's")
        super().__init__(opts)

    @property
    def wall_seconds(self):
        return self.opts.timeout

    def start(self):
        theirs = {}
        for com in self.coms:
            self.ends[com], theirs[com] = socket_pair()
        self.spawn(self.argv({com: f"socket,id=com{com},fd={end.fileno()}" for com, end in theirs.items()}),
                   pass_fds=[end.fileno() for end in theirs.values()])
        for end in theirs.values():
            end.close()

    def argv(self, backends):
        """The emulator's command line. backends: serial port -> its -chardev, with the id comN."""
        opts = self.opts
        argv = [os.environ.get("UMBRA_QEMU") or need_command("qemu-system-x86_64"),
                "-M", self.base, "-cpu", opts.model or self.default_model, "-smp", str(opts.pcpus), "-m", f"{opts.pmem >> 20}",
                "-nodefaults", "-no-reboot", "-display", "none",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        for com in range(1, max(backends) + 1):
            argv += ["-chardev", backends.get(com, f"null,id=com{com}"), "-serial", f"chardev:com{com}"]
        argv += ["-icount", "shift=0,sleep=off"] if opts.icount else []
        return argv + self.boot() + opts.emulator_option

    def boot(self):
        opts = self.opts
        if opts.boot != "direct":
            return ["-cdrom", self.make_iso()] + (["-bios", OVMF] if opts.boot == "uefi" else [])
        # QEMU takes a doubled comma for a comma that does not separate two modules.
        modules = [f"{self.plain_path(path)} {words}".replace(",", ",,") for path, words in opts.modules]
        return ["-kernel", opts.image, "-append", opts.hv_cmdline, "-initrd", ",".join(modules)]

    def explain_end(self, status, output, has_run):
        if status == 1 and not has_run:
            return STATUS_BAD_CONFIG, f"{output}umbra: the emulator refused to start"
        if status != 0:
            return STATUS_EMULATOR, f"{output}umbra: QEMU gave up, with status {status}"
        return STATUS_PANIC, f"{output}umbra: the machine stopped without a word from Umbra"
