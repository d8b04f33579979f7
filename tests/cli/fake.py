#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A server that answers as a pool never would, or as one in trouble does.

usage: fake.py KIND, one of the names in ANSWERS. Prints its port; tells on stderr what it was
asked, one line a request. Ends when its parent does."""

import http.server
import json
import sys


def error(code, message):
    return json.dumps({"error": {"code": code, "message": message, "request_id": "0" * 32}})


DONE = b"\x81\xa4done\x82\xa6status\xa7success\xa9exit_code\x00"

# status, headers, body; the last one is repeated
ANSWERS = {
    "page": [(200, {"Content-Type": "text/html"}, "<h1>It works</h1>")],
    "missing": [(404, {"Content-Type": "text/html"}, "<h1>Not found</h1>")],
    "moved": [(301, {"Location": "https://example.org/run"}, "")],
    "busy-once": [(503, {"Content-Type": "application/json", "Retry-After": "1"},
                   error("busy", "every slot is busy")),
                  (200, {"Content-Type": "application/vnd.sandpool.stream+msgpack"}, DONE)],
    "busy-long": [(503, {"Content-Type": "application/json", "Retry-After": "900"},
                   error("busy", "every slot is busy"))],
    "broken": [(500, {"Content-Type": "application/json"},
                error("internal_error", "the sandbox could not be made"))],
    "cut": [(200, {"Content-Type": "application/vnd.sandpool.stream+msgpack"}, DONE[:9])],
    "junk": [(200, {"Content-Type": "application/vnd.sandpool.stream+msgpack"}, b"\xc1\xc1")],
    "escape": [(400, {"Content-Type": "application/json"}, error("bad", "\x1b]0;title\x07"))],
    "evil-file": [(200, {"Content-Type": "application/vnd.sandpool.stream+msgpack"},
                   b"\x81\xa4done\x83\xa6status\xa7success\xa9exit_code\x00\xa5files\x91\x82"
                   b"\xa4name\xa4evil\xa7content\xa1x")],
}


class Handler(http.server.BaseHTTPRequestHandler):
    count = 0

    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(size)
        print(self.command, self.path, "key=" + (self.headers.get("X-API-Key") or "none"),
              file=sys.stderr, flush=True)
        answers = ANSWERS[sys.argv[1]]
        status, headers, body = answers[min(Handler.count, len(answers) - 1)]
        Handler.count += 1
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
