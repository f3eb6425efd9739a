# SPDX-License-Identifier: BSD-2-Clause
"""KVM's side: the benchmark's guest on Linux' KVM (tests/bench/kvm/runner.c), on the machine that Umbra has.

The settings are fair to KVM: mitigations off, no other process, guest memory there in 4K pages before the guest
starts, no virtual machine monitor but the runner.
"""
import dataclasses
import glob
import os
import sys
import tempfile

from .figures import GUEST, GUEST_MIB, MIB, PARTS, TOP, Side, parse, parse_costly, points_of
from .umbra import PLUGIN, TIMEOUT, Failed

sys.path.insert(0, f"{TOP}/tests")
from harness import nested  # noqa: E402

# Name -> parameters of the module kvm, and of the vendor's.
SIDES = {"amd": {"kvm npt=1": ("", "npt=1"), "kvm npt=1 tdp_mmu=0": ("tdp_mmu=0", "npt=1"), "kvm npt=0": ("", "npt=0")},
         "intel": {"kvm ept=1": ("", "ept=1"), "kvm ept=0": ("", "ept=0")}}
MODULES = {"amd": ("irqbypass", "ccp", "kvm", "kvm-amd"), "intel": ("irqbypass", "kvm", "kvm-intel")}
MEMORY = {"amd": 3072, "intel": 1024}  # MiB


def job(cpu, side, mib, vcpus, words=""):
    """A command for the Linux that is KVM's host."""
    kvm, vendor = SIDES[cpu][side]
    return (f"cd /modules; rmmod kvm_{cpu} kvm && insmod kvm.ko {kvm} && insmod kvm-{cpu}.ko {vendor} &&\n"
            f"exec /runner -c {vcpus} -m {mib} /bench.elf {words} >/tmp/com1\n")


class Host:
    """Linux with KVM, booted; give it up with stop()."""

    def __init__(self, cpu):
        self.dir = tempfile.TemporaryDirectory(prefix="umbra-")
        self.costly, self.read = f"{self.dir.name}/costly", 0
        options = ("-plugin", f"{TOP}/{PLUGIN},out={self.costly}") if cpu == "amd" else ()
        host = dataclasses.replace(nested.HOSTS[cpu], modules=MODULES[cpu], mib=MEMORY[cpu], options=options)
        self.jobs = {self.name(side, vcpus): job(cpu, side, MIB, vcpus, *words) for side in SIDES[cpu] for words, vcpus in PARTS}
        self.jobs |= {self.name(side, point): job(cpu, side, mib + GUEST_MIB, vcpus, "grow")
                      for side in SIDES[cpu] for point, (mib, vcpus) in points_of(cpu).items()}
        files = {"/runner": f"{TOP}/build/bench/kvm-runner", "/bench.elf": f"{TOP}/{GUEST}"}
        nested.write_initrd(f"{self.dir.name}/initrd", host, files, self.jobs)
        try:
            self.middle = host.kind(host, 1, f"{self.dir.name}/initrd")
        except nested.Lost as lost:
            raise Failed(f"KVM's host: {lost}") from None

    @staticmethod
    def name(side, point):
        return f"{side}, {point}".replace(" ", "-")

    def new_lines(self):
        """What the plugin has written since the last time; its first line again."""
        if not os.path.exists(self.costly):
            return []
        with open(self.costly, encoding="ascii") as file:
            lines = file.read().splitlines()
        new = lines[:1] + lines[max(self.read, 1):]
        self.read = len(lines)
        return new

    def run(self, name):
        try:
            status, out, _, words = self.middle.run(name, TIMEOUT)
        except nested.Lost as lost:
            raise Failed(f"KVM's host: {lost}") from None
        rows, many = parse(out)
        if status or not rows:
            raise Failed(f"{name}: status {status}\n{out}\n{words}")
        return rows, parse_costly(self.new_lines(), many)

    def measure_rows(self, side):
        result = Side()
        for _, vcpus in PARTS:
            rows, costly = self.run(self.name(side, vcpus))
            result.rows |= rows
            result.costly |= costly
        return result

    def measure_growth(self, side, point):
        return self.run(self.name(side, point))[0]

    def stop(self):
        self.middle.stop()
        self.dir.cleanup()


def kernel_version():
    """Of the Linux that is KVM's host, from one of its modules."""
    for path in glob.glob(f"{TOP}/build/kernels/kvm-modules/kvm.ko"):
        with open(path, "rb") as file:
            return file.read().split(b"vermagic=")[1].split()[0].decode()
    return "unknown"
