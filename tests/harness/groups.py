# SPDX-License-Identifier: BSD-2-Clause
"""What `make check` runs, group by group."""
import glob
import itertools
import os
import re

from . import boot, kernels, models, nested, payloads, targets
from .jobs import TOP, Group, Job
from .systems import HELLO, LINUX, SHARED, linux_job

FUZZ_SECONDS = 10


def programs(kind):
    """One program for each tests/KIND/NAME.c, built as build/KIND/NAME."""
    sources = sorted(glob.glob(f"{TOP}/tests/{kind}/*.c"))
    return [os.path.splitext(os.path.basename(source))[0] for source in sources]


def unit():
    env = {"CMOCKA_MESSAGE_OUTPUT": "TAP"}
    yield Group("unit", ["unit-programs"],
                [Job(name, [f"build/unit/{name}"], timeout=300, env=env) for name in programs("unit")])


def race():
    env = {"CMOCKA_MESSAGE_OUTPUT": "TAP", "TSAN_OPTIONS": "halt_on_error=1"}
    yield Group("race", ["race-programs"],
                [Job(name, [f"build/race/{name}"], timeout=300, env=env) for name in programs("race")])


def fuzz():
    def job(name):
        # What a run finds stays under build/; what is worth keeping is in tests/fuzz/corpus/.
        found = f"build/fuzz/corpus/{name}"
        os.makedirs(f"{TOP}/{found}", exist_ok=True)
        kept = f"tests/fuzz/corpus/{name}"
        corpora = [found] + ([kept] if os.path.isdir(f"{TOP}/{kept}") else [])
        argv = [f"build/fuzz/{name}", f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=2048",
                "-print_final_stats=1", f"-artifact_prefix=build/fuzz/{name}-", *corpora]
        return Job(name, argv, timeout=FUZZ_SECONDS + 60, tap=False)
    yield Group("fuzz", ["fuzz-programs"], lambda: [job(name) for name in programs("fuzz")])


def bench():
    yield Group("bench", ["all", "kernels", "guest-payloads", "bench-programs"],
                [Job(f"figures-{cpu}", ["tools/bench", "--cpu", cpu, "--tap"], timeout=1200) for cpu in targets.ALL])


def model():
    """tests/model/NAME.pml must hold, NAME_..._broken.pml must not: so it is seen that the model can fail."""
    for path in sorted(glob.glob(f"{TOP}/tests/model/*.pml")):
        name = os.path.splitext(os.path.basename(path))[0]
        yield Job(name, ["tests/model/run", f"tests/model/{name}.pml"], timeout=300)


def lint():
    # The longest first, and with both CPUs, which it has to itself when the others are done.
    yield Job("clang-tidy", ["make", "-s", "-k", "-j2", "lint-tidy"], timeout=600)
    yield Job("includes", ["tests/lint/includes"])
    yield Job("knots", ["tests/lint/knots"])
    yield Job("sizes", ["tests/lint/sizes"])
    yield Job("vendors", ["tests/lint/vendors"])
    yield Job("paths", ["tests/lint/paths"])
    yield Job("files", ["tests/lint/files"])
    yield Job("format", ["tests/lint/format"])
    yield Job("headers-alone", ["make", "-s", "-k", "lint-headers"])
    yield Job("scripts", ["tests/lint/scripts"])
    yield Job("branches", ["tests/lint/branches"])
    yield Job("sparse", ["make", "-s", "-k", "lint-sparse"])
    yield Job("cppcheck", ["tests/lint/cppcheck"], timeout=300)


def tools():
    yield Job("launcher", ["tests/tools/test_umbra.py"], timeout=300)
    yield Job("driver", ["tests/tools/test_harness.py"], timeout=60)
    yield Job("lints", ["tests/tools/test_lints.py"], timeout=120)
    yield Job("bench", ["tests/tools/test_bench.py"], timeout=60)


def guests(target, name):
    yield Group(name, ["all", "guest-payloads"], lambda: list(payloads.jobs(target)))


def ryzen():
    """The longest first."""
    yield Group("guests-ryzen", ["all", "kernels", "guest-payloads", "build/boot/romtables-bochs-svm.bin"],
                lambda: [linux_job(targets.RYZEN, "direct", "cloud", 1),
                         *kernels.rom_tables(targets.RYZEN, "romtables-bochs-svm"), *payloads.jobs(targets.RYZEN, vcpus=(1,))])


# What runs on shadow tables each time: a payload of each paging mode, and what the tables' owner has to see.
SHADOW_QUICK = re.compile("(hello|cr|cr32|dirty|mmio|pages|pages32|attack_memory|attack_tables|init)-1cpu|(smp|tlb|apic_ipi)-2cpu")


