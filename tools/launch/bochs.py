# SPDX-License-Identifier: BSD-2-Clause
"""The Intel machine: Bochs, which emulates VMX. It is deterministic, and boots from a CD."""
import os
import pty
import subprocess
import tty

from .machine import BaseMachine, need_command
from .options import UsageError

BOCHSRC = """\
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
memory: guest={mem}, host={mem}
cpu: model={model}, count={cpus}, ips=5000000, reset_on_triple_fault=0, ignore_bad_msrs=0
clock: sync=none, time0=946684800
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
log: {dir}/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
speaker: enabled=0
sound: waveoutdrv=dummy
{coms}
"""


class Machine(BaseMachine):
    def __init__(self, opts):
        if not os.environ.get("UMBRA_INTEL"):
            raise UsageError("--cpu intel: not yet, Umbra has no VMX back end so far")
        if opts.boot != "bios":
            raise UsageError(f"--boot {opts.boot}: Bochs boots Umbra through its BIOS only")
        super().__init__(opts)

    def start(self):
        """The emulator process, and our ends of its serial lines by COM number."""
        ours, lines = {}, []
        for com in self.coms:
            ours[com], terminal = pty.openpty()
            tty.setraw(terminal)
            lines.append(f"com{com}: enabled=1, mode=term, dev={os.ttyname(terminal)}")
        self.write_files(lines)
        child = subprocess.Popen([need_command("bochs-bin"), "-q", "-f", f"{self.dir}/bochsrc", "-rc", f"{self.dir}/rc"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=dict(os.environ, TERM="xterm"))
        return child, {com: PtyEnd(fd) for com, fd in ours.items()}

    def write_files(self, lines):
        opts = self.opts
        with open(f"{self.dir}/bochsrc", "w", encoding="utf-8") as file:
            file.write(BOCHSRC.format(mem=opts.pmem >> 20, model=opts.model or "tigerlake", cpus=opts.pcpus,
                                      iso=self.make_iso(), dir=self.dir, coms="\n".join(lines)))
        # Debian's Bochs has its debugger compiled in and starts at its prompt.
        with open(f"{self.dir}/rc", "w", encoding="utf-8") as file:
            file.write((f"sb {opts.ticks}\n" if opts.ticks else "") + "c\nq\n")


class PtyEnd:
    """A pty with the few methods of a socket that a session uses."""

    def __init__(self, fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def recv(self, size):
        try:
            return os.read(self.fd, size)
        except OSError:  # the other side is gone
            return b""

    def sendall(self, data):
        os.write(self.fd, data)

    def close(self):
        os.close(self.fd)
