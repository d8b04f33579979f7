#!/usr/bin/env bats
# SPDX-License-Identifier: ISC

load helper

# ---- where the program comes from, and its language ----

@test "the extension tells the language" {
	echo 'print("python")' >a.py
	echo 'echo shell' >a.sh
	printf '#include <stdio.h>\nint main(void) { puts("c"); }\n' >a.c
	show sandpool run a.py; is "$status:$out" "0:python"
	show sandpool run a.sh; is "$status:$out" "0:shell"
	show sandpool run a.c; is "$status:$out" "0:c"
}

@test "the first line tells the language" {
	printf '#!/usr/bin/python3\nprint("direct")\n' >a
	printf '#!/usr/bin/env -S A=b python3 -u\nprint("by env")\n' >b
	printf '#!/bin/sh\necho sh\n' >c
	printf '#!/usr/bin/perl5.36 -w\nprint "perl\\n"\n' >d
	show sandpool run a; is "$status:$out" "0:direct"
	show sandpool run b; is "$status:$out" "0:by env"
	show sandpool run c; is "$status:$out" "0:sh"
	show sandpool run d; is "$status:$out" "0:perl"
}

@test "-l beats extension and first line" {
	printf '#!/bin/sh\nprint(6 * 7)\n' >a.sh
	show sandpool run -l python3 a.sh; is "$status:$out" "0:42"
	show sandpool run --language=python a.sh; is "$status:$out" "0:42"
}

@test "an extension of several languages asks for -l" {
	local two
	two=$(sandpool languages --json | python3 -c '
import collections, json, sys
by = collections.defaultdict(list)
names = set()
for l in json.load(sys.stdin):
    by[l["extension"]].append(l["id"])
    names |= {l["id"], *l["aliases"]}
print(next(e for e, ids in by.items() if e and len(ids) > 1 and e not in names))')
	echo >"a.$two"
	show sandpool run "a.$two"
	is "$status:$out" "125:"
	has "$err" "can be"
	has "$err" "-l"
}

@test "a language that is not clear asks for -l" {
	echo hello >a.nonsense
	show sandpool run a.nonsense
	is "$status:$out" "125:"
	has "$err" "a.nonsense: its language is not clear"
	show sandpool run -c 'x'
	is "$status" 125
	has "$err" "-l"
}

@test "a language that the pool has not is an error of ours" {
	show sandpool run -l cobweb -c x
	is "$status:$out" "125:"
	has "$err" '"cobweb"'
}

@test "- is a program on standard input" {
	printf 'print("piped")' | sandpool run -l python3 - >out 2>err
	is "$(cat out)" "piped"
	printf '#!/bin/sh\necho "$1"\n' | sandpool run - word >out 2>err
	is "$(cat out)" "word"
}

@test "-c is a program on the command line" {
	show sandpool run -l sh -c 'echo "$1-$2"' one 'two words'
	is "$status:$out" "0:one-two words"
}

@test "arguments reach the program as they are, options among them" {
	printf 'import sys\nprint(sys.argv[1:])\n' >a.py
	show sandpool run a.py -l --json '' $'a\nb' -- 'ü'
	is "$status:$out" "0:['-l', '--json', '', 'a\\nb', '--', 'ü']"
}

@test "an argument may be any bytes" {
	show sandpool run -l sh -c 'printf %s "$1" | od -An -tx1' $'\xff\xfe'
	is "$status:$out" "0: ff fe"
}

@test "a program keeps its own name" {
	printf 'raise ValueError("x")\n' >own_name.py
	show sandpool run own_name.py
	is "$status" 1
	has "$err" 'own_name.py", line 1'
}

@test "further files lie beside the program" {
	mkdir -p dir/sub
	printf 'import helper, sub.more\nprint(helper.x, sub.more.y, open("other.txt").read())\n' >dir/main.py
	echo 'x = 1' >dir/helper.py
	echo 'y = 2' >dir/sub/more.py
	printf 'data' >elsewhere
	show sandpool run -f dir/helper.py --file dir/sub/more.py -f other.txt=elsewhere dir/main.py
	is "$status:$out" "0:1 2 data"
}

@test "several C files make one program" {
	printf '#include "add.h"\n#include <stdio.h>\nint main(void) { printf("%%d\\n", add(1, 2)); }\n' >main.c
	printf 'int add(int a, int b);\n' >add.h
	printf '#include "add.h"\nint add(int a, int b) { return a + b; }\n' >add.c
	show sandpool run -f add.c -f add.h -o add.c main.c
	is "$status:$out" "0:3"
}

@test "a further file cannot have a name that leads out" {
	echo x >f
	for name in ../f /f a/../b '' .; do
		show sandpool run -f "$name=f" -l sh -c 'echo ran'
		is "$status:$out" "125:"
	done
}

@test "files that are not there" {
	show sandpool run nothing.py; is "$status:$out" "125:"; has "$err" "nothing.py: No such file"
	show sandpool run -l sh -f nothing -c :; is "$status" 125; has "$err" "nothing: No such file"
	show sandpool run -l sh -i nothing -c :; is "$status" 125; has "$err" "nothing: No such file"
	show sandpool run -l sh -e nothing -c :; is "$status" 125; has "$err" "nothing: No such file"
	show sandpool run -l sh -T nothing -c :; is "$status" 125; has "$err" "nothing: No such file"
	mkdir dir
	show sandpool run -l sh dir; is "$status" 125; has "$err" "dir: Is a directory"
	show sandpool run; is "$status" 125; has "$err" "which program?"
}

@test "options go to the compiler" {
	printf '#include <stdio.h>\nint main(void) { printf("%%d\\n", N); }\n' >a.c
	show sandpool run -o -DN=5 a.c
	is "$status:$out" "0:5"
	show sandpool run --option=-DN=6 --option=-Wall a.c
	is "$status:$out" "0:6"
}

# ---- input and output ----

@test "standard input passes through, byte for byte" {
	head -c 100000 /dev/urandom >bytes
	sandpool run -l sh -c cat <bytes >out 2>err
	cmp bytes out
	cat bytes | sandpool run -l sh -c cat >out 2>err
	cmp bytes out
}

@test "every byte comes out as it went in" {
	python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 9)' >bytes
	sandpool run -l sh -c 'cat >f; cat f; cat f >&2' <bytes >out 2>err
	cmp bytes out
	cmp bytes err
}

