# SPDX-License-Identifier: BSD-2-Clause
"""The command line of `umbra run`, and the module lines for the hypervisor that follow from it.

A guest is described by the same options whether it is the one on the command line or a further one
in --vm "...". What the launcher need not understand it hands to the hypervisor as it is, so that
there is one place that says what a word may be: vmm/control/config.c.
"""
import argparse
import os
import re
import shlex
import stat
import sys

from .output import Output, UsageError

STATUS_TRIPLE_FAULT = 101  # or killed; comes from the hypervisor
STATUS_BAD_CONFIG = 102
STATUS_PANIC = 103
STATUS_EMULATOR = 104
STATUS_TIMEOUT = 124
STATUS_INTERRUPTED = 130

MIN_PMEM = 64 << 20  # with less neither a firmware nor Umbra gets far enough to say so

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
DEFAULT_MEM = 256 << 20  # what the hypervisor gives a guest that does not say (vmm/control/config.h)

# What ends the emulator when Umbra writes to it: QEMU's isa-debug-exit, Bochs's shutdown port.
EXIT_PORTS = {"qemu": "0xf4", "bochs": "0x8900"}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message} (umbra run --help)")

    def print_help(self, file=None):
        out = Output(1, "stdout")
        out.write(self.format_help().encode())
        out.finish()


class Once(argparse.Action):
    """An option that has one value: the second one would silently undo the first."""

    def __call__(self, parser, namespace, values, option_string=None):
        if self in vars(namespace).setdefault("given", []):
            parser.error(f"argument {option_string}: given twice")
        namespace.given.append(self)
        setattr(namespace, self.dest, values)


def something(value):
    """Anything but nothing."""
    if not value:
        raise argparse.ArgumentTypeError("it is empty")
    return value


def size(value):
    """Bytes, from a number with K, M or G behind it."""
    match = re.fullmatch(r"(0x[0-9a-f]+|[0-9]+)([kmg]?)", value, re.I)
    if not match:
        raise argparse.ArgumentTypeError(f"{value!r} is no size such as 256M")
    base = 16 if match[1][:2] in ("0x", "0X") else 10
    result = int(match[1], base) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()]
    if not result:
        raise argparse.ArgumentTypeError(f"{value!r} is no memory at all")
    if result >> 52:
        raise argparse.ArgumentTypeError(f"{value!r} is more than an x86 CPU can address")
    return result


def machine_size(value):
    """Memory of the machine: whole megabytes, as the emulators have it."""
    result = size(value)
    if result < MIN_PMEM or result % (1 << 20):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of whole megabytes from {MIN_PMEM >> 20}M up")
    return result


def count(value):
    if not re.fullmatch("[0-9]+", value) or not 1 <= int(value) <= 64:
        raise argparse.ArgumentTypeError(f"{value!r} is not in 1 to 64")
    return int(value)


def seconds(value):
    try:
        result = float(value)
    except ValueError:
        result = 0
    if not 0 < result < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is no number of seconds")
    return result