SHADOW_QUICK_INTEL = re.compile("(hello|cr|pages|pages32|dirty)-1cpu")


def shadow(name, target, pattern=None, systems=()):
    """Guests of a CPU without nested paging."""
    def jobs():
        for kernel, vcpus in systems:
            yield linux_job(target, "direct", kernel, vcpus)
        yield target.job("refused-mmu-tdp", "--mmu", "tdp", HELLO, status=102,
                         stderr=[r"^vm guest: mmu=tdp: this machine has no nested paging"])
        for job in payloads.jobs(target):
            if not pattern or pattern.fullmatch(job.name):
                yield job
    yield Group(name, ["all", "kernels", "guest-payloads"], lambda: list(jobs()))


def systems(target, name):
    def jobs():
        boot.make_files()
        return [*boot.jobs(target), *models.quick(target)]
    yield Group(name, ["all", "kernels", "guest-payloads", "build/boot/bootsect.img", "build/boot/flood.bin", "build/boot/romtables.bin",
                       "build/boot/realdiff.bin", "old-linux", "build/boot/occupy.efi"], jobs)


# What does not run nested each time: what takes minutes there (clocks, thousands of exits), and on two CPUs all but Linux and
# what the CPUs do to each other. And tasks32: CR0.TS is not seen there behind a task switch, and the cause is not known yet.
NESTED_SLOW = re.compile("(attack_(event|insn|tables|time)|apic_timer|rtc|timekeeping|tasks32)(32)?-1cpu.*|(?!linux|smp|tlb|apic_ipi-).*-2cpu.*")


def nested_guests(cpu, name, parameters="", options=(), without=None):
    """Linux and the payloads, in the order of the numbers of vCPUs."""
    target = nested.target(cpu, parameters)

    def jobs():
        for count in range(1, target.hosts.host.cpus + 1):
            plain = target.hosts.host.plain if count == 1 else ()
            yield linux_job(target, "direct", "cloud", count, f"{SHARED} tsc=reliable", options)
            yield from payloads.jobs(target, [count], (*plain, *options))

    def chosen():
        return [job for job in jobs() if not (without and without.fullmatch(job.name))]
    yield Group(name, ["all", "kernels", "guest-payloads"], chosen, target.hosts.stop)


CLANG = ["CC=clang", "BUILD=build/clang", "NEWLIB=build/newlib"]

# Name -> the groups of jobs that it stands for.
ALL = {
    "lint": lambda: [Group("lint", ["all"], list(lint()))],
    "clang": lambda: [Group("clang", [*CLANG, "all"], [Job("umbra.elf", ["nm", "build/clang/umbra.elf"]), Job("branches", ["tests/lint/branches", "build/clang/umbra.dis"])])],
    "tools": lambda: [Group("tools", ["all", "kernels", "guest-payloads"], list(tools()))],
    "unit": unit,
    "race": race,
    "model": lambda: [Group("model", [], list(model()))],
    "fuzz": fuzz,
    "guests": lambda: guests(targets.AMD, "guests"),
    "guests-intel": lambda: guests(targets.INTEL, "guests-intel"),
    "guests-ryzen": ryzen,
    "guests-shadow": lambda: shadow("guests-shadow", targets.SHADOW, SHADOW_QUICK, [("cloud", 1), ("686", 2)]),
    "guests-shadow-intel": lambda: shadow("guests-shadow-intel", targets.SHADOW_INTEL, SHADOW_QUICK_INTEL),
    "guests-nested": lambda: nested_guests("amd", "guests-nested", without=NESTED_SLOW),
    "boot": lambda: systems(targets.AMD, "boot"),
    "boot-intel": lambda: systems(targets.INTEL, "boot-intel"),
    "bench": bench,
}

# Not among those that `make check` runs: the first two take some ten minutes, nested half an hour and hours, and not all of the
# tests of these have run.
ON_DEMAND = {"guests-shadow-all": lambda: shadow("guests-shadow-all", targets.SHADOW, systems=itertools.product(LINUX, (1, 2))),
             "guests-shadow-intel-all": lambda: shadow("guests-shadow-intel-all", targets.SHADOW_INTEL, systems=[("686", 1)]),
             "models": lambda: [Group("models", ["all", "kernels", "guest-payloads"], lambda: list(models.all_models()))],
             "guests-nested-all": lambda: nested_guests("amd", "guests-nested-all"),
             "guests-nested-intel": lambda: nested_guests("intel", "guests-nested-intel")}


def make(name):
    return (ALL | ON_DEMAND)[name]()
