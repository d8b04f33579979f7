# SPDX-License-Identifier: ISC
"""The other paths: languages, system, health, ready, metrics, execute; keys; logs; CGI."""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from stack import BUILD, children, eventually, running

# ---- GET /api/languages ----

def test_languages(pool):
    answer = pool.get("/api/languages")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/json")
    languages = {row["id"]: row for row in answer.json()}
    python = languages["python3"]
    assert {"id", "name", "aliases", "version", "extension", "example", "limits", "editor"} <= set(python)
    assert "python" in python["aliases"] and python["extension"] in ("py", ".py")
    assert set(python["example"]) >= {"code", "input", "output"}
    assert python["limits"]["memory_bytes"] == 256 << 20
    assert languages["c"]["limits"]["compile"]["memory_bytes"] == 1 << 30


def test_languages_have_an_etag(pool):
    first = pool.get("/api/languages")
    tag = first.headers["ETag"]
    again = pool.get("/api/languages", headers={"If-None-Match": tag})
    assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tag
    assert pool.get("/api/languages", headers={"If-None-Match": '"other"'}).status_code == 200


def test_an_example_gives_what_it_promises(pool):
    for row in pool.get("/api/languages").json():
        if row["id"] in ("python3", "sh", "c"):
            example = row["example"]
            answer = pool.run(row["id"], example["code"], input=example["input"])
            assert answer["stdout"] == example["output"], row["id"]


# ---- GET /api/system, /health, /ready, /metrics ----

def test_system_tells_how_but_not_where(pool):
    answer = pool.get("/api/system")
    body = answer.json()
    assert body["version"] and body["slots"] >= 2
    words = json.dumps(body)
    assert "cgroup" in words and "host" in words and "memory_bytes" in words
    assert not re.search(r'"/(run|tmp|usr|var|etc|home|root|sys)\b', words), words
    assert pool.dir not in words and str(pool.worker_id) not in words


def test_health_has_counts(pool):
    body = pool.get("/health").json()
    assert any(isinstance(value, (int, dict)) for value in body.values()), body


def test_health_answers_while_every_slot_runs(fresh):
    pool = fresh({"slots": 1, "queue": 1, "queue-max": "5s"})
    import concurrent.futures
    body = {"language": "sh", "code": "sleep 4"}
    with concurrent.futures.ThreadPoolExecutor(3) as many:
        busy = [many.submit(pool.post, "/run", body) for _ in range(3)]
        while not all(future.done() for future in busy):
            for path in ("/health", "/ready", "/api/languages", "/api/system", "/metrics"):
                assert pool.get(path).status_code == 200, path
            time.sleep(0.3)


def test_ready_needs_a_program_that_ran(fresh):
    pool = fresh()
    assert pool.get("/ready").status_code == 200
    pool.end("sandboxd")
    eventually(lambda: pool.get("/ready").status_code == 503, seconds=60, every=1)
    assert pool.get("/health").status_code == 200
    pool.spawn("sandboxd")
    eventually(lambda: pool.get("/ready").status_code == 200, seconds=60, every=1)


def test_metrics_are_prometheus_text(pool):
    pool.run("sh", "exit 3")
    answer = pool.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    names, typed = set(), {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in typed, name
            typed[name] = kind
        elif line and not line.startswith("#"):
            match = re.fullmatch(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})? ([-+0-9.eE]+|NaN|\+Inf)', line)
            assert match, line
            names.add(match.group(1))
    for name in names:
        base = re.sub("_(bucket|sum|count)$", "", name)
        assert name in typed or typed.get(base) == "histogram", name
    for word in ("runs", "queue", "setup", "compile", "memory_peak", "rejected", "build_info"):
        assert any(word in name for name in names), word
    assert re.search(r'runs_total\{[^}]*runtime_error', answer.text)


def test_metrics_count_over_all_workers(pool):
    def count():
        return sum(float(line.rsplit(" ", 1)[1]) for line in pool.get("/metrics").text.splitlines()
                   if line.startswith("sandpool_runs_total"))
    before = count()
    for _ in range(20):
        pool.run("sh", "")
    assert count() - before == 20


def test_metrics_outlive_a_worker(fresh):
    pool = fresh()
    for _ in range(5):
        pool.run("sh", "")

    def count():
        return sum(float(line.rsplit(" ", 1)[1]) for line in pool.get("/metrics").text.splitlines()
                   if line.startswith("sandpool_runs_total"))
    before = count()
    assert before >= 5
    pool.kill_workers()
    eventually(lambda: count() >= before, what="the same count")


