#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The packages in the hands of an operator: install, run behind nginx, another user of the host,
upgrade under requests, a second boot, purge.

usage: packages.py first | second: the two boots of one guest.  /in/debs has the packages, /in/newer
the same as of a later version."""

import glob
import grp
import os
import pwd
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from job import (Clients, active, ask, booted, journal, leftovers, properties, run,  # noqa: E402
                 run_program, tap, test_answers, test_kill, test_linked, test_programs,
                 test_restart, wait_for, works_again)
from tap import Stop  # noqa: E402

SERVICES = ["sandpool-sandboxd.service", "sandpool-fcgi.service"]
UNITS = SERVICES + ["sandpool-fcgi.socket"]
STRANGER = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")


def apt(*arguments):
    return run("apt-get", "-y", *arguments, limit_s=180,
               env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def all_files():
    """What a package could leave on the host, by name; without what changes by itself."""
    found = set()
    for top in ("/etc", "/usr", "/var", "/run", "/lib/systemd"):
        for where, folders, files in os.walk(top):
            folders[:] = [name for name in folders if os.path.join(where, name) not in (
                "/var/lib/dpkg", "/var/lib/apt", "/var/cache", "/var/log", "/run/systemd",
                "/run/udev", "/run/user", "/usr/share/doc", "/usr/share/man", "/run/nginx")]
            found.update(os.path.join(where, name) for name in files + folders
                         if "sandpool" in name)
    return sorted(found)


# ---- the first boot ----

def test_install():
    before = sorted(os.listdir("/etc/nginx/sites-enabled"))
    done = apt("install", *glob.glob("/in/debs/*.deb"))
    tap.must(done.returncode == 0, "the packages install", done.stdout)
    for unit in UNITS:
        tap.ok(properties(unit, "ActiveState")["ActiveState"] == "active"
               and run("systemctl", "is-enabled", unit).stdout.strip() == "enabled",
               f"{unit} is enabled and runs", journal(unit))
    tap.ok(sorted(os.listdir("/etc/nginx/sites-enabled")) == before,
           "no site of nginx was changed")
    tap.ok(run("systemctl", "is-system-running").stdout.strip() == "running",
           "no unit failed", run("systemctl", "--failed", "--no-legend").stdout)
    verified = run("systemd-analyze", "verify", "--man=no", *UNITS, "sandpool.slice")
    tap.ok(verified.returncode == 0 and "sandpool" not in verified.stdout,
           "systemd finds nothing in the units", verified.stdout)
    checked = run("sandpool", "check")
    tap.ok(checked.returncode in (0, 1), "sandpool check finds nothing that keeps it from running",
           checked.stdout)
    show = properties("sandpool-sandboxd.service", "Delegate", "ControlGroup", "WatchdogUSec")
    tap.ok(show["Delegate"] == "yes" and show["ControlGroup"].startswith("/sandpool.slice/"),
           "the boxes are in the slice, in a delegated group", show)
    for page in ("sandpool-run.1", "sandpool.conf.5", "sandpool.7", "sandpool-sandboxd.8"):
        tap.ok(page in run("dpkg", "-L", "sandpool", "sandpool-cli").stdout,
               f"the package has {page}")


def test_local():
    done = run("sandpool", "run", "--local", "-l", "python3", "-c", "print(6 * 7)")
    tap.ok(done.returncode == 0 and done.stdout == "42\n", "sandpool run --local", done.stdout)
    done = run("sandpool", "run", "--local", "-L", "memory=32MiB", "-l", "python3", "-c",
               "x = bytearray(200 << 20)")
    tap.ok(done.returncode == 137, "its memory limit is held", done.stdout)
    done = run("sandpool", "health", "--local")
    tap.ok(done.returncode == 0 and "ready    yes" in done.stdout, "sandpool health", done.stdout)
    done = run("sandpool", "shell", "host", "id", "-u")
    tap.ok(done.stdout.strip() == "1000", "sandpool shell beside the service", done.stdout)


def enable_site():
    """As README.Debian says; and no rate, for the tests come from one address."""
    site = "/etc/nginx/sites-available/sandpool"
    with open(site) as file:
        text = file.read()
    with open(site, "w") as file:
        file.write(text.replace("server_name code.example.org;", "server_name _;")
                   .replace("set $sandpool_rate 20;", "set $sandpool_rate none;"))
    os.remove("/etc/nginx/sites-enabled/default")
    os.symlink("../sites-available/sandpool", "/etc/nginx/sites-enabled/sandpool")
    checked = run("nginx", "-t")
    tap.must(checked.returncode == 0, "nginx accepts the site", checked.stdout)
    run("systemctl", "reload-or-restart", "nginx")


def test_configuration():
    """A file with a mistake: the reload says where, the services keep what they have."""
    path = "/etc/sandpool/sandpool.conf"
    with open(path) as file:
        good = file.read()
    with open(path, "a") as file:
        file.write("slot = 3;\n")
    line = good.count("\n") + 1
    for unit in SERVICES:
        pid = properties(unit, "MainPID")["MainPID"]
        reloaded = run("systemctl", "reload", unit)
        tap.ok(reloaded.returncode != 0, f"{unit} refuses to reload a file with a mistake",
               reloaded.stdout)
        said = journal(unit)
        tap.ok(f"sandpool.conf:{line}:" in said and '"slots"' in said,
               "the journal says file, line and the nearest word", said)
        tap.ok(active(unit) and properties(unit, "MainPID")["MainPID"] == pid and works_again(),
               f"{unit} keeps running", said)
    with open(path, "w") as file:
        file.write(good + 'queue-max = "3s";\n')
    for unit in SERVICES:
        reloaded = run("systemctl", "reload", unit)
        tap.ok(reloaded.returncode == 0 and works_again(), f"{unit} reloads a good file",
               reloaded.stdout + journal(unit))


def readable_by_stranger(path):
    return run(*STRANGER, "test", "-r", path).returncode == 0


def test_stranger():
    """Another user of the host gets nothing: no socket, state, key or log."""
    with open("/etc/sandpool/keys", "w") as file:
        file.write("bob:" + "0" * 64 + ":::\n")
    shutil.chown("/etc/sandpool/keys", "root", "sandpool")
    os.chmod("/etc/sandpool/keys", 0o640)
    for path in ("/etc/sandpool/keys", "/var/lib/sandpool", "/run/sandpool"):
        tap.ok(not readable_by_stranger(path), f"a stranger cannot read {path}")
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    sockets = [path for path in sorted(glob.glob("/run/sandpool/*")) if not os.path.isdir(path)]
    tap.ok(len(sockets) >= 4, "the sockets are found", sockets)
    for path in sockets:
        done = run(*STRANGER, "python3", "-c", connect, path)
        tap.ok("PermissionError" in done.stdout, f"a stranger cannot connect to {path}",
               done.stdout)
    done = run(*STRANGER, "sandpool", "run", "--local", "-l", "sh", "-c", "echo no")
    tap.ok(done.returncode == 125 and "may not use" in done.stdout,
           "a stranger cannot run programs by the socket, and hears why", done.stdout)
    done = run(*STRANGER, "journalctl", "-u", "sandpool-fcgi", "--no-pager")
    tap.ok('"path"' not in done.stdout and "/run" not in done.stdout,
           "a stranger cannot read the log", done.stdout)
    for pid in run("systemctl", "show", "--property=MainPID", "--value",
                   *SERVICES).stdout.split():
        for name in ("environ", "mem", "fd"):
            tap.ok(not readable_by_stranger(f"/proc/{pid}/{name}"),
                   f"a stranger cannot look into process {pid}: {name}")
    os.remove("/etc/sandpool/keys")


def test_upgrade():
    old = properties("sandpool-fcgi.service", "MainPID")["MainPID"]
    socket_inode = os.stat("/run/sandpool/run.sock").st_ino
    with Clients(3) as clients:
        time.sleep(2)
        done = apt("install", *glob.glob("/in/newer/*.deb"))
        time.sleep(3)
    tap.must(done.returncode == 0, "the packages are upgraded under requests", done.stdout)
    tap.ok(not clients.wrong() and len(clients.answers) > 10, "no request is lost",
           f"{len(clients.answers)} answers, wrong: {clients.wrong()[:3]}")
    good = sum(1 for status, _ in clients.answers if status == 200)
    tap.note(f"{good} of {len(clients.answers)} answers were results, the others said: not now")
    tap.ok(properties("sandpool-fcgi.service", "MainPID")["MainPID"] != old and works_again(),
           "the new ones run")
    tap.ok(os.stat("/run/sandpool/run.sock").st_ino == socket_inode,
           "the sockets stayed the same")
    with open("/etc/sandpool/sandpool.conf") as file:
        tap.ok('queue-max = "3s";' in file.read(), "the changed configuration is kept")


def first_boot():
    test_install()
    test_linked()
    test_local()
    enable_site()
    test_answers()
    test_programs()
    test_configuration()
    test_stranger()
    test_restart()
    test_kill()
    test_upgrade()


# ---- the second boot ----

def test_rebooted():
    tap.ok(wait_for(lambda: all(properties(unit, "ActiveState")["ActiveState"] == "active"
                                for unit in UNITS), 60), "everything runs after a boot",
           "".join(journal(unit) for unit in UNITS))
    tap.ok(works_again(), "and answers through nginx", run_program("print(6 * 7)"))
    tap.ok(ask("GET", "/")[0] == 200, "the page is there", ask("GET", "/"))


def test_autopkgtest():
    done = run("sh", "/in/job/autopkgtest", limit_s=120)
    tap.ok(done.returncode == 0, "the packages' own test", done.stdout)


def test_remove():
    done = apt("remove", "sandpool", "sandpool-cli", "sandpool-web", "sandpool-languages")
    tap.ok(done.returncode == 0, "the packages are removed", done.stdout)
    tap.ok(wait_for(lambda: not leftovers(), 10), "nothing of them runs", "\n".join(leftovers()))
    tap.ok(os.path.exists("/etc/sandpool/sandpool.conf"), "the configuration is kept")
    # The operator's link to the site is still there, and so is the site.
    done = run("systemctl", "restart", "nginx")
    tap.ok(done.returncode == 0 and ask("POST", "/run", {})[0] == 503,
           "nginx runs on, and says that nothing answers", done.stdout)


def test_purge():
    log = "/var/log/nginx/sandpool.log"
    tap.ok(os.path.exists(log), "nginx has a log of the site")
    done = apt("purge", "sandpool", "sandpool-cli", "sandpool-web", "sandpool-languages")
    tap.ok(done.returncode == 0, "they are purged", done.stdout)
    tap.ok(not all_files(), "no file is left", "\n".join(all_files()))
    tap.ok(not os.path.exists(log), "nor the log")
    done = run("systemctl", "restart", "nginx")
    tap.ok(done.returncode == 0, "nginx starts without the site", done.stdout)
    for what, look_up in (("user", pwd.getpwnam), ("group", grp.getgrnam)):
        try:
            look_up("sandpool")
            tap.ok(False, f"the {what} is gone")
        except KeyError:
            tap.ok(True, f"the {what} is gone")
    run("systemctl", "daemon-reload")
    units = run("systemctl", "list-units", "--all", "--no-legend", "sandpool*").stdout
    tap.ok(not units.strip(), "systemd knows no unit of them", units)
    tap.ok(run("systemctl", "is-system-running").stdout.strip() == "running", "no unit failed",
           run("systemctl", "--failed", "--no-legend").stdout)


def second_boot():
    test_rebooted()
    test_autopkgtest()
    test_remove()
    test_purge()


def test_boot(number):
    if not booted():
        raise Stop
    {"first": first_boot, "second": second_boot}[number]()


tap.perform(test_boot, sys.argv[1])
