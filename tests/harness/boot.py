# SPDX-License-Identifier: BSD-2-Clause
"""Whole-system runs: kernels that nobody here wrote, several VMs, and descriptions that are wrong.

A table of jobs. Each Linux guest prints a marker from user space (tests/boot/init), runs a process on
each CPU and then ends as the word umbra=... on its command line says.
"""
import itertools
import os

from .jobs import TOP
from .targets import BOOTS

KERNELS = "build/kernels"
MADE = "build/boot"
SEABIOS = "/usr/share/seabios/bios-256k.bin"
HELLO = "build/guest/hello.elf"  # a small guest that does well
QUICK = "console=ttyS0 quiet cryptomgr.notests"
# For a vCPU that may have to wait for its CPU: Linux panics if too few of the 8254's ticks come in some 60 ms.
SHARED = f"{QUICK} no_timer_check"

# name: initramfs, memory
LINUX = {"cloud": ("amd64", "256M"), "amd64": ("amd64", "256M"), "686": ("i386", "128M"), "686-pae": ("i386", "128M")}


def linux_words(name, form, vcpus=1):
    initrd, mem = LINUX[name]
    return ["--initrd", f"{KERNELS}/initrd-{initrd}", "--mem", mem, "--vcpus", str(vcpus), f"{KERNELS}/{name}.{form}"]


def marker(name, cpus, prefix=""):
    kernel = {"cloud": "cloud-amd64"}.get(name, name)
    return [rf"^{prefix}UMBRA-GUEST-OK cpus={cpus} mem=\d+K kernel=\S*-{kernel}\r?$"]


def linux(target):
    """Each kernel with one and two CPUs, in each way to boot."""
    for boot, name, vcpus in itertools.product(BOOTS, LINUX, (1, 2)):
        yield target.job(f"linux-{name}-{boot}-{vcpus}cpu", "--boot", boot,
                         *linux_words(name, target.form(name, boot), vcpus), "--",
                         f"{QUICK} umbra=poweroff", stderr=[r"^umbra: exit status 0$"],
                         stdout=marker(name, vcpus) + [f"^UMBRA-CPU-OK {cpu}\r?$" for cpu in range(vcpus)])


def endings(target):
    """How a Linux guest can end, and what its console carries both ways."""
    cloud = linux_words("cloud", "vmlinux", 2)
    yield target.job("linux-reboot", *cloud, "--", f"{QUICK} umbra=reboot", stdout=marker("cloud", 2))
    yield target.job("linux-triple-fault", *cloud, "--", f"{QUICK} reboot=t panic=-1 umbra=crash", status=101,
                     stdout=marker("cloud", 2))
    job = target.job("linux-keyboard", *cloud, "--", f"{QUICK} umbra=cat")
    job.argv[:0] = ["tests/boot/answer", "UMBRA-READY", "some words", "got some words", "end", "--"]
    yield job
    yield target.job("linux-acpi-is-found", *cloud, "--", "console=ttyS0 cryptomgr.notests umbra=poweroff",
                     stdout=marker("cloud", 2) + [r"ACPI: RSDP 0x", r"smp: Brought up 1 node, 2 CPUs", r"ttyS0 at I/O 0x3f8"],
                     absent=[r"ACPI (BIOS )?(Error|Warning)", r"Call Trace", r"\bBUG:", r"WARNING: CPU"])


def bios(target):
    for boot, vcpus in itertools.product(BOOTS, (1, 2)):
        yield target.job(f"seabios-{boot}-{vcpus}cpu", "--boot", boot, "--bios", "--mem", "64M", "--vcpus", str(vcpus),
                         "--module", f"{MADE}/bootsect.img fwcfg=floppyimg/boot.img", SEABIOS,
                         stdout=[r"^boot sector started\r?$", r"^UMBRA-GUEST-OK bios\r?$"])


