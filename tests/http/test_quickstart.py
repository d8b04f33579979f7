# SPDX-License-Identifier: ISC
"""./quickstart, from a folder that ordinary users cannot enter: the harder of its two ways."""

import os
import pty
import re
import signal
import socket
import subprocess
import time

import pytest
import requests

from stack import PATIENCE, TOP, eventually, free_port, running

CACHE = os.environ.get("SANDPOOL_CACHE", os.path.join(TOP, ".cache"))
PROGRAM = os.path.join(TOP, "quickstart")
BUILD_SECONDS = 400


@pytest.fixture(scope="module")
def prefix():
    closed = os.path.join(CACHE, "closed")
    os.makedirs(closed, exist_ok=True)
    os.chmod(closed, 0o700)
    yield os.path.join(closed, "quickstart")
    quickstart("--stop", prefix=os.path.join(closed, "quickstart"))


def quickstart(*words, prefix=None, port=None, seconds=BUILD_SECONDS, **kwargs):
    command = [PROGRAM, "--no-install", *words]
    command += ["--prefix", prefix] if prefix else []
    command += ["--port", str(port)] if port else []
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL,
                          **kwargs)


def run(port, code="echo ran", language="sh"):
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"http://127.0.0.1:{port}/run", json={"language": language, "code": code}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pid_of(prefix, name):
    with open(os.path.join(prefix, name + ".pid")) as file:
        return int(file.read())


def all_pids(prefix):
    return {name: pid_of(prefix, name) for name in ("quickstart", "sandboxd", "fcgi", "nginx")}


def uid_of(pid):
    return os.stat(f"/proc/{pid}").st_uid


@pytest.fixture
def started(prefix):
    port = free_port()
    before = {name: os.stat(name).st_mtime_ns for name in ("/etc/passwd", "/etc/group", "/etc/nginx", "/mnt")}
    files = sorted(os.listdir(TOP))
    done = quickstart("--background", prefix=prefix, port=port)
    assert done.returncode == 0, done.stdout + done.stderr
    yield port, done.stdout
    stopped = quickstart("--stop", prefix=prefix)
    assert stopped.returncode == 0, stopped.stderr
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", port)) != 0, "somebody still listens"
    assert before == {name: os.stat(name).st_mtime_ns for name in before}
    assert sorted(os.listdir(TOP)) == files


def test_it_starts_shows_a_line_that_works_and_stops(prefix, started):
    port, said = started
    url = re.search(r"http://127\.0\.0\.1:\d+", said).group(0)
    assert url == f"http://127.0.0.1:{port}"
    line = re.search(r"^  (curl .*\n.*)$", said, re.M).group(1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert '"stdout":"42\\n"' in done.stdout, done.stdout + done.stderr
    with requests.Session() as session:
        session.trust_env = False
        assert "<form" in session.get(url + "/", timeout=30).text
    pids = all_pids(prefix)
    assert uid_of(pids["sandboxd"]) == 0
    assert uid_of(pids["fcgi"]) != 0 and uid_of(pids["nginx"]) not in (0, uid_of(pids["fcgi"]))
    again = quickstart("--background", prefix=prefix, port=port)
    assert again.returncode == 1 and "already running" in again.stderr
    assert quickstart("--stop", prefix=prefix).returncode == 0
    assert not [pid for pid in pids.values() if running(pid)]
    assert quickstart("--background", prefix=prefix, port=port).returncode == 0
    assert run(port)["stdout"] == "ran\n"


@pytest.mark.parametrize("name", ["fcgi", "sandboxd", "nginx"])
def test_what_dies_is_started_again(prefix, started, name):
    port, _ = started
    pid = pid_of(prefix, name)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pid_of(prefix, name) != pid, what="another process")
    eventually(lambda: run(port)["stdout"] == "ran\n")


def test_who_dies_while_another_is_started_again_is_so_too(prefix, started):
    port, _ = started
    old = all_pids(prefix)
    for name in ("fcgi", "nginx", "sandboxd"):
        os.kill(old[name], signal.SIGKILL)
        time.sleep(0.3)
    eventually(lambda: all(pid_of(prefix, name) != old[name] for name in ("fcgi", "nginx", "sandboxd")),
               what="other processes")
    eventually(lambda: run(port)["stdout"] == "ran\n")


def test_the_loopback_has_no_rate_limit(started):
    port, _ = started
    assert all(run(port)["stdout"] == "ran\n" for _ in range(40))


