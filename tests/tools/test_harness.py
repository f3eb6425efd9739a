#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The test driver must be able to fail: what it makes of programs that do well, badly, or nothing."""
import contextlib
import dataclasses
import io
import os
import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from harness import boot, payloads, targets  # noqa: E402
from harness.jobs import Group, Job, Runner, read_tap, run_job  # noqa: E402


class Tap(unittest.TestCase):
    def test_results(self):
        self.assertEqual(read_tap("1..3\nok 1 - a\nnot ok 2 - b\nok 3 c # SKIP no such CPU\n"),
                         (["a"], ["b"], ["c # SKIP no such CPU"]))

    def test_subtests_and_carriage_returns(self):
        self.assertEqual(read_tap("1..1\r\n    1..2\r\n    ok 1 - a\r\n    ok 2 - b\r\nok 1 - all\r\n")[:2], (["a", "b", "all"], []))

    def test_plan_is_kept(self):
        self.assertEqual(read_tap("1..3\nok 1 - a\n")[1], ["2 planned results are missing"])
        self.assertEqual(read_tap("1..1\nok 1 - a\nok 2 - b\n")[1], ["1 results more than planned"])
        self.assertEqual(read_tap("1..1\nok 1 - a\n1..1\nnot a result\n")[1], ["1 planned results are missing"])

    def test_other_words_are_no_results(self):
        self.assertEqual(read_tap("okay\n# not ok - a\nnot okay\n"), ([], [], []))


class Programs(unittest.TestCase):
    def outcome(self, script, **expected):
        timeout = expected.pop("timeout", 20)
        return run_job(Job("job", ["/bin/sh", "-c", script], timeout=timeout, **expected))

    def test_status_counts_where_there_is_no_tap(self):
        self.assertEqual(self.outcome("true").passed, ["job"])
        self.assertEqual(self.outcome("exit 3").failed, ["exit status 3"])
        self.assertEqual(self.outcome("exit 3", status=3).passed, ["job"])
        self.assertEqual(self.outcome("true", status=3).failed, ["exit status 0 instead of 3"])

    def test_crash_after_good_results(self):
        self.assertTrue(self.outcome("echo 1..1; echo ok 1 a; kill -SEGV $$").failed)

    def test_failed_result_with_good_status(self):
        self.assertEqual(self.outcome("echo not ok 1 a").failed, ["a"])

    def test_timeout(self):
        self.assertEqual(self.outcome("sleep 60 & wait", timeout=0.5).failed, ["no end within 0.5 s"])

    def test_patterns(self):
        self.assertEqual(self.outcome("echo yes; echo no >&2", stdout=["^yes$"], stderr=["^no$"], absent=["maybe"]).failed, [])
        self.assertEqual(len(self.outcome("echo yes", stdout=["no"], stderr=["yes"], absent=["yes"]).failed), 3)

    def test_program_that_does_not_exist(self):
        self.assertEqual(run_job(Job("job", ["/no/such/program"])).failed, ["cannot be started"])


class Sums(unittest.TestCase):
    def last_line(self, *groups):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            runner = Runner(2)
            runner.run(groups)
            status = runner.finish()
        return out.getvalue().rstrip().split("\n")[-1], status

    def test_sums(self):
        good, bad = Job("good", ["true"]), Job("bad", ["false"])
        self.assertEqual(self.last_line(Group("g", [], [good, good])), ("2 passed, 0 failed", 0))
        self.assertEqual(self.last_line(Group("g", [], [good, bad]), Group("h", [], lambda: [good])), ("2 passed, 1 failed", 1))

    def test_nothing_to_run_has_failed(self):
        self.assertEqual(self.last_line(), ("0 passed, 0 failed", 1))
        self.assertEqual(self.last_line(Group("g", [], [])), ("0 passed, 1 failed", 1))

    def test_what_is_for_another_cpu_is_listed_and_does_not_count(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            runner = Runner(2)
            runner.run([Group("g", [], [Job("good", ["true"]), Job("other", [], not_here="amd only: no such thing")])])
            runner.finish()
        self.assertIn("1 tests are not for that CPU:\n  g/other: amd only: no such thing\n", out.getvalue())
        self.assertTrue(out.getvalue().endswith("\n1 passed, 0 failed\n"))

    def test_what_cannot_be_built_has_failed(self):
        self.assertEqual(self.last_line(Group("g", ["no-such-target"], [Job("good", ["true"])])), ("0 passed, 1 failed", 1))


class Payloads(unittest.TestCase):
    """What the opening comment of a payload says about how to run it."""

    def source(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".c", delete=False) as file:
            file.write(text)
        self.addCleanup(os.unlink, file.name)
        return file.name

    def test_wishes(self):
        self.assertEqual(payloads.wishes(self.source("/*\n * run: status=101 vcpus=2\n */\n")), {"status": 101, "vcpus": 2})
        self.assertEqual(payloads.wishes(self.source("/* x */\n/*\n * A guest. run: status=101\n * vcpus=1\n */\n")),
                         {"status": 101, "vcpus": 1})
        self.assertEqual(payloads.wishes(self.source("/*\n * A guest.\n */\n")), {})

    def test_one_vendor(self):
        path = self.source("/*\n * intel only: no such instruction\n */\n")
        self.assertEqual(payloads.other_vendor(path, "amd"), "intel only: no such instruction")
        self.assertIsNone(payloads.other_vendor(path, "intel"))

    def test_each_vendor_has_its_machine(self):
        for cpu, target in targets.ALL.items():
            job = target.job("x", "kernel", timeout=10)
            self.assertEqual(job.argv, ["tools/umbra", "run", "--cpu", cpu, "--timeout", "10", "kernel"])
            self.assertGreater(job.timeout, 10 * target.patience)

    def test_what_a_machine_leaves_out_has_its_reason(self):
        target = dataclasses.replace(targets.AMD, left_out=(("big-.*", "no room"),))
        self.assertEqual(target.job("big-one", "kernel").not_here, "no room")
        self.assertEqual([target.job(name, "kernel").not_here for name in ("not-big-one", "big")], ["", ""])

    def test_both_machines_have_the_same_runs(self):
        """As many of each kind, run or left out with a reason; but each has its own models of CPUs."""
        own = {model for target in targets.ALL.values() for model in [*target.steps, *(unfit for unfit, *_ in target.unfit)]}
        names = [{job.name for job in boot.jobs(target) if not any(model in job.name for model in own)}
                 for target in targets.ALL.values()]
        self.assertEqual(names[0], names[1])
        for target in targets.ALL.values():
            for pattern, _ in target.left_out:
                self.assertTrue([name for name in names[0] if re.fullmatch(pattern, name)], pattern)


if __name__ == "__main__":
    unittest.main()