@test "an output of a mebibyte arrives whole" {
	show sandpool run -L output=4MiB -l sh -c 'yes 0123456789abcde | head -c 3000000'
	is "$status" 0
	is "$(yes 0123456789abcde | head -c 3000000 | md5sum)" "$(md5sum <out)"
}

@test "stdout and stderr stay apart" {
	show sandpool run -l sh -c 'echo a; echo b >&2; echo c; echo d >&2'
	is "$out" $'a\nc'
	is "$err" $'b\nd'
}

@test "on one descriptor they keep their order" {
	sandpool run -l sh -c 'for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done' >out 2>&1
	: >err
	is "$(cat out)" $'o1\ne1\no2\ne2\no3\ne3'
}

@test "output streams while the program runs" {
	sandpool run -l sh -c 'echo early; sleep 30' >out 2>err &
	started+=($!)
	patiently grep -q early out
	kill "${started[0]}"
	patiently nothing_runs
}

@test "--input and --no-input" {
	printf 'from a file' >f
	show sandpool run -i f -l sh -c cat; is "$status:$out" "0:from a file"
	show sandpool run --input=f -l sh -c cat; is "$out" "from a file"
	printf 'piped' | sandpool run -i - -l sh -c cat >out 2>err; is "$(cat out)" piped
	printf 'piped' | sandpool run -n -l sh -c cat >out 2>err; is "$(cat out)" ""
	printf 'cat' | sandpool run -i f -l sh - >out 2>err; is "$(cat out)" "from a file"
	show sandpool run -n -i f -l sh -c cat; is "$status" 125
}

@test "in a loop, -n leaves the list alone" {
	printf '1\n2\n3\n' >list
	: >all
	while read -r line; do sandpool run -n -l sh -c 'echo $1' "$line" >>all; done <list
	printf '1\n2\n3\n' | cmp - all
}

@test "a terminal is not waited for" {
	printf 'import sys\nprint(repr(sys.stdin.read()))\n' >a.py
	timeout 20 script -qec 'sandpool run a.py' /dev/null </dev/null >out 2>err
	has "$(cat out)" "''"
}