def realmode(target):
    """Real mode in the emulator: a firmware's, and the way of a kernel's further CPUs through it."""
    emulate = ["--set", "realmode=emulate"]
    yield target.job("seabios-emulated", *emulate, "--bios", "--mem", "64M", "--vcpus", "2",
                     "--module", f"{MADE}/bootsect.img fwcfg=floppyimg/boot.img", SEABIOS,
                     stdout=[r"^boot sector started\r?$", r"^UMBRA-GUEST-OK bios\r?$"])
    job = target.job("realmode-same", "--mem", "16M", "--set", "proto=flat", "--set", "mode=real", "--set", "load=0x8000",
                     "--set", "realmode={}", f"{MADE}/realdiff.bin", stdout=[r"^\d+ lines are the same$"])
    job.argv[:0] = ["tests/boot/same", "auto", "emulate", "--"]
    yield job
    for name in ("cloud", "686-pae"):
        yield target.job(f"linux-{name}-emulated", *emulate, *linux_words(name, "vmlinux", 2), "--",
                         f"{QUICK} umbra=poweroff", stdout=marker(name, 2))


def several(target):
    """Two VMs at the same time, each with its own console, on one and on two CPUs."""
    second = ["--vm", f"{' '.join(linux_words('686-pae', 'vmlinux'))} -- {SHARED} umbra=poweroff"]
    for pcpus in (1, 2):
        yield target.job(f"two-vms-{pcpus}pcpu", "--pcpus", str(pcpus), *second, *linux_words("cloud", "vmlinux"),
                         "--", f"{SHARED} umbra=poweroff", timeout=target.seconds * 2,
                         stdout=marker("cloud", 1) + marker("686-pae", 1, r"vm2\| "),
                         absent=[r"^UMBRA-GUEST-OK.*686-pae", r"^vm2\| .*cloud"])
    yield target.job("one-vm-ends-the-other-runs-on",
                     "--pcpus", "1", "--vm", "build/guest/triplefault.elf --name first",
                     *linux_words("cloud", "vmlinux"), "--", f"{SHARED} umbra=poweroff", status=101,
                     stdout=marker("cloud", 1), stderr=[r"^vm first: .*triple fault"])
    yield target.job("four-vcpus-on-one-cpu", "--pcpus", "1", *linux_words("cloud", "vmlinux", 4), "--",
                     f"{SHARED} umbra=poweroff", timeout=target.seconds * 2, stdout=marker("cloud", 4))


# tests/guest/attack_end.c's ways: how a guest ends that goes each of them, or None if it goes on for ever.
NOT_THERE = r"that is not there, at gpa"
ATTACKS = {
    "idt_without_entries": "triple fault", "idt_in_a_hole": NOT_THERE, "idt_in_a_device": NOT_THERE,
    "gdt_in_a_hole": NOT_THERE, "stack_in_a_hole": NOT_THERE, "stack_in_a_device": NOT_THERE,
    "tss_in_a_hole": NOT_THERE, "page_tables_in_a_hole": NOT_THERE, "page_tables_in_a_device": NOT_THERE,
    "page_tables_above_all_memory": NOT_THERE, "page_table_full_of_ones": "triple fault",
    "page_table_full_of_random_entries": "triple fault", "code_in_a_hole": "cannot emulate",
    "code_in_a_device": "cannot emulate", "init_to_oneself": "cannot emulate",
    "halted_for_good": "all its CPUs are halted", "spin": None, "nmis": None, "machine_checks": None, "exits": None,
    "debug_exceptions": None, "single_steps": None}
ATTACKS_32 = {"task_trap": None}  # of attack_end32.c
WITNESS = "build/guest/witness.elf"


def witness(*words, expect=False, **limits):
    """The launcher's options for an innocent neighbour; limits: those of tests/guest/witness.c, late=, share=, gaps=, ms=.

    Limits are for runs with --icount (Bochs always counts): otherwise it measures how busy the machine is. With expect
    the run ends when the witness has come through, for a neighbour that goes on for ever.
    """
    words = " ".join([*words, *(f"{name}={value}" for name, value in limits.items())])
    return ["--vm", f"--name witness --mem 16M{' --expect unharmed' if expect else ''} {WITNESS} -- {words}"]


def measures(target):
    """The witness's own measures: what it has alone, what a fair neighbour leaves, and that it fails beyond a limit."""
    alone = ["--icount", "--pcpus", "1", "--mem", "16M", WITNESS, "--"]
    yield target.job("witness-alone", *alone, f"ms=500 late={target.prompt_us} share=95 gaps=20",
                     stdout=[r"^ok 1 - life_goes_on", r"^# witness: unharmed"])
    # As a further guest, whose lines the harness does not take for results of its own.
    yield target.job("witness-sees-harm", "--icount", "--pcpus", "1", *witness(ms=100, share=101, late=0), HELLO, stdout=[
        r"^witness\| # witness\.c:\d+: share >=", r"^witness\| # witness\.c:\d+: late <=", r"^witness\| not ok 1 - life_goes_on"],
                     absent=[r"unharmed"], status=1)


