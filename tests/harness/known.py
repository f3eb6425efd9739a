# SPDX-License-Identifier: BSD-2-Clause
"""Tables of results that are known to be bad, each with its cause: tests/peer/known, tests/nested/known."""
import fnmatch
import re
from dataclasses import dataclass

NOT_RUN = "not-run"


@dataclass(frozen=True)
class Row:
    test: str     # a pattern for tests' names
    kind: str
    what: str     # a regular expression for the whole of a bad result; None if the test is not run
    reason: str


class Known:
    """Lines "TEST KIND WHAT :: reason" for bad results and "TEST not-run reason" for tests that are not run.

    TEST may have wildcards, and "MACHINE/" in front if it is so on that machine only. KIND is one of `kinds`, which
    say whose matter it is. Empty lines and those that begin with # are no rows.
    """

    def __init__(self, path, machine, kinds):
        self.rows = []
        form = re.compile(rf"(\S+)\s+({'|'.join((NOT_RUN, *kinds))})\s+(?:(.+?) :: )?(\S.*)\n")
        with open(path, encoding="utf-8") as table:
            for number, line in enumerate(table, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                match = form.fullmatch(line)
                if not match or (match[2] == NOT_RUN) == bool(match[3]):
                    raise SystemExit(f"{path}:{number}: not a line of the table")
                vendor, _, test = match[1].rpartition("/")
                if vendor in ("", machine):
                    self.rows.append(Row(test, *match.groups()[1:]))

    def not_run(self, test):
        """The reason why a test is not run, or None."""
        return next((row.reason for row in self.rows if row.kind == NOT_RUN and fnmatch.fnmatchcase(test, row.test)), None)

    def rows_of(self, test):
        """The rows for bad results of a test."""
        return [row for row in self.rows if row.kind != NOT_RUN and fnmatch.fnmatchcase(test, row.test)]


def find_row(rows, result):
    """The row that a bad result is known by, or None."""
    return next((row for row in rows if re.fullmatch(row.what, result)), None)
