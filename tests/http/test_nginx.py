# SPDX-License-Identifier: ISC
"""What nginx does by itself: its configuration, rates, other sites, errors, the page."""

import concurrent.futures
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from stack import TOP, eventually

SNIPPETS = os.path.join(TOP, "nginx")


def nginx_test(directory, conf):
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w") as file:
        file.write(conf)
    return subprocess.run(["/usr/sbin/nginx", "-t", "-p", str(directory), "-e", "stderr", "-c", path],
                          capture_output=True, text=True, timeout=60)


@pytest.fixture
def conf_dir(tmp_path):
    """As /etc/nginx would be after the site's own instructions."""
    shutil.copytree(SNIPPETS, tmp_path / "snippets")
    (tmp_path / "tmp").mkdir()
    temporary = "".join(f"{kind}_temp_path {tmp_path}/tmp/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "start").write_text(f"pid {tmp_path}/pid;\nevents {{ }}\nhttp {{ {temporary}\n")
    return tmp_path


def test_the_example_site_passes_nginx_t(conf_dir):
    site = (conf_dir / "snippets/sandpool-site.conf").read_text().replace("/var/log/nginx", str(conf_dir))
    done = nginx_test(conf_dir, (conf_dir / "start").read_text() + site + "}\n")
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr, done.stderr


def test_the_commented_parts_pass_too(conf_dir):
    """TLS, several hosts, the listed origin and the real address, as they would be uncommented."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
                    "-keyout", str(conf_dir / "key"), "-out", str(conf_dir / "cert")],
                   check=True, capture_output=True, timeout=120)
    uncomment = re.compile(r"^(\s*)# ((?:listen|ssl_|add_header|set_real_ip|real_ip|server 10|least_conn|allow|\"https).*;)$", re.M)
    site = (conf_dir / "snippets/sandpool-site.conf").read_text().replace("/var/log/nginx", str(conf_dir))
    site, count = uncomment.subn(r"\1\2", site)
    assert count >= 8, count
    site = re.sub(r"/etc/letsencrypt\S+/fullchain.pem", str(conf_dir / "cert"), site)
    site = re.sub(r"/etc/letsencrypt\S+/privkey.pem", str(conf_dir / "key"), site)
    for name in ("sandpool-http.conf", "sandpool.conf"):
        path = conf_dir / "snippets" / name
        text, count = uncomment.subn(r"\1\2", path.read_text())
        assert count >= 1, name
        path.write_text(text)
    done = nginx_test(conf_dir, (conf_dir / "start").read_text() + site + "}\n")
    assert done.returncode == 0, done.stderr


def test_the_snippet_stands_beside_another_site_and_below_a_prefix(conf_dir):
    """The instructions of the snippet itself, word for word."""
    line = re.search(r"sed '.*' sandpool.conf > sandpool-code.conf",
                     (conf_dir / "snippets/sandpool.conf").read_text()).group(0)
    subprocess.run(["sh", "-c", line], cwd=conf_dir / "snippets", check=True, timeout=60)
    site = """include snippets/sandpool-http.conf;
server { listen 127.0.0.1:1; location / { return 200; } location ~ \\.php$ { return 404; } include snippets/sandpool.conf; }
server { listen 127.0.0.1:2; location / { return 200; } include snippets/sandpool-code.conf;
         location /code/ { alias /usr/share/; include snippets/sandpool-headers.conf; } }
"""
    done = nginx_test(conf_dir, (conf_dir / "start").read_text() + site + "}\n")
    assert done.returncode == 0, done.stderr


def test_nothing_newer_than_debian_12_is_used():
    text = "".join(open(os.path.join(SNIPPETS, name)).read() for name in os.listdir(SNIPPETS))
    assert not re.search(r"^\s*(http2 on|keepalive_min_timeout|max_headers|ssl_reject_handshake)", text, re.M)


# ---- below a prefix ----

def test_all_paths_answer_below_a_prefix(pool):
    answer = pool.post("/code/run", {"language": "sh", "code": "echo below"})
    assert answer.status_code == 200 and answer.json()["stdout"] == "below\n"
    for path in ("/api/languages", "/api/system", "/health", "/ready", "/metrics"):
        assert pool.get("/code" + path).status_code == 200, path
    answer = pool.post("/code/api/execute", {"language": "sh", "code": "echo below"})
    assert answer.json()["output"] == "below\n"
    pool.is_error(pool.get("/code/run"), 405)


# ---- rates ----

def logged(pool):
    return pool.read("tmp/access.log").splitlines()


@pytest.mark.parametrize("rate,retry", [("20", "15"), ("100", "9")])
def test_a_bucket_is_full_and_then_429(fresh, rate, retry):
    pool = fresh(rate=rate)
    # The start ends with a run that is well; nginx logs it a moment after its answer.
    eventually(lambda: any(" /run " in line and " 200 " in line for line in logged(pool)))
    used = sum(" /run " in line for line in logged(pool))
    statuses, refused = [], None
    for _ in range(int(rate) - used + 1):
        answer = pool.post("/run", b"{", headers={"Content-Type": "application/json"})
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            refused = answer
    # While this ran, the bucket may have been given one back: every 15 s, every 9 s.
    assert statuses[-1] == 429 or statuses.count(400) == len(statuses), statuses
    while refused is None:
        answer = pool.post("/run", b"{", headers={"Content-Type": "application/json"})
        refused = answer if answer.status_code == 429 else None
    assert set(statuses[:int(rate) - used]) == {400}, statuses
    pool.is_error(refused, 429)
    assert refused.headers["Retry-After"] == retry
    execute = pool.post("/api/execute", {"language": "sh", "code": ""})
    assert execute.status_code == 429 and isinstance(execute.json()["error"], str)
    for path in ("/", "/health", "/api/languages"):
        assert pool.get(path).status_code == 200, path


def test_no_rate_is_no_rate(pool):
    assert all(pool.post("/run", b"{").status_code == 400 for _ in range(120))


# ---- other sites' pages ----

def preflight(pool, origin, path="/run"):
    return pool.request("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"})


def test_no_origin_is_listed_by_default(pool):
    answer = preflight(pool, "https://example.org")
    assert answer.status_code == 405 and not [name for name in answer.headers if name.lower().startswith("access-control")]
    answer = pool.get("/api/languages", headers={"Origin": "https://example.org"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_listed_origin_may_call(fresh):
    pool = fresh({"allowed-origins": ["https://friend.example"]}, origins=["https://friend.example"])
    for path in ("/run", "/api/execute", "/api/languages"):
        answer = preflight(pool, "https://friend.example", path)
        assert answer.status_code == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://friend.example"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()
        assert "Origin" in answer.headers["Vary"]
    assert preflight(pool, "https://enemy.example").status_code == 405
    answer = pool.post("/run", {"language": "sh", "code": "echo hi"},
                       headers={"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"})
    assert answer.json()["stdout"] == "hi\n"
    assert answer.headers["Access-Control-Allow-Origin"] == "https://friend.example"
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    error = pool.post("/run", b"{", headers={"Origin": "https://friend.example"})
    assert error.headers["Access-Control-Allow-Origin"] == "https://friend.example"


def test_a_preflight_never_reaches_the_pool(fresh):
    pool = fresh(origins=["https://friend.example"])
    pool.end("fcgi")
    assert preflight(pool, "https://friend.example").status_code == 204


# ---- what nginx says itself ----

def execute_error(answer, status, code):
    assert answer.status_code == status
    body = answer.json()
    assert set(body) == {"error", "code", "request_id"} and body["code"] == code
    assert isinstance(body["error"], str) and body["request_id"] == answer.headers["X-Request-ID"]


def test_busy_is_503_when_nothing_was_sent(fresh):
    pool = fresh()
    pool.end("fcgi")
    answer = pool.post("/run", {"language": "sh", "code": ""})
    assert "nothing ran" in pool.is_error(answer, 503, code="busy")["message"]
    assert answer.headers["Retry-After"] == "1" and answer.headers["Cache-Control"] == "no-store"
    answer = pool.post("/api/execute", {"language": "sh", "code": ""})
    execute_error(answer, 503, "busy")
    assert answer.headers["Retry-After"] == "1"


def test_lost_is_500_when_something_was_sent(fresh):
    """A pool that takes the request and is gone."""
    pool = fresh()
    pool.end("fcgi")
    for name in ("run.sock", "api.sock"):
        if os.path.exists(pool.path("run", name)):
            os.unlink(pool.path("run", name))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(pool.path("run", "run.sock"))
        os.chown(pool.path("run", "run.sock"), 0, pool.nginx_id)
        os.chmod(pool.path("run", "run.sock"), 0o660)
        listener.listen(4)
        taken = []

        def take():
            for _ in range(2):
                link, _ = listener.accept()
                taken.append(link.recv(100))
                link.close()
        thread = threading.Thread(target=take)
        thread.start()
        pool.is_error(pool.post("/run", {"language": "sh", "code": ""}), 500, code="lost")
        answer = pool.post("/api/execute", {"language": "sh", "code": ""})
        execute_error(answer, 500, "lost")
        thread.join()
        assert len(taken) == 2 and "Retry-After" not in answer.headers


def test_the_full_backlog_is_503(fresh):
    pool = fresh()
    pool.end("fcgi")
    if os.path.exists(pool.path("run", "run.sock")):
        os.unlink(pool.path("run", "run.sock"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(pool.path("run", "run.sock"))
        os.chown(pool.path("run", "run.sock"), 0, pool.nginx_id)
        os.chmod(pool.path("run", "run.sock"), 0o660)
        listener.listen(1)
        waiting = []
        for _ in range(3):
            link = socket.socket(socket.AF_UNIX)
            link.setblocking(False)
            try:
                link.connect(pool.path("run", "run.sock"))
            except BlockingIOError:
                pass
            waiting.append(link)
        pool.is_error(pool.post("/run", {"language": "sh", "code": ""}), 503, code="busy")
        for link in waiting:
            link.close()


def test_the_shape_of_405_413_and_400(pool):
    answer = pool.request("POST", "/index.html", data=b"x")
    pool.is_error(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD"
    pool.is_error(pool.request("TRACE", "/run"), 405)
    pool.is_error(pool.get("/", headers={"X-Long": "x" * 40000}), 400)
    big = pool.request("POST", "/api/execute", data=b"x" * ((8 << 20) + 1))
    execute_error(big, 413, "too_large")


# ---- the page ----

def test_the_page_has_its_headers(pool):
    for path in ("/", "/index.html"):
        answer = pool.get(path)
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        for name, value in (("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"),
                            ("Referrer-Policy", "same-origin"), ("Cross-Origin-Opener-Policy", "same-origin")):
            assert answer.headers[name] == value
        assert answer.headers["Server"] == "nginx"


def test_every_file_of_the_page_is_served(pool):
    dist = os.path.join(TOP, "www", "dist")
    for folder, _, names in os.walk(dist):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), dist)
            answer = pool.get("/" + path)
            assert answer.status_code == 200, path
            assert not name.endswith(".js") or "javascript" in answer.headers["Content-Type"]


def test_169_a_result_opened_in_a_tab_is_never_markup(pool):
    answer = pool.post("/run", {"language": "sh", "code": "echo '<script>alert(1)</script>'"},
                       accept="text/plain")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["X-Frame-Options"] == "DENY"


def test_metrics_are_for_this_host_alone(conf_dir):
    text = (conf_dir / "snippets/sandpool.conf").read_text()
    location = text[text.index("location = /metrics"):]
    assert location.index("deny all;") < location.index("fastcgi_pass")


def test_headers_stand_once(pool):
    """The pool sends some too, for CGI; the client sees each once."""
    body = b'{"language":"sh","code":""}'
    with socket.create_connection(("127.0.0.1", pool.port)) as link:
        link.settimeout(30)
        link.sendall(b"POST /run HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body) + body)
        got = b""
        while piece := link.recv(65536):
            got += piece
    names = [line.split(b":")[0].lower() for line in got.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    assert len(names) == len(set(names)), names


def test_nginx_reloads_under_load(fresh):
    """Threat 148, nginx's half: no request is lost."""
    pool = fresh()
    with concurrent.futures.ThreadPoolExecutor(4) as many:
        pending = [many.submit(pool.post, "/run", {"language": "sh", "code": "echo on"}) for _ in range(40)]
        for _ in range(3):
            pool.processes["nginx"].send_signal(1)
        statuses = [future.result().status_code for future in pending]
    assert statuses == [200] * 40
    eventually(lambda: pool.get("/health").status_code == 200)