def attacks(target):
    """A guest that attacks, and one on the same CPU that must not notice."""
    for way, end in (ATTACKS | ATTACKS_32).items():
        image = "attack_end32" if way in ATTACKS_32 else "attack_end"
        guests = ["--pcpus", "1", "--name", "attacker", "--vm", f"--name witness{'' if end else ' --expect unharmed'} {WITNESS}",
                  f"build/guest/{image}.elf", "--", f"way={way} emulator={target.emulator}"]
        seen = [r"^witness\| ok 1 - life_goes_on"]
        if end:
            yield target.job(f"attack-{way}", *guests, status=101, stdout=seen,
                             stderr=[rf"^vm attacker: (vcpu 0|ended): .*{end}", r"^vm attacker: ended: .*, status 101$",
                                     r"^vm witness: ended: debug-exit, status 0$"])
        else:
            yield target.job(f"attack-{way}", *guests, stdout=seen,
                             absent=[r"^vm attacker: ended", r"^vm witness: ended: .*status [1-9]"])


# Limits for a witness beside each way of tests/guest/attack_time.c, on one CPU that both share: at work, and asleep.
# A turn of 500 us, an emulated instruction of 50 us, and the way of an interrupt.
STORMS = ("spinning", "strings", "timer_halted", "timer_ignored")
# Of two CPUs the second is shared: a vCPU there is what the other one's storm is sent at.
STORMS_FROM_AFAR = ("inits", "wakes")


def storms(target):
    """Guests that would take another one's time: that one has its half, and its timer comes in time if it sleeps."""
    late = 550 + 2 * target.prompt_us
    for way in STORMS:
        for words, limits in (((), {"share": 45}), (("sleep",), {"late": late})):
            yield target.job(f"storm-{way}{''.join('-' + word for word in words)}", "--icount", "--pcpus", "1", "--mem", "16M",
                             *witness(*words, ms=300, expect=True, **limits), "build/guest/attack_time.elf", "--", f"way={way}",
                             stdout=[r"^witness\| ok 1 - life_goes_on"])
    # 32 vCPUs are one VM, and a weight is a share.
    yield target.job("storm-of-vcpus", "--icount", "--pcpus", "1", "--vcpus", "32", "--mem", "16M", *witness(ms=1000, expect=True, share=45),
                     "build/guest/attack_time.elf", "--", "way=spinning", stdout=[r"^witness\| ok 1 - life_goes_on"])
    yield target.job("weight", "--icount", "--pcpus", "1", "--mem", "16M", "--set", "weight=33", *witness(ms=500, expect=True, share=65),
                     "build/guest/attack_time.elf", "--", "way=spinning", stdout=[r"^witness\| ok 1 - life_goes_on"])
    for way in STORMS_FROM_AFAR:
        yield target.job(f"storm-{way}", "--pcpus", "2", "--vcpus", "2", "--mem", "16M",
                         "--vm", f"--name witness --mem 16M --set cpus=1 --expect unharmed {WITNESS} -- ms=200 share=40 gaps=2500",
                         "build/guest/attack_time.elf", "--", f"way={way}", stdout=[r"^witness\| ok 1 - life_goes_on"])


def wide(target):
    """The state of a CPU with addresses of 57 bits."""
    yield target.job("attack-state-57bit", "--model", "max", "build/guest/attack_state.elf", "--", "emulator=tcg")


# What is typed at the monitor, each line when the text before it has come.
DIRTY_TALK = (
    ("about to begin", "\x1dmdirty guest\r"), ("guest: the log is off", "dirty guest maybe\r"),
    ("'maybe' is neither on nor off", "dirty nobody on\r"), ("no VM of the name 'nobody'", "dirty guest on\r"),
    ("dirty guest on", "dirty guest\r"), ("in all", "dirty guest\r"), ("in all", "dirty guest on\r"),
    ("guest: the log is on already", "dirty guest off\r"), ("dirty guest off", "dirty guest\r"),
    ("guest: the log is off", "mmu guest\r"), ("tables: ", "mmu guest zap\r"), ("mmu guest zap", "age guest\r"),
    ("accessed since the last look", "age guest\r"), ("accessed since the last look", "stop guest\r"))


