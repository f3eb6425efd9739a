# SPDX-License-Identifier: BSD-2-Clause
"""The figures of one CPU's machine, and the file that keeps them.

A side is a hypervisor in one of its modes. It has rows, name -> ticks for each, and on QEMU also the costly
instructions of each row; and what grows: point (such as "1 GiB") -> rows.
"""
import json
import os
import re
from dataclasses import asdict, dataclass, field

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
GUEST = "build/bench/bench.elf"
ROW = re.compile(r"^(\w+) +(\d+) +(\d+) +\d+\.\d\r?$", re.M)
# Point -> MiB that are touched, vCPUs. The guest takes some memory for itself.
POINTS = {"64 MiB": (64, 1), "256 MiB": (256, 1), "1 GiB": (1024, 1), "2 vCPUs": (64, 2), "4 vCPUs": (64, 4), "16 vCPUs": (64, 16)}
# The rows come from two runs: words for the guest, vCPUs. One that shares its CPU with another would tell that in each exit.
PARTS = (((), 1), (("cpus",), 2))
GUEST_MIB, MIB = 16, 256


@dataclass
class Side:
    rows: dict = field(default_factory=dict)
    costly: dict = field(default_factory=dict)  # row -> name of a kind of instruction -> how many for each
    growth: dict = field(default_factory=dict)


@dataclass
class Figures:
    """All of a run: "umbra 4K", "umbra 2M" and KVM's sides."""
    cpu: str
    date: str = ""
    versions: dict = field(default_factory=dict)
    commands: list = field(default_factory=list)
    sides: dict = field(default_factory=dict)

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.write("\n")


def load(path):
    with open(path, encoding="utf-8") as file:
        figures = Figures(**json.load(file))
    figures.sides = {name: Side(**side) for name, side in figures.sides.items()}
    return figures


def points_of(cpu):
    """What grows is measured in QEMU: Bochs takes minutes for each point."""
    return POINTS if cpu == "amd" else {}


def kept_path(cpu):
    return f"{TOP}/tests/bench/kept/{cpu}.json"


def parse(text):
    """(name -> ticks for each, name -> how many) of the guest's lines."""
    found = [(name, int(total), int(n)) for name, total, n in ROW.findall(text)]
    return {name: round(total / n, 1) for name, total, n in found}, {name: n for name, _, n in found}


def parse_costly(lines, many):
    """Row -> kind -> how many for each, of the plugin's lines (tests/bench/costly.c) for rows that came so many times."""
    kinds = lines[0].split(",") if lines else []
    counts = [[int(word) for word in line.split()] for line in lines[1:]]
    if len(counts) != len(many):
        return {}
    return {name: {kind: round(count / n, 2) for kind, count in zip(kinds, row) if count >= n / 20}
            for (name, n), row in zip(many.items(), counts)}
