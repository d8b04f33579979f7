# SPDX-License-Identifier: ISC
"""Hostile HTTP and FastCGI: one test for each numbered case, 93 to 107."""

import concurrent.futures
import json
import os
import socket
import struct
import subprocess
import time

import pytest

from stack import NDJSON, PATIENCE, eventually
from test_stream import all_slots_free, raw_stream, read_until, slots_of

ECHO = json.dumps({"language": "sh", "code": "echo ran"}).encode()


def talk(pool, data, wait=PATIENCE):
    """Sends bytes as they are; what came until the other side closed or fell silent."""
    with socket.create_connection(("127.0.0.1", pool.port)) as link:
        link.settimeout(wait)
        link.sendall(data)
        got = b""
        try:
            while piece := link.recv(65536):
                got += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return got


def head(body, *lines, path=b"/run", method=b"POST"):
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: 127.0.0.1",
                         b"Connection: close", *lines, b"", body])


def still_well(pool):
    assert pool.run("sh", "echo well")["stdout"] == "well\n"


# ---- 93: bodies over the limit ----

@pytest.mark.parametrize("path", ["/run", "/api/execute"])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_93_a_body_over_nginx_limit_is_413(pool, path, chunked):
    big = b"x" * ((8 << 20) + 1)
    answer = pool.request("POST", path, data=iter([big]) if chunked else big)
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert isinstance(error, str) if path == "/api/execute" else error["code"] == "too_large"
    still_well(pool)


