# SPDX-License-Identifier: ISC
"""What comes back: each form of an answer, each field, each status."""

import base64
import html
import re

import msgpack
import pytest

from stack import MSGPACK, NDJSON, SSE, STREAM, eventually

HELLO = {"language": "python3", "code": "import sys; print('out'); print('err', file=sys.stderr)"}


# ---- Accept ----

ACCEPT = [
    (None, "application/json"), ("*/*", "application/json"), ("application/json", "application/json"),
    ("application/*", "application/json"), ("application/msgpack", MSGPACK),
    ("application/x-msgpack", MSGPACK), ("application/json;q=0.1, application/msgpack", MSGPACK),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
    ("text/plain", "text/plain"), ("image/png, text/plain;q=0.5", "text/plain"), (NDJSON, NDJSON),
    (SSE, SSE), (STREAM, STREAM), ("application/json;q=0, */*", None)]


@pytest.mark.parametrize("accept,expected", ACCEPT, ids=[str(row[0]) for row in ACCEPT])
def test_accept_chooses_the_form(pool, accept, expected):
    headers = {"Accept": accept}
    answer = pool.post("/run", HELLO, headers=headers)
    assert answer.status_code == 200
    got = answer.headers["Content-Type"].split(";")[0]
    assert got == expected if expected else got != "application/json"


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=1", "application/json;q=0"])
def test_accept_that_nothing_fits_is_406(pool, accept):
    pool.refused(406, HELLO, accept=accept)


def test_every_answer_has_its_headers(pool):
    for accept in (None, MSGPACK, "text/html", "text/plain", NDJSON, SSE, STREAM):
        for body in (HELLO, {"language": "sh"}):
            answer = pool.post("/run", body, accept=accept)
            for name, value in (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")):
                assert answer.headers[name] == value, (accept, name, answer.headers)
            assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_request_id_is_ours_and_everywhere(pool):
    answer = pool.post("/run", HELLO, headers={"X-Request-ID": "mine"})
    identity = answer.headers["X-Request-ID"]
    assert identity != "mine" and answer.json()["id"] == identity
    # Both log once the answer is on its way.
    eventually(lambda: identity in pool.read("tmp/access.log"), what="id in nginx's log")
    eventually(lambda: identity in pool.log("fcgi"), what="id in the pool's log")


def test_text_is_the_output_alone(pool):
    answer = pool.post("/run", {"language": "sh", "code": r"printf 'a\0\377'; exit 3"}, accept="text/plain")
    assert answer.content == b"a\0\xff"
    assert answer.headers["Sandpool-Status"] == "runtime_error"
    assert answer.headers["Sandpool-Exit-Code"] == "3" and "Sandpool-Signal" not in answer.headers
    answer = pool.post("/run", {"language": "sh", "code": "kill -SEGV $$"}, accept="text/plain")
    assert answer.headers["Sandpool-Signal"] == "SIGSEGV" and "Sandpool-Exit-Code" not in answer.headers


def test_text_has_no_way_to_say_several_tests_but_says_the_verdict(pool):
    body = {"language": "sh", "code": "cat", "tests": [{"input": "a", "expected": "a"},
                                                       {"input": "b", "expected": "c"}]}
    answer = pool.post("/run", body, accept="text/plain")
    assert answer.status_code == 200 and answer.headers["Sandpool-Status"] == "wrong_answer"


# ---- the result page, for a browser without JavaScript ----

def test_page_shows_output_as_text_and_the_form_again(pool):
    nasty = "<script>alert(1)</script></textarea></pre><img src=x onerror=alert(1)>&amp;\"'"
    form = {"language": "python3", "code": f"import sys\nprint(sys.stdin.read())\n# {nasty}",
            "input": nasty, "arguments": "one\ntwo"}
    answer = pool.request("POST", "/run", data=form, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].lower() == "text/html; charset=utf-8"
    page = answer.text
    assert "<script" not in page and "<img src=x" not in page and "</textarea></pre>" not in page
    assert html.escape(nasty, quote=False).split("&quot;")[0][:40] in page.replace("&#39;", "'")
    code = re.search(r'<textarea[^>]*name="?code"?[^>]*>\n?(.*?)</textarea>', page, re.S)
    assert html.unescape(code.group(1)).rstrip("\n") == form["code"]
    given = re.search(r'<textarea[^>]*name="?input"?[^>]*>\n?(.*?)</textarea>', page, re.S)
    assert html.unescape(given.group(1)) == nasty
    assert re.search(r'<form[^>]*method="?post"?', page, re.I)


def test_page_for_an_error_is_a_page_too(pool):
    answer = pool.request("POST", "/run", data={"language": "nonesuch", "code": "x <b>"},
                          headers={"Accept": "text/html"})
    assert answer.status_code == 422 and answer.headers["Content-Type"].startswith("text/html")
    assert "nonesuch" in answer.text and "x &lt;b&gt;" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text


def test_a_browser_form_without_javascript(pool):
    """The page's own form, filled and sent as a browser would."""
    page = pool.get("/").text
    form = re.search(r"<form\b.*?</form>", page, re.S | re.I).group(0)
    action = re.search(r'action="?([^"\s>]+)', form).group(1)
    assert re.search(r'method="?post', form, re.I) and action.lstrip("./") == "run"
    # Also what stands elsewhere on the page and belongs to it by its form attribute.
    fields = set(re.findall(r'<(?:input|textarea|select)\b[^>]*\bname="?([\w.]+)', page))
    assert {"language", "code", "input"} <= fields, fields
    values = {name: "" for name in fields - {"files"}}
    values.update(language="python3", code="print(input())\r\n", input="plain form\r\n")
    kind = re.search(r'enctype="?([^"\s>]+)', form)
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Origin": pool.url,
               "Sec-Fetch-Site": "same-origin"}
    parts = {name: (None, value) for name, value in values.items()}
    if kind and kind.group(1) == "multipart/form-data":
        parts["files"] = ("", b"", "application/octet-stream")
        answer = pool.request("POST", "/run", files=parts, headers=headers)
    else:
        answer = pool.request("POST", "/run", data=values, headers=headers)
    assert answer.status_code == 200, answer.text[:500]
    assert "plain form" in answer.text


