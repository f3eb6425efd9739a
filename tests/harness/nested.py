# SPDX-License-Identifier: BSD-2-Clause
"""Umbra nested under real KVM, on a machine without any: an emulated CPU with SVM or VMX, on it Debian's kernel with KVM,
in that QEMU as a user of KVM, in its machine Umbra, and in Umbra the guest under test.

The middle Linux (tests/nested/init) is booted once for each test that runs at the same time, and serves one after the
other: its second serial line takes commands and gives results. A machine that does not answer any more is given up,
and the next test gets one that is booted anew.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass

from . import targets
from .jobs import TOP
from .known import Known

sys.path.insert(0, f"{TOP}/tools")
from launch import machine, options, qemu, session  # noqa: E402

KERNELS = f"{TOP}/build/kernels"
ROMS = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin")
TABLE = f"{TOP}/tests/nested/known"
KINDS = ("emulator", "kvm")  # what they mean stands in the table
BOOT_SECONDS = 300
ANSWER = re.compile(rb"status (\d+) bytes (\d+) (\d+) (\d+)\n")
KILLED = 128 + 9


# Side channels of emulated CPUs are of no interest, and its clocks need no watching.
WORDS = "console=ttyS0 panic=-1 mitigations=off tsc=reliable no_timer_check cryptomgr.notests quiet"


@dataclass(frozen=True)
class Host:
    """The middle machine."""
    cpu: str            # as tools/umbra calls it
    cpus: int
    modules: tuple      # KVM's with their parameters, in the order of loading
    inner_machine: str  # -M of the QEMU that runs on KVM
    inner_cpu: str      # -cpu


class Inner(qemu.Machine):
    """The machine that Umbra is to run on, as a command for the middle Linux; .files: path there -> path here."""

    def __init__(self, host, words):
        opts = options.parse(words)
        opts.image = opts.image or machine.need_built("umbra.elf")
        machine.BaseMachine.__init__(self, opts)  # of either vendor: the CPU is the host's
        self.base, self.default_model = host.inner_machine, host.inner_cpu
        self.files = {}
        opts.image, opts.icount = self.plain_path(opts.image), False
        argv = self.argv({com: f"file,id=com{com},path=/tmp/com{com}" for com in self.coms})
        self.command = f"{opts.timeout:g} {shlex.join(['qemu', '-L', '/roms', *argv[1:]])}\n"

    def plain_path(self, path):
        name = f"/files/{os.path.basename(path)}"
        self.files[name] = os.path.abspath(path)
        return name


class Lost(Exception):
    """The middle machine does not answer: the reason, as words."""


def find_rom(qemu_path, name):
    listed = subprocess.run([qemu_path, "-L", "help"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return next(path for folder in listed.split() if os.path.exists(path := f"{folder}/{name}"))


def libraries(program):
    """The shared libraries of a program, with what loads them."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True).stdout.decode()
    return re.findall(r"(/\S+) \(0x", listed)


def write_initrd(path, host, files):
    """The root directory of the middle Linux: busybox, KVM's modules, QEMU with its libraries and ROMs, and `files`."""
    emulator = machine.need_command("qemu-system-x86_64")
    files = dict(files)
    files |= {"/init": f"{TOP}/tests/nested/init", "/bin/busybox": f"{KERNELS}/busybox-amd64", "/bin/qemu": emulator}
    files |= {library: library for library in libraries(emulator)}
    files |= {f"/roms/{rom}": find_rom(emulator, rom) for rom in ROMS}
    files |= {f"/modules/{words.split()[0]}.ko": f"{KERNELS}/kvm-modules/{words.split()[0]}.ko" for words in host.modules}
    with tempfile.TemporaryDirectory(prefix="umbra-") as root:
        for name, target in files.items():
            os.makedirs(os.path.dirname(root + name), exist_ok=True)
            os.symlink(os.path.realpath(target), root + name)
        with open(f"{root}/modules/order", "w", encoding="ascii") as order:
            order.write("".join(f"{words}\n" for words in host.modules))
        with open(path, "wb") as image:
            subprocess.run("find . | cpio -o -L -H newc -R 0:0 --quiet", shell=True, cwd=root, stdout=image, check=True)


