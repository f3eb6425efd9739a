# SPDX-License-Identifier: BSD-2-Clause
"""Whole-system runs: kernels that nobody here wrote, several VMs, and descriptions that are wrong.

A table of jobs. Each Linux guest prints a marker from user space (tests/boot/init), runs a process on
each CPU and then ends as the word umbra=... on its command line says.
"""
import hashlib
import itertools
import os
import struct
import subprocess

from .jobs import TOP
from .kernels import bios, foreign, old_kernels, rom_tables
from .systems import HELLO, KERNELS, LINUX, MADE, QUICK, SEABIOS, SHARED, linux_job, linux_words, marker
from .targets import BOOTS

def linux(target):
    """Each kernel with one and two CPUs, in each way to boot."""
    for boot, name, vcpus in itertools.product(BOOTS, LINUX, (1, 2)):
        yield linux_job(target, boot, name, vcpus)


def endings(target):
    """How a Linux guest can end, and what its console carries both ways."""
    cloud = linux_words("cloud", "vmlinux", 2)
    yield target.job("linux-reboot", *cloud, "--", f"{QUICK} umbra=reboot", stdout=marker("cloud", 2))
    yield target.job("linux-reboot-by-bios", *cloud, "--", f"{QUICK} reboot=b umbra=reboot", stdout=marker("cloud", 2))
    yield target.job("linux-triple-fault", *cloud, "--", f"{QUICK} reboot=t panic=-1 umbra=crash", status=101,
                     stdout=marker("cloud", 2))
    job = target.job("linux-keyboard", *cloud, "--", f"{QUICK} umbra=cat")
    job.argv[:0] = ["tests/boot/answer", "UMBRA-READY", "some words", "got some words", "end", "--"]
    yield job
    yield target.job("linux-acpi-is-found", *cloud, "--", "console=ttyS0 cryptomgr.notests umbra=poweroff",
                     stdout=marker("cloud", 2) + [r"ACPI: RSDP 0x", r"smp: Brought up 1 node, 2 CPUs", r"ttyS0 at I/O 0x3f8"],
                     absent=[r"ACPI (BIOS )?(Error|Warning)", r"Call Trace", r"\bBUG:", r"WARNING: CPU"])


# Name -> bytes that count (tests/guest/input.c). Bochs's UART takes some two thousand of them in a second.
STREAMS = {"20k": 20_000, "200k": 200_000}