# ---- the fields ----

def test_fields_of_a_good_run(pool):
    answer = pool.post("/run", HELLO)
    body = answer.json()
    assert body["id"] == answer.headers["X-Request-ID"]
    assert body["language"] == "python3" and re.search(r"\d+\.\d+", body["version"])
    assert body["status"] == "success" and isinstance(body["message"], str)
    assert body["stdout"] == "out\n" and body["stderr"] == "err\n"
    assert body["exit_code"] == 0 and body["signal"] is None
    assert "compile" not in body and "tests" not in body and "files" not in body
    assert not body.get("truncated")
    usage = body["usage"]
    assert usage["wall_ms"] > 0 and usage["cpu_ms"] > 0
    assert abs(usage["user_ms"] + usage["system_ms"] - usage["cpu_ms"]) <= 0.2 * usage["cpu_ms"] + 5
    assert usage["memory_peak_bytes"] is None or 1 << 20 < usage["memory_peak_bytes"] < 256 << 20
    assert usage["processes_peak"] is None or usage["processes_peak"] >= 1
    assert body["limits"]["enforced"]


def test_a_version_is_the_one_that_is_installed(pool):
    answer = pool.run("python3", "import platform; print(platform.python_version())")
    assert answer["stdout"].strip() in answer["version"]


def test_usage_tells_what_was_used(pool):
    code = "x = bytearray(50 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nfor i in range(3000000): pass"
    usage = pool.run("python3", code)["usage"]
    assert usage["memory_peak_bytes"] is None or 50 << 20 < usage["memory_peak_bytes"] < 120 << 20
    assert usage["cpu_ms"] > 20


def test_a_compile_stage_is_told_apart(pool):
    code = "#warning look here\nint main(void) { return 4; }"
    answer = pool.run("c", code)
    assert answer["status"] == "runtime_error" and answer["exit_code"] == 4
    stage = answer["compile"]
    assert stage["status"] == "success" and stage["exit_code"] == 0 and stage["signal"] is None
    assert "look here" in stage["stderr"] and stage["usage"]["wall_ms"] > 0
    assert "look here" not in answer["stderr"]


def test_a_compile_error(pool):
    answer = pool.run("c", "int main(void) { return nonesuch; }")
    assert answer["status"] == "compile_error" and answer["exit_code"] is None
    assert "nonesuch" in answer["stderr"] and answer["stdout"] == ""
    assert answer["compile"]["exit_code"] == 1 and answer["stderr"] == answer["compile"]["stderr"]


