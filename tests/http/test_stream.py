# SPDX-License-Identifier: ISC
"""Results that come while the program still runs."""

import base64
import json
import socket
import time

import msgpack
import pytest

from stack import NDJSON, PATIENCE, SSE, STREAM, eventually

KINDS = [NDJSON, SSE, STREAM]


def text_of(events, name="stdout"):
    pieces = []
    for event in events:
        if name + "_base64" in event:
            pieces.append(base64.b64decode(event[name + "_base64"]))
        elif name in event:
            piece = event[name]
            pieces.append(piece if isinstance(piece, bytes) else piece.encode())
    return b"".join(pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_has_its_events_in_order(pool, kind):
    code = "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr, flush=True)\nsys.exit(5)"
    events = list(pool.stream(kind, language="python3", code=code))
    assert set(events[0]) == {"start"} and events[0]["start"]["language"] == "python3"
    assert events[0]["start"]["id"] and events[0]["start"]["version"]
    assert events[1] == {"stage": "run"}
    assert text_of(events) == b"out\n" and text_of(events, "stderr") == b"err\n"
    done = events[-1]["done"]
    assert done["status"] == "runtime_error" and done["exit_code"] == 5
    assert done["id"] == events[0]["start"]["id"]
    assert "stdout" not in done and "stderr" not in done
    assert done["usage"]["wall_ms"] > 0 and done["time"]["total_ms"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_names_its_stages(pool, kind):
    code = "#warning seen\n#include <stdio.h>\nint main(void) { puts(\"ran\"); return 0; }"
    events = list(pool.stream(kind, language="c", code=code))
    stages = [event["stage"] for event in events if "stage" in event]
    assert stages == ["compile", "run"]
    split = events.index({"stage": "run"})
    assert b"seen" in text_of(events[:split], "stderr")
    assert text_of(events[split:]) == b"ran\n" and text_of(events[:split]) == b""
    assert events[-1]["done"]["status"] == "success"


def test_a_stream_of_a_compile_error(pool):
    events = list(pool.stream(NDJSON, language="c", code="int main(void) { return x; }"))
    assert [event["stage"] for event in events if "stage" in event] == ["compile"]
    assert events[-1]["done"]["status"] == "compile_error"


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_of_tests(pool, kind):
    tests = [{"input": "1", "expected": "1", "name": "one"}, {"input": "2", "expected": "3"}]
    events = list(pool.stream(kind, language="sh", code="cat; echo oops >&2", tests=tests))
    shape = [(next(iter(event)), event) for event in events]
    assert [name for name, _ in shape if name in ("stage", "test", "done")] == [
        "stage", "test", "stage", "test", "done"]
    stages = [event for name, event in shape if name == "stage"]
    assert stages == [{"stage": "run", "test": 0}, {"stage": "run", "test": 1}]
    results = [event["test"] for name, event in shape if name == "test"]
    assert [(row["index"], row["status"], row["passed"]) for row in results] == [
        (0, "success", True), (1, "wrong_answer", False)]
    assert results[0]["name"] == "one" and results[1]["usage"]["wall_ms"] > 0
    first = events.index({"stage": "run", "test": 0})
    second = events.index({"stage": "run", "test": 1})
    assert text_of(events[first:second]) == b"1" and text_of(events[second:]) == b"2"
    assert events[-1]["done"]["status"] == "wrong_answer"


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_come_while_the_program_runs(pool, kind):
    """Through nginx, without a line end: each is here before the program goes on."""
    code = ("import sys, time\nfor word in ('a', 'b', 'c'):\n"
            "    sys.stdout.write(word); sys.stdout.flush(); time.sleep(0.7)\n")
    came = []
    for event in pool.stream(kind, language="python3", code=code):
        if "stdout" in event:
            came.append((event["stdout"], time.monotonic()))
        if "done" in event:
            end = time.monotonic()
    assert [word if isinstance(word, str) else word.decode() for word, _ in came] == ["a", "b", "c"]
    # Order is what counts: each long before the next, and all before the end.
    assert all(later - earlier > 0.2 for (_, earlier), (_, later) in zip(came, came[1:]))
    assert end - came[-1][1] > 0.2


def test_a_character_that_is_split_is_kept_whole_in_json(pool):
    code = ("import os, time\nfor byte in '\\u4e2d\\U0001f600'.encode():\n"
            "    os.write(1, bytes([byte])); time.sleep(0.05)\n")
    events = list(pool.stream(NDJSON, language="python3", code=code))
    pieces = [event["stdout"] for event in events if "stdout" in event]
    assert "".join(pieces) == "\u4e2d\U0001f600"
    assert not any("stdout_base64" in event for event in events)


def test_a_character_that_is_never_finished_is_flushed_at_the_end(pool):
    events = list(pool.stream(NDJSON, language="sh", code=r"printf 'a\344\270'"))
    assert text_of(events) == b"a\xe4\xb8"


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_80_of_a_stream_are_exact(pool, kind):
    code = "import os\nos.write(1, bytes(range(256)) * 100)"
    assert text_of(pool.stream(kind, language="python3", code=code)) == bytes(range(256)) * 100


def test_a_large_stream_is_whole(pool):
    code = "import sys\nfor i in range(100000): print(i)"
    events = list(pool.stream(STREAM, language="python3", code=code, limits={"output_bytes": 4 << 20}))
    assert text_of(events) == b"".join(b"%d\n" % i for i in range(100000))
    assert events[-1]["done"]["status"] == "success"


def test_a_stream_that_hits_the_output_cap(pool):
    events = list(pool.stream(NDJSON, language="sh", code="yes", limits={"output_bytes": 10000}))
    assert len(text_of(events)) == 10000
    assert events[-1]["done"]["status"] == "output_limit"


def test_a_stream_is_not_buffered_and_its_type_is_right(pool):
    for kind in KINDS:
        answer = pool.post("/run", {"language": "sh", "code": ""}, accept=kind)
        assert "X-Accel-Buffering" not in answer.headers and answer.headers["Content-Type"].startswith(kind)


def test_a_silent_program_has_a_heartbeat(fresh):
    pool = fresh({"heartbeat": "1s"})
    for kind, mark in ((NDJSON, b"\n\n"), (SSE, b"\n:")):
        answer = pool.post("/run", {"language": "sh", "code": "sleep 3.5"}, accept=kind)
        assert mark in answer.content, answer.content
        assert b'"success"' in answer.content


# ---- leaving, and staying without reading ----

def raw_stream(pool, body, receive_buffer=None):
    """A stream on a bare socket, request sent, nothing read yet."""
    body = json.dumps(body).encode()
    link = socket.socket()
    if receive_buffer:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    link.settimeout(PATIENCE)
    link.connect(("127.0.0.1", pool.port))
    link.sendall(b"POST /run HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 b"Accept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return link


def read_until(link, word):
    got = b""
    while word not in got:
        piece = link.recv(65536)
        assert piece, got
        got += piece
    return got


def slots_of(pool):
    return pool.get("/api/system").json()["slots"]


def all_slots_free(pool):
    """As many programs at once as there are slots, none of them refused."""
    from concurrent.futures import ThreadPoolExecutor
    count = slots_of(pool)
    with ThreadPoolExecutor(count) as many:
        answers = list(many.map(lambda _: pool.post("/run", {"language": "sh", "code": "sleep 0.3"}),
                                range(count)))
    return [answer.status_code for answer in answers] == [200] * count


def test_102_a_client_that_leaves_kills_its_run(fresh):
    pool = fresh({"slots": 1, "queue": 1, "queue-max": "15s"})
    for body in ({"language": "sh", "code": "echo on; exec sleep 55", "timeout": 60},
                 {"language": "python3", "code": "print('on', flush=True)\nwhile True: pass", "timeout": 60}):
        with raw_stream(pool, body) as link:
            read_until(link, b'"on')
        # The only slot: this can run only because the other was ended.
        assert pool.run("sh", "echo free")["stdout"] == "free\n"


def test_102_leaving_a_plain_run_kills_it_too(fresh):
    pool = fresh({"slots": 1, "queue": 1, "queue-max": "15s"})
    body = json.dumps({"language": "sh", "code": "sleep 55", "timeout": 60}).encode()
    link = socket.create_connection(("127.0.0.1", pool.port))
    link.sendall(b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(1)
    link.close()
    assert pool.run("sh", "echo free")["stdout"] == "free\n"


def test_readers_that_never_read_are_cut_and_free_their_workers(fresh):
    """slots x 4 of them; the next plain run succeeds."""
    pool = fresh({"slots": 2, "queue-max": "1s"})
    body = {"language": "sh", "code": "yes 0123456789012345678901234567890123456789",
            "limits": {"output_bytes": 8 << 20}, "timeout": 60}
    links = [raw_stream(pool, body, receive_buffer=4096) for _ in range(8)]

    def plain_run():
        answer = pool.post("/run", {"language": "sh", "code": "echo alive"})
        return answer.status_code == 200 and answer.json()["stdout"] == "alive\n"
    eventually(plain_run, seconds=40)
    eventually(lambda: all_slots_free(pool), seconds=40, what="all slots free")
    for link in links:
        link.close()


def test_sse_can_be_read_by_lines(pool):
    """data: lines alone, each a whole object, with an empty line behind each event."""
    answer = pool.post("/run", {"language": "sh", "code": "echo one; echo two"}, accept=SSE)
    for block in answer.text.strip().split("\n\n"):
        for line in block.split("\n"):
            assert line.startswith(("data: ", ":")), line
            if line.startswith("data: "):
                json.loads(line[6:])


def test_msgpack_events_follow_one_another_without_anything_between(pool):
    answer = pool.post("/run", {"language": "sh", "code": "echo one"}, accept=STREAM)
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(answer.content)
    events = list(unpacker)
    assert "start" in events[0] and "done" in events[-1]
    assert b"".join(event["stdout"] for event in events if "stdout" in event) == b"one\n"
