# SPDX-License-Identifier: ISC
"""What a client may send: every encoding, every field."""

import base64
import json
import time

import msgpack
import pytest

from stack import MSGPACK

SHOW = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())"
ARGV = "import os, sys\nfor word in sys.argv[1:]:\n    sys.stdout.buffer.write(os.fsencode(word) + b'|')"
ALL_BYTES = bytes(range(256))


def post(pool, body, content_type, **kwargs):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = pool.post("/run", body, headers=headers, **kwargs)
    assert answer.status_code == 200, answer.text[:500]
    return answer.json()


# ---- encodings ----

@pytest.mark.parametrize("content_type", [
    "application/json", "application/json; charset=utf-8", "Application/JSON", None, "text/plain",
    "text/plain;charset=UTF-8"])
def test_json_by_its_type_or_by_its_look(pool, content_type):
    body = json.dumps({"language": "sh", "code": "echo hi"}).encode()
    assert post(pool, body, content_type)["stdout"] == "hi\n"


@pytest.mark.parametrize("content_type", [
    "application/msgpack", "application/x-msgpack", "application/vnd.msgpack"])
@pytest.mark.parametrize("as_bin", [True, False], ids=["bin", "str"])
def test_msgpack_takes_bin_and_str(pool, content_type, as_bin):
    word = (lambda text: text.encode()) if as_bin else (lambda text: text)
    body = msgpack.packb({"language": "python3", "code": word(SHOW), "input": word("data"),
                          "arguments": [word("a")]})
    assert post(pool, body, content_type)["stdout"] == "data"


def test_a_form(pool):
    answer = post(pool, b"language=python3&code=print%28input%28%29%29&input=a+b%21",
                  "application/x-www-form-urlencoded")
    assert answer["stdout"] == "a b!\n"


def test_a_form_repeats_arguments(pool):
    body = "language=python3&arguments=one&arguments=two+three&code=" + escape(ARGV)
    assert post(pool, body.encode(), "application/x-www-form-urlencoded")["stdout"] == "one|two three|"


def test_a_form_has_arguments_one_to_a_line(pool):
    body = "language=python3&arguments=one%0D%0Atwo+three%0D%0A&code=" + escape(ARGV)
    assert post(pool, body.encode(), "application/x-www-form-urlencoded")["stdout"] == "one|two three|"


def test_a_form_has_limits_by_dotted_names(pool):
    body = ("language=sh&code=true&limits.wall_ms=1500&limits.memory_bytes=33554432"
            "&limits.compile.wall_ms=2500&limits.total_ms=5000&limits.processes=")
    limits = post(pool, body.encode(), "application/x-www-form-urlencoded")["limits"]
    assert limits["wall_ms"] == 1500 and limits["memory_bytes"] == 32 << 20
    assert limits["total_ms"] == 5000 and limits["processes"] == 64


def test_a_form_turns_crlf_into_lf(pool):
    body = "language=python3&code=" + escape("import sys\r\nprint(repr(sys.stdin.read()))") + \
        "&input=a%0D%0Ab%0D%0A"
    assert post(pool, body.encode(), "application/x-www-form-urlencoded")["stdout"] == "'a\\nb\\n'\n"


