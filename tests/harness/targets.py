# SPDX-License-Identifier: BSD-2-Clause
"""The emulated machines on which guests and whole systems are tested, one for each vendor's CPUs."""
from dataclasses import dataclass

from .jobs import Job


@dataclass(frozen=True)
class Target:
    cpu: str         # as tools/umbra calls it
    emulator: str    # as the test guests are told, so that they skip what it lacks
    seconds: int     # a run's --timeout, if its test does not say
    patience: int    # by the clock, a run may take so many times that (Bochs counts instructions if it can)
    linux: tuple     # (form of the kernel, flavour or all, way to boot, numbers of vCPUs) of the Linux runs
    bios_boots: tuple  # ways to boot, with a BIOS as the guest
    unfit: tuple     # (model that cannot run guests, what Umbra says of it: in the table of features, in the end)
    steps: tuple     # models with fewer features, which can

    def job(self, name, *words, timeout=None, **expected):
        """A run of the launcher as a test."""
        timeout = timeout or self.seconds
        argv = ["tools/umbra", "run", "--cpu", self.cpu, "--timeout", str(timeout), *words]
        return Job(name, argv, timeout=timeout * self.patience + 30, **expected)


# Loading by the emulator is given the ELF kernel, which spares unpacking; GRUB the bzImage. Unpacking
# XZ takes 2 to 6 thousand million instructions: once for each kernel in QEMU, and nowhere in Bochs.
AMD = Target("amd", "tcg", seconds=120, patience=1,
             linux=(("vmlinux", None, "direct", (1, 2)), ("bzImage", None, "bios", (2,)),
                    ("bzImage", "cloud", "bios", (1,)), ("bzImage", "cloud", "uefi", (1, 2))),
             bios_boots=("direct", "bios", "uefi"), steps=(),
             unfit=(("EPYC,-svm", "SVM +missing .required.", "cannot run guests"),
                    ("EPYC,-npt", "SVM nested paging +missing .* need the shadow MMU", "need the shadow MMU"),
                    ("EPYC,-nx", "NX +missing .required.", "NX feature is missing")))
INTEL = Target("intel", "bochs", seconds=120, patience=4,
               linux=(("vmlinux", None, "direct", (1, 2)), ("bzImage", "cloud", "bios", (1,))),
               bios_boots=("direct", "bios"),
               unfit=(("core2_penryn_t9600", "VMX EPT +missing .* need the shadow MMU", "need the shadow MMU"),),
               steps=("corei7_haswell_4770", "corei7_sandy_bridge_2600k", "corei5_lynnfield_750"))
ALL = {target.cpu: target for target in (AMD, INTEL)}
