#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The job of a test guest: installs Sandpool as an operator would, starts it behind nginx as two
systemd services, sends it programs, breaks it, and runs the box tests.

usage: job.py LAYOUT, where LAYOUT is the cgroup layout that the guest was booted for: v2, v1 or
hybrid.  /in holds what to install (debs/, or installed/ with tree/); /out takes the journal."""

import glob
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import Tap  # noqa: E402

PATIENCE_S = 60
SERVICES = ["sandpool-sandboxd.service", "sandpool-fcgi.service"]
NGINX_FILES = "/usr/share/sandpool/nginx"
BOX_TEST_LIMIT_S = 900

tap = Tap()


def run(*argv, limit_s=PATIENCE_S, **options):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=limit_s, **options)


def wait_for(holds, limit_s=PATIENCE_S):
    """Whether it came to hold in time."""
    end = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def ask(method, path, body=None, limit_s=PATIENCE_S):
    """Status and decoded answer of nginx; status 0 when there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=limit_s)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = json.dumps(body) if body is not None else None
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, {"text": text.decode(errors="replace")}
    except (OSError, http.client.HTTPException) as trouble:
        return 0, {"text": str(trouble)}
    finally:
        connection.close()


def run_program(code, language="python3", **more):
    return ask("POST", "/run", {"language": language, "code": code, **more})


# ---- the guest itself ----

def layout():
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "hybrid" if os.path.exists("/sys/fs/cgroup/unified/cgroup.procs") else "v1"


def booted():
    state = run("systemctl", "is-system-running", "--wait", limit_s=90).stdout.strip()
    return tap.ok(state == "running", "the guest has booted",
                  state + "\n" + run("systemctl", "--failed", "--no-legend").stdout)


def test_guest(wanted):
    booted()
    tap.ok(layout() == wanted, f"its cgroup layout is {wanted}", layout())


# ---- installation ----