@pytest.mark.parametrize("kind", ["application/json", "application/msgpack",
                                  "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_93_a_body_over_one_mebibyte_is_413_unless_multipart(pool, kind, chunked):
    big = b'{"language":"sh","code":"' + b"x" * (1 << 20) + b'"}'
    answer = pool.request("POST", "/run", data=iter([big]) if chunked else big,
                          headers={"Content-Type": kind})
    pool.is_error(answer, 413)


def test_93_a_body_just_within_is_taken(pool):
    start, end = b'{"language":"sh","code":"exit 0 #', b'"}'
    body = start + b"x" * ((1 << 20) - len(start) - len(end)) + end
    assert len(body) == 1 << 20
    assert pool.post("/run", body).status_code == 200


# ---- 94: slow ones ----

def test_94_slow_headers_and_bodies_hold_no_worker(pool):
    slow = []
    for number in range(200):
        link = socket.create_connection(("127.0.0.1", pool.port))
        start = head(b"", b"Content-Length: 1000")
        link.sendall(start[:20] if number % 2 else start + b"{")
        slow.append(link)
    for _ in range(5):
        still_well(pool)
    assert all_slots_free(pool)
    # nginx ends them by itself: 10 s of patience is configured.
    for link in slow[:4]:
        link.settimeout(PATIENCE + 10)
        link.sendall(b"x")
        try:
            while link.recv(4096):
                pass
        except ConnectionResetError:
            pass
    for link in slow:
        link.close()


def test_94_a_slow_reader_of_a_plain_answer_holds_no_worker(fresh):
    pool = fresh({"slots": 1, "queue": 1, "queue-max": "15s"})
    body = json.dumps({"language": "python3", "code": "print('x' * (6 << 20))",
                       "limits": {"output_bytes": 8 << 20}}).encode()
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", pool.port))
    link.sendall(head(body, b"Content-Length: %d" % len(body)))
    time.sleep(1)
    still_well(pool)
    link.close()


def test_94_two_thousand_idle_connections(pool):
    idle = []
    try:
        for _ in range(2000):
            idle.append(socket.create_connection(("127.0.0.1", pool.port)))
        still_well(pool)
        assert pool.get("/health").status_code == 200
    finally:
        for link in idle:
            link.close()


# ---- 95: ambiguous framing ----

AMBIGUOUS = {
    "two lengths": head(ECHO, b"Content-Length: %d" % len(ECHO), b"Content-Length: 3"),
    "length and chunked": head(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "bad length": head(ECHO, b"Content-Length: 12x"),
    "negative length": head(ECHO, b"Content-Length: -1"),
    "bad chunk size": head(b"zz\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "huge chunk size": head(b"ffffffffffffffffff\r\n{}", b"Transfer-Encoding: chunked"),
    "NUL in a header": head(ECHO, b"X: a\0b", b"Content-Length: %d" % len(ECHO)),
    "CR in a header": head(ECHO, b"X: a\rContent-Length: 9", b"Content-Length: 9x"),
    "two hosts": head(ECHO, b"Host: other", b"Content-Length: %d" % len(ECHO)),
    "NUL in the path": head(ECHO, b"Content-Length: %d" % len(ECHO), path=b"/run%00"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_95_ambiguous_framing_is_400(pool, name):
    got = talk(pool, AMBIGUOUS[name], wait=5)
    assert got.split(b" ")[1:2] == [b"400"], got[:200]
    assert b'"ran' not in got
    still_well(pool)


def test_95_a_body_shorter_than_declared_never_runs(pool):
    got = talk(pool, head(ECHO, b"Content-Length: %d" % (len(ECHO) + 5)), wait=3)
    assert b"ran" not in got


def test_95_what_follows_a_body_is_not_part_of_it(pool):
    second = head(b"", b"Content-Length: 0")
    got = talk(pool, head(ECHO, b"Content-Length: %d" % len(ECHO)).replace(
        b"Connection: close\r\n", b"", 1) + second)
    assert got.count(b"HTTP/1.1 ") == 2 and got.count(b'"stdout":"ran') == 1


def test_95_chunked_is_understood(pool):
    assert pool.request("POST", "/run", data=iter([ECHO[:7], ECHO[7:]])).json()["stdout"] == "ran\n"


def fastcgi(sock, params, body, patience=PATIENCE):
    """One request straight to a FastCGI socket; what was answered on stdout."""
    def record(kind, data):
        return struct.pack(">BBHHBB", 1, kind, 1, len(data), 0, 0) + data

    def pair(name, value):
        def size(data):
            return struct.pack(">B", len(data)) if len(data) < 128 else \
                struct.pack(">I", len(data) | 0x80000000)
        return size(name) + size(value) + name + value
    encoded = b"".join(pair(name.encode(), value.encode()) for name, value in params.items())
    data = record(1, struct.pack(">HB5x", 1, 0)) + record(4, encoded) + record(4, b"")
    for at in range(0, len(body), 60000):
        data += record(5, body[at:at + 60000])
    data += record(5, b"")
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(patience)
        link.connect(sock)
        link.sendall(data)
        got = b""
        try:
            while piece := link.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
    out = b""
    while len(got) >= 8:
        _, kind, _, size, padding, _ = struct.unpack(">BBHHBB", got[:8])
        if kind == 6:
            out += got[8:8 + size]
        got = got[8 + size + padding:]
    return out


PARAMS = {"REQUEST_METHOD": "POST", "PATH_INFO": "/run", "SCRIPT_NAME": "", "DOCUMENT_URI": "/run",
          "REQUEST_URI": "/run", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_TYPE": "application/json",
          "GATEWAY_INTERFACE": "CGI/1.1", "REMOTE_ADDR": "127.0.0.1"}


@pytest.mark.parametrize("declared", [len(ECHO) - 1, len(ECHO) + 1, 0, -1, 10 ** 18, "x"])
def test_95_the_worker_rejects_a_length_that_does_not_fit(pool, declared):
    out = fastcgi(pool.path("run", "run.sock"), {**PARAMS, "CONTENT_LENGTH": str(declared)}, ECHO)
    assert out.startswith(b"Status: 4"), out[:300]
    assert b"ran" not in out
    good = fastcgi(pool.path("run", "run.sock"), {**PARAMS, "CONTENT_LENGTH": str(len(ECHO))}, ECHO)
    assert b'"ran\\n"' in good


# ---- 96: headers that want to be parameters ----

def test_96_headers_cannot_become_parameters(pool):
    headers = {"Proxy": "http://evil/", "X_Forwarded_For": "1.2.3.4", "X-Forwarded-For": "1.2.3.4",
               "Content_Length": "3", "Script-Name": "/metrics", "Path-Info": "/metrics",
               "Request-Method": "GET", "Remote-Addr": "6.6.6.6", "Request-Id": "0" * 32,
               "Http-Host": "evil", "Fcgi-Role": "AUTHORIZER"}
    answer = pool.post("/run", {"language": "sh", "code": "env; echo ran"}, headers=headers)
    out = answer.json()["stdout"]
    assert out.endswith("ran\n")
    assert "http_proxy" not in out.lower() and "evil" not in out and "1.2.3.4" not in out
    identity = answer.headers["X-Request-ID"]
    assert identity != "0" * 32
    line = eventually(lambda: next((row for row in pool.log("fcgi").splitlines() if identity in row), None))
    assert "6.6.6.6" not in line and "1.2.3.4" not in line and "127.0.0.1" in line


def test_96_nothing_of_ours_is_exported_to_the_program(pool):
    names = {line.split("=")[0] for line in pool.run("sh", "env")["stdout"].splitlines()}
    assert not [name for name in names if name.startswith(("HTTP_", "REQUEST", "REMOTE", "FCGI"))]


# ---- 97: paths ----

@pytest.mark.parametrize("path", [b"/run/..;", b"/run%2f", b"/%2e%2e/run", b"/run%00", b"/run;x", b"/run.json",
                                  b"/run/.", b"/x/run", b"/run%20", b"/./run/", b"/ru%6e/x"])
def test_97_what_is_not_the_path_never_runs(pool, path):
    got = talk(pool, head(ECHO, b"Content-Length: %d" % len(ECHO), path=path))
    assert got.split(b" ")[1] in (b"400", b"404", b"405"), got[:200]
    assert b"ran\\n" not in got


@pytest.mark.parametrize("path", [b"//run", b"/./run", b"/x/../run", b"/%72un", b"/run?x=1", b"/run?"])
def test_97_what_normalises_to_the_path_is_it(pool, path):
    got = talk(pool, head(ECHO, b"Content-Length: %d" % len(ECHO), path=path))
    assert b'"stdout":"ran\\n"' in got.replace(b'": "', b'":"'), got


# ---- 98: the socket ----

def test_98_sockets_are_0660_of_nginx_group(pool):
    for name in ("run.sock", "api.sock"):
        status = os.stat(pool.path("run", name))
        assert status.st_mode & 0o777 == 0o660, oct(status.st_mode)
        assert (status.st_uid, status.st_gid) == (pool.worker_id, pool.nginx_id)


def test_98_another_user_cannot_open_any_socket(pool):
    code = ("import os, socket, sys\nfor name in sorted(os.listdir('.')):\n"
            "    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):\n"
            "        link = socket.socket(socket.AF_UNIX, kind)\n"
            "        try: link.connect(name); print('open', name)\n"
            "        except PermissionError: print('denied', name)\n"
            "        except OSError as error: print(type(error).__name__, name)\n")
    done = subprocess.run(["setpriv", "--reuid=1879048001", "--regid=1879048001", "--clear-groups",
                           "/usr/bin/python3", "-c", code], cwd=pool.path("run"), check=True,
                          capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) >= 4 and all(line.startswith("denied") for line in lines), done.stdout


# ---- 99 to 101: broken records ----

def raw_fastcgi(pool, data, patience=5):
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(patience)
        try:
            link.connect(pool.path("run", "run.sock"))
            link.sendall(data)
            return link.recv(4096)
        except OSError:
            return b""


BEGIN = struct.pack(">BBHHBB", 1, 1, 1, 8, 0, 0) + struct.pack(">HB5x", 1, 0)


def test_99_the_record_that_aborts_libfcgi_costs_one_worker_at_most(pool):
    name_length = struct.pack(">I", 0x7ffffffe | 0x80000000) + b"\x01"
    killer = BEGIN + struct.pack(">BBHHBB", 1, 4, 1, len(name_length), 0, 0) + name_length
    for _ in range(3):
        raw_fastcgi(pool, killer)
    eventually(lambda: all_slots_free(pool), what="all slots free")


def test_99_malformed_records_never_end_the_pool(pool):
    import random
    chance = random.Random(99)
    master = pool.pid("fcgi")
    good = BEGIN + struct.pack(">BBHHBB", 1, 4, 1, 0, 0, 0) + struct.pack(">BBHHBB", 1, 5, 1, 0, 0, 0)
    rounds = 10000 if os.environ.get("SANDPOOL_TEST_FULL") else 100
    for number in range(rounds):
        data = bytearray(good + chance.randbytes(chance.randrange(40)))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(5)
        try:
            raw.connect(pool.path("run", "run.sock"))
            raw.sendall(data)
        except OSError:
            pass
        raw.close()
    eventually(lambda: all_slots_free(pool), what="all slots free")
    assert pool.pid("fcgi") == master and pool.processes["fcgi"].poll() is None


def test_100_a_negative_accept_does_not_end_the_loop(pool):
    """FCGI_GET_VALUES makes libfcgi return an error of its own."""
    values = b"\x0f\x00FCGI_MPXS_CONNS"
    ask = struct.pack(">BBHHBB", 1, 9, 0, len(values), 0, 0) + values
    before = sorted(pool.workers())
    for _ in range(20):
        raw_fastcgi(pool, ask, patience=0.2)
    still_well(pool)
    assert sorted(pool.workers()) == before


def test_101_a_peer_that_stalls_mid_record_is_cut_off(fresh):
    pool = fresh({"slots": 1, "queue": 1})
    stalled = []
    for _ in range(4):
        link = socket.socket(socket.AF_UNIX)
        link.connect(pool.path("run", "run.sock"))
        link.sendall(BEGIN + struct.pack(">BBHHBB", 1, 4, 1, 100, 0, 0) + b"x")
        stalled.append(link)

    def runs():
        return pool.post("/run", {"language": "sh", "code": "echo well"}).status_code == 200
    eventually(runs, seconds=60)
    for link in stalled:
        link.close()


# ---- 103: never twice ----

def test_103_a_worker_that_dies_is_never_replayed(fresh):
    pool = fresh({"slots": 2})
    body = {"language": "sh", "code": "echo started; sleep 50", "timeout": 60}
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(pool.post, "/run", body)
        worker = eventually(lambda: busy_worker(pool), what="a busy worker")
        os.kill(worker, 9)
        answer = waiting.result()
    error = pool.is_error(answer, 500, code="lost")
    assert "may have run" in error["message"]
    # A second attempt would hold a slot for longer than this waits.
    eventually(lambda: all_slots_free(pool), what="both slots free")


def busy_worker(pool):
    """The worker that holds a connection that it accepted from nginx, and a box: not one that
    is about to close the connection of the request before."""
    if pool.get("/health").json()["running"] != 1:
        return None
    holders = []
    with open("/proc/net/unix") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    # By the name that it was bound to, before it got its own. Flags 00010000 is the listening
    # socket itself.
    accepted = {f"socket:[{row[6]}]" for row in rows
                if row[-1] == pool.path("run", "run.sock~") and row[3] == "00000000"}
    for worker in pool.workers():
        try:
            links = {os.readlink(f"/proc/{worker}/fd/{number}") for number in os.listdir(f"/proc/{worker}/fd")}
        except OSError:
            continue
        if accepted & links:
            holders.append(worker)
    return holders[0] if len(holders) == 1 else None


# ---- 104: descriptors ----

def test_104_more_than_a_thousand_descriptors_in_a_worker(fresh):
    """Descriptors that the starter left open are not a worker's business, and no select() is used."""
    pool = fresh()
    pool.end("fcgi")
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        import resource
        import stack
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard >= 4096, "this machine allows too few descriptors for this test"
        with open(pool.path("log", "fcgi"), "ab") as log:
            pool.processes["fcgi"] = subprocess.Popen(
                pool.command("fcgi"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                pass_fds=opened, start_new_session=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)))
        pool.wait_ready()
        assert stack.running(pool.pid("fcgi"))
        for _ in range(5):
            still_well(pool)
    finally:
        for number in opened:
            os.close(number)


# ---- 105: see test_load.py ----

def test_105_resets_leave_no_runs_behind(fresh):
    pool = fresh({"slots": 2, "queue-max": "10s"})
    for _ in range(40):
        link = raw_stream(pool, {"language": "sh", "code": "sleep 50", "timeout": 60})
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()
    eventually(lambda: all_slots_free(pool), what="all slots free")


# ---- 107: other sites' forms ----

FORM = "application/x-www-form-urlencoded"
ORIGINS = [
    ({}, True), ({"Origin": "OWN"}, True), ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False), ({"Sec-Fetch-Site": "same-origin", "Origin": "OWN"}, True),
    ({"Sec-Fetch-Site": "none"}, True), ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False), ({"Sec-Fetch-Site": "same-site", "Origin": "http://sub.example"}, False),
    ({"Origin": "http://127.0.0.1:1"}, False), ({"Origin": "http://127.0.0.1.evil.example"}, False)]


@pytest.mark.parametrize("headers,allowed", ORIGINS, ids=[json.dumps(row[0]) for row in ORIGINS])
@pytest.mark.parametrize("kind", [FORM, "text/plain", "application/json"])
def test_107_a_cross_site_form_is_refused(pool, kind, headers, allowed):
    headers = {name: pool.url if value == "OWN" else value for name, value in headers.items()}
    body = b"language=sh&code=echo+ran" if kind == FORM else ECHO
    answer = pool.post("/run", body, headers={**headers, "Content-Type": kind})
    assert answer.status_code == (200 if allowed else 403), answer.text[:300]
    if not allowed:
        pool.is_error(answer, 403)


def test_107_a_listed_origin_is_allowed(fresh):
    pool = fresh({"allowed-origins": ["https://friend.example"]})
    for origin, status in (("https://friend.example", 200), ("https://enemy.example", 403),
                           ("https://friend.example.evil", 403), ("http://friend.example", 403)):
        answer = pool.post("/run", ECHO, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == status, (origin, answer.text)


def test_slots_are_told(pool):
    assert slots_of(pool) >= 2


def test_a_stream_through_nginx_ends_when_the_run_does(pool):
    with raw_stream(pool, {"language": "sh", "code": "echo x"}) as link:
        assert b'"done"' in read_until(link, b'"done"')


def test_accept_of_a_stream_with_a_bad_request_is_json(pool):
    pool.refused(400, b"{", accept=NDJSON)
