# SPDX-License-Identifier: BSD-2-Clause
"""Umbra nested under real KVM, on a machine without any: an emulated CPU with SVM or VMX, on it Debian's kernel with KVM,
in that QEMU as a user of KVM, in its machine Umbra, and in Umbra the guest under test.

The middle Linux (tests/nested/init) is booted once for each test that runs at the same time, and serves one after the
other: its second serial line takes their names and gives results. It has as many CPUs as the machine in it, so tests
come in the order of that number. A machine that does not answer any more is given up, and the test gets one that is
booted anew, once.
"""
import dataclasses
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass

from . import targets
from .jobs import TOP
from .known import Known

sys.path.insert(0, f"{TOP}/tools")
from launch import bochs, machine, options, qemu, session  # noqa: E402

KERNELS = f"{TOP}/build/kernels"
ROMS = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin")
TABLE = f"{TOP}/tests/nested/known"
KINDS = ("emulator", "kvm")  # what they mean stands in the table
SPARSE = "sparse=17"  # an exit takes hundreds of thousands of the emulator's instructions
ANSWER = re.compile(rb"status (\d+) bytes (\d+) (\d+) (\d+)\n")
KILLED = 128 + 9


# Side channels of emulated CPUs are of no interest, and its clocks need no watching.
WORDS = "console=ttyS0 panic=-1 mitigations=off tsc=reliable no_timer_check cryptomgr.notests quiet"


@dataclass(frozen=True)
class Host:
    """The middle machine."""
    cpu: str            # as tools/umbra calls it
    cpus: int           # at most
    modules: tuple      # KVM's with their parameters, in the order of loading
    inner_machine: str  # -M of the QEMU that runs on KVM
    inner_cpu: str      # -cpu
    kind: type          # of Middle
    boot_seconds: int   # by the clock on the wall
    mib: int            # of memory
    plain: tuple = ()   # the launcher's words for a machine of one CPU whose start is not the test's subject
    options: tuple = ()  # further ones for QEMU


class Inner(qemu.Machine):
    """The machine that Umbra is to run on for a test, as a command for the middle Linux; .files: path there -> path here."""

    def __init__(self, host, name, words):
        opts = options.parse(words)
        opts.image = opts.image or machine.need_built("umbra.elf")
        machine.BaseMachine.__init__(self, opts)  # of either vendor: the CPU is the host's
        self.base, self.default_model = host.inner_machine, host.inner_cpu
        self.name, self.files = name, {}
        opts.image, opts.icount = self.plain_path(opts.image), False
        argv = self.argv({com: f"file,id=com{com},path=/tmp/com{com}" for com in self.coms})
        self.command = f"exec timeout -s KILL {opts.timeout:g} {shlex.join(['qemu', '-L', '/roms', *argv[1:]])}\n"

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


def files_of(tests):
    """What the middle Linux needs for them, as path there -> path here: QEMU with its libraries and ROMs, the tests' own files."""
    emulator = machine.need_command("qemu-system-x86_64")
    files = {}
    for inner in tests:
        for name, target in inner.files.items():
            if files.setdefault(name, target) != target:
                raise ValueError(f"{target} and {files[name]} have the same name")
    files |= {"/bin/qemu": emulator}
    files |= {library: library for library in libraries(emulator)}
    return files | {f"/roms/{rom}": find_rom(emulator, rom) for rom in ROMS}


