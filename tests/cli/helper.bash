# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# What the tests of the command line share. SANDPOOL_TEST_URL and SANDPOOL_TEST_SOCKET say
# where a pool runs, SANDPOOL_BUILD where the programs are.

setup() {
	export SANDPOOL_URL=$SANDPOOL_TEST_URL SANDPOOL_LIBEXEC=$SANDPOOL_BUILD
	export PATH=$SANDPOOL_BUILD:$PATH LC_ALL=C.UTF-8 TERM=dumb
	unset SANDPOOL_KEY SANDPOOL_SOCKET NO_COLOR
	here=$BATS_TEST_DIRNAME
	cd "$BATS_TEST_TMPDIR" || return
	exec </dev/null
}

teardown() {
	local pid
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" || continue
	done
}

started=()

# show COMMAND...: status in $status, stdout and stderr apart, byte for byte, in files out and err.
show() {
	status=0
	"$@" >out 2>err || status=$?
	# a shell's variable holds no NUL
	out=$(tr -d '\0' <out)
	err=$(tr -d '\0' <err)
}

# On failure bats prints what a test printed.
is() { # is WHAT EXPECTED
	[ "$1" = "$2" ] && return
	printf 'is:       %s\nexpected: %s\nstdout: %s\nstderr: %s\n' "$1" "$2" "$out" "$err"
	return 1
}

has() { # has TEXT PART
	[[ $1 == *"$2"* ]] && return
	printf 'in:      %s\nmissing: %s\n' "$1" "$2"
	return 1
}

lacks() { # lacks TEXT PART
	[[ $1 != *"$2"* ]] && return
	printf 'in:         %s\nunexpected: %s\n' "$1" "$2"
	return 1
}

# patiently COMMAND...: until it succeeds, ten seconds at most.
patiently() {
	local left=100
	until "$@"; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.1
	done
}

nothing_runs() {
	[[ $(sandpool health --json) == *'"running":0,'* ]]
}

something_runs() {
	! nothing_runs
}

# A server that is no pool: fake.py KIND, its port in $port, what it was asked in file asked.
fake() {
	python3 "$here/fake.py" "$@" >port 2>asked 3>&- &
	started+=($!)
	patiently test -s port
	port=$(cat port)
}
