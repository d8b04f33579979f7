# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# What the guest scripts share: where things lie, what each suite is made of, how a cache entry
# is made once.  To be sourced, with $0 the script that does so.

guest_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top_dir=$(cd "$guest_dir/../.." && pwd)
cache_dir=${SANDPOOL_GUEST_CACHE:-$top_dir/.cache/guest}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "needs root"
}

need_tools() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || die "$tool is not installed"
	done
}

check_suite() {
	case $1 in
	bookworm | trixie) ;;
	*) die "unknown suite '$1' (bookworm or trixie)" ;;
	esac
}

# cache_entry NAME INPUTS...: the directory for this name and these inputs (files by content,
# other words as they stand).
cache_entry() {
	local name=$1 input hash
	shift
	hash=$(for input in "$@"; do
		if [ -f "$input" ]; then cat "$input"; else echo "$input"; fi
	done | sha256sum | cut -c 1-12)
	echo "$cache_dir/$name-$hash"
}

# make_entry ENTRY COMMAND...: run COMMAND with a scratch directory as its last argument, which
# becomes ENTRY only when all went well.  Entries of the same name made from other inputs go.
make_entry() {
	local entry=$1 scratch old
	shift
	[ ! -d "$entry" ] || return 0
	mkdir -p "$cache_dir"
	exec 9>"$entry.lock"
	flock -w 900 9 || die "another process has been making ${entry##*/} for 15 minutes"
	if [ ! -d "$entry" ]; then
		scratch=$(mktemp -d "$cache_dir/.new.XXXXXX")
		# Now and not when it strikes: the variable is gone by then.
		# shellcheck disable=SC2064
		trap "rm -rf --one-file-system '$scratch'" EXIT
		chmod 755 "$scratch"
		"$@" "$scratch"
		for old in "${entry%-*}"-????????????; do
			rm -rf --one-file-system "$old" "$old.lock"
		done
		mv "$scratch" "$entry"
		trap - EXIT
	fi
	exec 9>&-
	rm -f "$entry.lock"
}

# copy_sources DIR: the sources as they stand, without what a build or a checkout adds.
copy_sources() {
	mkdir "$1"
	if git -C "$top_dir" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$top_dir" ls-files -z --cached --others --exclude-standard
	else
		(cd "$top_dir" && find . -name .cache -prune -o -type f -print0)
	fi | tar -C "$top_dir" --null --files-from=- --ignore-failed-read -cf - |
		tar -C "$1" -xf -
}

tree_hash() {
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) |
		sha256sum | cut -d ' ' -f 1
}

# ---- TAP of our own and of guests, under one count ----

tap_count=0 tap_failed=0

tap_result() { # tap_result ok|"not ok" NAME
	tap_count=$((tap_count + 1))
	[ "$1" = ok ] || tap_failed=$((tap_failed + 1))
	echo "$1 $tap_count - $2"
}

# tap_relay GUEST: the guest's TAP on stdin, under our numbers and its name.
tap_relay() {
	local guest=$1 line plan=none before=$tap_count
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"ok "* | "not ok "*)
			[[ $line =~ ^(not ok|ok)\ [0-9]+\ -\ (.*)$ ]] || continue
			tap_result "${BASH_REMATCH[1]}" "$guest: ${BASH_REMATCH[2]}"
			;;
		1..*) plan=${line#1..} ;;
		*) echo "# $guest: ${line#\# }" ;;
		esac
	done
	if [ "$plan" = $((tap_count - before)) ]; then
		tap_result ok "$guest: ran to its end"
	else
		tap_result "not ok" "$guest: ran to its end"
		echo "# planned $plan tests, ran $((tap_count - before))"
	fi
}

# The plan; fails when a test did.
tap_end() {
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ] || echo "# $tap_failed of $tap_count failed"
	[ "$tap_failed" = 0 ]
}
