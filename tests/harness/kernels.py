# SPDX-License-Identifier: BSD-2-Clause
"""Firmware, and kernels that are no Linux, or of old, or are entered as those of old were."""
import itertools

from .systems import KERNELS, MADE, QUICK, SEABIOS, linux_words, marker
from .targets import BOOTS


def bios(target):
    for boot, vcpus in itertools.product(BOOTS, (1, 2)):
        yield target.job(f"seabios-{boot}-{vcpus}cpu", "--boot", boot, "--bios", "--mem", "64M", "--vcpus", str(vcpus),
                         "--module", f"{MADE}/bootsect.img fwcfg=floppyimg/boot.img", SEABIOS,
                         stdout=[r"^boot sector started\r?$", r"^UMBRA-GUEST-OK bios\r?$"])


def rom_tables(target, image="romtables"):
    """A firmware whose descriptor and page tables are in its ROM, where the CPU's own writes are lost."""
    yield target.job("rom-tables", "--bios", "--mem", "16M", f"{MADE}/{image}.bin", timeout=60,
                     stdout=[r"UMBRA-GUEST-OK rom\r?$"])


def old_kernels(target):
    """Linux's boot protocol by its entry in real mode: each layout of old, in the emulator too, and a kernel of today."""
    for version, options in (("2.00", []), ("2.01", ["--set", "realmode=emulate"]), ("2.04", [])):
        image = f"{MADE}/oldlinux-{version}"
        job = target.job(f"oldlinux-{version}", *options, "--mem", "32M", "--initrd", image, image, "--", "words for an old kernel",
                         stdout=[r"^ok 17 - protected_mode"])
        job.argv[:0] = ["tests/boot/answer", "# press x", "x", "--"]
        yield job
    yield target.job("linux-real-entry", "--set", "proto=linux", "--set", "mode=real", *linux_words("cloud", "bzImage"), "--",
                     f"{QUICK} umbra=poweroff", stdout=marker("cloud", 1))


MEMTEST = r"Memtest86\+ v\d(.|\n)*Testing:(.|\n)*#0"


def foreign(target):
    """Kernels that are no Linux, as Debian ships them: each to the end that it has without disks and a further file, or to its work."""
    words = ["--", "console=ttyS0,115200"]
    for name in ("memtest64", "memtest32"):
        yield target.job(f"foreign-{name}", "--mem", "16M", "--expect", "#0", f"{KERNELS}/foreign-{name}", *words, stdout=[MEMTEST])
    yield target.job("foreign-gnumach", "--mem", "64M", "--expect", "loaded with the kernel", f"{KERNELS}/foreign-gnumach", "--", "console=com0",
                     stdout=[r"^GNU Mach 1\.", r"100000:0{9,}4000000, available", r"panic .*No bootstrap code loaded"])
    yield target.job("foreign-xen", "--mem", "256M", f"{KERNELS}/foreign-xen", "--", "com1=115200,8n1 console=com1 loglvl=all noreboot",
                     stdout=[r"^\(XEN\) Xen version 4\.", r"^\(XEN\) Bootloader: umbra", r"dom0 kernel not specified"], status=101,
                     stderr=[r"^vm guest: ended: all its CPUs are halted"])
    job = target.job("foreign-ipxe", "--mem", "32M", "--expect", "umbra-i386", f"{KERNELS}/foreign-ipxe", stdout=[r"^iPXE initialising devices\.\.\.ok"])
    job.argv[:0] = ["tests/boot/answer", "command line...", "\x02", "iPXE> ", "echo umbra-${buildarch}", "--"]
    yield job
