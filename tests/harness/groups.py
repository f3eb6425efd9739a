# SPDX-License-Identifier: BSD-2-Clause
"""What `make check` runs, group by group."""
import glob
import os

from . import payloads
from .jobs import TOP, Group, Job

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
    yield Group("bench", ["all"], [Job("figures", ["tools/bench", "--tap"], timeout=1200)])


def guests():
    yield Group("guests", ["guest-payloads"], lambda: list(payloads.jobs()))


ALL = {"unit": unit, "race": race, "fuzz": fuzz, "guests": guests, "bench": bench}


def make(name):
    return ALL[name]()
