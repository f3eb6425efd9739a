# SPDX-License-Identifier: BSD-2-Clause
"""Umbra's side: the benchmark's guest in Umbra, one CPU, one tick for each instruction."""
import subprocess
import tempfile

from .figures import GUEST, GUEST_MIB, MIB, PARTS, POINTS, TOP, Side, parse, parse_costly

TIMEOUT = 600  # seconds
PLUGIN = "build/bench/costly.so"
# With memory in 4K pages, as KVM gets it here; and as Umbra has it if it may.
SIDES = {"umbra 4K": ["--set", "largepages=off"], "umbra 2M": []}


class Failed(Exception):
    """A run that did not give its figures: the reason, as words."""


def command(options, mib, vcpus, *words):
    return ["tools/umbra", "run", "--icount", "--timeout", str(TIMEOUT - 30), "--pcpus", "1", "--vcpus", str(vcpus), "--mem", f"{mib}M",
            "--set", "dirtylog=on", *options, GUEST, *words]


def run(argv):
    done = subprocess.run(argv, cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)
    rows, many = parse(done.stdout.decode(errors="replace"))
    if done.returncode or not rows:
        raise Failed(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout[-2000:].decode(errors='replace')}\n"
                     f"{done.stderr[-2000:].decode(errors='replace')}")
    return rows, many


def measure_rows(cpu, options, name):
    """The side's rows. On QEMU with their costly instructions."""
    side = Side()
    for words, vcpus in PARTS:
        with tempfile.NamedTemporaryFile("r") as out:
            plugin = ["--emulator-option=-plugin", f"--emulator-option={PLUGIN},out={out.name}"] if cpu == "amd" else []
            rows, many = run(command([*options, *SIDES[name], *plugin], MIB, vcpus, *(["--", *words] if words else [])))
            side.rows |= rows
            side.costly |= parse_costly(out.read().splitlines(), many)
    return side


def measure_growth(options, name, point):
    mib, vcpus = POINTS[point]
    return run(command([*options, *SIDES[name]], mib + GUEST_MIB, vcpus, "--", "grow"))[0]
