# SPDX-License-Identifier: ISC
"""What README.md and openapi.yaml show is run as it stands there."""

import json
import os
import re
import subprocess

import jsonschema
import msgpack
import pytest
import yaml

from stack import MSGPACK, NDJSON, SSE, STREAM, TOP

with open(os.path.join(TOP, "README.md")) as file:
    README = file.read()
with open(os.path.join(TOP, "openapi.yaml")) as file:
    API = yaml.safe_load(file)

BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.S | re.M)
EXPECT = {
    "application/json": lambda out: json.loads(out)["stdout"] == "hello\n",
    "text/plain": lambda out: out == "hello\n",
    "application/x-ndjson": lambda out: [json.loads(line).get("stdout") for line in out.splitlines()
                                         if "stdout" in json.loads(line)] == ["hello\n", "again\n"],
    "application/msgpack": lambda out: out == "b'hello\\n'\n",
}


@pytest.mark.parametrize("block", BLOCKS, ids=[re.search("(language[= ]\\S+|[a-z-]+/[a-z-]+)", block).group(0)
                                               for block in BLOCKS])
def test_readme_commands_run(pool, block):
    done = subprocess.run(["bash", "-c", "set -e -o pipefail\n" + block.replace("http://127.0.0.1:8080", pool.url)],
                          capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "NO_PROXY": "*", "no_proxy": "*"})
    assert done.returncode == 0, done.stderr
    accept = re.search(r"Accept: ([^']+)'", block)
    assert EXPECT[accept.group(1) if accept else "application/json"](done.stdout), done.stdout


def test_readme_shows_each_form():
    assert len(BLOCKS) == 4
    for word in ("application/json", "application/msgpack", "-F language", "application/x-ndjson"):
        assert any(word in block for block in BLOCKS), word
    assert len(README.splitlines()) <= 130


def test_readme_names_files_that_exist():
    for name in re.findall(r"`([\w./-]+\.(?:md|yaml|conf)|nginx/|COPYING|quickstart)`", README):
        if name != "sandpool-code.conf":
            assert any(os.path.exists(os.path.join(TOP, folder, name)) for folder in ("", "nginx")), name
    assert os.readlink(os.path.join(TOP, "README")) == "README.md"


def test_the_nginx_lines_of_the_readme_are_those_of_the_files():
    with open(os.path.join(TOP, "nginx", "sandpool.conf")) as file:
        snippet = file.read()
    joined = " ".join(README.split())
    line = re.search(r"sed '.*' sandpool.conf > sandpool-code.conf", snippet).group(0)
    assert line in joined


def test_the_version_is_one():
    with open(os.path.join(TOP, "configure.ac")) as file:
        version = re.search(r"AC_INIT\(\[sandpool\], \[([^\]]+)\]", file.read()).group(1)
    assert API["info"]["version"] == version
    with open(os.path.join(TOP, "NEWS")) as file:
        assert file.readline().split() == ["Sandpool", version]


# ---- openapi.yaml ----

def check(schema, value):
    jsonschema.Draft202012Validator(
        {**schema, "components": API["components"]},
        resolver=jsonschema.RefResolver("", {"components": API["components"]})).validate(value)


def holds(answer, expected, where="answer"):
    """Whatever expected says, answer says too."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            assert name in answer, f"{where}.{name} is missing"
            holds(answer[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(answer) == len(expected), where
        for number, value in enumerate(expected):
            holds(answer[number], value, f"{where}[{number}]")
    else:
        assert answer == expected, f"{where} is {answer!r}, not {expected!r}"


def as_text(value):
    """msgpack's bin as JSON would have it."""
    if isinstance(value, dict):
        return {name: as_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_text(inner) for inner in value]
    return value.decode() if isinstance(value, bytes) else value


EXAMPLES = [(path, kind, name) for path, methods in API["paths"].items() for method in methods.values()
            for kind, content in method.get("requestBody", {}).get("content", {}).items()
            for name in content.get("examples", {})]


def send(pool, path, kind, value, accept=None):
    headers = {"Accept": accept} if accept else {}
    if kind == "multipart/form-data":
        parts = {name: ("main" if name == "code" else None, text) for name, text in value.items()}
        return pool.request("POST", path, files=parts, headers=headers)
    if kind == "application/x-www-form-urlencoded":
        return pool.request("POST", path, data=value, headers=headers)
    body = msgpack.packb(value) if kind == MSGPACK else json.dumps(value).encode()
    return pool.post(path, body, headers={**headers, "Content-Type": kind})


@pytest.mark.parametrize("path,kind,name", EXAMPLES, ids=[" ".join(row) for row in EXAMPLES])
def test_openapi_examples(pool, path, kind, name):
    operation = API["paths"][path]["post"]
    content = operation["requestBody"]["content"][kind]
    example = content["examples"][name]
    status = example.get("x-status", 200)
    if status == 200:
        check(content["schema"], example["value"])
    for accept in (None, MSGPACK) if path == "/run" else (None,):
        answer = send(pool, path, kind, example["value"], accept)
        assert answer.status_code == status, answer.text
        body = as_text(msgpack.unpackb(answer.content)) if accept else answer.json()
        holds(body, example["x-answer"])
        described = operation["responses"].get(str(status), operation["responses"]["default"])
        if "$ref" in described:
            described = API["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
        check(described["content"]["application/json"]["schema"], body)


GETS = [path for path, methods in API["paths"].items() if "get" in methods]


@pytest.mark.parametrize("path", GETS)
def test_openapi_describes_each_get(pool, path):
    answer = pool.get(path)
    content = API["paths"][path]["get"]["responses"]["200"]["content"]
    kind = answer.headers["Content-Type"].split(";")[0]
    assert kind in content
    check(content[kind]["schema"], answer.json() if kind == "application/json" else answer.text)


@pytest.mark.parametrize("kind", [NDJSON, SSE, STREAM])
@pytest.mark.parametrize("name", ["hello", "files", "tests", "compile_error", "collect"])
def test_openapi_describes_each_event(pool, kind, name):
    schema = API["paths"]["/run"]["post"]["responses"]["200"]["content"][kind]["schema"]
    value = API["paths"]["/run"]["post"]["requestBody"]["content"]["application/json"]["examples"][name]["value"]
    events = list(pool.stream(kind, **value))
    assert "start" in events[0] and "done" in events[-1]
    for event in events:
        check(schema, as_text(event))


def test_openapi_describes_the_errors(pool):
    schema = API["components"]["schemas"]["Error"]
    for answer in (pool.get("/nonesuch"), pool.get("/run"), pool.post("/run", b"{"),
                   pool.post("/run", b"x", headers={"Content-Type": "image/png"})):
        check(schema, answer.json())


def test_openapi_knows_every_path(pool):
    with open(os.path.join(TOP, "nginx", "sandpool.conf")) as file:
        paths = set(re.findall(r"fastcgi_param PATH_INFO (\S+);", file.read()))
    assert paths == set(API["paths"])
