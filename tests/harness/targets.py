# SPDX-License-Identifier: BSD-2-Clause
"""The emulated machines on which guests and whole systems are tested, one for each vendor's CPUs."""
from dataclasses import dataclass

from .jobs import Job

SECONDS = 120  # what a run may take if its test does not say


@dataclass(frozen=True)
class Target:
    cpu: str         # as tools/umbra calls it
    emulator: str    # as the test guests are told, so that they skip what it lacks
    patience: int    # by the clock, a run may take so many times the launcher's --timeout (Bochs counts instructions)
    linux: tuple     # (form of the kernel, flavour or all, way to boot, numbers of vCPUs) of the Linux runs
    bios_boots: tuple  # ways to boot, with a BIOS as the guest
    unfit: tuple     # models that cannot run guests

    def words(self, *words, timeout=SECONDS):
        """The command line of the launcher."""
        return ["tools/umbra", "run", "--cpu", self.cpu, "--timeout", str(timeout), *words]

    def job(self, name, *words, timeout=SECONDS, **expected):
        """A run of the launcher as a test."""
        return Job(name, self.words(*words, timeout=timeout), timeout=timeout * self.patience + 30, **expected)


# Loading by the emulator is given the ELF kernel, which spares unpacking; GRUB the bzImage. Unpacking
# XZ takes 2 to 6 thousand million instructions: once for each kernel in QEMU, and nowhere in Bochs.
AMD = Target("amd", "tcg", 1, linux=(("vmlinux", None, "direct", (1, 2)), ("bzImage", None, "bios", (2,)),
                                     ("bzImage", "cloud", "bios", (1,)), ("bzImage", "cloud", "uefi", (1, 2))),
             bios_boots=("direct", "bios", "uefi"), unfit=("EPYC,-svm",))
INTEL = Target("intel", "bochs", 4, linux=(("vmlinux", None, "direct", (1, 2)), ("bzImage", "cloud", "bios", (1,))),
               bios_boots=("direct", "bios"), unfit=("core2_penryn_t9600",))
ALL = {target.cpu: target for target in (AMD, INTEL)}