@test "a reader that leaves ends the run as a pipe would" {
	sandpool run -l sh -c 'yes' 2>err | head -n 1 >out
	is "${PIPESTATUS[0]}:$(cat out)" "141:y"
	patiently nothing_runs
}

@test "a reader that stands still for longer than the server waits loses nothing" {
	sandpool run -L output=2MiB -l sh -c 'yes 0123456789abcde | head -c 2000000' 2>err |
		(sleep 7; cat) >out
	is "${PIPESTATUS[0]}" 0
	is "$(yes 0123456789abcde | head -c 2000000 | md5sum)" "$(md5sum <out)"
}

@test "a full disk is said" {
	show sh -c 'sandpool run -l sh -c "echo x" >/dev/full'
	is "$status" 125
	has "$err" "No space left"
}

# ---- how it ends ----

@test "the status is the program's" {
	for code in 0 1 2 99 124 125 126 127 255; do
		show sandpool run -l sh -c "exit $code"
		is "$status:$err" "$code:"
	done
}

@test "a signal is 128 and its number, and is said" {
	show sandpool run -l sh -c 'kill -SEGV $$'; is "$status" 139; has "$err" SIGSEGV
	show sandpool run -l sh -c 'kill -TERM $$'; is "$status" 143; has "$err" SIGTERM
}

@test "a time-out is 124, and is said" {
	show sandpool run -t 0.2 -l sh -c 'sleep 20'
	is "$status" 124
	has "$err" "wall_ms"
	show sandpool run --timeout=200ms -l sh -c 'sleep 20'
	is "$status" 124
	show sandpool run -L cpu=200ms -l sh -c 'while :; do :; done'
	is "$status" 124
	has "$err" "cpu_ms"
}

@test "the memory limit is 137, and is said" {
	show sandpool run -L memory=32MiB -l python3 -c 'x = bytearray(200 << 20)'
	is "$status" 137
	has "$err" "32 MiB"
}

@test "the output limit is 153, and what was in it comes out" {
	show sandpool run -L output=1000 -l sh -c 'head -c 5000 /dev/zero'
	is "$status" 153
	is "$(wc -c <out)" 1000
}

@test "a compiler's error goes to stderr, and its status is ours" {
	echo 'int main(void) { return x; }' >a.c
	show sandpool run a.c
	is "$status:$out" "1:"
	has "$err" "a.c:1"
	has "$err" "undeclared"
}

@test "a compiler's warnings go to stderr, the program runs" {
	printf '#include <stdio.h>\nint main(void) { int unused; puts("ran"); }\n' >a.c
	show sandpool run -o -Wall a.c
	is "$status:$out" "0:ran"
	has "$err" "unused"
}

@test "--quiet says nothing of ours" {
	show sandpool run -q -t 0.2 -l sh -c 'echo theirs >&2; sleep 20'
	is "$status:$err" "124:theirs"
}

@test "interrupt, terminate and hang-up end the run, and us by the same signal" {
	for signal in INT TERM HUP; do
		env --default-signal=INT sandpool run -l sh -c 'echo started; sleep 30' >out 2>err &
		started+=($!)
		patiently grep -q started out
		kill "-$signal" $!
		status=0
		wait $! || status=$?
		is "$status" $((128 + $(kill -l $signal)))
		patiently nothing_runs
	done
}

@test "a signal that is ignored stays ignored" {
	(trap '' INT; exec sandpool run -l sh -c 'echo started; sleep 1; echo ended') >out 2>err &
	started+=($!)
	patiently grep -q started out
	kill -INT $!
	wait $!
	is "$(cat out)" $'started\nended'
}

# ---- limits ----

@test "limits are asked for by name" {
	show sandpool run --json -t 3s -L memory=64MiB -L cpu=1.5 -L processes=9 -L disk=1MiB \
		-L output=2KiB -L cpu_percent=50 -L total=20s -l sh -c :
	is "$status" 0
	for part in '"wall_ms":3000,' '"memory_bytes":67108864,' '"cpu_ms":1500,' '"processes":9,' \
		'"disk_bytes":1048576,' '"output_bytes":2048,' '"cpu_percent":50,' '"total_ms":20000'; do
		has "$out" "$part"
	done
}

@test "the compile stage has its own" {
	# never seen before, or its build would be cached
	echo "int main(void) { /* $$ $RANDOM $SECONDS */ }" >a.c
	show sandpool run -L compile.wall=20ms a.c
	is "$status" 124
	show sandpool run --json --limit compile.memory=512MiB a.c
	has "$out" '"memory_bytes":536870912'
}