def test_multipart_takes_a_file_byte_for_byte(pool):
    code = b"import sys\r\n# \xff\xfe\r\nprint(open(sys.argv[0], 'rb').read()[10:20])\r\n"
    answer = pool.request("POST", "/run", data={"language": "python3"},
                          files={"code": ("crlf.py", b"# coding: latin-1\r\n" + code)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["stdout"] == repr((b"# coding: latin-1\r\n" + code)[10:20]) + "\n"


def test_multipart_takes_several_files(pool):
    files = [("files", ("main.py", b"import other.part\n")),
             ("files", ("other/part.py", b"print(open('data.bin', 'rb').read() == bytes(range(256)))\n")),
             ("files", ("data.bin", ALL_BYTES))]
    answer = pool.request("POST", "/run", data={"language": "python3"}, files=files)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stdout"] == "True\n"


def test_multipart_may_be_larger_than_the_others(pool):
    files = [("files", ("main.py", b"import os\nprint(os.stat('big').st_size)\n")),
             ("files", ("big", b"x" * (6 << 20)))]
    answer = pool.request("POST", "/run", data={"language": "python3"}, files=files)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stdout"] == f"{6 << 20}\n"


def escape(text):
    from urllib.parse import quote
    return quote(text, safe="")


# ---- fields ----

@pytest.mark.parametrize("language", ["python3", "python", "py"])
def test_language_is_an_id_or_an_alias(pool, language):
    answer = pool.run(language, "print(1)")
    assert answer["stdout"] == "1\n" and answer["language"] == "python3"


@pytest.mark.parametrize("value", [
    "print('\\u00e9\\u4e2d\\U0001f600')", {"base64": base64.b64encode(b"print('\\xe9')").decode()}])
def test_code_is_text_or_base64(pool, value):
    assert pool.run("python3", value)["status"] == "success"


def test_code_may_be_any_bytes(pool):
    """A compiler sees exactly what was sent."""
    code = b"#!/bin/cat\n" + ALL_BYTES
    read = "import sys\nsys.stdout.write(open('blob', 'rb').read().hex())"
    answer = pool.run_msgpack(language="python3", files=[
        {"name": "main.py", "content": read}, {"name": "blob", "content": code}])
    assert bytes.fromhex(answer["stdout"].decode()) == code


def test_files_first_is_the_main_one(pool):
    answer = pool.post("/run", {"language": "python3", "files": [
        {"name": "start.py", "content": "from lib.one import two\nprint(two)"},
        {"name": "lib/one.py", "content": "two = 2"}]}).json()
    assert answer["stdout"] == "2\n"


@pytest.mark.parametrize("content", [
    {"content": "cHJpbnQoNyk=", "encoding": "base64"}, {"content": "print(7)", "encoding": "utf8"},
    {"content": {"base64": "cHJpbnQoNyk="}}, {"content": "print(7)"}],
    ids=["base64", "utf8", "map", "plain"])
def test_files_in_each_encoding(pool, content):
    answer = pool.post("/run", {"language": "python3", "files": [{"name": "m.py", **content}]})
    assert answer.json()["stdout"] == "7\n"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "a//b", "./a", "", "a\\b",
                                  "a\nb", "-rf", "a/", "x" * 201, "a\0b"])
def test_files_with_a_bad_name_are_refused(pool, name):
    files = [{"name": "main.py", "content": ""}, {"name": name, "content": ""}]
    pool.refused(400, {"language": "python3", "files": files}, "files[1].name")


def test_files_whose_names_clash_are_refused(pool):
    files = [{"name": "a", "content": ""}, {"name": "a/b", "content": ""}]
    pool.refused(400, {"language": "python3", "files": files}, "files[1].name")


def test_files_at_most_64(pool):
    files = [{"name": f"f{i}.py", "content": "print(1)"} for i in range(65)]
    pool.refused(400, {"language": "python3", "files": files}, "files")
    assert pool.post("/run", {"language": "python3", "files": files[:64]}).json()["stdout"] == "1\n"


def test_code_and_files_together_are_refused(pool):
    body = {"language": "sh", "code": "x", "files": [{"name": "a.sh", "content": ""}]}
    pool.refused(400, body, "files")


@pytest.mark.parametrize("name", ["input", "stdin"])
def test_input_and_its_alias(pool, name):
    assert pool.run("sh", "cat", **{name: "fed"})["stdout"] == "fed"


def test_input_may_be_any_bytes(pool):
    given = {"base64": base64.b64encode(ALL_BYTES).decode()}
    answer = pool.run("python3", SHOW, input=given)
    assert base64.b64decode(answer["stdout_base64"]) == ALL_BYTES


@pytest.mark.parametrize("name", ["arguments", "args"])
def test_arguments_and_their_alias(pool, name):
    words = ["", "a b", "$(id)", "; rm -rf /", "`x`", "*", "-x", "\u00e9"]
    answer = pool.run("python3", ARGV, **{name: words})
    assert answer["stdout"] == "".join(word + "|" for word in words)


def test_arguments_may_be_any_bytes_but_nul(pool):
    word = bytes(range(1, 256))
    answer = pool.run_msgpack(language="python3", code=ARGV, arguments=[word])
    assert answer["stdout"] == word + b"|"


def test_options_go_to_the_interpreter(pool):
    assert pool.run("python3", "import sys; print(sys.flags.optimize)", options=["-OO"])["stdout"] == "2\n"


def test_options_go_to_the_compiler(pool):
    code = "#include <stdio.h>\nint main(void) { return puts(WORD) < 0; }"
    assert pool.run("c", code, options=['-DWORD="said so"'])["stdout"] == "said so\n"


@pytest.mark.parametrize("fields", [{"timeout": 0.3}, {"limits": {"wall_ms": 300}}])
def test_timeout_in_seconds_or_milliseconds(pool, fields):
    answer = pool.run("sh", "sleep 30", **fields)
    assert answer["status"] == "timeout" and answer["limits"]["wall_ms"] == 300


