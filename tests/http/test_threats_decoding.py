# SPDX-License-Identifier: ISC
"""Hostile bodies: one test for each numbered case, 108 to 117. No box is ever asked for one
of them; that is asserted once for all at the end, by the pool's own count."""

import json
import struct

import msgpack
import pytest

from stack import MSGPACK

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def refused(pool, body, kind, field=None, status=400):
    return pool.refused(status, body, field, headers={"Content-Type": kind} if kind else {})


def multipart(pool, body, boundary="b", status=400):
    return refused(pool, body, f"multipart/form-data; boundary={boundary}", status=status)


def part(name, value, filename=None):
    extra = f'; filename="{filename}"' if filename is not None else ""
    return (f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n').encode() + value + b"\r\n"


@pytest.fixture(scope="module", autouse=True)
def nothing_ran(pool):
    def begun():
        return sum(float(line.rsplit(" ", 1)[1]) for line in pool.get("/metrics").text.splitlines()
                   if line.startswith("sandpool_runs_total"))
    before = begun()
    yield
    # What well-formed requests this file does send, it sends to be answered 4xx, or counts here.
    assert begun() - before == good_runs[0], "a refused request was run"


good_runs = [0]


def good(pool, body, kind):
    good_runs[0] += 1
    answer = pool.post("/run", body, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- 108: depth ----

@pytest.mark.parametrize("depth", [33, 1000, 400000])
@pytest.mark.parametrize("kind,body", [
    (JSON, lambda depth: b'{"x":' + b"[" * depth + b"]" * depth + b"}"),
    (JSON, lambda depth: b'{"x":' + b'{"a":' * depth),
    (MSGPACK, lambda depth: b"\x81\xa1x" + b"\x91" * depth + b"\xc0"),
    (MSGPACK, lambda depth: b"\x81\xa1x" + b"\x81\xa1a" * min(depth, 300000) + b"\xc0")],
    ids=["json-list", "json-map", "msgpack-list", "msgpack-map"])
def test_108_depth_is_capped(pool, kind, body, depth):
    data = body(depth)
    refused(pool, data, kind, status=400 if len(data) <= 1 << 20 else 413)


def test_108_a_depth_within_the_cap_is_taken(pool):
    inner = b"[" * 30 + b"]" * 30
    good(pool, b'{"language":"sh","code":"","x":' + inner + b"}", JSON)


# ---- 109, 110, 111: msgpack ----

HUGE = {
    "array32": b"\xdd\xff\xff\xff\xff", "map32": b"\xdf\xff\xff\xff\xff", "str32": b"\xdb\xff\xff\xff\xff",
    "bin32": b"\xc6\xff\xff\xff\xff", "ext32": b"\xc9\xff\xff\xff\xff\x01", "array16": b"\xdc\xff\xff"}


@pytest.mark.parametrize("name", HUGE)
def test_109_huge_declared_lengths_are_refused(pool, name):
    refused(pool, HUGE[name], MSGPACK)
    refused(pool, b"\x82\xa8language\xa2sh\xa4code" + HUGE[name], MSGPACK)


def test_110_a_chain_of_array_headers_is_refused(pool):
    refused(pool, b"\x81\xa1x" + b"\xdc\xff\xff" * 24000, MSGPACK)
    refused(pool, b"\x81\xa1x" + (b"\xdc\x00\x02" * 20) * 1000, MSGPACK)


BROKEN_MSGPACK = {
    "truncated": msgpack.packb({"language": "sh", "code": "echo"})[:-2],
    "trailing": msgpack.packb({"language": "sh", "code": "echo"}) + b"\xc0",
    "reserved": b"\x82\xa8language\xa2sh\xa4code\xc1",
    "number key": b"\x83\xa8language\xa2sh\xa4code\xa1x\x01\x02",
    "nil key": b"\x83\xa8language\xa2sh\xa4code\xa1x\xc0\x02",
    "not a map": b"\x93\x01\x02\x03", "a number": b"\x05", "two maps": b"\x80\x80"}


@pytest.mark.parametrize("name", BROKEN_MSGPACK)
def test_111_broken_msgpack_is_refused(pool, name):
    refused(pool, BROKEN_MSGPACK[name], MSGPACK)


def test_111_an_ext_value_is_refused_by_its_field(pool):
    for field in ("code", "input", "language"):
        fields = {"language": "sh", "code": "x", field: msgpack.ExtType(4, b"abc")}
        error = refused(pool, msgpack.packb(fields), MSGPACK)
        assert error.get("field", field) == field


BROKEN_JSON = {
    "truncated": b'{"language":"sh","code":"x"', "trailing": b'{"language":"sh","code":"x"} x',
    "two": b'{"language":"sh","code":"x"}{}', "comment": b'{"language":"sh",/**/"code":"x"}',
    "single quotes": b"{'language':'sh'}", "trailing comma": b'{"language":"sh","code":"x",}',
    "NaN": b'{"language":"sh","code":"x","timeout":NaN}', "a list": b'[{"language":"sh"}]',
    "a string": b'"language"', "bare word": b"{language:1}", "null": b"null",
    "twice": b'{"language":"sh","language":"c","code":"x"}', "control": b'{"language":"sh","code":"a\nb"}'}


@pytest.mark.parametrize("name", BROKEN_JSON)
def test_111_broken_json_is_refused(pool, name):
    refused(pool, BROKEN_JSON[name], JSON)


# ---- 112: types ----

WRONG = [("language", value) for value in (1, True, [], {}, ["sh"])] + \
        [("code", value) for value in (1, False, [], {}, {"base64": 1}, {"base64": "!"}, {"x": "y"})] + \
        [("input", value) for value in (1, [], {})] + \
        [("arguments", value) for value in ("a", 1, {}, [1], [None], [[]])] + \
        [("options", value) for value in ("a", 1, {}, [1])] + \
        [("files", value) for value in ("a", 1, {}, [1], [{}], [{"name": "a"}], [{"content": "a"}],
                                        [{"name": 1, "content": ""}], [{"name": "a", "content": 1}],
                                        [{"name": "a", "content": "", "encoding": "rot13"}])] + \
        [("limits", value) for value in (1, [], "x", {"wall_ms": "x"}, {"compile": 1})] + \
        [("tests", value) for value in (1, {}, "x", [1], [{"input": 1}], [{"arguments": "x"}], [{"expected": []}])] + \
        [("collect", value) for value in (1, {}, "x", [1])] + [("timeout", value) for value in ("1", [], {})] + \
        [("compare", value) for value in (1, [], {}, "fuzzy")]


@pytest.mark.parametrize("field,value", WRONG, ids=[f"{row[0]}-{json.dumps(row[1])}" for row in WRONG])
def test_112_a_wrong_type_is_named(pool, field, value):
    body = {"language": "sh", "code": "echo", field: value}
    if field == "files":
        del body["code"]
    for data, kind in ((json.dumps(body).encode(), JSON), (msgpack.packb(body), MSGPACK)):
        error = refused(pool, data, kind)
        assert error["field"].startswith(field), error


@pytest.mark.parametrize("body,field", [({}, "language"), ({"code": "x"}, "language"), ({"language": "sh"}, "code"),
                                        ({"language": None, "code": "x"}, "language"),
                                        ({"language": "", "code": "x"}, "language")],
                         ids=["nothing", "no language", "no code", "null", "empty"])
def test_112_a_missing_field_is_named(pool, body, field):
    refused(pool, json.dumps(body).encode(), JSON, field)
    refused(pool, msgpack.packb(body), MSGPACK, field)


@pytest.mark.parametrize("kind", [JSON, MSGPACK, FORM, "multipart/form-data; boundary=b"])
def test_112_an_empty_body_is_refused(pool, kind):
    refused(pool, b"", kind)


# ---- 113: bytes in text ----

def test_113_json_must_be_utf8(pool):
    refused(pool, b'{"language":"sh","code":"\xff"}', JSON)
    refused(pool, b'{"language":"sh","code":"\xed\xa0\x80"}', JSON)
    refused(pool, b'{"language":"sh","code":"\\ud800"}', JSON)
    refused(pool, '{"language":"sh","code":""}'.encode("utf-16"), JSON)


def test_113_a_byte_order_mark_has_a_defined_answer(pool):
    answer = pool.post("/run", b'\xef\xbb\xbf{"language":"sh","code":""}', headers={"Content-Type": JSON})
    if answer.status_code == 200:
        good_runs[0] += 1
    else:
        pool.is_error(answer, 400)


def test_113_nul_is_a_byte_of_input_like_any_other(pool):
    answer = good(pool, b'{"language":"sh","code":"od -An -tx1","input":"a\\u0000b"}', JSON)
    assert answer["stdout"].split() == ["61", "00", "62"]


def test_113_names_are_ascii(pool):
    refused(pool, json.dumps({"language": "p\u00fdthon", "code": ""}).encode(), JSON, "language")


# ---- 114: forms ----

def test_114_a_hundred_thousand_fields_are_refused(pool):
    refused(pool, b"&".join(b"a%d=1" % index for index in range(90000))[:1 << 20], FORM)
    refused(pool, b"language=sh&code=x&" + b"&".join(b"a%d=" % index for index in range(100)), FORM)


def test_114_a_hundred_thousand_parts_are_refused(pool):
    multipart(pool, part("x", b"") * 100000 + b"--b--\r\n")
    multipart(pool, part("files", b"", "f") * 65 + b"--b--\r\n")


def test_114_broken_multipart_is_refused(pool):
    body = part("language", b"sh") + part("code", b"echo") + b"--b--\r\n"
    refused(pool, body, "multipart/form-data")
    refused(pool, body, "multipart/form-data; boundary=")
    multipart(pool, body, boundary="other")
    multipart(pool, body[:-6])
    multipart(pool, part("language", b"sh")[:-2])
    multipart(pool, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n")


def test_114_a_huge_part_header_is_refused(pool):
    multipart(pool, b"--b\r\nContent-Disposition: form-data; name=\"" + b"x" * (1 << 20) + b"\"\r\n\r\ny\r\n--b--\r\n")
    multipart(pool, b"--b\r\n" + b"X: y\r\n" * 5000 + b"\r\ny\r\n--b--\r\n")


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a\\..\\b", "..", "C:\\x\\y"])
def test_114_a_file_name_that_leads_away_never_does(pool, name):
    """Refused, or (as browsers once sent whole paths) cut to its last part."""
    body = part("language", b"sh") + part("files", b"ls -a . ..; pwd", "main.sh") + \
        part("files", b"evil", name) + b"--b--\r\n"
    answer = pool.post("/run", body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    pool.is_error(answer, 400)


def test_114_a_field_that_stands_twice_is_refused(pool):
    refused(pool, b"language=sh&language=c&code=x", FORM, "language")


# ---- 115: types of body ----

@pytest.mark.parametrize("kind", ["image/png", "application/xml", "application/jsonp", "multipart/mixed; boundary=b",
                                  "application/octet-stream", "text/html", "json"])
def test_115_another_type_is_415(pool, kind):
    refused(pool, b'{"language":"sh","code":""}', kind, status=415)


@pytest.mark.parametrize("kind", [None, "text/plain"])
def test_115_no_type_and_no_brace_is_415(pool, kind):
    refused(pool, b"echo hello", kind, status=415)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x"])
def test_115_a_compressed_body_is_415(pool, encoding):
    pool.refused(415, b'{"language":"sh","code":""}',
                 headers={"Content-Type": JSON, "Content-Encoding": encoding})


# ---- 116: languages ----

@pytest.mark.parametrize("name", ["../../x", "", "x" * 65, "x" * 10240, "a b", "a/b", "sh\n", "s\0h", "%73h", "$(id)"])
def test_116_a_malformed_language_is_400(pool, name):
    refused(pool, json.dumps({"language": name, "code": "x"}).encode(), JSON, "language")


@pytest.mark.parametrize("name", ["nonesuch", "..", "constructor", "__proto__", "x" * 64, "SH", "C#.+-_"])
def test_116_an_unknown_language_is_422(pool, name):
    pool.refused(422, {"language": name, "code": "x"}, "language", "unknown_language")


# ---- 117: words ----

@pytest.mark.parametrize("field", ["arguments", "options"])
def test_117_too_many_or_too_long_words_are_400(pool, field):
    for words in (["x"] * 100000, ["x"] * 1025, ["x" * (129 << 10)], ["x" * 1000] * 140):
        error = refused(pool, json.dumps({"language": "sh", "code": "x", field: words}).encode(), JSON)
        # So many that no field gets a say are malformed as a whole.
        assert len(words) == 100000 or error["field"].startswith((field, "arguments", "options"))


@pytest.mark.parametrize("field", ["arguments", "options"])
def test_117_nul_in_a_word_is_400(pool, field):
    for data, kind in ((json.dumps({"language": "sh", "code": "x", field: ["a", "b\0c"]}).encode(), JSON),
                       (msgpack.packb({"language": "sh", "code": "x", field: [b"a", b"b\0c"]}), MSGPACK)):
        assert refused(pool, data, kind)["field"] == f"{field}[1]"


def test_117_metacharacters_arrive_as_they_are(pool):
    words = ["; id", "$(id)", "`id`", "|id", "> x", "a\nb", "'\"\\", "%s%n", "*?[a]", "~", "-"]
    code = 'for word in "$@"; do printf "%s\\037" "$word"; done'
    answer = good(pool, json.dumps({"language": "sh", "code": code, "arguments": words}).encode(), JSON)
    assert answer["stdout"].split("\x1f")[:-1] == words


def test_a_map_with_very_many_keys_is_answered(pool):
    body = b"\xdf" + struct.pack(">I", 90000) + b"".join(
        msgpack.packb(f"k{index}") + b"\xc0" for index in range(90000))
    refused(pool, body, MSGPACK)