def test_a_compile_stage_that_hits_a_limit_is_a_compile_error(pool):
    code = '#include "/dev/zero"\nint main(void) { return 0; }'
    answer = pool.run("c", code, limits={"compile": {"wall_ms": 1500, "memory_bytes": 128 << 20}})
    assert answer["status"] == "compile_error"
    assert answer["compile"]["status"] in ("timeout", "memory_limit", "compile_error", "runtime_error")


STATUS = [
    ("true", "success", 0, None), ("exit 7", "runtime_error", 7, None),
    ("kill -SEGV $$", "runtime_error", None, "SIGSEGV"), ("kill -KILL $$", "runtime_error", None, "SIGKILL"),
    ("kill -TERM $$", "runtime_error", None, "SIGTERM"), ("exit 255", "runtime_error", 255, None),
    ("sleep 60", "timeout", None, "SIGKILL"), ("yes", "output_limit", None, "SIGKILL")]


@pytest.mark.parametrize("code,status,exit_code,signal", STATUS, ids=[row[0] for row in STATUS])
def test_status(pool, code, status, exit_code, signal):
    answer = pool.run("sh", code, timeout=3)
    assert answer["status"] == status, answer["message"]
    if status in ("success", "runtime_error"):
        assert (answer["exit_code"], answer["signal"]) == (exit_code, signal)
        if signal:
            assert signal in answer["message"]
    else:
        assert answer["exit_code"] is None and answer["message"]


def test_the_output_cap_counts_even_with_exit_0(pool):
    """Threat 81: exceeds the cap, then exits 0."""
    answer = pool.run("python3", "import os\nos.write(1, b'x' * 5000)", limits={"output_bytes": 1000})
    assert answer["status"] == "output_limit", answer["message"]
    assert answer["stdout"] == "x" * 1000 and answer["truncated"]["stdout"] >= 1


def test_exactly_the_cap_is_no_excess(pool):
    answer = pool.run("python3", "import os\nos.write(1, b'x' * 1000)", limits={"output_bytes": 1001})
    assert answer["status"] == "success" and len(answer["stdout"]) == 1000


@pytest.mark.parametrize("target", ["stdout", "stderr"])
def test_endless_output_is_cut_at_the_cap(pool, target):
    """Threat 78."""
    code = "yes" if target == "stdout" else "yes >&2"
    answer = pool.run("sh", code, limits={"output_bytes": 100000})
    assert answer["status"] == "output_limit" and len(answer[target]) == 100000
    assert answer["truncated"][target] > 0


def test_eight_mebibytes_come_whole(pool):
    code = "import sys\nsys.stdout.write('0123456789abcdef' * (1 << 19))\nsys.stdout.flush()"
    answer = pool.run("python3", code, limits={"output_bytes": 8 << 20})
    assert answer["stdout"] == "0123456789abcdef" * (1 << 19)


def test_an_answer_has_a_largest_size(pool):
    """16 MiB in all: what does not fit is dropped, and counted."""
    code = "import sys\nsys.stdout.write('x' * (3 << 20))"
    body = {"language": "python3", "code": code, "limits": {"output_bytes": 4 << 20},
            "tests": [{} for _ in range(8)]}
    answer = pool.post("/run", body)
    assert answer.status_code == 200 and len(answer.content) <= 16 << 20
    tests = answer.json()["tests"]
    assert len(tests[0]["stdout"]) == 3 << 20
    missing = sum((3 << 20) - len(test["stdout"]) for test in tests)
    assert missing == sum((test.get("truncated") or {}).get("stdout", 0) for test in tests) > 0


# ---- bytes ----

def test_bytes_80_are_exact_in_msgpack_and_named_in_json(pool):
    code = "import sys\nsys.stdout.buffer.write(bytes(range(256)))\nsys.stderr.buffer.write(b'\\xed\\xa0\\x80')"
    exact = pool.run_msgpack(language="python3", code=code)
    assert exact["stdout"] == bytes(range(256)) and exact["stderr"] == b"\xed\xa0\x80"
    assert "stdout_base64" not in exact
    answer = pool.run("python3", code)
    assert base64.b64decode(answer["stdout_base64"]) == bytes(range(256))
    assert answer["stdout"].startswith("".join(map(chr, range(128)))) and "\ufffd" in answer["stdout"]
    assert base64.b64decode(answer["stderr_base64"]) == b"\xed\xa0\x80"