@pytest.mark.parametrize("path", ["/api/languages", "/api/system", "/health", "/ready", "/metrics"])
def test_head_and_wrong_methods(pool, path):
    assert pool.request("HEAD", path).status_code == 200
    for method in ("POST", "PUT", "DELETE"):
        answer = pool.request(method, path, data=b"")
        pool.is_error(answer, 405)
        assert "GET" in answer.headers["Allow"]


# ---- POST /api/execute: the older shape ----

def execute(pool, body, key="all", **kwargs):
    return pool.post("/api/execute", body, key=key, **kwargs)


def test_execute_as_a_seed_004_client(keyed):
    body = {"language": "python", "code": "print('Hello')", "input": "", "timeout": 10000}
    answer = execute(keyed, body)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["output"] == "Hello\n" and result["error"] == "" and result["exitCode"] == 0
    assert isinstance(result["executionTime"], (int, float)) and result["executionTime"] >= 0
    assert re.fullmatch("[0-9a-f-]{32,36}", answer.headers["X-Request-ID"])


def test_execute_tells_failures_in_its_own_words(keyed):
    result = execute(keyed, {"language": "python", "code": "import sys; sys.exit('why')"}).json()
    assert result["exitCode"] == 1 and "why" in result["error"]
    result = execute(keyed, {"language": "c", "code": "int main(void) { return x; }"})
    assert result.status_code == 200 and result.json()["error"]
    result = execute(keyed, {"language": "sh", "code": "sleep 30", "timeout": 400}).json()
    assert result["exitCode"] != 0 and result["executionTime"] >= 400


EXECUTE_ERRORS = [
    ({"language": "nonesuch", "code": ""}, "all", 400), ({"code": ""}, "all", 400),
    ({"language": "sh"}, "all", 400), ({"language": "sh", "code": 1}, "all", 400),
    ({"language": "sh", "code": "", "timeout": 61000}, "all", 400),
    ({"language": "sh", "code": "", "timeout": "x"}, "all", 400), ({"language": "sh", "code": ""}, None, 401)]


@pytest.mark.parametrize("body,key,status", EXECUTE_ERRORS, ids=[json.dumps(row[0]) + str(row[1]) for row in EXECUTE_ERRORS])
def test_execute_errors_have_the_older_shape(keyed, body, key, status):
    answer = execute(keyed, body, key=key)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json()["error"], str) and answer.json()["code"]
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_execute_refuses_a_wrong_key(keyed):
    answer = execute(keyed, {"language": "sh", "code": ""}, key=None, headers={"X-API-Key": "wrong"})
    assert answer.status_code == 401 and isinstance(answer.json()["error"], str)


def test_execute_other_methods(keyed):
    assert keyed.get("/api/execute").status_code == 405


# ---- keys ----

@pytest.mark.parametrize("path", ["/run", "/api/languages", "/api/system"])
def test_a_key_is_needed_where_keys_are_required(keyed, path):
    def ask(**kwargs):
        if path == "/run":
            return keyed.post(path, {"language": "sh", "code": ""}, **{"key": None, **kwargs})
        return keyed.get(path, **kwargs)
    keyed.is_error(ask(), 401)
    for wrong in ("", "x", keyed.keys["all"][:-1], keyed.keys["all"] + "x", "\u00e9"):
        keyed.is_error(ask(headers={"X-API-Key": wrong.encode()}), 401)
    assert ask(key="all").status_code == 200


def test_monitors_need_no_key(keyed):
    for path in ("/health", "/ready", "/metrics"):
        assert keyed.get(path).status_code == 200


def test_a_key_for_other_paths_is_403(keyed):
    keyed.is_error(keyed.post("/run", {"language": "sh", "code": ""}, key="languages"), 403)
    assert keyed.get("/api/languages", key="languages").status_code == 200


def test_a_key_has_its_own_limits(keyed):
    ask = lambda limits: keyed.post("/run", {"language": "sh", "code": "", "limits": limits}, key="single")  # noqa: E731
    keyed.is_error(ask({"wall_ms": 5001}), 400, "limits.wall_ms")
    keyed.is_error(ask({"memory_bytes": 65 << 20}), 400, "limits.memory_bytes")
    limits = ask({}).json()["limits"]
    assert limits["wall_ms"] <= 5000 and limits["memory_bytes"] <= 64 << 20