@test "a limit that is none is refused before anything is sent" {
	export SANDPOOL_URL=http://127.0.0.1:1/
	show sandpool run -L memroy=1 -l sh -c :; is "$status" 125; has "$err" "did you mean memory"
	show sandpool run -L memory -l sh -c :; is "$status" 125
	show sandpool run -L memory=much -l sh -c :; is "$status" 125; has "$err" '"much" is no size'
	show sandpool run -L wall=0 -l sh -c :; is "$status" 125
	show sandpool run -L compile.total=1 -l sh -c :; is "$status" 125
	show sandpool run -t soon -l sh -c :; is "$status" 125; has "$err" '"soon" is no time'
	show sandpool run -t nan -l sh -c :; is "$status" 125
}

@test "above the server's maximum is the server's to say" {
	show sandpool run -L memory=1024GiB -l sh -c :
	is "$status" 125
	has "$err" "memory_bytes"
}

# ---- more than running ----

@test "--time prints figures on stderr" {
	show sandpool run --time -l sh -c 'echo x'
	is "$status:$out" "0:x"
	for name in wall user system memory queue setup total; do
		grep -Eq "^$name +[0-9.]+ (ms|MiB)$" err
	done
}

@test "--json is the whole answer" {
	show sandpool run --json -l sh -c 'printf out; printf err >&2; exit 3'
	is "$status:$err" "3:"
	is "$(python3 -c 'import json; a = json.load(open("out")); print(a["status"], a["stdout"], a["stderr"], a["exit_code"])')" \
		"runtime_error out err 3"
}

@test "--msgpack is the whole answer, byte for byte" {
	show sandpool run --msgpack -l sh -c 'printf "\377\000x"; exit 4'
	is "$status" 4
	is "$(python3 -c 'import msgpack; a = msgpack.unpack(open("out", "rb")); print(a["status"], a["stdout"], a["exit_code"])')" \
		"runtime_error b'\\xff\\x00x' 4"
}

@test "--expect compares, and shows how it differs" {
	printf '1\n2\n3\n' >want
	show sandpool run -e want -l sh -c 'seq 3'
	is "$status:$err" "0:"
	is "$out" $'1\n2\n3'
	show sandpool run --expect=want -l sh -c 'seq 4'
	is "$status" 1
	has "$err" "+4"
	has "$err" "--- expected"
	show sandpool run -q -e want -l sh -c 'seq 4'
	is "$status:$err" "1:"
	show sandpool run -e want -l sh -c 'seq 3; exit 5'
	is "$status" 5
	show sandpool run -e want -t 0.2 -l sh -c 'sleep 9'
	is "$status" 124
}

@test "--expect with input, and by --compare" {
	printf 'a b\n' >want
	printf 'a  b' | sandpool run -e want --compare tokens -l sh -c cat >out 2>err
	show sandpool run -e want --compare exact -l sh -c 'printf "a b"'
	is "$status" 1
	show sandpool run -e want --compare=trailing-space -l sh -c 'printf "a b  \n\n"'
	is "$status" 0
	echo 1.0 >want
	show sandpool run -e want --compare float:0.01 -l sh -c 'echo 1.001'
	is "$status" 0
	show sandpool run -e want --compare nonsense -l sh -c :
	is "$status" 125
}

@test "--tests prints TAP" {
	mkdir t
	for i in 1 2 10; do echo $i >t/n$i.in; echo $((i * i)) >t/n$i.out; done
	echo 'print(int(input()) ** 2)' >a.py
	show sandpool run -T t a.py
	is "$status:$out" $'0:1..3\nok 1 - n1\nok 2 - n2\nok 3 - n10'
}

@test "--tests says what failed, and how" {
	mkdir t
	echo 1 >t/a.in; echo 2 >t/a.out
	echo x >t/b.in
	echo 3 >t/c.in
	printf 'two words\n\nthird' >t/d.args; : >t/d.in; echo "['two words', '', 'third']" >t/d.out
	printf 'import sys\nif sys.argv[1:]: print(sys.argv[1:])\nelse: print(int(input()))\n' >a.py
	show sandpool run --tests=t a.py
	is "$status" 1
	has "$out" $'not ok 1 - a\n# wrong_answer'
	has "$out" $'# -2\n# +1'
	has "$out" $'not ok 2 - b\n# runtime_error'
	has "$out" "ok 3 - c"
	has "$out" "ok 4 - d"
	has "$out" "# 2 of 4 failed"
}

