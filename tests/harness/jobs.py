# SPDX-License-Identifier: BSD-2-Clause
"""Programs that are tests: run them, a few at a time, and count their results.

A program that prints TAP or KTAP (also indented, as subtests) gives one result per line "ok" or
"not ok", and must keep its plan; any other gives one result, by its exit status.
"""
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from .known import find_row

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
RESULT = re.compile(r"^(\s*)(not )?ok\b\s*\d*\s*-?\s*(.*?)\s*(# *SKIP\b.*)?$", re.I)
PLAN = re.compile(r"^(\s*)1\.\.(\d+)")
MAX_NOTES = 5  # of one failed result


@dataclass
class Job:
    """One program, and what is expected of it."""
    name: str
    argv: list
    timeout: float = 120            # seconds
    status: int = 0                 # the exit status it must have
    stdout: list = field(default_factory=list)  # patterns that must be found there
    stderr: list = field(default_factory=list)
    absent: list = field(default_factory=list)  # patterns that must be found in neither
    env: dict = field(default_factory=dict)
    tap: bool = True                # look for TAP lines
    not_here: str = ""              # the reason why it is not to run in this group
    known: list = field(default_factory=list)  # rows of a table (known.py): bad results that do not make it fail
    run: object = None              # a function of the job that runs it, in the place of its argv: as execute()


@dataclass
class Group:
    """Jobs that need something built first."""
    name: str
    build: list  # arguments for make; empty for none
    jobs: object  # a list of Job, or a function that gives one, called after the build
    close: object = None  # a function to call at the end


@dataclass
class Outcome:
    name: str
    seconds: float
    passed: list
    failed: list
    skipped: list
    output: str
    not_here: str = ""
    known: list = field(default_factory=list)  # bad, and no surprise
    missed: list = field(default_factory=list)  # rows of the table without such a result


def read_tap(text):
    """Results in the output: lists of the names passed, failed (with what was noted) and skipped."""
    passed, failed, skipped = [], [], []
    open_plans = {}  # indentation -> results still to come
    notes = []       # "# ..." lines since the last result

    def close_plan(indent):
        missing = open_plans.pop(indent, 0)
        if missing > 0:
            failed.append(f"{missing} planned results are missing")
        elif missing < 0:
            failed.append(f"{-missing} results more than planned")

    for line in text.replace("\r", "").split("\n"):
        if plan := PLAN.match(line):
            close_plan(plan[1])
            open_plans[plan[1]] = int(plan[2])
        elif line.startswith("# "):
            notes.append(line)
        elif result := RESULT.match(line):
            if result[1] in open_plans:
                open_plans[result[1]] -= 1
            name = result[3] or "?"
            if result[4]:
                skipped.append(f"{name} {result[4]}")
            elif result[2]:
                failed.append("\n           ".join([name, *notes[:MAX_NOTES]]))
            else:
                passed.append(name)
            notes.clear()
    for indent in list(open_plans):
        close_plan(indent)
    return passed, failed, skipped


def execute(argv, timeout, env=None):
    """Run a program in a process group of its own: (status or None on time-out, stdout, stderr)."""
    with subprocess.Popen(argv, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True,
                          env=dict(os.environ, LC_ALL="C", **(env or {}))) as child:
        try:
            out, err = child.communicate(timeout=timeout)
            status = child.returncode
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            status = None
    return status, out.decode(errors="replace"), err.decode(errors="replace")


def judge(job, status, out, err):
    """What one finished program says: (passed, failed, skipped)."""
    passed, failed, skipped = read_tap(out) if job.tap else ([], [], [])
    wrong = []
    if status is None:
        wrong.append(f"no end within {job.timeout} s")
    elif status != job.status and not (failed and job.status == 0):
        wrong.append(f"exit status {status}" + (f" instead of {job.status}" if job.status else ""))
    wrong += [f"not on stdout: {p}" for p in job.stdout if not re.search(p, out, re.M)]
    wrong += [f"not on stderr: {p}" for p in job.stderr if not re.search(p, err, re.M)]
    wrong += [f"found: {p}" for p in job.absent if re.search(p, out + err, re.M)]
    if not (passed or failed or skipped or wrong):
        passed = [job.name]
    return passed, failed + wrong, skipped


