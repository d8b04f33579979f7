# SPDX-License-Identifier: ISC
"""A whole Sandpool of one's own: sandboxd as root, the pool and nginx as ids that no one has."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import msgpack
import requests

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("SANDPOOL_BUILD", os.path.join(TOP, ".cache", "build"))
PATIENCE = 20  # seconds; no test says how fast something has to be

MSGPACK = "application/msgpack"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
STREAM = "application/vnd.sandpool.stream+msgpack"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(check, seconds=PATIENCE, every=0.05, what=None):
    """What check() returns once it is true; an exception counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = check()
            if value:
                return value
            last = value
        except (requests.RequestException, OSError, AssertionError, KeyError, ValueError) as error:
            last = repr(error)
        assert time.monotonic() < end, f"{what or check.__name__}: still {last} after {seconds} s"
        time.sleep(every)


def conf_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[ " + ", ".join(conf_value(item) for item in value) + " ]"
    if isinstance(value, dict):
        return "{ " + " ".join(f"{key} = {conf_value(item)};" for key, item in value.items()) + " }"
    return json.dumps(value)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid):
    """The living children of a process."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found = []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(word) for word in file.read().split()]
        except OSError:
            continue
    return [child for child in found if running(child)]


alive = []


class Stack:
    def __init__(self, settings=None, rate="none", origins=(), keys=False, deny=None, languages=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.dir = tempfile.mkdtemp(prefix="sandpool-http-")
        os.chmod(self.dir, 0o755)
        self.worker_id = 0x60000000 + self.port * 4096
        self.nginx_id = self.worker_id + 1
        self.settings = {
            "run-directory": self.path("run"),
            "state-directory": self.path("state"),
            "language-directory": self.path("languages"),
            "image-directory": self.path("images"),
            "worker-user": str(self.worker_id),
            "socket-group": str(self.nginx_id),
            "box-ids": self.worker_id + 16,
            "cgroup-parent": f"sandpool-test-{self.port}",
        }
        self.keys = {}
        self.processes = {}
        self.rate = rate
        self.origins = origins
        self.deny = deny or {}
        self.languages = languages  # files by id, in place of those of the source
        for name in ("run", "state", "images", "tmp", "log", "conf/snippets", "bin"):
            os.makedirs(self.path(name))
        # Sticky: the pool puts its sockets there, and cannot touch root's.
        os.chown(self.path("run"), 0, self.worker_id)
        os.chmod(self.path("run"), 0o1775)
        os.chown(self.path("tmp"), self.nginx_id, self.nginx_id)
        if keys:
            self.settings["keys-file"] = self.path("keys")
            self.make_keys()
        self.settings.update(settings or {})

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # ---- what it is made of ----

    def make_keys(self):
        """Three keys: for everything, for the languages alone, and one run at a time."""
        lines = []
        for name, paths, limits, concurrency in (("all", "", "", ""),
                                                 ("languages", "/api/languages", "", ""),
                                                 ("single", "", "wall=5s,memory=64MiB", "1")):
            self.keys[name] = secrets.token_urlsafe(24)
            digest = hashlib.sha256(self.keys[name].encode()).hexdigest()
            lines.append(f"{name}:{digest}:{paths}:{limits}:{concurrency}\n")
        with open(self.path("keys"), "w") as file:
            file.write("# name:hash:paths:limits:concurrency\n" + "".join(lines))
        os.chown(self.path("keys"), 0, self.worker_id)
        os.chmod(self.path("keys"), 0o640)

    def write_conf(self):
        with open(self.path("sandpool.conf"), "w") as file:
            for name, value in self.settings.items():
                file.write(f"{name} = {conf_value(value)};\n")

    def write_languages(self):
        shutil.rmtree(self.path("languages"), ignore_errors=True)
        if self.languages is None:
            shutil.copytree(os.path.join(TOP, "languages"), self.path("languages"))
        else:
            os.makedirs(self.path("languages"))
            for language, text in self.languages.items():
                with open(self.path("languages", language + ".lang"), "w") as file:
                    file.write(f'id = "{language}";\n{text}')
        for language, patterns in self.deny.items():
            with open(self.path("languages", language + ".lang"), "a") as file:
                file.write(f"deny = {conf_value(patterns)};\n")

    def write_nginx(self):
        source = os.path.join(TOP, "nginx")
        for name in os.listdir(source):
            shutil.copy(os.path.join(source, name), self.path("conf/snippets", name))
        http = self.path("conf/snippets/sandpool-http.conf")
        self.edit(http, ("unix:/run/sandpool/", f"unix:{self.path('run')}/"))
        for origin in self.origins:
            self.edit(http, ('map $http_origin $sandpool_cors {\n\tdefault "";\n',
                             'map $http_origin $sandpool_cors {\n\tdefault "";\n'
                             f'\t"{origin}" $http_origin;\n'))
        shutil.copy(self.path("conf/snippets/sandpool-site.conf"), self.path("conf/site.conf"))
        prefixed = self.read("conf/snippets/sandpool.conf").replace("location = /",
                                                                    "location = /code/")
        prefixed = prefixed[:prefixed.index("# What follows")]
        with open(self.path("conf/snippets/sandpool-code.conf"), "w") as file:
            file.write(prefixed)
        self.edit(self.path("conf/site.conf"),
                  ("\tlisten 80;", f"\tlisten 127.0.0.1:{self.port} backlog=4096;"),
                  ("\tlisten [::]:80;\n", ""),
                  ("set $sandpool_rate 20;", f"set $sandpool_rate {self.rate};"),
                  ("/var/log/nginx/sandpool.log", self.path("tmp/access.log")),
                  ("/usr/share/sandpool/www", os.path.join(self.dir, "www")),
                  ("\tinclude snippets/sandpool.conf;\n",
                   "\tinclude snippets/sandpool.conf;\n\tinclude snippets/sandpool-code.conf;\n"))
        shutil.copytree(os.path.join(TOP, "www", "dist"), self.path("www"), dirs_exist_ok=True)
        temporary = "".join(f"\t{kind}_temp_path {self.path('tmp', kind)};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(self.path("conf/nginx.conf"), "w") as file:
            file.write(f"daemon off;\nworker_processes 1;\nworker_rlimit_nofile 16384;\n"
                       f"pid {self.path('tmp/nginx.pid')};\nerror_log stderr warn;\n"
                       f"events {{ worker_connections 8000; }}\nhttp {{\n"
                       f"\tinclude /etc/nginx/mime.types;\n{temporary}\tinclude site.conf;\n}}\n")

    @staticmethod
    def edit(path, *changes):
        with open(path) as file:
            text = file.read()
        for old, new in changes:
            assert old in text, f"{path} has no longer {old!r}"
            text = text.replace(old, new)
        with open(path, "w") as file:
            file.write(text)

    def read(self, *names):
        with open(self.path(*names), errors="replace") as file:
            return file.read()

    def log(self, name):
        return self.read("log", name)

    # ---- processes ----

    def command(self, name):
        as_id = lambda number: ["setpriv", f"--reuid={number}", f"--regid={number}",  # noqa: E731
                                f"--groups={self.nginx_id}", "--no-new-privs", "--inh-caps=-all",
                                "--bounding-set=-all", "--pdeathsig", "TERM"]
        conf = self.path("sandpool.conf")
        return {
            "sandboxd": ["setpriv", "--pdeathsig", "TERM",
                         self.path("bin/sandpool-sandboxd"), "-c", conf],
            "fcgi": as_id(self.worker_id) + [self.path("bin/sandpool-fcgi"), "-c", conf],
            "nginx": as_id(self.nginx_id) + ["/usr/sbin/nginx", "-p", self.dir, "-e", "stderr",
                                             "-c", self.path("conf/nginx.conf")],
        }[name]

    def spawn(self, name):
        with open(self.path("log", name), "ab") as log:
            self.processes[name] = subprocess.Popen(
                self.command(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True)

    def pid(self, name):
        return self.processes[name].pid

    def all_alive(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {self.log(name)[-2000:]}")

    def socket_ready(self, name, *sockets):
        def ready():
            self.all_alive()
            return all(os.path.exists(self.path(where)) for where in sockets)
        eventually(ready, what=f"sockets of {name}")

    def last_words(self, name):
        """The end of its log, without the line that each request leaves."""
        try:
            lines = self.log(name).splitlines()
        except OSError:
            return ""
        return "\n".join([line for line in lines if not line.startswith("{")][-8:])

    def start(self):
        alive.append(self)
        self.write_conf()
        self.write_languages()
        self.write_nginx()
        # An ordinary user cannot always get to where they were built.
        for name in ("sandpool-sandboxd", "sandpool-fcgi"):
            shutil.copy(os.path.join(BUILD, name), self.path("bin", name))
        self.spawn("sandboxd")
        self.socket_ready("sandboxd", "run/control.sock")
        self.spawn("fcgi")
        self.socket_ready("fcgi", "run/run.sock", "run/api.sock")
        self.spawn("nginx")
        self.wait_ready()
        return self

    def wait_ready(self):
        def ran():
            self.all_alive()
            answer = self.post("/run", {"language": "sh", "code": "echo ready"}, key="all")
            return answer.status_code == 200 and answer.json()["stdout"] == "ready\n"
        eventually(ran, what="a first run")

    def wait_versions(self):
        """The pool asks the languages one after another, once it is up."""
        def known():
            versions = {row["id"]: row["version"] for row in self.get("/api/languages", key="all").json()}
            return all(versions[name] for name in ("c", "cpp", "python3", "sh"))
        eventually(known, seconds=90, every=0.3, what="versions")

    def end(self, name, number=signal.SIGTERM):
        process = self.processes.pop(name, None)
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
            return None

    def restart(self, name, number=signal.SIGKILL):
        """As the service manager does: it ended, so it is started again."""
        self.end(name, number)
        self.spawn(name)

    def stop(self):
        for name in ("nginx", "fcgi", "sandboxd"):
            process = self.processes.get(name)
            self.end(name)
            if process:
                # Each is a session of its own: what it left behind goes too.
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        shutil.rmtree(self.dir, ignore_errors=True)
        if self in alive:
            alive.remove(self)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def workers(self):
        return children(self.pid("fcgi"))

    def kill_workers(self):
        """Every one of them; the one who asks for versions may end by itself meanwhile."""
        for worker in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    # ---- asking ----

    def request(self, method, path, key=None, headers=None, **kwargs):
        headers = dict(headers or {})
        if key in self.keys:
            headers["X-API-Key"] = self.keys[key]
        with requests.Session() as session:
            session.trust_env = False
            kwargs.setdefault("timeout", 150)
            return session.request(method, self.url + path, headers=headers, **kwargs)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body, key="all", accept=None, headers=None, **kwargs):
        """body: a dict becomes JSON; bytes go as they are, with headers' Content-Type."""
        headers = dict(headers or {})
        if accept:
            headers["Accept"] = accept
        if isinstance(body, dict):
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        return self.request("POST", path, key=key, headers=headers, data=body, **kwargs)

    def run(self, language="sh", code="", **fields):
        """One good run, its answer decoded."""
        answer = self.post("/run", {"language": language, "code": code, **fields})
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
        return answer.json()

    def run_msgpack(self, **fields):
        answer = self.post("/run", msgpack.packb(fields), accept=MSGPACK,
                           headers={"Content-Type": MSGPACK})
        assert answer.status_code == 200, f"{answer.status_code} {answer.content[:500]}"
        return msgpack.unpackb(answer.content)

    def refused(self, status, body, field=None, code=None, path="/run", **kwargs):
        """One that is refused, in the one shape; returns its error."""
        answer = self.post(path, body, **kwargs)
        return self.is_error(answer, status, field, code)

    @staticmethod
    def is_error(answer, status, field=None, code=None):
        assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
        assert answer.headers["Content-Type"].split(";")[0] == "application/json"
        body = answer.json()
        assert set(body) == {"error"}, body
        error = body["error"]
        assert re.fullmatch(r"[a-z_]+", error["code"]), error
        assert error["message"] and error["request_id"] == answer.headers["X-Request-ID"]
        if field is not None:
            assert error.get("field") == field, error
        if code is not None:
            assert error["code"] == code, error
        # An id, never a path, a uid or an errno.
        assert not re.search(r"/(run|tmp|var|usr|proc|sys)/|errno|\buid\b", error["message"]), error
        return error

    # ---- streams ----

    def stream(self, accept, **fields):
        """Yields the events of a run as they come."""
        answer = self.post("/run", fields, accept=accept, stream=True)
        assert answer.status_code == 200, answer.text[:500]
        assert answer.headers["Content-Type"].split(";")[0] == accept
        try:
            yield from events(accept, answer)
        finally:
            answer.close()


def events(kind, answer):
    if kind == STREAM:
        unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 26)
        for piece in answer.iter_content(chunk_size=None):
            unpacker.feed(piece)
            yield from unpacker
        return
    for line in answer.iter_lines(chunk_size=1):
        text = line.decode()
        if kind == SSE:
            if not text or text.startswith(":"):
                continue
            assert text.startswith("data: "), text
            text = text[len("data: "):]
        if text:
            yield json.loads(text)
