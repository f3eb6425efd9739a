# SPDX-License-Identifier: BSD-2-Clause
"""The bare-metal guests of tests/guest as jobs: under Umbra, or on the bare emulator.

A payload's source may say how it wants to be run, in its opening comment:
"run: status=101 vcpus=2 timeout=60 icount=1 umbra=1" (defaults: 0, both 1 and 2, the target's). With
icount, one instruction is one nanosecond, so that a busy machine does not disturb what is measured;
umbra means that the bare emulator has not what is tested; dirtylog, testdev and kvmclock, that it has these words of
the module line switched on; realmode, that it runs a second time with its
real mode in the instruction emulator, though the CPU could run it. "amd only: REASON." (or intel) says that it
has nothing to test on the other vendor's CPUs.
"""
import glob
import os
import re

from . import targets
from .jobs import TOP, Job

QEMU = ["qemu-system-x86_64", "-M", "q35", "-cpu", "EPYC", "-m", "256", "-display", "none", "-nodefaults",
        "-no-reboot", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        "-device", "pc-testdev"]


def source_of(elf):
    """The source of a payload (NAME32.elf may come from NAME.c); None for one that is no more."""
    name = os.path.splitext(os.path.basename(elf))[0]
    sources = [f"{TOP}/tests/guest/{n}.c" for n in (name, re.sub("32$", "", name))]
    return next((s for s in sources if os.path.exists(s)), None)


def opening_comment(path):
    """The comment that says why a source exists, as one line: clang-format breaks it as it likes."""
    with open(path, encoding="utf-8") as source:
        comment = re.search(r"^/\*\n(.*?)\*/", source.read(), re.M | re.S)
    return " ".join(comment[1].replace(" *", " ").split()) if comment else ""


def wishes(path):
    """How a payload wants to be run, by its source."""
    words = re.search(r"\brun:((?: \w+=\d+)+)", opening_comment(path))
    return {key: int(value) for key, value in (word.split("=") for word in words[1].split())} if words else {}


def other_vendor(path, cpu):
    """Why a payload is not for this vendor's CPUs; None if it is."""
    words = re.search(r"\b(amd|intel) only: [^.]*", opening_comment(path))
    return words[0] if words and words[1] != cpu else None


def allowed(wish):
    """What a guest may not do unless its module line says so."""
    return [word for key in ("dirtylog", "testdev", "kvmclock") if wish.get(key) for word in ("--set", f"{key}=on")]


def umbra_job(target, name, elf, vcpus, wish, options):
    icount = ["--icount"] if wish.get("icount") else []
    options = [*allowed(wish), *options]
    return target.job(name, *icount, "--mem", "256M", "--vcpus", str(vcpus), "--pcpus", str(vcpus), *options, elf, "--",
                      target.words, timeout=wish.get("timeout"), status=wish.get("status", 0))


def bare_job(name, elf, vcpus, wish):
    """The debug-exit device makes 1 of a 0; a triple fault ends QEMU with 0."""
    icount = ["-icount", "shift=0,sleep=off"] if wish.get("icount") else []
    argv = [*QEMU, *icount, "-smp", str(vcpus), "-kernel", elf, "-append", targets.AMD.words]
    return Job(name, argv, timeout=wish.get("timeout", 120), status=0 if wish.get("status") == 101 else 1)


def jobs(target, vcpus=(1, 2), options=(), bare=False):
    """One job for each payload that is built and each number of vCPUs."""
    for elf in sorted(glob.glob(f"{TOP}/build/guest/*.elf")):
        if not (source := source_of(elf)):
            continue
        wish, name = wishes(source), os.path.splitext(os.path.basename(elf))[0]
        if reason := other_vendor(source, target.cpu):
            yield Job(name, [], not_here=reason)
            continue
        for count in vcpus:
            if count != wish.get("vcpus", count):
                continue
            if not bare:
                yield umbra_job(target, f"{name}-{count}cpu", elf, count, wish, list(options))
                if wish.get("realmode"):
                    emulate = ["--set", "realmode=emulate"]
                    yield umbra_job(target, f"{name}-{count}cpu-emulated", elf, count, wish, [*options, *emulate])
            elif not wish.get("umbra"):
                yield bare_job(f"{name}-{count}cpu", elf, count, wish)