def dirty(target):
    """The dirty log: by the monitor, with small pages only, and on CPUs that do not log what they make dirty."""
    job = target.job("dirty-monitor", "--no-interactive", "build/guest/attack_end.elf", "--",
                     f"way=nmis emulator={target.emulator}",
                     stdout=[r"guest: [1-9]\d* pages written since the last look, [1-9]\d* in all",
                             r"faults: [1-9]\d* fixed", r"guest: [1-9]\d* pages accessed since the last look",
                             r"vm guest: ended: stopped by the monitor, status 0"])
    job.argv[:0] = ["tests/boot/answer", "-t", *(text for pair in DIRTY_TALK for text in pair), "--"]
    yield job
    for vcpus in ("1", "2"):
        yield target.job(f"dirty-small-pages-{vcpus}cpu", "--set", "largepages=off", "--vcpus", vcpus, "build/guest/dirty.elf",
                         "--", f"emulator={target.emulator}", stdout=[r"^ok \d"])
    yield target.job("dirty-shared-cpu", "--pcpus", "1", "--vcpus", "2", "build/guest/dirty.elf", "--",
                     f"emulator={target.emulator}", stdout=[r"^ok \d"])
    for model in target.steps:
        # Without accessed and dirty bits of EPT's, Bochs 2.7 writes to a guest's page tables unasked.
        unasked = " walks=unasked" if model in ("corei7_sandy_bridge_2600k", "corei5_lynnfield_750") else ""
        yield target.job(f"dirty-{model}", "--model", model, "--vcpus", "2", "build/guest/dirty.elf", "--",
                         f"emulator={target.emulator}{unasked}", stdout=[r"^ok \d"])


def make_files():
    """Files for guests that cannot be started: before the jobs run."""
    os.makedirs(f"{TOP}/{MADE}", exist_ok=True)
    with open(f"{TOP}/{KERNELS}/cloud.bzImage", "rb") as kernel, open(f"{TOP}/{MADE}/cut.bzImage", "wb") as cut:
        cut.write(kernel.read(100000))
    with open(f"{TOP}/{KERNELS}/cloud.vmlinux", "rb") as kernel, open(f"{TOP}/{MADE}/cut.vmlinux", "wb") as cut:
        cut.write(kernel.read(100000))
    with open(f"{TOP}/{MADE}/text", "wb") as text:
        text.write(b"This is no kernel.\n" * 100)
    with open(f"{TOP}/{MADE}/empty", "wb"):
        pass
    with open(f"{TOP}/{MADE}/large", "wb") as large:
        large.truncate(80 << 20)


def mistakes(target):
    """Each gives one line that names VM, key, value and reason; the other VM does its work."""
    kernel = f"{KERNELS}/cloud.vmlinux"
    for name, words, line in [
            ("unknown-word", f"--set bogus=1 {HELLO}", r"bogus=1: unknown word"),
            ("word-without-value", f"--set mmu {HELLO}", r"mmu: "),
            ("mem-no-size", f"--set mem=12Q {HELLO}", r"mem=12Q: not a size"),
            ("mem-too-small", f"--set mem=4K {HELLO}", r"mem=4K: too small"),
            ("mem-too-large", f"--set mem=1000G {HELLO}", r"mem=1000G: more than there is"),
            ("weight-none", f"--set weight=0 {HELLO}", r"weight=0: not in 1 to 10000"),
            ("vcpus-none", f"--set vcpus=0 {HELLO}", r"vcpus=0: not in 1 to 64"),
            ("vcpus-too-many", f"--set vcpus=65 {HELLO}", r"vcpus=65: not in 1 to 64"),
            ("mmu-unknown", f"--set mmu=magic {HELLO}", r"mmu=magic: not one of"),
            ("cpu-missing", f"--set cpus=9 {HELLO}", r"cpus=9: the machine has no such CPU"),
            ("given-twice", f"--mem 64M --set mem=32M {HELLO}", r"mem=32M: given twice"),
            ("bzimage-cut-off", f"{MADE}/cut.bzImage", r"kernel: truncated"),
            ("elf-cut-off", f"{MADE}/cut.vmlinux", r"kernel: truncated"),
            ("no-kernel", f"{MADE}/text", r"kernel: neither a Linux, ELF nor multiboot kernel"),
            ("empty-file", f"{MADE}/empty", r"kernel: the file is empty"),
            ("kernel-outside-memory", f"--mem 16M {kernel}", r"kernel: "),
            ("initrd-too-large", f"--mem 128M --initrd {MADE}/large {kernel}", r"initrd: "),
            ("bios-wrong-size", f"--bios {MADE}/text", r"bios: 1900 bytes")]:
        yield target.job(f"bad-{name}", "--vm", words, HELLO, status=102, stdout=[r"^ok \d"],
                         stderr=[rf"^vm vm2: {line}", r"^umbra: exit status 102$"], absent=[r"^vm guest: .*(unknown|not)"])


