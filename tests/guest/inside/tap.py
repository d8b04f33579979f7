# SPDX-License-Identifier: ISC
"""What the guest says, in TAP: its own tests, and those of the programs that it runs."""

import re
import subprocess
import sys
import tempfile
import traceback

RESULT = re.compile(r"(not )?ok\b\s*\d*\s*-?\s*(.*)")
PLAN = re.compile(r"1\.\.(\d+)(\s*#\s*skip.*)?", re.IGNORECASE)


class Stop(Exception):
    """To go on makes no sense; a test has said why."""


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, holds, text, detail=None):
        """One test.  The detail is for a reader of a failure."""
        self.count += 1
        self.failed += not holds
        print(f"{'ok' if holds else 'not ok'} {self.count} - {text}", flush=True)
        if not holds and detail is not None:
            self.note(detail)
        return holds

    def must(self, holds, text, detail=None):
        """A test without which the rest makes no sense."""
        if not self.ok(holds, text, detail):
            raise Stop

    def note(self, text):
        for line in str(text).rstrip("\n").split("\n"):
            print(f"# {line}", flush=True)

    def relay(self, name, argv, limit_s, **options):
        """Run a program that prints one or more TAP plans, and pass its results on.  That it
        ended well, and ran all that it had planned, is a test of its own."""
        plan, ran = None, 0
        # A file and not a pipe: a process left behind by the program would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            try:
                status = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output,
                                        stderr=subprocess.STDOUT, timeout=limit_s,
                                        **options).returncode
            except subprocess.TimeoutExpired:
                status = f"none after {limit_s} s"
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()
        for line in lines:
            result, planned = RESULT.fullmatch(line), PLAN.fullmatch(line)
            if planned:
                plan = (plan or 0) + int(planned[1])
                if planned[2]:
                    self.ok(True, f"{name}: one program{planned[2]}")
            elif result:
                ran += 1
                self.ok(not result[1], f"{name}: {result[2]}")
            else:
                self.note(line.removeprefix("#").removeprefix(" "))
        self.ok(plan is not None and ran == plan, f"{name}: ran what it planned",
                f"planned {plan}, ran {ran}")
        self.ok(status == 0, f"{name}: ended well", f"status {status}")

    def perform(self, job, *arguments):
        """All that a guest is there for: the job, then the journal to take home, and the end."""
        try:
            job(*arguments)
        except Stop:
            self.note("the rest makes no sense")
        except Exception:
            self.ok(False, "no surprises", traceback.format_exc())
        with open("/out/journal", "w") as kept:
            subprocess.run(["journalctl", "--no-pager", "-o", "short-monotonic"], stdout=kept)
        self.done()

    def done(self):
        print(f"1..{self.count}", flush=True)
        if self.failed:
            self.note(f"{self.failed} of {self.count} failed")
        sys.exit(1 if self.failed or not self.count else 0)
