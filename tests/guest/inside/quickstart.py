#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""quickstart on a fresh Debian: installs what it wants, builds, runs programs behind an nginx of its
own, starts again what dies, and leaves nothing when it is stopped.  /in/source has the checkout,
/in/archive the packages."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from job import booted, leftovers, run, tap, wait_for  # noqa: E402
from tap import Stop  # noqa: E402

CHECKOUT = "/root/sandpool"
PREFIX = CHECKOUT + "/.run"
URL = "http://127.0.0.1:8080"
FIRST_ID = 0x60000000
BUILD_LIMIT_S = 1500
HOLD_MEMORY = "held = []\nwhile True:\n    held.append(bytearray(1 << 20))\n"


def ask(path, body=None):
    """Status and decoded answer; status 0 when there was none."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {"text": error.read().decode(errors="replace")}
    except (OSError, ValueError) as trouble:
        return 0, {"text": str(trouble)}


def run_program(code, **more):
    return ask("/run", {"language": "python3", "code": code, **more})


def watched(argv, environment):
    """Its lines are shown as they come: in the emulation this takes minutes."""
    begun, said = time.monotonic(), ""
    with subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        timer = threading.Timer(BUILD_LIMIT_S, process.kill)
        timer.start()
        for line in process.stdout:
            tap.note(f"{time.monotonic() - begun:4.0f} s: {line}")
            said += line
        timer.cancel()
    return process.returncode, said


def works():
    return run_program("print(6 * 7)")[1].get("stdout") == "42\n"


def pid_of(name):
    with open(f"{PREFIX}/{name}.pid") as file:
        return file.read().strip()


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def logs():
    return run("sh", "-c", f"tail -n 20 {PREFIX}/log/*.log {PREFIX}/*.log").stdout


# Nothing of the host is different afterwards, but for packages.
def state():
    found = set()
    for top in ("/etc", "/usr/local", "/opt", "/srv", "/var/lib/sandpool", "/var/www"):
        for where, folders, files in os.walk(top):
            found.update(os.path.join(where, name) for name in files + folders)
    with open("/etc/passwd") as passwd:
        found.update(passwd)
    return {name for name in found if "sandpool" in name or name.startswith(("/usr/local", "/opt"))}


def scopes():
    return run("systemctl", "list-units", "--all", "--no-legend", "--plain", "run-*.scope").stdout


def fresh_debian():
    """What a fresh Debian has not, and the packages that this one can get."""
    nginx = run("dpkg-query", "-W", "-f", "${Package}\n", "*nginx*").stdout.split()
    gone = run("apt-get", "-y", "purge", *nginx, limit_s=180)
    tap.must(gone.returncode == 0 and not shutil.which("nginx"), "a Debian without a web server",
             gone.stdout)
    with open("/etc/apt/sources.list", "w") as sources:
        sources.write("deb [trusted=yes] file:/in/archive ./\n")
    shutil.copytree("/in/source", CHECKOUT, symlinks=True)
    os.chmod("/root", 0o700)
    tap.must(run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").stdout == "cgroup2fs\n",
             "its control groups are pure v2")


def test_background():
    before = state()
    # An emulated compiler that optimises less takes half the time.
    status, said = watched([CHECKOUT + "/quickstart", "--background"],
                           {**os.environ, "CFLAGS": "-O1"})
    tap.must(status == 0 and f"curl {URL}/run" in said,
             "quickstart --background comes back with a curl line", logs())
    tap.ok(state() == before, "outside its prefix there are packages and nothing else",
           state() ^ before)
    tap.ok(not listens(80) and run("systemctl", "is-active", "nginx").stdout == "inactive\n"
           and run("systemctl", "is-enabled", "nginx").stdout == "disabled\n",
           "nginx's own service neither runs nor will", run("systemctl", "status", "nginx").stdout)
    tap.ok(not os.path.exists("/usr/sbin/policy-rc.d"), "other services may start again")
    group = run("cat", f"/proc/{pid_of('sandboxd')}/cgroup").stdout.strip()
    tap.ok(group.startswith("0::/system.slice/run-") and group.endswith(".scope/supervisor"),
           "the boxes are in a group that systemd gave away", group + "\n" + scopes())


def test_programs():
    status, answer = run_program("print(input())", input="hello\n")
    tap.ok(status == 200 and answer.get("stdout") == "hello\n", "a program runs through its nginx",
           f"{status} {answer}")
    status, answer = run_program(HOLD_MEMORY, limits={"memory_bytes": 64 << 20})
    tap.ok(status == 200 and answer.get("status") == "memory_limit", "its memory is limited",
           f"{status} {answer}")
    status, answer = ask("/api/system")
    tap.ok(status == 200 and answer.get("cgroup") == "v2", "by cgroup v2", f"{status} {answer}")
    with urllib.request.urlopen(URL + "/", timeout=60) as page:
        tap.ok(b"<title" in page.read(), "the page is there")


def test_deaths():
    for name in ("sandboxd", "fcgi", "nginx"):
        pid = pid_of(name)
        os.kill(int(pid), signal.SIGKILL)
        tap.ok(wait_for(lambda n=name, p=pid: pid_of(n) != p) and wait_for(works),
               f"{name} is started again after kill -9", logs())
    tap.ok(len(scopes().split("\n")) == 2, "the old one's scope is gone", scopes())


def remains():
    """What leftovers() does not know: the names and ids here are quickstart's own."""
    found = leftovers() + scopes().splitlines()
    found += [path for path in glob.glob("/sys/fs/cgroup/**/sandpool*", recursive=True)]
    for status in glob.glob("/proc/[0-9]*/status"):
        try:
            with open(status) as lines:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
        except OSError:
            continue
        if fields["Name"] in ("nginx", "quickstart") or int(fields["Uid"].split()[0]) >= FIRST_ID:
            found.append(f"process {fields['Pid']}: {fields['Name']}")
    if listens(8080):
        found.append("somebody listens on port 8080")
    return found


def gone(text):
    tap.ok(wait_for(lambda: not remains(), 30), text, "\n".join(remains()))
    tap.ok(run("systemctl", "is-system-running").stdout == "running\n", "no unit failed",
           run("systemctl", "--failed", "--no-legend").stdout)


def test_stop():
    done = run(CHECKOUT + "/quickstart", "--stop", limit_s=120)
    tap.ok(done.returncode == 0, "quickstart --stop", done.stdout)
    gone("nothing of it is left: no process, control group, mount or scope")


def test_foreground():
    """Once more, in the foreground, with other eyes: Ctrl-C goes to all of the terminal's group."""
    with open("/out/foreground", "w") as said:
        process = subprocess.Popen([CHECKOUT + "/quickstart"], stdin=subprocess.DEVNULL,
                                   stdout=said, stderr=said, start_new_session=True)
        ready = wait_for(lambda: process.poll() is not None or os.path.exists(PREFIX + "/ready"),
                         600)
        tap.ok(ready and works(), "it runs again, in the foreground",
               run("cat", "/out/foreground").stdout + logs())
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
    tap.ok(process.returncode == 0, "Ctrl-C ends it", process.returncode)
    gone("and again nothing is left")


def test_all():
    if not booted():
        raise Stop
    fresh_debian()
    test_background()
    test_programs()
    test_deaths()
    test_stop()
    test_foreground()


tap.perform(test_all)