def bare(target, name, append, patterns, status, *words, cpu="EPYC", ending="onexit=poweroff exitport=0xf4"):
    """Umbra as QEMU alone would start it, to see its own words and exit status (v << 1 | 1)."""
    argv = ["qemu-system-x86_64", "-M", "q35", "-cpu", cpu, "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
            "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", "build/umbra.elf",
            "-append", f"console=com1 {ending} {append}", *words]
    return target.make(name, argv, timeout=60, status=status, stdout=patterns)


def image_end():
    """The first physical address behind Umbra, in KiB."""
    with open(f"{TOP}/build/umbra.sym", encoding="ascii") as symbols:
        address, = (line.split()[0] for line in symbols if line.endswith(" image_end\n"))
    return (int(address, 16) - 0xffffffff80000000) >> 10


# What Umbra must not be able to do to itself: what is changed at a function's start (tests/boot/fault),
# the CPU, the exception, its error code, and CR2 as far as it is the same in each build.
STORE = "code=488907"  # mov %rax,(%rdi)
PUSH = "code=50"       # push %rax
ALIAS = "+0xffff800080000000"  # from an address in the image to the one in the direct map
FAULTS = {
    "overruns-the-boot-stack": (["rsp=boot_stacks+0x1000", PUSH], 0, "#DF double fault", 0, r"ffffffff\w+ff8"),
    "overruns-a-stack": (["rsp=0xffffc00000001000", PUSH], 1, "#DF double fault", 0, "ffffc00000000ff8"),
    "writes-its-code": (["rdi=text_start", STORE], 1, "#PF page fault", 3, "ffffffff80100000"),
    "writes-its-code-in-the-direct-map": (["rdi=text_start" + ALIAS, STORE], 1, "#PF page fault", 3, "ffff800000100000"),
    "writes-its-constants": (["rdi=rodata_start", STORE], 1, "#PF page fault", 3, r"ffffffff\w+000"),
    "writes-what-is-sealed": (["rdi=ro_after_init_start", STORE], 1, "#PF page fault", 3, r"ffffffff\w+000"),
    "writes-what-is-sealed-in-the-direct-map":
        (["rdi=ro_after_init_start" + ALIAS, STORE], 0, "#PF page fault", 3, r"ffff8000\w+000"),
    "writes-through-a-null-pointer": (["rdi=8", STORE], 0, "#PF page fault", 2, "0000000000000008"),
    "runs-its-stack": (["rip=0xffffc00000002000"], 1, "#PF page fault", 0x11, "ffffc00000002000"),
    "runs-its-data": (["rip=ro_after_init_start"], 0, "#PF page fault", 0x11, r"ffffffff\w+000"),
    "runs-its-constants": (["rip=rodata_start"], 0, "#PF page fault", 0x11, r"ffffffff\w+000"),
    "runs-the-direct-map": (["rip=text_start" + ALIAS], 1, "#PF page fault", 0x11, "ffff800000100000")}


def faults(target):
    """Umbra's own exceptions: they are reported, and end the machine."""
    for name, (changes, cpu, what, error, cr2) in FAULTS.items():
        rip = r" +rip \w{16}$" if name.startswith("runs") else r" +rip \w{16} debug_exit_write\+0x0$"
        job = target.job(f"umbra-{name}", "--emulator-option=-S", "--emulator-option=-gdb", "--emulator-option=unix:{},server=on,wait=off",
                         "--pcpus", "2", "--hv", "exitport=0x80", "--vm", f"--name spinner --set cpus={1 - cpu} build/guest/attack_end.elf -- way=spin",
                         "--set", f"cpus={cpu}", HELLO, status=103, stdout=[
                             rf"^panic: {what} \(vector \d+, error {error:#x}\) on CPU {cpu}\n{rip}", rf" cr2 {cr2} ",
                             r"^backtrace:\n  \w{16} \w+\+0x\w+$", r"^guest: vm guest vcpu 0 rip 1\w{5}$",
                             *(rf"^cpu {i} is at stop_this_cpu\+0x\w+, interrupts off" for i in (0, 1))])
        job.argv[:0] = ["tests/boot/fault", "debug_exit_write", *changes, "stopped", "--"]
        yield job