def one_word(value):
    """One word of a module line; how long it may be Umbra says (vmm/control/config.c)."""
    if not re.fullmatch(r"\S+", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not one word")
    return value


def guest_options():
    parser = Parser(add_help=False, allow_abbrev=False)
    group = parser.add_argument_group("the guest")
    group.add_argument("kernel", metavar="KERNEL", type=something, help="bzImage, vmlinux, multiboot or PVH ELF, BIOS or flat image")
    group.add_argument("--mem", metavar="SIZE", type=size, action=Once, help="its memory, such as 512M (default: 256M)")
    group.add_argument("--vcpus", metavar="N", type=count, action=Once, help="its CPUs (default: 1)")
    group.add_argument("--mmu", choices=["auto", "tdp", "shadow"], action=Once, help="how its memory is virtualised")
    group.add_argument("--initrd", metavar="FILE", type=something, action=Once)
    group.add_argument("--module", metavar="FILE", type=something, action="append", default=[],
                       help="a boot module, \"FILE words -- arguments\" (may be repeated)")
    group.add_argument("--disk", metavar="FILE", type=something, action=Once)
    group.add_argument("--bios", action="store_true", help="KERNEL is a firmware image, to start at the reset vector")
    group.add_argument("--name", type=one_word, action=Once, help="its name in messages (default: guest, vm2, vm3)")
    group.add_argument("--set", metavar="KEY=VALUE", type=something, action="append", default=[],
                       help="a further word of its module line (may be repeated)")
    group.add_argument("--onreset", choices=["end", "restart"], action=Once,
                       help="what its reset or triple fault does (default: end)")
    group.add_argument("--expect", metavar="TEXT", type=something, action=Once, help="succeed, and stop, as soon as its console shows TEXT")
    return parser


def run_options():
    parser = Parser(prog="umbra run", parents=[guest_options()], allow_abbrev=False,
                    usage="umbra run [options] KERNEL [-- guest command line]",
                    description="Boot a guest in Umbra on an emulated machine. Its console is on stdin and stdout, "
                                "Umbra's log on stderr; the exit status is the guest's.",
                    epilog="On a terminal, Ctrl-] q ends the run and Ctrl-] m sends the keys to Umbra's monitor, or "
                           "to the guest again. Exit status: the guest's; 101 triple fault or killed, 102 bad usage "
                           "or configuration, 103 failure of Umbra itself, 104 of the emulator, 124 timeout, "
                           "130 ended by the user or a signal.")
    group = parser.add_argument_group("the machine and the run")
    group.add_argument("--cpu", choices=["amd", "intel"], default="amd", action=Once, help="a machine with SVM, or with VMX (default: amd)")
    group.add_argument("--emulator", choices=["qemu", "bochs"], action=Once, help="what emulates it (default: qemu for amd, bochs for intel)")
    group.add_argument("--model", metavar="NAME", type=one_word, action=Once, help="another CPU model of the emulator (default: EPYC; Bochs: tigerlake, ryzen)")
    group.add_argument("--pcpus", metavar="N", type=count, action=Once, help="CPUs of the machine (default: most vCPUs of a guest)")
    group.add_argument("--pmem", metavar="SIZE", type=machine_size, action=Once, help="memory of the machine (default: what it takes)")
    group.add_argument("--boot", choices=["direct", "bios", "uefi"], action=Once,
                       help="by the emulator, or by GRUB (default: direct; Bochs has no uefi)")
    group.add_argument("--icount", action="store_true", help="a run repeats exactly: in QEMU one instruction is one nanosecond; "
                                                             "in Bochs it is always so, without --interactive")
    group.add_argument("--interactive", action=argparse.BooleanOptionalAction,
                       help="Bochs: keep pace with real time when idle (default: if stdin is a terminal)")
    group.add_argument("--timeout", metavar="SECONDS", type=seconds, action=Once,
                       help="end with status 124 after that time (Bochs with one CPU: so many times 25 million instructions)")
    group.add_argument("--log", metavar="FILE", type=something, action=Once, help="Umbra's log, instead of on stderr")
    group.add_argument("--hv", metavar="WORDS", default="", action=Once, help="words for Umbra's own command line (loglevel=debug)")
    group.add_argument("--vm", metavar="\"OPTIONS KERNEL -- command line\"", type=something, action="append", default=[],
                       help="a further guest (at most 2), whose console comes on stdout in lines that start with its name")
    group.add_argument("--emulator-option", metavar="OPTION", type=something, action="append", default=[],
                       help="a further option for QEMU, or line of Bochs's configuration (may be repeated)")
    group.add_argument("--image", metavar="FILE", type=something, action=Once, help="the hypervisor (default: build/umbra.elf)")
    return parser


def is_at_terminal():
    """Whether the keys come from a terminal, and this process is the one in its foreground."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return False


# What a path may be that is no file.
KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
         stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def must_be_file(path):
    """The path of a file that the boot loader can be given. Its size has to be known, so it can be no pipe."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_IFMT(mode) in KINDS:
            raise UsageError(f"{path}: {KINDS[stat.S_IFMT(mode)]}, not a file")
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return path


class Guest:
    """One guest: its options, its physical serial port, and its module lines."""

    def __init__(self, args, cmdline, name, com):
        self.args, self.cmdline, self.com = args, cmdline, com
        self.name = args.name or name
        self.expect = args.expect.encode(errors="surrogateescape") if args.expect else None
        self.mem = args.mem or DEFAULT_MEM
        self.vcpus = args.vcpus or 1
        self.is_shared = "console=shared" in args.set  # it is on the log's line

    def modules(self):
        """(file, words) for each file that the boot loader is to load."""
        args, me = self.args, f"vm={self.name}"
        words = [me] + [f"{key}={value}" for key in ("mem", "vcpus", "mmu") if (value := getattr(args, key))]
        words += [] if self.is_shared else [f"console=com{self.com}"]
        words += [] if any(word.startswith("onreset=") for word in args.set) else [f"onreset={args.onreset or 'end'}"]
        words += args.set
        if self.cmdline is not None:
            words += ["--", self.cmdline]
        yield must_be_file(args.kernel), " ".join(["bios" if args.bios else "kernel", *words])
        for part in ("initrd", "disk"):
            if path := getattr(args, part):
                yield must_be_file(path), f"{part} {me}"
        for module in args.module:
            path, _, rest = module.partition(" ")
            yield must_be_file(path), f"module {me} {rest}".rstrip()


def split_cmdline(words):
    """Options and guest command line (None if there is none)."""
    if "--" in words:
        at = words.index("--")
        return words[:at], " ".join(words[at + 1:])
    return words, None


def parse_further(text, name, com):
    """A guest from the text of a --vm option."""
    options, dashes, cmdline = text.partition(" -- ")
    try:
        words, rest = split_cmdline(shlex.split(options))
        args = guest_options().parse_args(words)
    except (UsageError, ValueError) as error:
        raise UsageError(f"--vm: {error}") from None
    return Guest(args, cmdline.strip() if dashes else rest, name, com)


def parse(argv):
    """The options of a run, with .guests in order; raises UsageError."""
    if argv[:1] != ["run"]:
        if argv[:1] in (["-h"], ["--help"]):
            run_options().parse_args(["--help"])
        raise UsageError("usage: umbra run [options] KERNEL [-- guest command line] (umbra run --help)")
    words, cmdline = split_cmdline(argv[1:])
    opts = run_options().parse_args(words)
    opts.emulator = opts.emulator or ("bochs" if opts.cpu == "intel" else "qemu")
    opts.boot = opts.boot or "direct"
    if opts.interactive is None:
        opts.interactive = is_at_terminal()
    # COM2 is the log's. UEFI firmware talks on COM1, so there the guests' ports begin at COM3.
    coms = [3, 4] if opts.boot == "uefi" else [1, 3, 4]
    if len(opts.vm) >= len(coms):
        raise UsageError(f"--vm: with --boot {opts.boot} there are consoles for {len(coms)} guests only")
    opts.guests = [Guest(opts, cmdline, "guest", coms[0])]
    for i, text in enumerate(opts.vm):
        opts.guests.append(parse_further(text, f"vm{i + 2}", coms[i + 1]))
    if opts.image:
        must_be_file(opts.image)
    names = [guest.name for guest in opts.guests]
    if len(set(names)) < len(names):
        raise UsageError(f"--name: two guests are called {max(names, key=names.count)}")
    opts.modules = [module for guest in opts.guests for module in guest.modules()]
    opts.pcpus = opts.pcpus or max(guest.vcpus for guest in opts.guests)
    opts.pmem = opts.pmem or default_pmem(opts)
    # Bochs's CPUs have the numbers of real models, and none of their errata.
    errata = "errata=off " if opts.emulator == "bochs" else ""
    opts.hv_cmdline = f"console=com2 marks=on onexit=poweroff exitport={EXIT_PORTS[opts.emulator]} {errata}{opts.hv}".rstrip()
    return opts


def default_pmem(opts):
    """What the guests, their files (in the boot loader's hands, and loaded) and firmware take."""
    files = sum(os.path.getsize(path) for path, _ in opts.modules)
    need = sum(guest.mem for guest in opts.guests) + 2 * files + (192 << 20)
    return max(512 << 20, -(-need >> 26) << 26)