def write_initrd(path, host, files, jobs):
    """The root directory of the middle Linux: busybox, KVM's modules, the files, and the jobs as name -> command."""
    files = files | {"/init": f"{TOP}/tests/nested/init", "/bin/busybox": f"{KERNELS}/busybox-amd64"}
    files |= {f"/modules/{words.split()[0]}.ko": f"{KERNELS}/kvm-modules/{words.split()[0]}.ko" for words in host.modules}
    with tempfile.TemporaryDirectory(prefix="umbra-") as root:
        for name, target in files.items():
            os.makedirs(os.path.dirname(root + name), exist_ok=True)
            os.symlink(os.path.realpath(target), root + name)
        texts = {"modules/order": "".join(f"{words}\n" for words in host.modules)}
        texts |= {f"jobs/{name}": command for name, command in jobs.items()}
        os.mkdir(f"{root}/jobs")
        for name, text in texts.items():
            with open(f"{root}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        with open(path, "wb") as image:
            subprocess.run("find . | cpio -o -L -H newc -R 0:0 --quiet", shell=True, cwd=root, stdout=image, check=True)


class Middle:
    """A middle machine, once it says that it is ready. A kind of machine adds start(), which fills .child and .line."""

    def __init__(self, host, cpus, initrd):
        self.dir = tempfile.mkdtemp(prefix="umbra-")
        self.host, self.cpus, self.child, self.line = host, cpus, None, None
        try:
            self.start(initrd)
            self.answers = self.line.makefile("rb")
            self.line.settimeout(host.boot_seconds)
            # QEMU's first bytes to a line after boot were seen to be lost, up to a FIFO full: so the first line is no name.
            for line in (b"", b" " * 64 + b"?\n"):
                self.line.sendall(line)
                if self.read() != b"ready\n":
                    raise Lost(f"it ended while it booted:\n{self.said()}")
        except BaseException:
            self.stop()
            raise

    def spawn(self, argv, **options):
        with open(f"{self.dir}/emulator.out", "wb") as out:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          preexec_fn=machine.die_with_parent, **options)

    def read(self, size=None):
        """A line, or so many bytes."""
        try:
            return self.answers.readline() if size is None else self.answers.read(size)
        except OSError:
            raise Lost(f"no answer within {self.line.gettimeout():g} s:\n{self.said()}") from None

    def run(self, name, seconds):
        """(status, the two serial lines, other words) of a test; Lost after so many seconds by the clock on the wall."""
        self.line.settimeout(seconds)
        self.line.sendall(f"{name}\n".encode())
        answer = ANSWER.fullmatch(self.read())
        if not answer:
            raise Lost(f"it ended:\n{self.said()}")
        status, *sizes = (int(number) for number in answer.groups())
        return status, *(self.read(size).decode(errors="replace") for size in sizes)

    def said(self):
        """The end of what its kernel and its emulator have said."""
        text = ""
        for name in ("console", "emulator.out"):
            if os.path.exists(path := f"{self.dir}/{name}"):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += file.read()[-4000:]
        return text

    def stop(self):
        """SIGKILL: Bochs does not end at anything less."""
        if self.child:
            self.child.kill()
            self.child.wait()
        if self.line:
            self.line.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class QemuMiddle(Middle):
    """With one CPU, an instruction is a nanosecond: then a busy computer does not disturb what guests measure, and a run repeats.
    Several would do their work one after the other that way, and where one waits for another, for ever."""

    def start(self, initrd):
        self.line, theirs = qemu.socket_pair()
        self.spawn(["qemu-system-x86_64", "-M", "q35,accel=tcg", "-cpu", "EPYC,-monitor", "-smp", str(self.cpus), "-m", str(self.host.mib),
                    "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.dir}/console",
                    "-chardev", f"socket,id=line,fd={theirs.fileno()}", "-serial", "chardev:line",
                    "-kernel", f"{KERNELS}/amd64.vmlinux", "-initrd", initrd, "-append", WORDS, *self.host.options,
                    *(["-icount", "shift=0,sleep=off"] if self.cpus == 1 else [])], pass_fds=[theirs.fileno()])
        theirs.close()


