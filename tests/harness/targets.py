# SPDX-License-Identifier: BSD-2-Clause
"""The emulated machines on which guests and whole systems are tested, one for each vendor's CPUs.

Both get the same runs. What one of them leaves out is in its table with the reason, and is listed
at the end of a test run.
"""
import re
from dataclasses import dataclass

from .jobs import Job

BOOTS = ("direct", "bios", "uefi")  # by the emulator, or by GRUB


@dataclass(frozen=True)
class Target:
    cpu: str         # as tools/umbra calls it
    words: str       # for the test guests, of what they cannot find out: tests/guest/lib/flaws.h
    seconds: int     # a run's --timeout, if its test does not say
    prompt_us: int   # when nothing disturbs a guest, its timer comes at most so late (microseconds of counted instructions)
    patience: int    # by the clock, a run may take so many times that (Bochs counts instructions if it can)
    elf: tuple       # kernels that GRUB, too, is given as ELF files, to spare unpacking
    unfit: tuple     # (model that cannot run guests, what Umbra says of it: in the table of features, in the end)
    steps: tuple     # models with fewer features, which can
    left_out: tuple  # (pattern of tests' names, the reason why they are not for this machine)
    launcher: tuple = ()  # further words for the launcher

    def make(self, name, *args, **expected):
        """A test by its arguments as a Job; without them if it is left out here."""
        reason = next((reason for pattern, reason in self.left_out if re.fullmatch(pattern, name)), "")
        return Job(name, [], not_here=reason) if reason else Job(name, *args, **expected)

    def job(self, name, *words, timeout=None, **expected):
        """A run of the launcher as a test."""
        timeout = timeout or self.seconds
        argv = ["tools/umbra", "run", "--cpu", self.cpu, *self.launcher, "--timeout", str(timeout), *words]
        return self.make(name, argv, timeout=timeout * self.patience + 30, **expected)

    def form(self, kernel, boot):
        """Which of its files a kernel is booted from."""
        return "vmlinux" if boot == "direct" or kernel in self.elf else "bzImage"


# Loading by the emulator is given the ELF kernel, which spares unpacking; GRUB the bzImage. Unpacking
# XZ takes 2 to 6 thousand million instructions: seconds in QEMU, minutes in Bochs.
AMD = Target("amd", "cr3=unchecked", seconds=120, prompt_us=30, patience=1, elf=(), steps=("phenom",),
             unfit=(("EPYC,-svm", "SVM +missing .required.", "cannot run guests"),
                    ("EPYC,-nx", "NX +missing .required.", "NX feature is missing")),
             left_out=(
                 ("attack-debug_exceptions", "QEMU 7.2 aborts at a breakpoint on what an interrupt's delivery writes"),
                 ("attack-task_trap", "QEMU 7.2 ignores the T flag of a TSS"),
                 (r"storm-(inits|wakes|ipis|board_timer)", "with --icount QEMU runs one CPU at a time, and takes minutes for each storm"),
             ))
INTEL = Target("intel", "", seconds=120, prompt_us=200, patience=4, elf=("686", "686-pae"),
               unfit=(),
               steps=("corei7_haswell_4770", "corei7_sandy_bridge_2600k", "corei5_lynnfield_750"),
               left_out=(
                   (r"(linux|seabios)-.*uefi-.*", "Bochs has a BIOS only"),
                   (r"input-.*", "does not depend on the CPU"),
                   ("restart-linux", "does not depend on the CPU"),
                   (r"typed-in-(pipe-long|linux)", "Bochs's UART gets some 2000 bytes in a second; the shorter runs go the same way"),
                   (r"screen-.*", "Bochs does not show its screen to a program, and it does not depend on the CPU"),
                   (r"linux-amd64-bios-.*", "Bochs takes minutes to unpack the kernel's XZ, or to read 66 MB of ELF through its BIOS"),
                   (r"linux-real-entry", "Bochs takes minutes to unpack the kernel's XZ"),
                   (r"(seabios|linux-686-pae)-emulated", "real mode is emulated on corei5_lynnfield_750 in any case"),
                   (r"umbra-.*", "QEMU's debugger makes Umbra fail; its traps and page tables are the same on all CPUs"),
                   (r"storm-(?!inits|wakes|ipis|board_timer).*|weight", "the limits are for 1000 instructions in a microsecond, and Bochs has 50; not tried there"),
                   (r"attack-state-57bit", "Bochs 2.7 has no CPU with addresses of 57 bits"),
                   (r"nmi-.*|bad-.*|no-vm.*|module-without-vm|monitor-.*|hopeless-.*", "does not depend on the CPU"),
                   (r"above-4g-.*", "Bochs does not come up with more than 4 GiB of memory within a minute"),
                   (r"image-elsewhere", "Bochs has a BIOS only"),
                   (r"bus-masters.*", "Bochs has no disk controller that is a bus master while its BIOS runs"),
                   (r"module-outside-ram", "does not depend on the CPU"),
                   (r"tables-.*", "an account does not depend on the CPU, and Bochs's BIOS leaves another size of memory"),
                   (r"path", "instructions are recorded in QEMU only"),
               ))

# The second AMD machine: unlike QEMU's CPU it refuses what a real one refuses, so that guests write control
# registers and MSRs without exits, and it tells the next RIP. What needs neither is left to the first.
RYZEN = Target("amd", "step=late intinfo=stale", seconds=120, prompt_us=200, patience=4, elf=(), unfit=(), steps=(),
               launcher=("--emulator", "bochs"),
               left_out=(
                   ("(attack_end|triplefault).*", "Bochs 2.7 stops at a guest's triple fault"),
                   ("debugreg.*", "Bochs 2.7 does not write DR6 when #DB is intercepted by SVM, and takes a step that waits "
                                  "at an exit to the host"),
                   ("ioapic.*", "Bochs 2.7 does not leave a guest that has interrupts closed for one of the host's"),
                   ("(exceptions|attack_event|attack_event32|tasks32|timekeeping)-.*",
                    "Bochs 2.7 does not take a virtual interrupt (V_IRQ) after a VMRUN with interrupts open, as behind an exit for the host's"),
                   ("(hcexit|pic|pit|rtc|uart|witness).*|(apic|apic_ipi|apic_timer|hypercall)32-.*|.*-emulated",
                    "does not depend on the CPU"),
               ))
# CPUs without nested paging: all guests run on shadow tables.
SHADOW = Target("amd", AMD.words, seconds=120, prompt_us=30, patience=1, elf=(), unfit=(), steps=(),
                launcher=("--model", "EPYC,-npt"),
                left_out=(
                    *AMD.left_out,
                    ("exceptions-.*", "QEMU 7.2 makes no double fault of an injected page fault and one that its delivery raises"),
                ))
SHADOW_INTEL = Target("intel", "", seconds=120, prompt_us=200, patience=4, elf=(), unfit=(), steps=(),
                      launcher=("--model", "core2_penryn_t9600"), left_out=INTEL.left_out)
ALL = {target.cpu: target for target in (AMD, INTEL)}
