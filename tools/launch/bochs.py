# SPDX-License-Identifier: BSD-2-Clause
"""The Intel machine: Bochs, which emulates VMX (and SVM, for a second opinion on AMD).

Debian's Bochs has its debugger compiled in: it starts at its prompt, hence the rc script, whose
time breakpoint also is a time-out that counts instructions (with one CPU; with several, Bochs
forgets it). The serial lines are TCP connections
to us: unlike a pty's, their other end waits for a reader, and does not lose what comes meanwhile.
Bochs does not end at SIGTERM, and with the status 1 at every end of the machine; what it was says
its output.
"""
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time

from . import bootdisk
from .machine import BaseMachine, need_built, need_command
from .options import (STATUS_BAD_CONFIG, STATUS_EMULATOR, STATUS_PANIC, STATUS_TIMEOUT, UsageError)

TICKS_PER_SECOND = 25_000_000  # of --timeout: what Bochs gets done in a second, running an operating system
WALL_FACTOR = 4                # how much slower than that a busy machine may be
CONNECT_SECONDS = 60
TELL_SECONDS = 5

MODELS = {"intel": "tigerlake", "amd": "ryzen"}
MAX_MEMORY = 2 << 30
MAX_CPUS = 8

BOCHSRC = """\
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
memory: guest={mem}, host={mem}
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=0
clock: sync={sync}, time0=946684800
ata0-master: {disk}
boot: {boot}
log: {dir}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
speaker: enabled=0
sound: waveoutdrv=dummy
"""

MESSAGE = re.compile(r"Bochs is exiting with the following message:\n(.*)")
CONFIG_ERROR = re.compile(r"^0{11}[ep]\[ +\] (?:>>PANIC<< )?(.*/bochsrc:.*)$", re.M)
WHERE = re.compile(r"^\(\d+\)\.\[\d+\] .*$", re.M)
OUT_OF_TIME = "Caught time breakpoint"
TRIPLE_FAULT = "exception with no resolution"
SWITCHED_OFF = re.compile(r"Shutdown port|soft power off")


def where_lines(output):
    """Each CPU's next instruction, from what Bochs says at its end."""
    return "".join(line + "\n" for line in WHERE.findall(output))


class Machine(BaseMachine):
    def __init__(self, opts):
        if opts.boot == "uefi":
            raise UsageError("--boot uefi: Bochs has a BIOS only")
        if opts.pmem > MAX_MEMORY:
            raise UsageError(f"--pmem: Bochs has at most {MAX_MEMORY >> 20}M of memory; this run takes {opts.pmem >> 20}M")
        if opts.pcpus > MAX_CPUS:
            raise UsageError(f"--pcpus: Bochs has at most {MAX_CPUS} CPUs")
        super().__init__(opts)

    @property
    def counts_time(self):
        """Whether Bochs ends a run by itself after its --timeout."""
        return self.opts.timeout and self.opts.pcpus == 1 and not self.opts.interactive

    @property
    def wall_seconds(self):
        """After how long to give up by the clock on the wall; a time breakpoint should come first."""
        return self.opts.timeout * WALL_FACTOR if self.counts_time else self.opts.timeout

    def start(self):
        listeners = {com: socket.create_server(("127.0.0.1", 0)) for com in self.coms}
        self.write_files({com: end.getsockname()[1] for com, end in listeners.items()})
        self.spawn([os.environ.get("UMBRA_BOCHS") or need_command("bochs-bin"),
                    "-q", "-f", f"{self.dir}/bochsrc", "-rc", f"{self.dir}/rc"],
                   env=dict(os.environ, TERM="xterm"))  # it refuses to start without a kind of terminal
        self.accept(listeners)

    def accept(self, listeners):
        """Wait until the emulator has connected its serial lines, or has ended."""
        deadline = time.monotonic() + CONNECT_SECONDS
        try:
            while len(self.ends) < len(listeners) and time.monotonic() < deadline:
                has_ended = self.child.poll() is not None  # its connections wait all the same
                waiting = [end for com, end in listeners.items() if com not in self.ends]
                ready = select.select(waiting, [], [], 0 if has_ended else 0.1)[0]
                self.ends.update({com: end.accept()[0] for com, end in listeners.items() if end in ready})
                if has_ended and not ready:
                    break
        finally:
            for end in listeners.values():
                end.close()

    def write_files(self, ports):
        opts = self.opts
        text = BOCHSRC.format(mem=opts.pmem >> 20, model=opts.model or MODELS[opts.cpu], cpus=opts.pcpus,
                              sync="slowdown" if opts.interactive else "none", dir=self.dir, **self.make_disk())
        lines = [f"com{com}: enabled=1, mode=socket-client, dev=127.0.0.1:{port}" for com, port in ports.items()]
        with open(f"{self.dir}/bochsrc", "w", encoding="utf-8") as file:
            file.write(text + "\n".join([*lines, *opts.emulator_option, ""]))
        commands = ["c", "q"]
        if self.counts_time:
            commands.insert(0, f"sb {int(opts.timeout * TICKS_PER_SECOND)}")
        with open(f"{self.dir}/rc", "w", encoding="utf-8") as file:
            file.write("\n".join([*commands, ""]))

    def make_disk(self):
        """What it boots from, in words of its configuration."""
        opts = self.opts
        if opts.boot == "bios":
            return {"boot": "cdrom", "disk": f"type=cdrom, path={self.make_iso()}, status=inserted"}
        disk = f"{self.dir}/disk"
        modules = [(self.plain_path(path), words) for path, words in opts.modules]
        try:
            cylinders = bootdisk.write(disk, need_built("bootdisk.bin"), opts.image, opts.hv_cmdline, modules, opts.pmem)
        except bootdisk.BootDiskError as error:
            raise UsageError(f"--boot direct: {error}") from None
        return {"boot": "disk", "disk": f"type=disk, mode=flat, path={disk}, cylinders={cylinders}, heads=16, spt=63"}

    def where(self):
        """SIGINT brings its debugger back, which goes on to the script's last command, and tells."""
        self.child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(TELL_SECONDS)
        return where_lines(self.output())

    def explain_end(self, status, output, has_run):
        message = MESSAGE.search(output)
        message = message[1].strip() if message else "without a word of its own"
        if len(self.ends) < len(self.coms):
            reasons = CONFIG_ERROR.findall(output) or [message]
            return STATUS_BAD_CONFIG, "\n".join([*reasons, "umbra: the emulator refused to start"])
        if OUT_OF_TIME in output:
            return STATUS_TIMEOUT, (f"{where_lines(output)}umbra: no end within {self.opts.timeout:g} s, "
                                    f"of {TICKS_PER_SECOND:,} instructions each")
        if TRIPLE_FAULT in message:
            return STATUS_PANIC, f"umbra: the machine ended in a triple fault: {message}"
        if SWITCHED_OFF.search(message):
            return STATUS_PANIC, "umbra: the machine stopped without a word from Umbra"
        return STATUS_EMULATOR, f"umbra: Bochs gave up, with status {status}: {message}"