def stream(size):
    """Lines of text, without anything that a terminal or a console would take for itself."""
    line = b"".join(b"%c" % (33 + i * 7 % 90) for i in range(76)) + b"\n"
    return b"".join(b"%06d %b" % (i, line) for i in range(size // 80))[:size].ljust(size, b"-")


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return value


def typed_in(target):
    """All that comes out of a pipe or a file arrives at a guest that is slow, and that does not read at first."""
    for name, command, words, size in (
            ("pipe", 'cat "$0" | "$@"', (), "20k"), ("file", 'exec "$@" <"$0"', (), "20k"),
            ("pipe-shared", 'cat "$0" | "$@"', ("--set", "console=shared"), "20k"),
            ("pipe-long", 'cat "$0" | "$@"', (), "200k")):
        job = target.job(f"typed-in-{name}", "--no-interactive", "--mem", "16M", *words, "build/guest/input.elf", "--",
                         f"late=300 bytes={STREAMS[size]} hash={fnv1a(stream(STREAMS[size])):x}", stdout=[r"^ok 1 - all_that_is_typed_arrives"])
        job.argv[:0] = ["sh", "-c", command, f"{MADE}/stream-{size}"]
        yield job
    data = stream(STREAMS["20k"])
    job = target.job("typed-in-linux", "--no-interactive", *linux_words("cloud", "vmlinux"), "--", f"{QUICK} umbra=md5 bytes={len(data)}",
                     stdout=[rf"^{hashlib.md5(data).hexdigest()}"])
    job.argv[:0] = ["tests/boot/answer", "UMBRA-READY", f"@{MADE}/stream-raw", "--"]
    yield job


def power_button(target):
    """The monitor presses it, and the guest switches itself off."""
    job = target.job("power-button", "--no-interactive", "build/guest/button.elf", "--", "wait",
                     stdout=[r"^vm guest: ended: power-off, status 0"], absent=[r"not ok"])
    job.argv[:0] = ["tests/boot/answer", "-t", "listening to the button", "\x1dmpower guest\r", "--"]
    yield job


def restarts(target):
    """A guest that resets, by whichever way, starts again; what is typed meanwhile waits for it. One in a loop harms nobody."""
    talk = [word for way in "ckftq" for word in ("started: new", way)]
    for line, words in (("own", ()), ("shared", ("--set", "console=shared"))):
        job = target.job(f"restart-{line}", "--no-interactive", "--onreset", "restart", "--mem", "16M", *words, "build/guest/reset.elf", "--", "talk",
                         stderr=[r"(^vm guest: reset: starts again\n(.*\n)*?){3}", r"^vm guest: triple fault: starts again$",
                                 r"^vm guest: ended: debug-exit, status 0\numbra: exit status 0$"], absent=["started: used"])
        job.argv[:0] = ["tests/boot/answer", *talk, "--"]
        yield job
    yield target.job("restart-not", "--no-interactive", "build/guest/triplefault.elf", status=101, absent=["starts again"])
    yield target.job("restart-loop", "--pcpus", "1", "--mem", "16M", "--onreset", "restart",
                     *witness(expect=True, ms=3000 if target.cpu == "amd" else 1500), "build/guest/triplefault.elf",
                     stdout=[r"^witness\| ok 1 - life_goes_on"], stderr=[r"(^vm guest: triple fault: starts again\n(.*\n)*?){2}"], absent=[r"^vm guest: ended", r"^vm witness: ended: .*status [1-9]"])
    job = target.job("restart-linux", "--no-interactive", "--onreset", "restart", *linux_words("cloud", "vmlinux", 2), "--", f"{QUICK} umbra=cat",
                     stdout=[r"got reboot(.|\n)*got end"])
    job.argv[:0] = ["tests/boot/answer", "UMBRA-READY", "reboot", "UMBRA-READY", "end", "--"]
    yield job


def registers(target):
    """The registers of processes and of VMs that take turns on one CPU."""
    sums = [hashlib.md5(f"{i}\n".encode(), usedforsecurity=False).hexdigest()[:8] for i in range(1, 61)]
    yield target.job("linux-pipelines", *linux_words("cloud", "vmlinux"), "--", f"{QUICK} umbra=pipes",
                     stdout=marker("cloud", 1) + [rf"^UMBRA-PIPE {i} {value}\r?$" for i, value in enumerate(sums, 1)]
                     + [rf"^UMBRA-VECTORS-OK {i}\r?$" for i in (1, 2, 3)],
                     absent=[r"segfault", r"XSAVE consistency problem"])
    yield target.job("fpu-two-vms", "--pcpus", "1", "--mem", "16M", "--vm", "--name second --mem 16M build/guest/fpu.elf -- ms=300 seed=1",
                     "build/guest/fpu.elf", "--", "ms=300",
                     stdout=[rf"^{name}ok \d+ - state_survives_a_neighbour\r?$" for name in ("", r"second\| ")], absent=[r"not ok"])


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


def small_code(target):
    """Large pages that no guest may execute: what is fetched from is split, and the guest does not notice."""
    yield target.job("linux-686-pae-largeexec", "--hv", "largeexec=never", *linux_words("686-pae", "vmlinux", 2), "--",
                     f"{QUICK} umbra=poweroff", stderr=[r"^mmu: guests execute 4K pages only$"], stdout=marker("686-pae", 2))


def leftovers(target):
    """What the firmware leaves running: the controller of the disk that it has booted from, with SeaBIOS."""
    yield target.job("bus-masters", "--boot", "bios", HELLO, stderr=[r"^pci: bus mastering off for [1-9]\d* functions$"])
    yield target.job("bus-masters-kept", "--boot", "bios", "--hv", "busmasters=keep", HELLO, absent=[r"^pci: "])


def button(target):
    """The machine's NMI button: one line for each CPU, in a guest or not, and all goes on; or the end."""
    guest = ["-smp", "2", "-monitor", "unix:{},server=on,wait=off", "-initrd", "build/guest/attack_end.elf kernel vm=spinner mem=16M -- way=spin"]
    line = r"^nmi: CPU {}: unknown reason, perhaps a button \(port 0x61: 0x\w\w\), at f{{8}}\w{{8}} \w+\+0x\w+, guest: {}\r?$"
    job = bare(target, "nmi-report", "", [line.format(0, r"vm spinner vcpu 0 rip \w+"), line.format(1, "none")], 0, *guest)
    job.argv[:0] = ["tests/boot/nmi", "about to begin", "2", "--"]
    job.absent.append(r"^panic")
    yield job
    job = bare(target, "nmi-panic", "nmi=panic", [r"^panic: NMI \(vector 2, error 0x0\) on CPU \d", r"^backtrace:\r?$"], 207, *guest)
    job.argv[:0] = ["tests/boot/nmi", "about to begin", "1", "--"]
    yield job


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
    # A Linux that has KVM's clock, beside a VM that only spins; in the end it prefers a TSC that is invariant.
    yield target.job("kvm-clock", "--pcpus", "1", "--vm", f"--name spinner --mem 16M {SPINNER}",
                     "--expect", "UMBRA-END", *linux_words("cloud", "vmlinux"), "--",
                     "console=ttyS0 cryptomgr.notests umbra=steal", stdout=[
                         r"kvm-clock: Using msrs 4b564d01 and 4b564d00", r"clocksource: Switched to clocksource kvm-clock",
                         r"^UMBRA-CLOCK (kvm-clock|tsc) steal=[1-9]"])
    yield target.job("four-vcpus-on-one-cpu", "--pcpus", "1", *linux_words("cloud", "vmlinux", 4), "--",
                     f"{SHARED} umbra=poweroff", timeout=target.seconds * 2, stdout=marker("cloud", 4))


# tests/guest/attack_end.c's ways: how a guest ends that goes each of them, or None if it goes on for ever.
ATTACKS = {
    "idt_without_entries": "triple fault", "idt_in_a_hole": "triple fault",
    "gdt_in_a_hole": "triple fault", "stack_in_a_hole": None,
    "tss_in_a_hole": "triple fault", "page_tables_in_a_hole": "triple fault", "page_tables_in_a_device": "triple fault",
    "page_tables_above_all_memory": "triple fault", "page_table_full_of_ones": "triple fault",
    "page_table_full_of_random_entries": "triple fault", "code_in_a_hole": "triple fault",
    "code_in_a_device": "triple fault", "init_to_oneself": "reset",
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
        guests = ["--pcpus", "1", "--name", "attacker", "--set", "testdev=on", "--vm",
                  f"--name witness{'' if end else ' --expect unharmed'} {WITNESS}", f"build/guest/{image}.elf", "--", f"way={way}"]
        seen = [r"^witness\| ok 1 - life_goes_on"]
        if end:
            status = 0 if end == "reset" else 101
            yield target.job(f"attack-{way}", *guests, status=status, stdout=seen,
                             stderr=[rf"^vm attacker: (vcpu 0|ended): .*{end}", rf"^vm attacker: ended: .*, status {status}$",
                                     r"^vm witness: ended: debug-exit, status 0$"])
        else:
            yield target.job(f"attack-{way}", *guests, stdout=seen,
                             absent=[r"^vm attacker: ended", r"^vm witness: ended: .*status [1-9]"])


# The attacker's memory and the other's, on a machine of 1 GiB: almost all that Umbra leaves of it, and room for the tables
# of both or for those of the first alone (its own need is some 3 MiB, and a table for each 2 MiB of the guests').
TABLES = "build/guest/attack_tables.elf"
FULL = ("--pcpus", "1", "--pmem", "1G", "--mem", "64M", "--set", "largepages=off")


def hunger(target):
    """A guest that takes all the tables it can get, beside one that comes to need some: memory is there for both, or one is not started."""
    for name, mem, expected in (("full", "973000K", [r"^vm attacker: 1 vCPUs, "]),
                                ("refused", "977000K", [r"^vm attacker: mem=\d+K: not enough free memory for its page tables: of \d+ pages \d+ are missing$"])):
        yield target.job(f"tables-{name}", *FULL, "--vm",
                         f"--name attacker --mem {mem} --set testdev=on --set dirtylog=on {TABLES} -- way=attack",
                         "--expect", "ok 2 - done", TABLES, "--", "way=victim", stdout=[r"^ok 1 - memory_that_is_touched_late"],
                         stderr=expected, absent=[r"^vm \w+: ended: (killed|.*status [1-9])"])


# tests/guest/attack_console.c's ways, and real mode in software.
FLOODS = {way: ["build/guest/attack_console.elf", "--", f"way={way}"] for way in ("out", "rep_outsb", "hypercalls")}
FLOODS["real_mode"] = ["--set", "proto=flat", "--set", "mode=real", "--set", "load=0x8000", "--set", "realmode=emulate",
                       f"{MADE}/flood.bin"]


def consoles(target):
    """Guests that flood their console, beside one that must not notice; and one that says what Umbra says.

    The witness's limits are for Bochs, whose UART sends at its baud rate. QEMU's takes all at once: there a flood
    tests the other end of the ring, and goes by the clock, for each byte costs QEMU much more than its instructions.
    """
    limits = {"share": 40, "late": 30_000} if target.cpu == "intel" else {}
    for way, guest in FLOODS.items():
        yield target.job(f"flood-{way}", "--pcpus", "1", "--mem", "16M", *witness(expect=True, ms=300, **limits), *guest,
                         stdout=[r"^witness\| ok 1 - life_goes_on"], absent=[r"^vm \w+: ended: .*status [1-9]"])
    for line in ("com1", "shared"):
        yield target.job(f"flood-on-another-cpu-{line}", "--pcpus", "2", "--mem", "16M", "--set", "cpus=1",
                         *(["--set", "console=shared"] if line == "shared" else []),
                         "--vm", f"--name witness --mem 16M --set cpus=0 --expect unharmed {WITNESS} -- ms=300",
                         *FLOODS["rep_outsb"], stdout=[r"^witness\| ok 1 - life_goes_on"])
    yield target.job("forged-on-the-logs-line", "--hv", "loglevel=debug", "--set", "console=shared",
                     "build/guest/attack_console.elf", "--", "way=forge", status=7,
                     stdout=[r"umbra: exit status 0", r"^panic: #PF", "\x1eumbra: exit status 0", r"in mid-line: umbra: exit status"],
                     stderr=[r"\A(?!umbra: exit status 0|panic)", r"^vm guest: firmware: umbra: exit status 0\.?$",
                             r"^vm guest: ended: debug-exit, status 7\numbra: exit status 7\n\Z"])
    yield target.job("forged-on-its-own-line", "build/guest/attack_console.elf", "--", "way=forge", status=7,
                     stderr=[r"^vm guest: ended: debug-exit, status 7\numbra: exit status 7\n\Z"])


# Limits for a witness beside each way of tests/guest/attack_time.c, on one CPU that both share: at work, and asleep.
# A turn of 500 us, an emulated instruction of 50 us, and the way of an interrupt.
STORMS = ("spinning", "pauses", "strings", "timer_halted", "timer_ignored")
# Of two CPUs this one is shared: the vCPU there is what the other one's storm is sent at. A board's timer is its first CPU's.
STORMS_FROM_AFAR = {"inits": 1, "wakes": 1, "ipis": 1, "board_timer": 0}


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
    for way, cpu in STORMS_FROM_AFAR.items():
        yield target.job(f"storm-{way}", "--pcpus", "2", "--vcpus", "2", "--mem", "16M",
                         "--vm", f"--name witness --mem 16M --set cpus={cpu} --expect unharmed {WITNESS} -- ms=200 share=40 gaps=2500",
                         "build/guest/attack_time.elf", "--", f"way={way}", stdout=[r"^witness\| ok 1 - life_goes_on"])


def wide(target):
    """The state of a CPU with addresses of 57 bits."""
    yield target.job("attack-state-57bit", "--model", "max", "build/guest/attack_state.elf", "--", target.words)


DIRTY_LOG = ("--set", "dirtylog=on")

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
    job = target.job("dirty-monitor", "--no-interactive", "build/guest/attack_end.elf", "--", "way=nmis",
                     stdout=[r"guest: [1-9]\d* pages written since the last look, [1-9]\d* in all",
                             r"faults: [1-9]\d* fixed", r"guest: [1-9]\d* pages accessed since the last look",
                             r"vm guest: ended: stopped by the monitor, status 0"])
    job.argv[:0] = ["tests/boot/answer", "-t", *(text for pair in DIRTY_TALK for text in pair), "--"]
    yield job
    for vcpus in ("1", "2"):
        yield target.job(f"dirty-small-pages-{vcpus}cpu", *DIRTY_LOG, "--set", "largepages=off", "--vcpus", vcpus, "build/guest/dirty.elf",
                         stdout=[r"^ok \d"])
    yield target.job("dirty-shared-cpu", *DIRTY_LOG, "--pcpus", "1", "--vcpus", "2", "build/guest/dirty.elf",
                     stdout=[r"^ok \d"])
    for model in target.steps:
        # Without accessed and dirty bits of EPT's, Bochs 2.7 writes to a guest's page tables unasked.
        unasked = "walks=unasked" if model in ("corei7_sandy_bridge_2600k", "corei5_lynnfield_750") else ""
        yield target.job(f"dirty-{model}", *DIRTY_LOG, "--model", model, "--vcpus", "2", "build/guest/dirty.elf", "--",
                         unasked, stdout=[r"^ok \d"])


def spcr(port, irq):
    """The firmware's word that its console is a 16550 at this I/O port."""
    body = struct.pack("<B3x 4BQ 2BI 6B 2H3BIBI", 0, 1, 8, 0, 1, port, 1, irq, 0, 7, 0, 1, 0, 3, 0, 0xffff, 0xffff, 0, 0, 0, 0, 0, 0)
    table = bytearray(struct.pack("<4sI2B6s8sI4sI", b"SPCR", 36 + len(body), 2, 0, b"UMBRA ", b"CONSOLE ", 1, b"TEST", 1) + body)
    table[9] = -sum(table) & 0xff
    return table


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
    with open(f"{TOP}/{MADE}/spcr", "wb") as table:
        table.write(spcr(0x2e8, 10))
    for name, size in STREAMS.items():
        with open(f"{TOP}/{MADE}/stream-{name}", "wb") as file:
            file.write(b"." * 256 + b"S" + stream(size))
    with open(f"{TOP}/{MADE}/stream-raw", "wb") as file:
        file.write(stream(STREAMS["20k"]))
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


QEMU = ["qemu-system-x86_64", "-M", "q35", "-cpu", "EPYC", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
        "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


def bare(target, name, append, patterns, status, *words, cpu="EPYC", ending="onexit=poweroff exitport=0xf4"):
    """Umbra as QEMU alone would start it, to see its own words and exit status (v << 1 | 1)."""
    argv = [*QEMU, "-cpu", cpu, "-kernel", "build/umbra.elf", "-append", f"console=com1 {ending} {append}", *words]
    return target.make(name, argv, timeout=60, status=status, stdout=patterns)


def cut(target, name, end, patterns, status):
    """Umbra and a guest from a CD whose GRUB hands over a map without the memory from 1 MiB to `end`, and still uses it."""
    return target.make(name, [
        "bash", "-ec", 'tools/mkiso -q -o "$1" -g "$2" -c "$3" "$4"; cd=$1; shift 4; exec "$@" -cdrom "$cd"', "bash",
        f"{MADE}/{name}.iso", f"cutmem 1M {end}", "console=com1 onexit=poweroff exitport=0xf4", f"{HELLO} kernel vm=guest", *QEMU],
        timeout=target.seconds, status=status, stdout=patterns)


# What Umbra must not be able to do to itself: what is changed at a function's start (tests/boot/fault),
# the CPU, the exception, its error code, and CR2 as far as it is the same in each build.
STORE = "code=488907"  # mov %rax,(%rdi)
PUSH = "code=50"       # push %rax
ALIAS = "+0xffff800080000000"  # from an address in the image to the one in the direct map
FAULTS = {
    "overruns-the-boot-stack": (["rsp=boot_stacks+0x1000", PUSH], 0, "#DF double fault", 0, r"ffffffff\w+ff8"),
    "overruns-a-stack": (["rsp=0xffffc00000001000", PUSH], 1, "#DF double fault", 0, "ffffc00000000ff8"),
    "writes-its-code": (["rdi=text_start", STORE], 1, "#PF page fault", 3, "ffffffff80200000"),
    "writes-its-code-in-the-direct-map": (["rdi=text_start" + ALIAS, STORE], 1, "#PF page fault", 3, "ffff800000200000"),
    "writes-its-constants": (["rdi=rodata_start", STORE], 1, "#PF page fault", 3, r"ffffffff\w+000"),
    "writes-what-is-sealed": (["rdi=ro_after_init_start", STORE], 1, "#PF page fault", 3, r"ffffffff\w+000"),
    "writes-what-is-sealed-in-the-direct-map":
        (["rdi=ro_after_init_start" + ALIAS, STORE], 0, "#PF page fault", 3, r"ffff8000\w+000"),
    "writes-through-a-null-pointer": (["rdi=8", STORE], 0, "#PF page fault", 2, "0000000000000008"),
    "runs-its-stack": (["rip=0xffffc00000002000"], 1, "#PF page fault", 0x11, "ffffc00000002000"),
    "runs-its-data": (["rip=ro_after_init_start"], 0, "#PF page fault", 0x11, r"ffffffff\w+000"),
    "runs-its-constants": (["rip=rodata_start"], 0, "#PF page fault", 0x11, r"ffffffff\w+000"),
    "runs-the-direct-map": (["rip=text_start" + ALIAS], 1, "#PF page fault", 0x11, "ffff800000200000")}


SPINNER = "build/guest/attack_end.elf -- way=spin"
AT_THE_END = [rf"^cpu {i} is at stop_this_cpu\+0x\w+, interrupts off" for i in (0, 1)]


def broken_into(target, name, where, changes, *words, **expected):
    """A run that QEMU's debugger stops there, and changes (tests/boot/fault)."""
    job = target.job(f"umbra-{name}", "--emulator-option=-S", "--emulator-option=-gdb",
                     "--emulator-option=unix:{},server=on,wait=off", "--hv", "exitport=0x80", *words, **expected)
    if not job.not_here:
        job.argv[:0] = ["tests/boot/fault", where, *changes, "--"]
    return job


def faults(target):
    """Umbra's own exceptions: they are reported, and end the machine."""
    for name, (changes, cpu, what, error, cr2) in FAULTS.items():
        rip = r" +rip \w{16}$" if name.startswith("runs") else r" +rip \w{16} debug_exit_write\+0x0$"
        yield broken_into(target, name, "debug_exit_write", [*changes, "stopped"], "--pcpus", "2", "--vm",
                          f"--name spinner --set cpus={1 - cpu} {SPINNER}", "--set", f"cpus={cpu}", HELLO, status=103, stdout=[
                              rf"^panic: {what} \(vector \d+, error {error:#x}\) on CPU {cpu}\n{rip}", rf" cr2 {cr2} ",
                              r"^backtrace:\n  \w{16} \w+\+0x\w+$", r"^guest: vm guest vcpu 0 rip 1\w{5}$", *AT_THE_END])


def guest_symbol(elf, name):
    lines = subprocess.run(["nm", elf], cwd=TOP, capture_output=True, text=True, check=True).stdout.splitlines()
    return next(f"0x{line.split()[0]}" for line in lines if line.split()[-1] == name)


def machine_checks(target):
    """Errors of the hardware, as QEMU's monitor can feign them: mce CPU BANK STATUS MCG_STATUS ADDRESS MISC.

    QEMU's CPU resets the machine for one that was not corrected where CR4.MCE is 0, and does not know the intercept of
    #MC: while a guest runs, it is the guest that gets it. What its exit leads to is seen by giving an exit this reason.
    """
    fatal = "monitor=mce 0 4 0xb200000000000000 0x4 0x0 0x0"
    yield broken_into(target, "gets-a-machine-check", "debug_exit_write", [fatal, "stopped"], "--pcpus", "2", "--vm",
                      f"--name spinner --set cpus=1 {SPINNER}", "--set", "cpus=0", HELLO, status=103, stdout=[
                          r"^panic: machine check in Umbra on CPU 0: the processor's context is corrupt\n"
                          r"mce: CPU 0, MCG_STATUS 4, MCG_CAP \w+\n"
                          r"mce: CPU 0, bank 4: status b200000000000000 \(no code UC EN PCC\)\n"
                          r" +rip \w{16} debug_exit_write\+0x0$", r"^guest: vm guest vcpu 0 rip 1\w{5}$", *AT_THE_END])
    told = "monitor=mce 0 4 0x9c0000000000009f 0x4 0x1234000 0x8c"  # no exception: it was corrected
    yield broken_into(target, "has-a-guest-that-exits-for-a-machine-check", "svm_run_guest", [told, "exit=0x52"],
                      "--pcpus", "1", HELLO, status=103, stdout=[
                          r"^panic: machine check in a guest on CPU 0: what was interrupted cannot go on\n"
                          r"mce: CPU 0, MCG_STATUS 0, MCG_CAP \w+\n"
                          r"mce: CPU 0, bank 4: status 9c0000000000009f \(memory controller EN\), address 1234000, misc 8c\n",
                          r"^guest: vm guest vcpu 0 rip "])
    spin = guest_symbol("build/guest/attack_end.elf", "spin")
    yield broken_into(target, "is-not-reset-by-a-machine-check-in-a-guest", spin, [fatal], "--pcpus", "2", "--vm",
                      "--name witness --set cpus=1 build/guest/witness.elf", "--set", "cpus=0", *SPINNER.split(), status=1,
                      stdout=[r"^Bail out! unexpected vector 18 ", r"^witness\| # witness: unharmed"])


ESCAPE = "\x1d"


def typed(*lines):
    """For tests/boot/answer: each line when the monitor's prompt is there."""
    return [word for line in lines for word in ("umbra> ", line)]


def machine(target):
    """Umbra's own words, without the launcher."""
    job = bare(target, "no-vm", "", [r"^umbra: no VM to run", r"^umbra: exit status 102\r?$"], 205)
    job.absent.append("first guest entry")
    yield job
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
    # No memory for the page tables.
    yield cut(target, "hopeless-no-frames", "4G", [r"^panic: memory: no room for the page tables"], 207)
    # Too little memory for so many CPUs: those without stay the firmware's, and must not be disturbed by a report.
    yield bare(target, "hopeless-few-frames", "", [r"^smp: CPU with APIC id 63 not started: no memory", r"^panic: vmm: no memory",
                                                   r"^guest: none"], 207, "-m", "4M", "-smp", "64")
    yield bare(target, "hopeless-no-clock", "", [r"^panic: tsc: HPET, PM timer and 8254 stand still"], 207,
               "-M", "pc,acpi=off,hpet=off,pit=off")


def monitor(target):
    """The monitor with two guests that share its serial line: one that answers, and one that only spins."""
    guests = ["build/kernels/cloud.vmlinux kernel vm=linux mem=256M -- console=ttyS0 quiet cryptomgr.notests no_timer_check umbra=cat",
              "build/kernels/initrd-amd64 initrd vm=linux",
              f"build/guest/attack_end.elf kernel vm=spinner mem=16M -- way=spin"]
    talk = ["UMBRA-READY", ESCAPE, *typed("list", "pause spinner", "list", "resume spinner", "list", "attach nobody", "stats spinner",
                                          "pause linux", "stats linux", "stats linux", "resume linux", "attach linux"),
            "UMBRA-READY", "words", "got words", ESCAPE, *typed("stop spinner"),
            "vm spinner: ended", "list", *typed("reset linux", "attach linux"), "UMBRA-READY", ESCAPE, *typed("stop linux")]
    listed = r"umbra> list\s+name.*\s+linux +{} +1 +256M +shared\s+spinner +{} +1 +16M +shared"
    job = bare(target, "monitor-two-vms", "", [
        rf"{listed.format('running', 'running')}\s+umbra> pause spinner\s+{listed.format('running', 'paused')}\s+"
        rf"umbra> resume spinner\s+{listed.format('running', 'running')}",
        r"^umbra> attach nobody\s+attach: no VM of the name 'nobody'\s",
        r"^umbra> stats spinner\s+pages for its tables: [^\n]+\s+vcpu 0 on cpu 0:\s+\S+ +\d+",
        r"^umbra> pause linux\s+umbra> stats linux\s+(pages for[^>]+)umbra> stats linux\s+\1umbra> ",  # and nothing moved
        r"^umbra> attach linux(.|\n)*UMBRA-READY(.|\n)*got words",
        r"^vm spinner: ended: stopped by the monitor, status 0\s+list\s+name.*\s+linux +running.*\s+umbra> reset linux\s",
        r"^vm linux: ended: reset, status 0\s(.|\n)*^UMBRA-READY",
        r"^vm linux: ended: stopped by the monitor, status 0\s+umbra: exit status 0\s"], 1, "-initrd", ",".join(guests))
    job.argv[:0] = ["tests/boot/answer", *talk, "--"]
    yield job


def memory(target):
    """Memory that lies elsewhere: all that Umbra allocates above 4 GiB, and the image not where it is linked."""
    yield target.job("above-4g-linux", "--pmem", "6G", "--hv", "debug=high-frames", *linux_words("cloud", "vmlinux", 4), "--",
                     f"{QUICK} umbra=poweroff", stdout=marker("cloud", 4))
    yield target.job("above-4g-32bit", "--pmem", "6G", "--hv", "debug=high-frames", "--pcpus", "2",
                     *linux_words("686-pae", "vmlinux", 1), "--", f"{QUICK} umbra=poweroff", stdout=marker("686-pae", 1))
    # So little of it above that one CPU's data lie there and another's below.
    yield bare(target, "above-4g-16cpus", "", [r"^smp: 16 CPUs", r"^ok 5 ", r"^umbra: exit status 0\r?$"], 1,
               "-m", f"{(4 << 20) + 256}K", "-smp", "16", "-initrd", f"{HELLO} kernel vm=guest")
    # A map of memory that does not call the modules' place RAM: GRUB puts them there all the same.
    yield cut(target, "module-outside-ram", "9M", [r"^ok 5 ", r"^umbra: exit status 0\r?$"], 1)
    # A firmware that uses what lies from 1 MiB up: Umbra is loaded above that, and leaves it alone.
    job = target.job("image-elsewhere", "--boot", "uefi", "--pmem", "512M", "--pcpus", "2",
                     *(f"--emulator-option={word}" for word in (
                         "-object", "memory-backend-file,id=ram,size=512M,share=on,mem-path={}", "-machine", "memory-backend=ram",
                         "-kernel", f"{MADE}/occupy.efi")), HELLO,
                     stdout=[r"^ok 5 ", r"^occupied: (\d+) of \1 pages$"],
                     stderr=[r"^umbra: loaded by GRUB .* at 0x(?!200000$)[\da-f]+00000$", r"^smp: 2 CPUs"])
    job.argv[:0] = ["tests/boot/occupied", "--"]
    yield job


def tools(target):
    """The tool that shows the ways of exits."""
    yield target.make("path", ["tools/path", "-n", "0", HELLO], timeout=target.seconds,
              stdout=[r"^ +0 +\d+ times +\d+ instructions: \d+ the guest, \d+ guest_has_run, .*\d+ svm_run_guest$", r"vmrun +entry\.S:\d+$"])


def steps(target):
    """CPUs with fewer features: the paging of guests, real mode, and, on the least of them, a whole Linux."""
    for model in target.steps:
        for payload in ("pages", "pages32", "realmode32", "cr", "tlb"):
            vcpus = "2" if payload == "tlb" else "1"
            yield target.job(f"{payload}-{model}", "--model", model, "--vcpus", vcpus, f"build/guest/{payload}.elf", "--",
                             target.words, stdout=[r"^ok \d"])
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


SPINNER_MODULE = "build/guest/attack_end.elf kernel vm=spinner mem=16M -- way=spin"
LISTED = r"umbra> list\s+name.*\s+spinner +running +1 +16M +shared\s+umbra> "


BARE_QEMU = ["qemu-system-x86_64", "-M", "q35", "-cpu", "EPYC", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
             "-kernel", "build/umbra.elf"]


def inputs(target):
    """Ways into the monitor where there is no COM1."""
    for name, device, words, line in (
            ("pci", "pci-serial", "console=pci", None),
            ("pci-function", "pci-serial-4x,addr=5", "console=pci:00:05.0,2,57600", None),
            ("spcr", "isa-serial,iobase=0x2e8,irq=10", "", None),
            ("spcr-word", "isa-serial,iobase=0x2e8,irq=10", "console=spcr", None),
            ("polled", "isa-serial,iobase=0x2e8,irq=10", "console=com4", r"port 0x2e8: its interrupt does not come: input is polled"),
            ("unknown-irq", "isa-serial,iobase=0x338,irq=5", "console=0x338", r"port 0x338: no interrupt is known: input is polled")):
        third = "chardev3=c,chardev1=n,chardev2=m,chardev4=o" if "4x" in device else "chardev=c"
        others = [word for name in "nmo" for word in ("-chardev", f"null,id={name}")] if "4x" in device else []
        tables = ["-acpitable", f"file={MADE}/spcr"] if "spcr" in name else []
        argv = ["tests/boot/answer", "about to begin", ESCAPE, *typed("list", "poweroff"), "--",
                *BARE_QEMU, "-chardev", "stdio,id=c", *others, "-device", f"{device},{third}", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
                *tables, "-append", f"{words} exitport=0xf4", "-initrd", SPINNER_MODULE]
        yield target.make(f"input-{name}", argv, timeout=60, status=1, stdout=[r"^ok 1 - about to begin", LISTED, *([line] if line else [])],
                          absent=[] if line else ["polled"])
    # A screen and a keyboard: into the monitor, to the guest, and back.
    argv = ["tests/boot/screen", "-k", "text", "begin: spin", ESCAPE, "commands\numbra>", "liSX\b\b", "umbra> li", "st^\r",
            "shared\numbra>", "attach spinner\r", "begin: spin\numbra>", ESCAPE, "commands\numbra>", "--",
            *BARE_QEMU, "-device", "VGA", "-monitor", "unix:{},server=on,wait=off", "-append", "console=vga", "-initrd", SPINNER_MODULE]
    lines = "(screen:[^\n]*\n)*"
    yield target.make("input-keyboard", argv, timeout=120, stdout=[
        r"^screen: keyboard: its keys are the console's input$",
        r"^screen: umbra> list\nscreen: name.*\nscreen: spinner +running +1 +16M +shared\nscreen: umbra>\n",
        rf"^screen: umbra> attach spinner\n{lines}screen: ok 1 - about to begin: spin\nscreen: umbra>\nscreen: monitor: "])


def obstacles(target):
    """CPUs that cannot run guests."""
    for model, row, words in target.unfit:
        yield target.job(f"unfit-{model}", "--model", model, HELLO, status=102,
                         stderr=[rf"^cpu: {row}", rf"^umbra: .*{words}"])


CASES = (linux, endings, typed_in, power_button, restarts, registers, bios, rom_tables, old_kernels, foreign, realmode, several, dirty, attacks, wide, steps, obstacles, hopeless, mistakes, machine,
         monitor, faults, screens, memory, machine_checks, small_code, leftovers, button, hunger, measures, consoles,
         inputs, storms, tools)


def jobs(target):
    for cases in CASES:
        yield from cases(target)