ESCAPE = "\x1d"


def typed(*lines):
    """For tests/boot/answer: each line when the monitor's prompt is there."""
    return [word for line in lines for word in ("umbra> ", line)]


def machine(target):
    """Umbra's own words, without the launcher."""
    yield bare(target, "no-vm", "", [r"^umbra: no VM to run", r"^umbra: exit status 102\r?$"], 205)
    yield bare(target, "bad-command-line", "loglevel=loud", [r"loglevel=loud", r"^umbra: exit status 102\r?$"], 205)
    yield bare(target, "module-without-vm", "", [r"^module 1: vm: missing"], 205, "-initrd", f"{HELLO} kernel")
    # Without a VM there is nothing to wait for: the monitor, which can end the machine, or a reset at once.
    job = bare(target, "no-vm-monitor", "", [r"^umbra: no VM to run", r"^monitor: ", r"^umbra> list\s+name +state"], 1,
               ending="onexit=monitor exitport=0xf4")
    job.argv[:0] = ["tests/boot/answer", "umbra> ", "list", "umbra> ", "poweroff", "--"]
    job.absent.append(r"exit status")
    yield job
    yield bare(target, "no-vm-reboot", "", [r"^umbra: no VM to run", r"^umbra: exit status 102\r?$"], 0,
               ending="onexit=reboot exitport=0xf4")


def hopeless(target):
    """Machines on which no guest can run: Umbra says why, and ends as onexit says."""
    said = [r"^umbra: .*cannot run guests", r"^umbra: exit status 102\r?$"]
    for onexit in ("poweroff", "reboot"):
        yield bare(target, f"hopeless-{onexit}", "", said, 0, cpu="EPYC,-svm", ending=f"onexit={onexit}")
    yield bare(target, "hopeless-exit-port", "", said, 205, cpu="EPYC,-svm", ending="exitport=0xf4")
    job = bare(target, "hopeless-screen", "console=vga", [r"^screen: umbra: .*cannot run guests"], 0, "-vga", "std", "-monitor",
               "unix:{},server=on,wait=off", cpu="EPYC,-svm", ending="")
    job.argv[:0] = ["tests/boot/screen", "text", "exit status 102", "--"]
    yield job
    # Too little memory for the page tables, of which it needs 224 KiB at the least.
    yield bare(target, "hopeless-no-frames", "", [r"^panic: memory: no room for the page tables"], 207, "-m", f"{image_end() + 240}K")
    # Too little memory for so many CPUs: those without stay the firmware's, and must not be disturbed by a report.
    yield bare(target, "hopeless-few-frames", "", [r"^smp: CPU with APIC id 63 not started: no memory", r"^panic: vmm: no memory",
                                                   r"^guest: none"], 207, "-m", "4M", "-smp", "64")
    yield bare(target, "hopeless-no-clock", "", [r"^panic: tsc: HPET, PM timer and 8254 stand still"], 207,
               "-M", "pc,acpi=off,hpet=off,pit=off")