@test "--tests of a program that does not compile" {
	mkdir t
	touch t/a.in t/b.in
	echo 'int main(' >a.c
	show sandpool run -T t a.c
	is "$status" 1
	is "$(grep -c '^not ok' out)" 2
	has "$out" "# compile_error"
	has "$err" "a.c:1"
}

@test "--tests takes more than one request holds" {
	mkdir t
	for i in $(seq 70); do echo "$i" >"t/$i.in"; echo "$i" >"t/$i.out"; done
	show sandpool run -T t -l sh -c cat
	is "$status:$(grep -c '^ok' out)" "0:70"
	is "$(sed -n '2p;$p' out | tr '\n' ' ')" "ok 1 - 1 ok 70 - 70 "
}

@test "--tests goes on where the time of one request ran out" {
	mkdir t
	touch t/1.in t/2.in t/3.in
	show sandpool run -L total=2s -T t -l sh -c 'sleep 1.2'
	is "$status:$(grep -c '^ok' out)" "0:3"
}

@test "--tests of an empty folder is an error" {
	mkdir t
	show sandpool run -T t -l sh -c cat
	is "$status" 125
	has "$err" "no test"
}

@test "--collect brings files back, and only those" {
	show sandpool run -C made.bin --collect=more -l sh -c 'printf "\377\000" >made.bin; echo m >more; echo n >other'
	is "$status" 0
	is "$(od -An -tx1 made.bin)" " ff 00"
	is "$(cat more)" m
	[ ! -e other ]
	show sandpool run -C missing -l sh -c :
	is "$status" 0
	has "$err" "missing"
	fake evil-file
	show sandpool run -u "http://127.0.0.1:$port" -C good -l sh -c :
	is "$status" 0
	[ ! -e evil ]
}

@test "--link holds the program, and runs nothing" {
	show sandpool run --link -l python3 -c 'print("grüße")' arg
	is "$status" 0
	has "$out" "$SANDPOOL_TEST_URL"
	is "$(python3 -c '
import base64, json, sys
kind, text = sys.argv[1].split("#")[1][0], sys.argv[1].split("#")[1][1:]
p = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
print(kind, p["l"], p["c"], p["a"])' "$out")" '0 python3 print("grüße") arg'
	printf 'x = b"\xff"' >a.py
	show sandpool run --link a.py
	is "$status" 0
	show sandpool run --link -t 1 a.py
	is "$status" 125
}

@test "options that do not go together are refused" {
	for pair in "--json --msgpack" "--tests . --expect f" "--tests . --input f" \
		"--tests . --json" "--expect f --collect x" "--link --local" "--url http://x --local"; do
		touch f
		# shellcheck disable=SC2086 # words
		show sandpool run $pair -l sh -c :
		is "$status:$out" "125:"
		[ -n "$err" ]
	done
}

@test "an option that is none" {
	show sandpool run --nonsense
	is "$status" 125
	has "$err" "sandpool run"
	has "$err" "--help"
	show sandpool run -l
	is "$status" 125
}

@test "--help lists every option, --version the version" {
	show sandpool run --help
	is "$status:$err" "0:"
	for option in $(sed -n 's/^OPTION(RUN[^"]*"\([a-z-]*\)".*/--\1/p' "$here/../../fcgi/cli_options.def"); do
		has "$out" "$option"
	done
	show sandpool run -V
	is "$status" 0
	has "$out" "sandpool "
}

# ---- where to ----

@test "--url beats SANDPOOL_URL, with or without scheme and slash" {
	export SANDPOOL_URL=http://127.0.0.1:1/
	show sandpool run -l sh -c 'echo x'
	is "$status:$out" "125:"
	for url in "$SANDPOOL_TEST_URL" "${SANDPOOL_TEST_URL%/}" "${SANDPOOL_TEST_URL#http://}"; do
		show sandpool run -u "$url" -l sh -c 'echo x'
		is "$status:$out" "0:x"
	done
	show sandpool run --url 'http://x/?a#b' -l sh -c :
	is "$status" 125
}