class BochsMiddle(Middle):
    """From a CD, by GRUB. With so many instructions a second, guests' clocks fit the speed that is left for them; a model without
    AVX-512, which Bochs saves wrongly, and whose MSRs early Linux does not ask for in vain."""

    def start(self, initrd):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(bochs.CONNECT_SECONDS)
        disk = f"type=cdrom, path={self.make_cd(initrd)}, status=inserted"
        with open(f"{self.dir}/bochsrc", "w", encoding="utf-8") as file:
            file.write(bochs.BOCHSRC.format(mem=self.host.mib, model="broadwell_ult", cpus=self.cpus, sync="none", dir=self.dir,
                                            disk=disk, boot="cdrom"))
            file.write("cpu: ips=1000000000, ignore_bad_msrs=1\n"
                       f"com1: enabled=1, mode=file, dev={self.dir}/console\n"
                       f"com2: enabled=1, mode=socket-client, dev=127.0.0.1:{listener.getsockname()[1]}\n")
        with open(f"{self.dir}/rc", "w", encoding="utf-8") as file:
            file.write("c\nq\n")
        self.spawn([machine.need_command("bochs-bin"), "-q", "-f", f"{self.dir}/bochsrc", "-rc", f"{self.dir}/rc"],
                   env=dict(os.environ, TERM="xterm"))
        self.line = listener.accept()[0]
        listener.close()

    def make_cd(self, initrd):
        root = f"{self.dir}/cd"
        os.makedirs(f"{root}/boot/grub")
        shutil.copyfile(f"{KERNELS}/amd64.bzImage", f"{root}/boot/kernel")
        shutil.copyfile(initrd, f"{root}/boot/initrd")
        with open(f"{root}/boot/grub/grub.cfg", "w", encoding="utf-8") as config:
            config.write(f"set timeout=0\nlinux /boot/kernel {WORDS}\ninitrd /boot/initrd\nboot\n")
        subprocess.run([machine.need_command("grub-mkrescue"), "-o", f"{self.dir}/cd.iso", root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return f"{self.dir}/cd.iso"


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
        self.host, self.lock = host, threading.Lock()
        self.idle = []  # all with the same number of CPUs
        self.dir = tempfile.mkdtemp(prefix="umbra-")
        self.tests, self.initrd = [], None

    def add(self, inner):
        """To be called for each test before the first of them runs: it is to be in the middle's root directory."""
        self.tests.append(inner)

    def take(self, cpus):
        with self.lock:
            if not self.initrd:
                write_initrd(f"{self.dir}/initrd", self.host, files_of(self.tests), {inner.name: inner.command for inner in self.tests})
                self.initrd = f"{self.dir}/initrd"
            while self.idle:
                middle = self.idle.pop()
                if middle.cpus == cpus:
                    return middle
                middle.stop()  # the tests for it are over
        return self.host.kind(self.host, cpus, self.initrd)

    def run(self, inner, seconds):
        """One test, as jobs.execute() gives it. What a middle machine is lost with is tried once more on another."""
        said = ""
        for _ in range(2):
            middle = None
            try:
                middle = self.take(inner.opts.pcpus)
                status, out, log, words = middle.run(inner.name, seconds)
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
        job = self.make(name, [], timeout=timeout * self.patience, **expected)
        if not job.not_here:
            inner = Inner(self.hosts.host, name, ["run", "--timeout", str(timeout), *words])
            self.hosts.add(inner)
            job.run = lambda job: self.hosts.run(inner, job.timeout)
            job.known = self.known.rows_of(name)
            job.not_here = self.known.not_run(name) or ""
        return job


HOSTS = {
    # -xsave: QEMU's XSETBV cannot be intercepted, so KVM never learns of its guest's XCR0.
    # A machine whose KVM tells the TSC's frequency, and whose PCI buses are left alone, starts in half the time.
    "amd": Host("amd", 2, ("irqbypass", "ccp", "kvm", "kvm-amd nested=1"), "q35,accel=kvm", "host,-xsave", QemuMiddle, 300, 2048,
                ("--hv", "busmasters=keep", "--model", "host,-xsave,tsc-frequency=1000000000")),
    # hpet=off: it is read in user space, which takes too long there to measure a clock by.
    "intel": Host("intel", 1, ("irqbypass", "kvm", "kvm-intel nested=1"), "q35,accel=kvm,hpet=off", "host", BochsMiddle, 1800, 1536)}


def target(cpu, parameters=""):
    """The target for a vendor's CPUs, with further parameters for KVM's module, such as npt=0."""
    host = HOSTS[cpu]
    host = dataclasses.replace(host, modules=(*host.modules[:-1], f"{host.modules[-1]} {parameters}".strip()))
    return NestedTarget(cpu, f"{targets.ALL[cpu].words} {SPARSE}".strip(), seconds=120, prompt_us=0, patience={"amd": 4, "intel": 10}[cpu], elf=(), steps=(), unfit=(),
                        left_out=(), hosts=Hosts(host), known=Known(TABLE, cpu, KINDS))