def split_known(rows, failed):
    """What of the failed results is in the table: (failed, known, missed)."""
    found = [(result, find_row(rows, result.split("\n")[0])) for result in failed]
    seen = [row for _, row in found if row]
    return ([result for result, row in found if not row],
            [f"{result} # {row.kind}: {row.reason}" for result, row in found if row],
            [f"{row.what} # {row.reason}" for row in rows if row not in seen])


def run_job(job):
    if job.not_here:
        return Outcome(job.name, 0, [], [], [], "", job.not_here)
    start = time.monotonic()
    try:
        status, out, err = job.run(job) if job.run else execute(job.argv, job.timeout, job.env)
        results = judge(job, status, out, err)
    except OSError as error:
        out, err, results = "", str(error), ([], ["cannot be started"], [])
    output = out + ("\n--- stderr ---\n" + err if err.strip() else "")
    passed, failed, skipped = results
    failed, known, missed = split_known(job.known, failed)
    return Outcome(job.name, time.monotonic() - start, passed, failed, skipped, output, known=known, missed=missed)


class Runner:
    """Runs groups one after the other, their jobs `parallel` at a time; prints as they end."""

    def __init__(self, parallel, verbose=False):
        self.parallel, self.verbose = parallel, verbose
        self.start = time.monotonic()
        self.passed = self.failed = self.skipped = self.known = 0
        self.failures, self.not_here, self.missed = [], [], []

    def run(self, groups, only=""):
        for group in groups:
            try:
                for outcome in self.run_group(group, only):
                    self.report(group.name, outcome)
            finally:
                if group.close:
                    group.close()

    def run_group(self, group, only):
        if group.build:
            argv = ["make", "-s", f"-j{self.parallel}", *group.build]
            built = run_job(Job("build", argv, timeout=1200, tap=False))
            if built.failed:
                yield built
                return
        jobs = group.jobs() if callable(group.jobs) else group.jobs
        if not jobs:
            yield Outcome("anything", 0, [], ["the group has no tests"], [], "")
        jobs = [job for job in jobs if only in job.name]
        with concurrent.futures.ThreadPoolExecutor(self.parallel) as pool:
            for future in concurrent.futures.as_completed([pool.submit(run_job, j) for j in jobs]):
                yield future.result()

    def report(self, group, outcome):
        if outcome.not_here:
            self.not_here.append(f"{group}/{outcome.name}: {outcome.not_here}")
            return
        self.passed += len(outcome.passed)
        self.failed += len(outcome.failed)
        self.skipped += len(outcome.skipped)
        self.known += len(outcome.known)
        self.missed += [f"{group}/{outcome.name}: {row}" for row in outcome.missed]
        count = len(outcome.passed) + len(outcome.failed)
        print(f"{'not ok' if outcome.failed else 'ok':6} {group}/{outcome.name}"
              f" ({outcome.seconds:.1f} s{f', {count} results' if count > 1 else ''})", flush=True)
        if self.verbose:
            for name in outcome.passed:
                print(f"         ok {name}")
            for name in outcome.skipped:
                print(f"         ok {name}")
            for name in outcome.known:
                print(f"         known: {name}")
        for name in outcome.failed:
            print(f"         {name}")
            self.failures.append(f"{group}/{outcome.name}: {name}")
        if outcome.failed:
            lines = outcome.output.rstrip().split("\n")
            print("\n".join("       | " + line for line in lines[-40:]), flush=True)

    def finish(self):
        """Print the sums; the exit status."""
        if len(self.failures) > 1:
            print("failed:", *self.failures, sep="\n  ")
        if self.not_here:
            print(f"{len(self.not_here)} tests are not for that CPU:", *self.not_here, sep="\n  ")
        if self.missed:
            print("no longer bad, though a table of known results has it:", *self.missed, sep="\n  ")
        skipped = f", {self.skipped} results skipped by their tests" if self.skipped else ""
        known = f", {self.known} results known to be bad" if self.known else ""
        print(f"took {time.monotonic() - self.start:.0f} s{skipped}{known}")
        print(f"{self.passed} passed, {self.failed} failed")
        sys.stdout.flush()
        return 0 if self.passed and not self.failed else 1