def test_another_address_has_a_rate_limit(prefix):
    port = free_port()
    done = quickstart("--background", "--address", "0.0.0.0", prefix=prefix, port=port)
    assert done.returncode == 0, done.stderr
    statuses = []
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(25):
            answer = session.post(f"http://127.0.0.1:{port}/run", data=b"{", timeout=60)
            statuses.append(answer.status_code)
    quickstart("--stop", prefix=prefix)
    assert statuses[0] == 400 and 429 in statuses, statuses


def test_when_it_is_killed_its_processes_end_too(prefix, started):
    pids = all_pids(prefix)
    os.kill(pids["quickstart"], signal.SIGKILL)
    eventually(lambda: not [pid for pid in pids.values() if running(pid)], what="all of them ended")


def test_control_c_stops_all_of_it(prefix):
    port = free_port()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, [PROGRAM, "--no-install", "--prefix", prefix, "--port", str(port)])
    said = b""
    end = time.monotonic() + BUILD_SECONDS
    while b"Ctrl-C" not in said and time.monotonic() < end:
        said += os.read(terminal, 65536)
    assert run(port)["stdout"] == "ran\n"
    pids = all_pids(prefix)
    os.write(terminal, b"\x03")

    def gone():
        try:
            os.read(terminal, 65536)
        except OSError:
            pass
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    eventually(gone, seconds=60, what="the end of quickstart")
    os.close(terminal)
    assert not [one for one in pids.values() if running(one)]
    assert not os.path.exists(os.path.join(prefix, "quickstart.pid"))


def test_a_port_that_is_taken_is_said_so(prefix):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = quickstart("--background", prefix=prefix, port=taken.getsockname()[1])
    assert done.returncode == 1 and "nginx" in done.stderr and "Address already in use" in done.stderr
    assert not os.path.exists(os.path.join(prefix, "quickstart.pid"))


@pytest.mark.parametrize("words", [["--port", "80"], ["--port", "99999"], ["--port", "x"], ["--nonesuch"],
                                   ["--port"], ["--address", "example.org"]])
def test_bad_options_are_refused(words):
    done = quickstart(*words)
    assert done.returncode in (1, 2) and done.stderr


def test_a_prefix_that_nginx_could_not_name_is_refused(tmp_path):
    done = quickstart("--background", prefix=str(tmp_path / "a b"))
    assert done.returncode == 1 and "choose --prefix" in done.stderr


def test_a_prefix_with_files_of_others_is_refused(tmp_path):
    kept = tmp_path / "share" / "kept"
    kept.parent.mkdir()
    kept.write_text("precious")
    done = quickstart("--background", prefix=str(tmp_path))
    assert done.returncode == 1 and "choose a --prefix" in done.stderr
    assert kept.read_text() == "precious" and os.listdir(tmp_path) == ["share"]


@pytest.mark.parametrize("name", ["quickstart", "nginx", "sandboxd"])
def test_an_old_pid_file_is_no_death_sentence(tmp_path, name):
    """After a reboot the number may be that of the machine's own nginx."""
    title = {"quickstart": "/bin/bash ./quickstart --supervise --prefix /elsewhere",
             "nginx": "nginx: master process /usr/sbin/nginx -g daemon on;",
             "sandboxd": "/usr/sbin/sandpool-sandboxd"}[name]
    with subprocess.Popen(["bash", "-c", 'exec -a "$0" sleep 600', title]) as other:
        eventually(lambda: title.encode() in open(f"/proc/{other.pid}/cmdline", "rb").read(), what="its title")
        (tmp_path / f"{name}.pid").write_text(f"{other.pid}\n")
        done = quickstart("--stop", prefix=str(tmp_path))
        alive = other.poll() is None
        other.kill()
    assert done.returncode == 0 and alive, done.stderr


def test_what_left_the_checkout_leaves_the_pool(prefix):
    stale = os.path.join(prefix, "src", "languages", "stale.lang")
    os.makedirs(os.path.dirname(stale), exist_ok=True)
    with open(os.path.join(prefix, "src", "quickstart"), "a"):
        pass
    with open(stale, "w") as file:
        file.write("this is no language\n")
    port = free_port()
    done = quickstart("--background", prefix=prefix, port=port)
    assert done.returncode == 0, done.stderr
    assert run(port)["stdout"] == "ran\n"
    assert not os.path.exists(os.path.join(prefix, "share", "languages", "stale.lang"))
    assert quickstart("--stop", prefix=prefix).returncode == 0


def test_without_root_it_says_what_to_do():
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "bash", "-s", "--"], timeout=60,
                          input=open(PROGRAM).read(), capture_output=True, text=True, cwd="/")
    assert done.returncode == 1 and "sudo ./quickstart" in done.stderr


def test_help():
    done = quickstart("--help")
    assert done.returncode == 0 and "--port" in done.stdout and PATIENCE