def monitor(target):
    """The monitor with two guests that share its serial line: one that answers, and one that only spins."""
    guests = ["build/kernels/cloud.vmlinux kernel vm=linux mem=256M -- console=ttyS0 quiet cryptomgr.notests no_timer_check umbra=cat",
              "build/kernels/initrd-amd64 initrd vm=linux",
              f"build/guest/attack_end.elf kernel vm=spinner mem=16M -- way=spin emulator={target.emulator}"]
    talk = ["UMBRA-READY", ESCAPE, *typed("list", "pause spinner", "list", "resume spinner", "list", "attach nobody", "stats spinner",
                                          "pause linux", "stats linux", "stats linux", "resume linux", "attach linux"),
            "UMBRA-READY", "words", "got words", ESCAPE, *typed("stop spinner"),
            "vm spinner: ended", "list", *typed("reset linux", "attach linux"), "UMBRA-READY", ESCAPE, *typed("stop linux")]
    listed = r"umbra> list\s+name.*\s+linux +{} +1 +256M +shared\s+spinner +{} +1 +16M +shared"
    job = bare(target, "monitor-two-vms", "", [
        rf"{listed.format('running', 'running')}\s+umbra> pause spinner\s+{listed.format('running', 'paused')}\s+"
        rf"umbra> resume spinner\s+{listed.format('running', 'running')}",
        r"^umbra> attach nobody\s+attach: no VM of the name 'nobody'\s",
        r"^umbra> stats spinner\s+vcpu 0 on cpu 0:\s+\S+ +\d+",
        r"^umbra> pause linux\s+umbra> stats linux\s+(vcpu 0 on cpu 0:[^>]+)umbra> stats linux\s+\1umbra> ",  # and nothing moved
        r"^umbra> attach linux(.|\n)*UMBRA-READY(.|\n)*got words",
        r"^vm spinner: ended: stopped by the monitor, status 0\s+list\s+name.*\s+linux +running.*\s+umbra> reset linux\s",
        r"^vm linux: ended: reset, status 0\s(.|\n)*^UMBRA-READY",
        r"^vm linux: ended: stopped by the monitor, status 0\s+umbra: exit status 0\s"], 1, "-initrd", ",".join(guests))
    job.argv[:0] = ["tests/boot/answer", *talk, "--"]
    yield job


def tools(target):
    """The tool that shows the ways of exits."""
    yield target.make("path", ["tools/path", "-n", "0", HELLO], timeout=target.seconds,
              stdout=[r"^ +0 +\d+ times +\d+ instructions: \d+ the guest, \d+ svm_run_guest", r"vmrun +entry\.S:\d+$"])


def steps(target):
    """CPUs with fewer features: the paging of guests, real mode, and, on the least of them, a whole Linux."""
    for model in target.steps:
        for payload in ("pages", "pages32", "realmode32", "cr", "tlb"):
            vcpus = "2" if payload == "tlb" else "1"
            yield target.job(f"{payload}-{model}", "--model", model, "--vcpus", vcpus, f"build/guest/{payload}.elf", "--",
                             f"emulator={target.emulator}", stdout=[r"^ok \d"])
        yield target.job(f"seabios-{model}", "--model", model, "--bios", "--mem", "64M",
                         "--module", f"{MADE}/bootsect.img fwcfg=floppyimg/boot.img", SEABIOS,
                         stdout=[r"^boot sector started\r?$", r"^UMBRA-GUEST-OK bios\r?$"])
    for model in target.steps[-1:]:
        yield target.job(f"linux-{model}", "--model", model, *linux_words("686-pae", "vmlinux", 2), "--",
                         f"{QUICK} umbra=poweroff", stdout=marker("686-pae", 2))


def screens(target):
    """The log on the screen that GRUB leaves: VGA's text under BIOS, pixels under UEFI."""
    for boot, mode, console in (("bios", "text", "vga"), ("uefi", "pixels", "fb")):
        job = target.job(f"screen-{boot}", "--boot", boot, "--hv", f"console={console} exitport=0x80", "--emulator-option=-device",
                         "--emulator-option=VGA", "--emulator-option=-no-shutdown", "--emulator-option=-monitor",
                         "--emulator-option=unix:{},server=on,wait=off", HELLO, stdout=[
                             r"^screen: cpu: SVM nested paging      found$", r"^screen: vm guest: 1 vCPUs, 256 MiB$",
                             r"^screen: vm guest: ended: debug-exit, status 0\nscreen: umbra: exit status 0\n(screen:\n)+\Z"])
        job.argv[:0] = ["tests/boot/screen", mode, "umbra: exit status", "--"]
        yield job


def obstacles(target):
    """CPUs that cannot run guests."""
    for model, row, words in target.unfit:
        yield target.job(f"unfit-{model}", "--model", model, HELLO, status=102,
                         stderr=[rf"^cpu: {row}", rf"^umbra: .*{words}"])


CASES = (linux, endings, bios, realmode, several, dirty, measures, attacks, storms, wide, steps, obstacles, hopeless, mistakes, machine, monitor,
         faults, screens, tools)


def jobs(target):
    for cases in CASES:
        yield from cases(target)
