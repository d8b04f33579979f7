#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Runs the examples of the manual's pages and compares what they print. TAP on stdout.

usage: examples.py PAGE...

In the section EXAMPLES, a block of literal text holds commands behind "$ " or "# " (as root),
continued behind "> ", and below each what it prints on both streams. "..." stands for any text; on
a line of its own for any lines. The blocks of a page run one after another in one folder."""

import os
import re
import subprocess
import sys
import tempfile

BUILD = os.environ["SANDPOOL_BUILD"]
URL = os.environ["SANDPOOL_TEST_URL"]
LIMIT_S = 60
DOCUMENTED_URL = "http://127.0.0.1:8080/"

# What the tools of the host read, instead of the configuration of an installed service.
WRAPPERS = r"""
sandpool() {
	case $1 in
	check | image | shell) command sandpool "$1" -c "$SANDPOOL_TEST_CONF" "${@:2}" ;;
	*) command sandpool "$@" ;;
	esac
}
# An example's own file, with what this host needs behind it.
sandpool-sandboxd() {
	local args=("$@") i
	for ((i = 0; i + 1 < ${#args[@]}; i++)); do
		[ "${args[i]}" = -c ] || continue
		mkdir -p here
		{
			cat "${args[i + 1]}"
			grep -vf <(sed -n 's/^\([a-z-]* =\).*/^\1/p' "${args[i + 1]}"; echo '^$') "$SANDPOOL_TEST_CONF"
		} >"here/${args[i + 1]}"
		args[i + 1]=here/${args[i + 1]}
	done
	command sandpool-sandboxd "${args[@]}"
}
"""


def plain(line):
    """A line of mdoc as a reader sees it."""
    if line.startswith("\\&"):
        line = line[2:]
    return line.replace("\\e", "\\").replace("\\(dq", '"').replace("\\-", "-")


def blocks(page):
    section, block = "", None
    with open(page, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            if line.startswith(".Sh "):
                section = line[4:]
            elif line.startswith(".Bd") and section == "EXAMPLES":
                block = []
            elif line.startswith(".Ed") and block is not None:
                yield block
                block = None
            elif block is not None:
                block.append(plain(line))


def steps(block):
    """(command, expected lines) of a block."""
    command, expected, continued = None, [], False
    for line in block:
        if line[:2] in ("$ ", "# ") and not (expected and line.startswith("# ") and in_tap(expected)):
            if command is not None:
                yield command, expected
            command, expected, continued = line[2:], [], True
        elif continued and line.startswith("> "):
            command += "\n" + line[2:]
        elif continued and line == ">":
            command += "\n"
        else:
            continued = False
            expected.append(line)
    if command is not None:
        yield command, expected


def in_tap(expected):
    """TAP has comments, which look like a prompt."""
    return any(re.match(r"(not )?ok \d|1\.\.\d", line) for line in expected)


def matches(expected, output):
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, output) is not None


class Shell:
    """One bash for a page, so that variables and $? go from one command to the next."""

    def __init__(self, folder, environment):
        self.end = "--- end of output ---"
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.send(WRAPPERS)

    def send(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def run(self, command):
        # Input would otherwise be taken from what is typed here; the status is kept for $?.
        self.send(f"(exit ${{status:-0}})\n{{ {command}\n}} </dev/null\nstatus=$?\n"
                  f"echo; echo '{self.end}'\n")
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n") == self.end:
                break
            lines.append(line)
        # echo adds a line's end; one that the output had not is made up for by it
        if lines and lines[-1] == "\n":
            lines.pop()
        return "".join(lines)

    def close(self):
        self.process.stdin.close()
        self.process.wait(LIMIT_S)


def main():
    count = failed = 0
    conf_folder = tempfile.mkdtemp(prefix="sandpool-examples.")
    conf = os.path.join(conf_folder, "sandpool.conf")
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(conf, "w", encoding="utf-8") as file:
        file.write(f'''language-directory = "{top}/languages";
worker-user = "1879100000";
box-ids = 1879100016;
run-directory = "{conf_folder}/run";
state-directory = "{conf_folder}/state";
image-directory = "{conf_folder}/images";
cgroup-parent = "sandpool-examples";
''')
    environment = dict(os.environ, SANDPOOL_URL=URL, SANDPOOL_TEST_CONF=conf, TERM="dumb",
                       SANDPOOL_LIBEXEC=BUILD, PATH=BUILD + ":" + os.environ["PATH"])
    for page in sys.argv[1:]:
        folder = tempfile.mkdtemp(prefix="sandpool-examples.")
        shell = Shell(folder, environment)
        seen = 0
        for block in blocks(page):
            for command, expected in steps(block):
                seen += 1
                output = shell.run(command.replace(DOCUMENTED_URL, URL))
                output = output.replace(URL, DOCUMENTED_URL)
                good = matches(expected, output)
                count += 1
                failed += not good
                name = command.split("\n")[0]
                print(f"{'ok' if good else 'not ok'} {count} - {os.path.basename(page)}: {name}")
                if not good:
                    print("\n".join("# printed:  " + line for line in output.split("\n")))
                    print("\n".join("# expected: " + line for line in expected), flush=True)
        shell.close()
        subprocess.run(["rm", "-rf", folder], check=True)
        count += 1
        failed += seen == 0 and not page.endswith("sandpool.7")
        print(f"{'not ok' if seen == 0 and not page.endswith('sandpool.7') else 'ok'} {count} - "
              f"{os.path.basename(page)}: has examples", flush=True)
    subprocess.run(["rm", "-rf", conf_folder], check=True)
    print(f"1..{count}")
    return failed > 0


sys.exit(main())