def test_good_utf8_has_no_twin(pool):
    answer = pool.run("python3", "print('\\u00e9\\u4e2d\\U0001f600\\ufeff\\0')")
    assert answer["stdout"] == "\u00e9\u4e2d\U0001f600\ufeff\0\n" and "stdout_base64" not in answer


def comparable(value):
    """Without what two runs of one program never share."""
    if isinstance(value, dict):
        return {name: type(inner).__name__ if name in ("id", "time", "cached") else
                sorted(inner) if name == "usage" else comparable(inner)
                for name, inner in value.items()}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    return value.decode() if isinstance(value, bytes) else value


SAME = {
    "plain": HELLO,
    "compiled": {"language": "c", "code": "#include <stdio.h>\nint main(void) { puts(\"x\"); return 2; }"},
    "compile error": {"language": "c", "code": "int main(void) { return x; }"},
    "tests": {"language": "sh", "code": "cat", "tests": [{"input": "a", "expected": "a"},
                                                         {"input": "b", "expected": "c", "name": "n"}]},
    "collect": {"language": "sh", "code": "echo text > f", "collect": ["f", "g"]},
    "signal": {"language": "sh", "code": "kill -TERM $$"},
    "limits": {"language": "sh", "code": "true", "timeout": 0.25, "limits": {"memory_bytes": 9000000}},
}


@pytest.mark.parametrize("name", SAME)
def test_json_and_msgpack_of_one_result_are_equal(pool, name):
    as_json = pool.post("/run", SAME[name]).json()
    body = msgpack.packb(SAME[name])
    for accept in (MSGPACK, "application/json"):
        answer = pool.post("/run", body, accept=accept, headers={"Content-Type": MSGPACK})
        other = msgpack.unpackb(answer.content) if accept == MSGPACK else answer.json()
        assert comparable(other) == comparable(as_json)


# ---- errors, in each form ----

def test_errors_have_one_shape_in_each_encoding(pool):
    body = {"language": "nonesuch", "code": ""}
    for accept in (None, "text/plain", NDJSON, SSE, STREAM):
        error = pool.is_error(pool.post("/run", body, accept=accept), 422, "language", "unknown_language")
        assert "nonesuch" in error["message"]
    answer = pool.post("/run", body, accept=MSGPACK)
    assert answer.status_code == 422 and answer.headers["Content-Type"] == MSGPACK
    error = msgpack.unpackb(answer.content)["error"]
    assert error["code"] == "unknown_language" and error["field"] == "language"
    assert error["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_another_method_on_run_is_405(pool, method):
    answer = pool.request(method, "/run")
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]
    if method != "HEAD":
        pool.is_error(answer, 405)


def test_an_unknown_path_is_404(pool):
    for path in ("/nonesuch", "/run/", "/run/x", "/api", "/api/", "/api/none", "/x.html", "/RUN"):
        pool.is_error(pool.get(path), 404)
        answer = pool.request("POST", path, data=b"{}")
        assert answer.status_code in (404, 405), path


# ---- its length ----

@pytest.mark.parametrize("accept", ["application/json", "application/msgpack", "text/html", "text/plain"])
def test_a_short_answer_tells_its_length(pool, accept):
    answer = pool.post("/run", {"language": "sh", "code": "echo short"}, headers={"Accept": accept, "Accept-Encoding": "identity"})
    assert answer.status_code == 200 and b"short" in answer.content
    assert answer.headers["Content-Length"] == str(len(answer.content))


def test_a_long_answer_and_a_stream_are_whole_without(pool):
    answer = pool.post("/run", {"language": "sh", "code": "yes 0123456789 | head -n 9000"}, headers={"Accept-Encoding": "identity"})
    assert answer.json()["stdout"] == "0123456789\n" * 9000 and "Content-Length" not in answer.headers
    answer = pool.post("/run", {"language": "sh", "code": "echo x"}, headers={"Accept": "application/x-ndjson"})
    assert answer.text.endswith("}\n") and "Content-Length" not in answer.headers