def install():
    """Packages when there are any, else the result of "make install" and our own units."""
    packages = glob.glob("/in/debs/*.deb")
    if packages:
        done = run("apt-get", "install", "-y", *packages, limit_s=120,
                   env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        tap.must(done.returncode == 0, "the packages install", done.stdout)
        return
    copied = run("cp", "-a", "/in/installed/.", "/")
    tap.must(copied.returncode == 0, "the files install", copied.stdout)
    made = run("adduser", "--system", "--group", "--no-create-home", "--home", "/nonexistent",
               "sandpool")
    tap.must(made.returncode == 0, "the pool gets a user", made.stdout)
    # Both services have sockets here, and only the first is root.
    os.mkdir("/run/sandpool")
    shutil.chown("/run/sandpool", "root", "sandpool")
    os.chmod("/run/sandpool", 0o1775)
    for unit in SERVICES:
        shutil.copy(f"/in/job/{unit}", "/etc/systemd/system/")
    run("systemctl", "daemon-reload")


def programs():
    return [path for name in ("/usr/sbin/sandpool-*", "/usr/bin/sandpool",
                              "/usr/libexec/sandpool/*") for path in glob.glob(name)]


def test_linked():
    lost = [f"{path}: {line.strip()}" for path in programs()
            for line in run("ldd", path).stdout.splitlines() if "not found" in line]
    tap.ok(programs() and not lost, "every program finds its libraries", "\n".join(lost))


def properties(unit, *names):
    shown = run("systemctl", "show", unit, *(f"--property={name}" for name in names)).stdout
    return dict(line.split("=", 1) for line in shown.splitlines())


def active(unit):
    return properties(unit, "ActiveState", "SubState") == {"ActiveState": "active",
                                                           "SubState": "running"}


def journal(unit):
    return run("journalctl", "--no-pager", "-u", unit, "-n", "30", "-o", "cat").stdout


def test_start():
    for unit in SERVICES:
        started = run("systemctl", "start", unit, limit_s=90)
        tap.must(started.returncode == 0 and wait_for(lambda u=unit: active(u)),
                 f"{unit} starts", started.stdout + journal(unit))


def test_nginx():
    """As sandpool-site.conf says, but for every name, and without a rate."""
    for path in glob.glob(NGINX_FILES + "/sandpool*.conf"):
        shutil.copy(path, "/etc/nginx/snippets/")
    with open(NGINX_FILES + "/sandpool-site.conf") as example:
        site = example.read().replace("server_name code.example.org;", "server_name _;")
    site = site.replace("set $sandpool_rate 20;", "set $sandpool_rate none;")
    with open("/etc/nginx/sites-enabled/sandpool", "w") as out:
        out.write(site)
    os.remove("/etc/nginx/sites-enabled/default")
    checked = run("nginx", "-t")
    tap.must(checked.returncode == 0, "nginx accepts the site", checked.stdout)
    reloaded = run("systemctl", "reload-or-restart", "nginx")
    tap.ok(reloaded.returncode == 0, "nginx takes it over", reloaded.stdout)


# ---- programs through nginx ----

def test_answers():
    tap.must(wait_for(lambda: ask("GET", "/health")[0] == 200), "/health answers 200",
             ask("GET", "/health"))
    tap.ok(wait_for(lambda: ask("GET", "/ready")[0] == 200), "/ready answers 200",
           ask("GET", "/ready"))
    status, answer = ask("GET", "/api/languages")
    ids = [entry.get("id") for entry in answer] if isinstance(answer, list) else []
    tap.ok(status == 200 and "python3" in ids, "/api/languages names python3", answer)


def test_system(wanted):
    """What the daemon says of itself agrees with what this guest really is."""
    status, answer = ask("GET", "/api/system")
    tap.ok(status == 200 and answer.get("cgroup") == wanted,
           f"/api/system says that the cgroup layout is {wanted}", answer)


HOLD_MEMORY = "held = []\nwhile True:\n    held.append(bytearray(1 << 20))\n"
FORK = """import os, time
made = 0
try:
    while made < 200:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except OSError as trouble:
    print(made, trouble.strerror)
"""
FILL = """try:
    with open("big", "wb") as big:
        for _ in range(200):
            big.write(bytes(1 << 20))
            big.flush()
except OSError as trouble:
    print(trouble.strerror)
"""

# What runs, what is asked, and what the answer must say.
PROGRAMS = [
    ("a program runs", "print(input())", {"input": "hello\n"},
     lambda a: a["status"] == "success" and a["stdout"] == "hello\n"),
    ("an exit code is reported", "raise SystemExit(7)", {},
     lambda a: a["status"] == "runtime_error" and a["exit_code"] == 7),
    ("a signal is reported", "import os; os.kill(os.getpid(), 11)", {},
     lambda a: a["status"] == "runtime_error" and a["signal"] == "SIGSEGV"),
    ("wall time is limited", "import time; time.sleep(60)", {"timeout": 2},
     lambda a: a["status"] == "timeout"),
    ("CPU time is limited", "while True: pass", {"limits": {"cpu_ms": 1000}},
     lambda a: a["status"] == "timeout" and a["usage"]["cpu_ms"] >= 900),
    ("memory is limited", HOLD_MEMORY, {"limits": {"memory_bytes": 64 << 20}},
     lambda a: a["status"] == "memory_limit"
     and 32 << 20 < a["usage"]["memory_peak_bytes"] <= 64 << 20),
    ("the number of processes is limited", FORK, {"limits": {"processes": 20}},
     lambda a: 10 <= int(a["stdout"].split()[0]) < 20 and "unavailable" in a["stdout"]),
    ("the disk is limited", FILL, {"limits": {"disk_bytes": 16 << 20}},
     lambda a: "No space left" in a["stdout"]),
    ("output is limited", "while True: print('x' * 1000)",
     {"limits": {"output_bytes": 65536}},
     lambda a: a["status"] == "output_limit" and len(a["stdout"]) == 65536),
    ("the program is no one special", "import os; print(os.getuid(), os.listdir('/root'))", {},
     lambda a: a["status"] == "runtime_error" and not a["stdout"].startswith("0 ")),
]


def test_programs():
    for text, code, more, holds in PROGRAMS:
        status, answer = run_program(code, **more)
        try:
            good = status == 200 and holds(answer)
        except (KeyError, IndexError, TypeError, ValueError):
            good = False
        tap.ok(good, f"through nginx: {text}", f"{status} {json.dumps(answer)[:2000]}")


# ---- the services under stress ----

class Clients:
    """Some clients that keep asking, and note every answer."""

    def __init__(self, count):
        self.answers = []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.work) for _ in range(count)]

    def work(self):
        while not self.stopped.is_set():
            status, answer = run_program("print(6 * 7)")
            self.answers.append((status, answer))
            if status != 200:
                time.sleep(0.2)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def wrong(self):
        """Answers other than the right one and an honest refusal."""
        return [(status, answer) for status, answer in self.answers
                if not (status == 200 and answer.get("stdout") == "42\n") and status != 503]