class Middle:
    """A middle machine in QEMU's software emulation, once it says that it is ready."""

    def __init__(self, host, initrd):
        self.dir = tempfile.mkdtemp(prefix="umbra-")
        self.start(host, initrd)
        self.answers = self.line.makefile("rb")
        try:
            self.line.settimeout(BOOT_SECONDS)
            if self.answers.readline() != b"ready\n":
                raise Lost(f"it ended while it booted:\n{self.console()}")
        except OSError:
            words = self.console()
            self.stop()
            raise Lost(f"it did not boot within {BOOT_SECONDS} s:\n{words}") from None
        except BaseException:
            self.stop()
            raise

    def start(self, host, initrd):
        self.line, theirs = qemu.socket_pair()
        argv = ["qemu-system-x86_64", "-M", "q35,accel=tcg", "-cpu", "EPYC,-monitor", "-smp", str(host.cpus), "-m", "2G",
                "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.dir}/console",
                "-chardev", f"socket,id=line,fd={theirs.fileno()}", "-serial", "chardev:line",
                "-kernel", f"{KERNELS}/amd64.vmlinux", "-initrd", initrd, "-append", WORDS]
        with open(f"{self.dir}/emulator.out", "wb") as out:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=[theirs.fileno()],
                                          preexec_fn=machine.die_with_parent)
        theirs.close()

    def run(self, command, seconds):
        """(status, the two serial lines, other words) of a command; Lost after so many seconds by the clock on the wall."""
        try:
            self.line.settimeout(seconds)
            self.line.sendall(command.encode())
            answer = ANSWER.fullmatch(self.answers.readline())
            if not answer:
                raise Lost(f"it ended:\n{self.console()}")
            status, *sizes = (int(number) for number in answer.groups())
            return status, *(self.answers.read(size).decode(errors="replace") for size in sizes)
        except OSError:
            raise Lost(f"no answer within {seconds:g} s:\n{self.console()}") from None

    def console(self):
        """The end of what its kernel and its emulator have said."""
        said = ""
        for name in ("console", "emulator.out"):
            with open(f"{self.dir}/{name}", encoding="utf-8", errors="replace") as file:
                said += file.read()[-4000:]
        return said

    def stop(self):
        self.child.kill()
        self.child.wait()
        self.line.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def verdict(status, log):
    """The status of a run by Umbra's log, as tools/launch/session.py has it."""
    lines = log.replace("\r", "").encode().split(b"\n")
    if any(session.PANIC.search(line) for line in lines):
        return options.STATUS_PANIC
    ends = [int(end[1]) for line in lines if (end := session.VERDICT.search(line))]
    if ends:
        return ends[-1]
    return options.STATUS_TIMEOUT if status == KILLED else options.STATUS_EMULATOR


class Hosts:
    """The middle machines of a group: as many as tests run at a time, booted when they are needed."""

    def __init__(self, host):
        self.host, self.lock, self.idle = host, threading.Lock(), []
        self.dir = tempfile.mkdtemp(prefix="umbra-")
        self.files, self.initrd = {}, None

    def add(self, inner):
        """To be called for each test before the first of them runs: its files are to be there."""
        for name, path in inner.files.items():
            if self.files.setdefault(name, path) != path:
                raise ValueError(f"{path} and {self.files[name]} have the same name")

    def take(self):
        with self.lock:
            if self.idle:
                return self.idle.pop()
            if not self.initrd:
                write_initrd(f"{self.dir}/initrd", self.host, self.files)
                self.initrd = f"{self.dir}/initrd"
        return Middle(self.host, self.initrd)

    def run(self, inner, seconds):
        """One test, as jobs.execute() gives it. What a middle machine is lost with is tried once more on another."""
        said = ""
        for _ in range(2):
            middle = None
            try:
                middle = self.take()
                status, out, log, words = middle.run(inner.command, seconds)
            except Lost as lost:
                if middle:
                    middle.stop()
                said += f"nested: the middle machine was lost: {lost}\n"
                continue
            with self.lock:
                self.idle.append(middle)
            return verdict(status, log), out.replace("\r", ""), said + log.replace("\r", "") + words
        return None, "", said

    def stop(self):
        for middle in self.idle:
            middle.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


@dataclass(frozen=True)
class NestedTarget(targets.Target):
    """As tests/harness/targets.py has the other machines. Tests are runs of the launcher there; here its words are understood,
    and what they ask for is run by the middle Linux."""
    hosts: Hosts = None
    known: Known = None

    def job(self, name, *words, timeout=None, **expected):
        timeout = timeout or self.seconds
        job = self.make(name, [], timeout=timeout * self.patience + BOOT_SECONDS, **expected)
        if not job.not_here:
            inner = Inner(self.hosts.host, ["run", "--timeout", str(timeout), *words])
            self.hosts.add(inner)
            job.run = lambda job: self.hosts.run(inner, job.timeout)
            job.known = self.known.rows_of(name)
        return job


HOSTS = {"amd": Host("amd", 2, ("irqbypass", "ccp", "kvm", "kvm-amd nested=1"), "q35,accel=kvm",
                     "host,-xsave")}  # QEMU's XSETBV has no intercept: KVM never learns of its guest's XCR0


def target(name):
    return NestedTarget(name, "tcg", seconds=120, patience=4, elf=(), steps=(), unfit=(), left_out=(),
                        hosts=Hosts(HOSTS[name]), known=Known(TABLE, name, KINDS))