@pytest.mark.parametrize("fields,field", [
    ({"timeout": 1, "limits": {"wall_ms": 1000}}, "timeout"),
    ({"input": "a", "stdin": "b"}, "stdin"), ({"arguments": [], "args": []}, "args")])
def test_an_alias_beside_its_name_is_refused(pool, fields, field):
    pool.refused(400, {"language": "sh", "code": "", **fields}, field)


def test_unknown_fields_are_ignored(pool):
    assert pool.run("sh", "echo", colour="blue", __proto__={"x": 1})["status"] == "success"


def test_an_empty_program_is_a_program(pool):
    assert pool.run("sh", "")["status"] == "success"


# ---- limits: each at its least and its most, and beyond both ----

LIMITS = [("wall_ms", 10, 60000), ("cpu_ms", 10, 60000), ("memory_bytes", 8 << 20, 2 << 30),
          ("processes", 1, None), ("output_bytes", None, 8 << 20), ("disk_bytes", 64 << 10, 512 << 20)]


@pytest.mark.parametrize("name,least,most", LIMITS, ids=[row[0] for row in LIMITS])
def test_limit_bounds(pool, name, least, most):
    for value in [least, most]:
        if value is not None:
            answer = pool.post("/run", {"language": "sh", "code": "", "limits": {name: value}})
            assert answer.status_code == 200, answer.text
            assert answer.json()["limits"][name] == value
    beyond = [least - 1 if least else 0, most + 1 if most else 10 ** 15]
    for value in beyond:
        for prefix, limits in (("limits.", {name: value}),
                               ("limits.compile.", {"compile": {name: value}})):
            error = pool.refused(400, {"language": "c", "code": "", "limits": limits}, prefix + name)
            bound = most if most and value > most else least
            assert bound is None or value <= 0 or str(bound) in error["message"]


@pytest.mark.parametrize("value", [None, -1])
def test_a_limit_of_null_or_minus_one_is_the_default(pool, value):
    limits = {name: value for name, *_ in LIMITS}
    limits.update(total_ms=value, cpu_percent=value, compile={"wall_ms": value})
    answer = pool.run("sh", "", limits=limits)["limits"]
    assert answer["wall_ms"] == 10000 and answer["cpu_ms"] == 10000
    assert answer["memory_bytes"] == 256 << 20 and answer["processes"] == 64
    assert answer["output_bytes"] == 1 << 20 and answer["disk_bytes"] == 64 << 20
    assert answer["cpu_percent"] == 100 and answer["total_ms"] == 60000


def test_the_compile_stage_has_its_own_defaults(pool):
    limits = pool.run("c", "int main(void) { return 0; }")["limits"]["compile"]
    assert limits["wall_ms"] == 30000 and limits["cpu_ms"] == 30000
    assert limits["memory_bytes"] == 1 << 30


def test_total_ms_has_a_maximum(pool):
    error = pool.refused(400, {"language": "sh", "code": "", "limits": {"total_ms": 120001}},
                         "limits.total_ms")
    assert "120000" in error["message"]
    assert pool.run("sh", "", limits={"total_ms": 120000})["limits"]["total_ms"] == 120000


@pytest.mark.parametrize("value", ["10", 1.5, 0, -2, True, [], {}, 1e300],
                         ids=lambda value: json.dumps(value))
def test_a_limit_must_be_a_whole_number_of_at_least_one(pool, value):
    pool.refused(400, {"language": "sh", "code": "", "limits": {"wall_ms": value}}, "limits.wall_ms")


@pytest.mark.parametrize("value", ["1", 0, -3, 61, 0.001, True, 1e300], ids=lambda value: json.dumps(value))
def test_timeout_has_the_same_bounds_in_seconds(pool, value):
    pool.refused(400, {"language": "sh", "code": "", "timeout": value}, "timeout")


# ---- limits are held, and named ----

def test_wall_time(pool):
    answer = pool.run("sh", "echo before; sleep 60", timeout=0.5)
    assert answer["status"] == "timeout" and answer["stdout"] == "before\n"
    assert "wall" in answer["message"].lower() and answer["usage"]["wall_ms"] >= 500


def test_cpu_time(pool):
    answer = pool.run("python3", "while True: pass", limits={"cpu_ms": 300})
    assert answer["status"] == "timeout" and "cpu" in answer["message"].lower()
    assert answer["usage"]["cpu_ms"] >= 250


def test_memory(pool):
    answer = pool.run("python3", "x = bytearray(200 << 20)", limits={"memory_bytes": 64 << 20})
    assert answer["status"] == "memory_limit", answer
    assert "64" in answer["message"]