def works_again():
    return wait_for(lambda: run_program("print(6 * 7)")[1].get("stdout") == "42\n", 60)


def test_restart():
    """Restarted under requests: each gets its answer or hears that nothing ran."""
    for unit in SERVICES:
        with Clients(3) as clients:
            time.sleep(2)
            restarted = run("systemctl", "restart", unit, limit_s=180)
            time.sleep(2)
        tap.ok(restarted.returncode == 0 and works_again(), f"{unit} restarts",
               restarted.stdout + journal(unit))
        tap.ok(clients.answers and not clients.wrong(),
               f"no request is lost while {unit} restarts",
               f"{len(clients.answers)} answers, wrong: {clients.wrong()[:3]}")


def test_kill():
    """The main process of each service dies without warning: systemd brings it back."""
    for unit in SERVICES:
        before = properties(unit, "MainPID")["MainPID"]
        run("systemctl", "kill", "--kill-who=main", "--signal=KILL", unit)
        tap.ok(wait_for(lambda: active(unit)
                        and properties(unit, "MainPID")["MainPID"] not in ("0", before))
               and works_again(), f"{unit} comes back after kill -9", journal(unit))


def leftovers():
    found = []
    for where, folders, _ in os.walk("/sys/fs/cgroup"):
        if "sandpool" in os.path.basename(where) and not os.path.basename(where).startswith(
                "sandpool-"):
            found.append(where)
    for line in open("/proc/self/mounts"):
        if "sandpool" in line:
            found.append("mount: " + line.strip())
    for status in glob.glob("/proc/[0-9]*/status"):
        try:
            with open(status) as lines:
                fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        except OSError:
            continue
        if fields["Name"].startswith("sandpool") or int(fields["Uid"].split()[0]) >= 0x70000000:
            found.append(f"process {fields['Pid'].strip()}: {fields['Name'].strip()}")
    return found


def test_stop():
    for unit in reversed(SERVICES):
        stopped = run("systemctl", "stop", unit, limit_s=180)
        state = properties(unit, "ActiveState", "Result")
        tap.ok(stopped.returncode == 0
               and state == {"ActiveState": "inactive", "Result": "success"},
               f"{unit} stops", f"{stopped.stdout}{state}\n{journal(unit)}")
    tap.ok(wait_for(lambda: not leftovers(), 10),
           "nothing is left: no control group, mount or process", "\n".join(leftovers()))


# ---- the box tests ----

def test_boxes():
    """As a service with a delegated group, because that is where the daemon lives."""
    tap.relay("box", ["systemd-run", "--quiet", "--wait", "--pipe", "--collect",
                      "--property=Delegate=yes", "--property=TasksMax=infinity",
                      "--property=Type=exec", f"--property=RuntimeMaxSec={BOX_TEST_LIMIT_S}",
                      "--property=WorkingDirectory=/in/tree",
                      "--setenv=top_srcdir=/in/tree", "--setenv=top_builddir=/in/tree",
                      "/in/tree/tests/box/run", "--guest"], BOX_TEST_LIMIT_S + PATIENCE_S)


def test_all(wanted):
    test_guest(wanted)
    install()
    test_linked()
    test_boxes()
    test_start()
    test_nginx()
    test_answers()
    test_system(wanted)
    test_programs()
    test_restart()
    test_kill()
    test_stop()


if __name__ == "__main__":
    tap.perform(test_all, sys.argv[1])
