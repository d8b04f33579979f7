# SPDX-License-Identifier: ISC
"""TAP for tests/run, and the fixtures that most tests share."""

import os
import re
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import stack as stacks  # noqa: E402

tap = None
seen = 0


def ended(number, frame):
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def pytest_configure(config):
    global tap
    # Whoever ends us, as a layer that takes too long is ended: what was started ends first.
    signal.signal(signal.SIGTERM, ended)
    number = os.environ.pop("SANDPOOL_TAP_FD", None)
    if number:
        tap = os.fdopen(int(number), "w", buffering=1)


def tell(ok, name, reason=None, story=""):
    global seen
    if tap is None:
        return
    seen += 1
    line = f"{'ok' if ok else 'not ok'} {seen} - {name.replace('#', '%')}"
    print(line + (f" # SKIP {reason}" if reason else ""), file=tap)
    for row in story.splitlines()[-60:]:
        print("# " + row, file=tap)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the processes said goes with a failure; their logs end with them."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for one in stacks.alive:
            for name in ("sandboxd", "fcgi", "nginx"):
                report.sections.append((f"log of {name} at {one.port}", one.last_words(name)))


def pytest_runtest_logreport(report):
    name = re.sub(r"^(tests/http/)?", "", report.nodeid)
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        tell(True, name, reason.removeprefix("Skipped: "))
    elif report.failed:
        logs = "".join(f"\n{title}:\n{text}" for title, text in report.sections
                       if title.startswith("log of"))
        tell(False, f"{name} ({report.when})" if report.when != "call" else name,
             story=report.longreprtext + logs)
    elif report.when == "call":
        tell(True, name)


def pytest_collectreport(report):
    if report.failed:
        tell(False, report.nodeid, story=report.longreprtext)


def pytest_sessionfinish(session, exitstatus):
    if tap is not None:
        print(f"1..{seen}", file=tap)


def pytest_unconfigure(config):
    for one in list(stacks.alive):
        one.stop()


@pytest.fixture(scope="session")
def pool():
    """The one that most tests share: everything as it comes, no keys, no rates."""
    with stacks.Stack() as running:
        running.wait_versions()
        yield running


@pytest.fixture(scope="session")
def keyed():
    """One that asks for keys on every path; see keyed.keys."""
    with stacks.Stack({"keys-required": True}, keys=True) as running:
        yield running


@pytest.fixture
def fresh():
    """Starts others, as fresh({"slots": 1}, rate="20"); they end with the test."""
    started = []

    def start(*args, **kwargs):
        one = stacks.Stack(*args, **kwargs)
        started.append(one)
        return one.start()

    yield start
    for one in started:
        one.stop()