def test_processes(pool):
    code = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait; echo done"
    answer = pool.run("sh", code, limits={"processes": 4})
    assert "fork" in answer["stderr"].lower(), answer
    assert answer["usage"]["processes_peak"] in (None, 4)


def test_disk(pool):
    code = "import os\nf = open('big', 'wb')\nfor i in range(64): f.write(b'x' * (1 << 20)); f.flush()"
    answer = pool.run("python3", code, limits={"disk_bytes": 8 << 20})
    assert answer["status"] == "runtime_error" and "space" in answer["stderr"], answer


def test_cpu_percent(pool):
    code = "import time\nend = time.time() + 1\nwhile time.time() < end: pass"
    answer = pool.run("python3", code, limits={"cpu_percent": 25})
    assert answer["status"] == "success"
    assert answer["usage"]["cpu_ms"] < 0.8 * answer["usage"]["wall_ms"], answer["usage"]


def test_total_ms_bounds_all_stages_together(pool):
    answer = pool.run("sh", "sleep 1", limits={"total_ms": 1500},
                      tests=[{"input": ""} for _ in range(6)])
    statuses = [test["status"] for test in answer["tests"]]
    assert len(statuses) == 6 and statuses[0] == "success" and statuses[-1] == "skipped", statuses
    assert answer["time"]["total_ms"] < 10000


# ---- tests and compare ----

def run_tests(pool, code, tests, language="python3", **fields):
    answer = pool.run(language, code, tests=tests, **fields)
    for absent in ("stdout", "stderr", "exit_code", "usage"):
        assert absent not in answer
    return answer


def test_tests_compile_once_and_run_each(pool):
    code = ("#include <stdio.h>\nint main(int argc, char **argv)\n{ int a = 0; scanf(\"%d\", &a);"
            " printf(\"%d %s\\n\", 2 * a, argc > 1 ? argv[1] : \"-\"); return a == 9 ? 3 : 0; }")
    answer = run_tests(pool, code, [
        {"input": "4", "expected": "8 -"}, {"input": "5", "arguments": ["x"], "expected": "10 x\n"},
        {"input": "5", "expected": "11", "name": "wrong"}, {"input": "9"}, {"input": "1"}], "c")
    assert answer["compile"]["status"] == "success"
    assert [test["status"] for test in answer["tests"]] == [
        "success", "success", "wrong_answer", "runtime_error", "success"]
    assert [test["passed"] for test in answer["tests"]] == [True, True, False, None, None]
    assert answer["tests"][2]["name"] == "wrong" and answer["tests"][3]["exit_code"] == 3
    assert answer["tests"][0]["stdout"] == "8 -\n" and answer["tests"][0]["usage"]["wall_ms"] > 0
    assert answer["status"] == "wrong_answer"


def test_tests_each_have_a_box_of_their_own(pool):
    code = "import os\nprint(os.path.exists('left'))\nopen('left', 'w').close()"
    answer = run_tests(pool, code, [{"expected": "False"}] * 3)
    assert answer["status"] == "success"


def test_tests_are_skipped_when_the_program_does_not_compile(pool):
    answer = pool.run("c", "int main(void) { return x; }", tests=[{"input": ""}])
    assert answer["status"] == "compile_error" and answer["compile"]["status"] != "success"
    assert all(test["status"] in ("skipped", "compile_error") for test in answer.get("tests", []))


COMPARE = [
    ("exact", "a b\n", "a b\n", True), ("exact", "a b\n", "a b", False), ("exact", "a\r\n", "a\n", False),
    ("trailing-space", "a  \nb\n\n", "a\nb", True), ("trailing-space", "a", "a\n", True),
    ("trailing-space", " a", "a", False), ("trailing-space", "a\n\nb", "a\nb", False),
    ("tokens", " a\n\n b ", "a b", True), ("tokens", "a b", "ab", False), ("tokens", "", "  \n", True),
    ("float:1e-6", "1.0000001 x", "1 x", True), ("float:1e-6", "1.1", "1", False),
    ("float:1e-6", "1000000.1", "1000000", True), ("float:0.5", "nan", "1", False),
    ("float:1e-6", "abc", "abd", False), (None, "a \n", "a", True)]


@pytest.mark.parametrize("compare,printed,expected,passed", COMPARE,
                         ids=[f"{row[0]}-{index}" for index, row in enumerate(COMPARE)])
def test_compare(pool, compare, printed, expected, passed):
    fields = {"compare": compare} if compare else {}
    answer = run_tests(pool, SHOW, [{"input": printed, "expected": expected}], **fields)
    assert answer["tests"][0]["passed"] is passed
    assert answer["status"] == ("success" if passed else "wrong_answer")