def test_a_key_has_a_cap_of_requests_at_once(keyed):
    import concurrent.futures
    body = {"language": "sh", "code": "sleep 2"}
    with concurrent.futures.ThreadPoolExecutor(3) as many:
        answers = [future.result() for future in
                   [many.submit(keyed.post, "/run", body, key="single") for _ in range(3)]]
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200, 429, 429], statuses
    refused = next(answer for answer in answers if answer.status_code == 429)
    keyed.is_error(refused, 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert keyed.post("/run", {"language": "sh", "code": ""}, key="single").status_code == 200


def key_tool(pool, *words):
    return subprocess.run([os.path.join(BUILD, "sandpool-key"), "-c", pool.path("sandpool.conf"), *words],
                          capture_output=True, text=True, timeout=60)


def test_keys_are_added_listed_and_removed_without_a_restart(fresh):
    pool = fresh({"keys-required": True}, keys=True)
    pids = sorted(pool.workers())
    added = key_tool(pool, "add", "visitor")
    assert added.returncode == 0, added.stderr
    secret = re.search(r"^[A-Za-z0-9_-]{20,}$", added.stdout, re.M).group(0)
    body = {"language": "sh", "code": ""}
    eventually(lambda: pool.post("/run", body, headers={"X-API-Key": secret}, key=None).status_code == 200)
    listed = key_tool(pool, "list")
    assert "visitor" in listed.stdout and secret not in listed.stdout
    assert secret not in pool.read("keys")
    assert key_tool(pool, "remove", "visitor").returncode == 0
    eventually(lambda: pool.post("/run", body, headers={"X-API-Key": secret}, key=None).status_code == 401)
    assert sorted(pool.workers()) == pids
    assert pool.post("/run", body, key="all").status_code == 200


def test_all_workers_have_the_same_keys(fresh):
    """A good change that only some were awake for, and a broken file right after it."""
    pool = fresh({"keys-required": True, "slots": 2, "queue": 6, "queue-max": "60s"}, keys=True)
    pool.keys["late"] = key_tool(pool, "add", "late").stdout.strip()
    assert key_tool(pool, "remove", "single").returncode == 0
    eventually(lambda: pool.post("/run", {"language": "sh", "code": ""}, key="late").status_code == 200)
    eventually(lambda: pool.post("/run", {"language": "sh", "code": ""}, key="single").status_code == 401)
    # what came within one look of the file has been looked at now
    eventually(lambda: "late is new" in pool.log("fcgi"))
    with open(pool.path("keys"), "a") as file:
        file.write("broken\n")
    eventually(lambda: "those that were known stay" in pool.log("fcgi"))
    with concurrent.futures.ThreadPoolExecutor(8) as many:
        # as many at once as there are workers, and none is done before all have begun
        runs = [many.submit(pool.post, "/run", {"language": "sh", "code": "sleep 1"}, key="late") for _ in range(8)]
        assert [run.result().status_code for run in runs] == [200] * 8
        for key, status in (("late", 200), ("all", 200), ("single", 401)):
            asked = [many.submit(pool.get, "/api/languages", key=key) for _ in range(24)]
            assert {one.result().status_code for one in asked} == {status}, key
    # repaired, and gone for good: the former counts, the latter changes nothing
    assert key_tool(pool, "list").returncode != 0
    text = pool.read("keys").replace("broken\n", "")
    with open(pool.path("keys"), "w") as file:
        file.write("".join(line + "\n" for line in text.splitlines() if not line.startswith("late:")))
    eventually(lambda: pool.get("/api/languages", key="late").status_code == 401)
    os.remove(pool.path("keys"))
    eventually(lambda: "No such file" in pool.log("fcgi"))
    assert pool.get("/api/languages", key="all").status_code == 200
    assert pool.log("fcgi").count("No such file") == 1


def test_no_key_is_good_while_the_keys_were_never_read(fresh):
    pool = fresh({"keys-required": False}, keys=True)
    good = pool.read("keys")
    pool.end("fcgi")
    with open(pool.path("keys"), "w") as file:
        file.write("broken\n")
    pool.spawn("fcgi")
    eventually(lambda: pool.post("/run", {"language": "sh", "code": ""}, key=None).status_code == 200)
    pool.refused(500, {"language": "sh", "code": ""}, key="all")
    with open(pool.path("keys"), "w") as file:
        file.write(good)
    eventually(lambda: pool.post("/run", {"language": "sh", "code": ""}, key="all").status_code == 200)


# ---- logs ----

def test_165_a_log_line_tells_all_but_what_was_sent(keyed):
    secret = "s3cret-in-the-code"
    answer = keyed.post("/run", {"language": "python3", "input": "s3cret-input",
                                 "code": f"print(input(), 's3cret-output')  # {secret}", "arguments": ["s3cret-arg"]})
    identity = answer.json()["id"]
    line = eventually(lambda: next((row for row in keyed.log("fcgi").splitlines() if identity in row), None))
    record = json.loads(line)
    words = json.dumps(record)
    assert "s3cret" not in words and keyed.keys["all"] not in keyed.log("fcgi")
    for needle in ("python3", "success", "127.0.0.1", "all"):
        assert needle in words, (needle, record)
    assert any(isinstance(value, (int, float)) and value > 1 << 20 for value in flat(record)), record


def flat(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from flat(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from flat(inner)
    else:
        yield value


def test_165_control_characters_in_a_log_are_escaped(pool):
    answer = pool.post("/run", {"language": "evil\n\x1b[31m", "code": ""})
    identity = answer.headers["X-Request-ID"]
    line = eventually(lambda: next((row for row in pool.log("fcgi").splitlines() if identity in row), None))
    json.loads(line)
    assert "\x1b" not in pool.log("fcgi")


def test_162_errors_have_an_id_and_no_insides(fresh):
    pool = fresh()
    pool.end("sandboxd")
    answer = pool.post("/run", {"language": "sh", "code": ""})
    assert answer.status_code in (500, 503)
    pool.is_error(answer, answer.status_code)
    assert pool.dir not in answer.text and str(pool.worker_id) not in answer.text


# ---- CGI: the same program without a FastCGI socket ----

ECHO = b'{"language":"sh","code":"echo as CGI"}'


def cgi(pool, path="/run", method="POST", body=ECHO, **environment):
    """Started bare, as a server that knows only CGI does."""
    as_worker = pool.command("fcgi")[:-2]
    done = subprocess.run(as_worker, input=body, capture_output=True, timeout=120, cwd="/", env={
        "PATH": "/usr/bin:/bin", "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "PATH_INFO": path,
        "SCRIPT_NAME": "/cgi-bin/sandpool", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1",
        "SANDPOOL_CONF": pool.path("sandpool.conf"), **environment})
    head, _, rest = done.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    return int(headers.get("Status", "200").split()[0]), headers, rest


def test_cgi_bare(pool):
    status, headers, body = cgi(pool)
    assert status == 200 and json.loads(body)["stdout"] == "as CGI\n"
    assert headers["X-Request-ID"] == json.loads(body)["id"] and headers["Cache-Control"] == "no-store"


def test_cgi_bare_streams_and_errors(pool):
    status, headers, body = cgi(pool, HTTP_ACCEPT="application/x-ndjson")
    events = [json.loads(line) for line in body.splitlines() if line]
    assert status == 200 and "start" in events[0] and "done" in events[-1]
    assert cgi(pool, body=b"{")[0] == 400
    assert cgi(pool, method="GET", body=b"")[0] == 405
    assert cgi(pool, path="/nonesuch", method="GET", body=b"")[0] == 404
    assert cgi(pool, path="/api/languages", method="GET", body=b"")[0] == 200


def test_cgi_has_no_metrics(pool):
    status, _, body = cgi(pool, path="/metrics", method="GET", body=b"")
    assert status == 404 and json.loads(body)["error"]["code"] == "not_found"


def test_cgi_under_fcgiwrap(fresh):
    pool = fresh()
    script = pool.path("cgi.sh")
    with open(script, "w") as file:
        file.write(f"#!/bin/sh\nSANDPOOL_CONF={pool.path('sandpool.conf')} "
                   f"exec {pool.path('bin/sandpool-fcgi')}\n")
    os.chmod(script, 0o755)
    pool.end("fcgi")
    for name in ("run.sock", "api.sock"):
        if os.path.exists(pool.path("run", name)):
            os.unlink(pool.path("run", name))
    assert shutil.which("fcgiwrap"), "fcgiwrap is not installed"
    params = pool.path("conf/snippets/sandpool-params.conf")
    with open(params, "a") as file:
        file.write(f"fastcgi_param SCRIPT_FILENAME {script};\n")
    pool.edit(pool.path("conf/snippets/sandpool-http.conf"), ("api.sock", "run.sock"))
    as_worker = pool.command("fcgi")[:-3]
    with open(pool.path("log", "fcgi"), "ab") as log:
        # One process: of several, the first ends at SIGTERM and leaves the others behind.
        pool.processes["fcgi"] = subprocess.Popen(
            [*as_worker, shutil.which("fcgiwrap"), "-c", "1", "-s", f"unix:{pool.path('run/run.sock')}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    eventually(lambda: os.path.exists(pool.path("run", "run.sock")))
    os.chown(pool.path("run", "run.sock"), pool.worker_id, pool.nginx_id)
    os.chmod(pool.path("run", "run.sock"), 0o660)
    old = children(pool.processes["nginx"].pid)
    pool.processes["nginx"].send_signal(signal.SIGHUP)
    # Until then a request may still come to one that has not heard of the new parameter.
    eventually(lambda: not any(running(worker) for worker in old))
    pool.wait_ready()
    answer = pool.run("python3", "print(input())", input="through fcgiwrap")
    assert answer["stdout"] == "through fcgiwrap\n"
    pool.refused(422, {"language": "nonesuch", "code": ""}, "language")
    assert pool.get("/metrics").status_code == 404
    assert pool.get("/api/languages").status_code == 200