@test "a proxy is not asked for this host" {
	export http_proxy=http://127.0.0.1:1/ HTTP_PROXY=http://127.0.0.1:1/
	show sandpool run -l sh -c 'echo x'
	is "$status:$out" "0:x"
}

@test "--local goes by the socket" {
	export SANDPOOL_URL=http://127.0.0.1:1/
	head -c 70000 /dev/urandom >bytes
	for path in "$SANDPOOL_TEST_SOCKET" "$SANDPOOL_TEST_SOCKET/run.sock"; do
		sandpool run --local --socket "$path" -l sh -c 'cat; exit 0' <bytes >out 2>err
		cmp bytes out
	done
	show sandpool run --socket "$SANDPOOL_TEST_SOCKET" -l sh -c 'exit 9'
	is "$status" 9
	export SANDPOOL_SOCKET=$SANDPOOL_TEST_SOCKET
	show sandpool run --local -l sh -c 'echo x'
	is "$status:$out" "0:x"
	echo 'print(1)' >a.nonsense
	show sandpool run --local -l python3 --json a.nonsense
	has "$out" '"status":"success"'
	show sandpool run --local -l nope -c :
	is "$status" 125
	has "$err" '"nope"'
}

@test "--local cancels, too" {
	sandpool run --socket "$SANDPOOL_TEST_SOCKET" -l sh -c 'echo started; sleep 30' >out 2>err &
	started+=($!)
	patiently grep -q started out
	kill $!
	patiently nothing_runs
}

@test "--local without a pool" {
	show sandpool run --socket "$PWD/none" -l sh -c :
	is "$status" 125
	has "$err" "does not run on this host"
}

@test "the key goes along, from the option or the environment" {
	fake broken
	show sandpool run -u "http://127.0.0.1:$port" -k secret -l sh -c :
	SANDPOOL_KEY=other show sandpool run -u "http://127.0.0.1:$port" -l sh -c :
	show sandpool run -u "http://127.0.0.1:$port" -l sh -c :
	is "$(cat asked)" $'POST /run key=secret\nPOST /run key=other\nPOST /run key=none'
}

@test "a redirect is not followed with a key" {
	fake moved
	show sandpool run -u "http://127.0.0.1:$port" -k secret -l sh -c :
	is "$status" 125
	has "$err" "301"
}

@test "busy is waited for and asked again: nothing ran" {
	fake busy-once
	show sandpool run -u "http://127.0.0.1:$port" -l sh -c :
	is "$status" 0
	is "$(wc -l <asked)" 2
}

@test "busy for long is said" {
	fake busy-long
	show sandpool run -u "http://127.0.0.1:$port" -l sh -c :
	is "$status" 125
	has "$err" "try again in 900 s"
	is "$(wc -l <asked)" 1
}

@test "a failure of the server is never run again" {
	fake broken
	show sandpool run -u "http://127.0.0.1:$port" -l sh -c :
	is "$status" 125
	has "$err" "internal_error"
	is "$(wc -l <asked)" 1
}

@test "answers that are none are told from ours" {
	for kind in page missing cut junk; do
		fake $kind
		show sandpool run -u "http://127.0.0.1:$port" -l sh -c :
		is "$status:$out" "125:"
		has "$err" "sandpool: "
	done
}

@test "what a server says cannot steer the terminal" {
	fake escape
	show sandpool run -u "http://127.0.0.1:$port" -l sh -c :
	is "$status" 125
	lacks "$err" $'\033'
	lacks "$err" $'\a'
}

# ---- colour ----

@test "colour only on a terminal, and never with NO_COLOR" {
	export TERM=xterm
	show sandpool run -l sh -c 'kill -SEGV $$'
	lacks "$err" $'\033'
	show sandpool run --color always -l sh -c 'kill -SEGV $$'
	has "$err" $'\033[1;31msandpool:\033[0m'
	NO_COLOR=1 show script -qec "sandpool run -l sh -c 'kill -SEGV \$\$'" /dev/null
	lacks "$out" $'\033'
	show script -qec "sandpool run -l sh -c 'kill -SEGV \$\$'" /dev/null
	has "$out" $'\033[1;31m'
	show script -qec "sandpool run --color=never -l sh -c 'kill -SEGV \$\$'" /dev/null
	lacks "$out" $'\033'
}
