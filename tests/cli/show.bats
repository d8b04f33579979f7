#!/usr/bin/env bats
# SPDX-License-Identifier: ISC

load helper

@test "languages prints a table" {
	show sandpool languages
	is "$status:$err" "0:"
	has "$(head -n 1 out)" "ID"
	grep -Eq '^python3 .*Python' out
	grep -Eq '^c .*C \(GCC\)' out
}

@test "languages takes ids and aliases" {
	show sandpool languages python sh
	is "$status" 0
	is "$(awk 'NR > 1 { print $1 }' out | sort | tr '\n' ' ')" "python3 sh "
	show sandpool languages nope
	is "$status" 125
	has "$err" '"nope"'
}

@test "languages --json is a list" {
	show sandpool languages --json sh
	is "$(python3 -c 'import json; print([l["id"] for l in json.load(open("out"))])')" "['sh']"
}

@test "languages --check runs the examples" {
	show sandpool languages --check sh python3
	is "$status:$(sed 's/ (.*//' out)" $'0:1..2\nok 1 - sh\nok 2 - python3'
	grep -Eq '^ok 2 - python3 \(3\.[0-9.]+, [0-9.]+ ms, [0-9.]+ MiB\)$' out
}

@test "languages --missing says what to install" {
	mkdir known
	cp "$here/../../languages/sh.lang" known/
	cat >known/lacking.lang <<-END
		id = "lacking";
		name = "A language that nobody has";
		file = "main.txt";
		run = [ "no-such-program", "%file" ];
		packages = [ "one", "two" ];
	END
	echo "language-directory = \"$PWD/known\";" >conf
	show sandpool languages --missing --conf conf
	is "$status:$(wc -l <out)" "0:2"
	has "$out" "lacking  A language that nobody has  host   one two"
	echo 'nonsense' >conf
	show sandpool languages --missing --conf conf
	is "$status" 125
	has "$err" "conf:"
}

@test "system prints what holds the boxes, and the limits" {
	show sandpool system
	is "$status:$err" "0:"
	for word in version slots cgroup enforced kernel images LIMIT wall memory processes; do
		grep -q "^$word" out
	done
	show sandpool system --json
	python3 -c 'import json; assert json.load(open("out"))["slots"] >= 2'
}

@test "health prints the counts" {
	show sandpool health
	is "$status:$err" "0:"
	grep -Eq '^status +ok$' out
	grep -Eq '^ready +yes$' out
	show sandpool health --json
	python3 -c 'import json; assert json.load(open("out"))["ready"] is True'
}

@test "health, system and languages by the socket" {
	export SANDPOOL_URL=http://127.0.0.1:1/
	for what in health system languages; do
		show sandpool $what --local --socket "$SANDPOOL_TEST_SOCKET"
		is "$status:$err" "0:"
		[ -s out ]
	done
}

@test "without a pool, each says so" {
	export SANDPOOL_URL=http://127.0.0.1:1/
	for what in health system languages; do
		show sandpool $what
		is "$status:$out" "125:"
		has "$err" "127.0.0.1"
	done
}

@test "a closed standard output is a failure" {
	for what in health system languages; do
		show sh -c "sandpool $what >/dev/full"
		is "$status" 125
	done
}

@test "sandpool names its commands, and refuses others" {
	show sandpool --help
	is "$status" 0
	for command in run languages system health key check shell; do has "$out" "  $command "; done
	show sandpool nonsense
	is "$status" 2
	has "$err" nonsense
	show sandpool ../run
	is "$status" 2
	show sandpool --version
	is "$status" 0
}
