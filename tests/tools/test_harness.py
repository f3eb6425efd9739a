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
from harness import boot, groups, nested, payloads, targets  # noqa: E402
from harness.jobs import Group, Job, Runner, read_tap, run_job  # noqa: E402
from harness.known import Known  # noqa: E402


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


class KnownResults(unittest.TestCase):
    """Tables of bad results with their causes."""

    def table(self, text, machine="amd"):
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(text)
        self.addCleanup(os.unlink, file.name)
        return Known(file.name, machine, ("emulator", "kvm"))

    def test_rows_are_for_tests_and_machines(self):
        known = self.table("# words\n\na-* emulator case_. :: it is so\nintel/a-1 kvm b :: and so\nb not-run no way\n")
        self.assertEqual([row.what for row in known.rows_of("a-1")], ["case_."])
        self.assertEqual(known.rows_of("b"), [])
        self.assertEqual([known.not_run("b"), known.not_run("a-1")], ["no way", None])

    def test_bad_tables(self):
        for line in ("a emulator case\n", "a not-run case :: reason\n", "a mood case :: reason\n", "a emulator case :: \n"):
            with self.assertRaises(SystemExit, msg=line):
                self.table(line)

    def test_known_results_do_not_fail_and_missed_rows_are_told(self):
        rows = self.table("j kvm one :: reason A\nj kvm two|exit status 3 :: reason B\nj kvm gone :: reason C\n").rows_of("j")
        job = Job("j", ["/bin/sh", "-c", "echo '# note'; echo not ok 1 one; echo not ok 2 other; echo ok 3 x"], known=rows)
        outcome = run_job(job)
        self.assertEqual(outcome.failed, ["other"])
        self.assertEqual([name.split("\n")[0] for name in outcome.known], ["one"])
        self.assertTrue(outcome.known[0].endswith("# kvm: reason A"))
        self.assertEqual(outcome.missed, ["two|exit status 3 # reason B", "gone # reason C"])

    def test_they_are_counted_apart(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            runner = Runner(1)
            rows = self.table("j kvm one :: reason A\nj kvm gone :: reason C\n").rows_of("j")
            runner.run([Group("g", [], [Job("j", ["/bin/sh", "-c", "echo not ok 1 one; echo ok 2 x"], known=rows)])])
            status = runner.finish()
        self.assertIn(", 1 results known to be bad\n1 passed, 0 failed\n", out.getvalue())
        self.assertIn("no longer bad, though a table of known results has it:\n  g/j: gone # reason C\n", out.getvalue())
        self.assertEqual(status, 0)


class FakeMiddle:
    """A middle machine that gives what it is told to, and is lost when that is None."""
    booted, stopped, answers = 0, 0, []

    def __init__(self, _host, cpus, _initrd):
        self.cpus = cpus
        FakeMiddle.booted += 1

    def run(self, _command, _seconds):
        if (answer := FakeMiddle.answers.pop(0)) is None:
            raise nested.Lost("no word")
        return answer

    def stop(self):
        FakeMiddle.stopped += 1


class Nested(unittest.TestCase):
    """What the group makes of a middle machine's answers."""

    def setUp(self):
        self.host = dataclasses.replace(nested.HOSTS["amd"], kind=FakeMiddle)
        self.hosts = nested.Hosts(self.host)
        self.addCleanup(self.hosts.stop)
        self.hosts.initrd = "none"
        FakeMiddle.booted = FakeMiddle.stopped = 0

    def inner(self, cpus=1):
        return nested.Inner(self.host, "x", ["run", "--timeout", "10", "--image", "Makefile", "--vcpus", str(cpus), "README.md", "--", "a b"])

    def run_with(self, *answers, cpus=1):
        FakeMiddle.answers = list(answers)
        return self.hosts.run(self.inner(cpus), 10)

    def test_status_is_what_umbra_says(self):
        self.assertEqual(self.run_with((1, "out", "umbra: exit status 7\r\n", "")), (7, "out", "umbra: exit status 7\n"))
        self.assertEqual(self.run_with((1, "", "panic: x\numbra: exit status 0\n", ""))[0], 103)
        self.assertEqual(self.run_with((1, "umbra: exit status 0\n", " umbra: exit status 0\n", "words"))[::2], (104, " umbra: exit status 0\nwords"))
        self.assertEqual(self.run_with((nested.KILLED, "", "", ""))[0], 124)

    def test_a_lost_machine_is_replaced_once_and_told(self):
        status, _, log = self.run_with(None, (1, "", "umbra: exit status 0\n", ""))
        self.assertEqual((status, FakeMiddle.booted, FakeMiddle.stopped), (0, 2, 1))
        self.assertIn("the middle machine was lost: no word", log)
        self.assertEqual(self.run_with(None, None)[0], None)
        self.assertEqual(self.hosts.idle, [])

    def test_machines_are_used_again_for_the_same_number_of_cpus(self):
        good = (1, "", "umbra: exit status 0\n", "")
        for cpus, booted in ((1, 1), (1, 1), (2, 2), (2, 2)):
            self.run_with(good, cpus=cpus)
            self.assertEqual(FakeMiddle.booted, booted)
        self.assertEqual(FakeMiddle.stopped, 1)

    def test_command_has_kvm_and_the_files_of_the_middle(self):
        inner = self.inner()
        self.assertIn(" -M q35,accel=kvm -cpu host,-xsave ", inner.command)
        self.assertIn("-kernel /files/Makefile ", inner.command)
        self.assertTrue(inner.command.startswith("exec timeout -s KILL 10 qemu -L /roms ") and inner.command.endswith("\n"))
        self.assertEqual(sorted(inner.files), ["/files/Makefile", "/files/README.md"])

    def test_it_has_the_runs_of_the_ordinary_group(self):
        ordinary = {job.name for job in payloads.jobs(targets.AMD) if not job.not_here}
        group, = groups.make("guests-nested-all")
        self.addCleanup(group.close)
        self.assertEqual({job.name for job in group.jobs()} - ordinary, {f"linux-cloud-direct-{n}cpu" for n in (1, 2)})
        self.assertLessEqual(ordinary, {job.name for job in group.jobs()})

    def test_on_demand_is_not_in_check(self):
        self.assertFalse(groups.ALL.keys() & groups.ON_DEMAND.keys())


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