@pytest.mark.parametrize("value", ["", "Exact", "float", "float:", "float:x", "float:-1", "float:nan", 3])
def test_compare_must_be_one_of_four(pool, value):
    pool.refused(400, {"language": "sh", "code": "", "compare": value, "tests": [{}]}, "compare")


def test_tests_at_most_64(pool):
    pool.refused(400, {"language": "sh", "code": "", "tests": [{}] * 65}, "tests")
    answer = pool.run("sh", "", tests=[{}] * 64, limits={"total_ms": 120000})
    assert len(answer["tests"]) == 64


# ---- collect ----

def test_collect_brings_files_back(pool):
    code = ("import os\nos.mkdir('d')\nopen('d/out.bin', 'wb').write(bytes(range(256)))\n"
            "open('text', 'w').write('caf\\u00e9')\nos.symlink('/etc/passwd', 'link')\nos.mkdir('dir')\n"
            "os.mkfifo('fifo')")
    answer = pool.run("python3", code, collect=["d/out.bin", "text", "link", "dir", "fifo", "none"])
    files = {file["name"]: file for file in answer["files"]}
    assert list(files) == ["d/out.bin", "text", "link", "dir", "fifo", "none"]
    content = files["d/out.bin"]["content"]
    assert base64.b64decode(content["base64"] if isinstance(content, dict)
                            else files["d/out.bin"]["content_base64"]) == ALL_BYTES
    assert files["d/out.bin"]["size"] == 256
    assert files["text"]["content"] == "caf\u00e9" and files["text"]["size"] == 5
    for name in ("link", "dir", "fifo", "none"):
        assert files[name]["error"] and "content" not in files[name], name


def test_collect_is_exact_in_msgpack(pool):
    answer = pool.run_msgpack(language="python3", collect=["b"],
                              code="open('b', 'wb').write(bytes(range(256)))")
    assert answer["files"] == [{"name": "b", "content": ALL_BYTES, "size": 256}]


@pytest.mark.parametrize("names", ["a", [1], ["../a"], ["/etc/passwd"], ["a", "a"],
                                   [f"f{index}" for index in range(65)]],
                         ids=["text", "number", "up", "absolute", "twice", "65"])
def test_collect_names_are_checked(pool, names):
    error = pool.refused(400, {"language": "sh", "code": "", "collect": names})
    assert error["field"].startswith("collect")


# ---- deny patterns ----

def test_deny_patterns_refuse_code(fresh):
    pool = fresh(deny={"python3": [r"\beval\s*\("]})
    pool.refused(400, {"language": "python3", "code": "eval ('1')"}, "code")
    assert pool.run("python3", "print('evaluate')")["stdout"] == "evaluate\n"


# ---- seed clients ----

def test_a_seed_002_client_unchanged(pool):
    """{language: "python" | "cpp", code, input} -> {status, stdout, stderr}"""
    cpp = "#include <iostream>\nint main() { int a; std::cin >> a; std::cout << a + 1; }"
    for language, code, given, status, stdout in (
            ("python", "print(int(input()) + 1)", "41", "success", "42\n"),
            ("cpp", cpp, "41", "success", "42"),
            ("python", "raise SystemExit(3)", "", "runtime_error", "")):
        answer = pool.post("/run", {"language": language, "code": code, "input": given}).json()
        assert (answer["status"], answer["stdout"]) == (status, stdout), answer
        assert isinstance(answer["stderr"], str)


def test_time_is_told(pool):
    began = time.monotonic()
    answer = pool.run("c", f"int main(void) {{ return 0; }} /* compiled here and now: {began} */")
    elapsed_ms = 1000 * (time.monotonic() - began)
    times = answer["time"]
    assert set(times) >= {"queue_ms", "setup_ms", "compile_ms", "run_ms", "total_ms"}
    assert 0 < times["compile_ms"] < times["total_ms"] <= elapsed_ms
    assert 0 < times["run_ms"] < times["total_ms"]


def test_accept_is_case_blind(pool):
    body = msgpack.packb({"language": "sh", "code": "echo x"})
    answer = pool.post("/run", body, accept="Application/MsgPack", headers={"Content-Type": MSGPACK})
    assert msgpack.unpackb(answer.content)["stdout"] == b"x\n"


def test_json_that_is_called_a_form_gets_a_hint(pool):
    """As curl -d sends it."""
    answer = pool.post("/run", b'{"language":"sh","code":"echo x"}',
                       headers={"Content-Type": "application/x-www-form-urlencoded"})
    error = pool.is_error(answer, 415, field="Content-Type")
    assert "application/json" in error["message"]
