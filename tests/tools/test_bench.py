#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark's own judgement: what it reads, what it compares, and that a row that got worse is named."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, f"{TOP}/tests/bench")
from compare import figures, table  # noqa: E402

GUEST = "bench begin: TSC at start 1\r\ncpuid    181548   1000   181.5\r\ntouch   16384   16384   1.0\r\nbench end\r\n"


def made(cpuid, touch=5.0, kvm=None):
    rows = {"cpuid": cpuid, "touch": touch}
    sides = {side: figures.Side(rows=dict(rows)) for side in table.UMBRA}
    if kvm:
        sides["kvm npt=1"] = figures.Side(rows=kvm)
    return figures.Figures("amd", sides=sides)


class Reading(unittest.TestCase):
    def test_rows(self):
        self.assertEqual(figures.parse(GUEST), ({"cpuid": 181.5, "touch": 1.0}, {"cpuid": 1000, "touch": 16384}))

    def test_costly(self):
        lines = ["VMRUN,LOCK", "1000 2", "0 32768"]
        self.assertEqual(figures.parse_costly(lines, {"cpuid": 1000, "touch": 16384}), {"cpuid": {"VMRUN": 1.0}, "touch": {"LOCK": 2.0}})

    def test_costly_of_other_rows(self):
        self.assertEqual(figures.parse_costly(["VMRUN", "1"], {"cpuid": 1000, "touch": 16384}), {})

    def test_what_is_kept_is_read_again(self):
        with tempfile.NamedTemporaryFile() as file:
            made(180, kvm={"cpuid": 2788}).save(file.name)
            self.assertEqual(figures.load(file.name), made(180, kvm={"cpuid": 2788}))


class Guard(unittest.TestCase):
    def changes(self, was, now):
        return tuple(len(lines) for lines in table.changes(was, now))

    def test_the_same(self):
        self.assertEqual(self.changes(made(180), made(180)), (0, 0))

    def test_within_5_percent(self):
        self.assertEqual(self.changes(made(1000), made(1050)), (0, 0))

    def test_worse_is_named(self):
        worse, better = table.changes(made(1000), made(1053))
        self.assertEqual((len(worse), better), (2, []))
        self.assertIn("cpuid (umbra 4K): 1,053, kept 1,000", worse)

    def test_better(self):
        self.assertEqual(self.changes(made(1000), made(900)), (0, 2))

    def test_missing(self):
        now = made(1000)
        del now.sides["umbra 2M"].rows["touch"]
        self.assertEqual(self.changes(made(1000), now), (1, 0))

    def test_not_kept(self):
        now = made(1000)
        now.sides["umbra 4K"].rows["new"] = 1
        self.assertEqual(self.changes(made(1000), now), (1, 0))


class Order(unittest.TestCase):
    def test_worst_first_then_without_work(self):
        now = made(180, kvm={"cpuid": 2700, "touch": 5.0, "zap": 1})
        for side in table.UMBRA:
            now.sides[side].rows |= {"zap": 2000, "only_here": 7}
        now.sides["kvm npt=1"].rows["zap"] = 1000
        self.assertEqual(table.ordered(now), [(0.5, "zap"), (15.0, "cpuid"), (1.0, "touch"), (None, "only_here")])

    def test_table(self):
        cells = list(table.cells(made(180, kvm={"cpuid": 2700})))
        self.assertEqual(cells[0], ["row", "umbra 4K", "umbra 2M", "kvm npt=1", "ratio"])
        self.assertEqual(cells[1], ["cpuid", "180.0", "180.0", "2,700", "15.0"])


if __name__ == "__main__":
    unittest.main()
