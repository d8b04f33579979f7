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

# The shared libraries that our programs are linked with, under each suite's package names.
runtime_libs() {
	case $1 in
	bookworm) echo libfcgi0ldbl libmsgpackc2 libseccomp2 libcgroup2 libjansson4 libconfig9 \
		libmd0 libcap-ng0 libcurl4 ;;
	trixie) echo libfcgi0t64 libmsgpack-c2 libseccomp2 libcgroup3 libjansson4 libconfig11 \
		libmd0 libcap-ng0 libcurl4t64 ;;
	esac
}

guest_packages() {
	echo systemd-sysv udev dbus kmod procps iproute2 adduser init-system-helpers \
		nginx-light curl ca-certificates python3
	runtime_libs "$1"
}

build_packages() {
	echo build-essential autoconf automake pkg-config debhelper dh-autoreconf fakeroot \
		libfcgi-dev libmsgpack-dev libseccomp-dev libcgroup-dev libjansson-dev \
		libconfig-dev libmd-dev libcap-ng-dev libcurl4-openssl-dev
}

# apt_sources SUITE DIR: the machine's own Debian sources, made over for the suite, as a file in
# DIR whose name is printed.  Sources of other vendors stay out.
apt_sources() {
	local suite=$1 dir=$2 host from
	host=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ -n "$host" ] || die "/etc/os-release names no VERSION_CODENAME"
	for from in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
		[ -s "$from" ] || continue
		sed "s/\\b$host\\b/$suite/g" "$from" >"$dir/guest.${from##*.}"
		echo "$dir/guest.${from##*.}"
		return
	done
	die "no Debian apt sources on this machine"
}

# debootstrap SUITE TREE SOURCES PACKAGES [mmdebstrap arguments]
debootstrap() {
	local suite=$1 tree=$2 sources=$3 packages=$4
	shift 4
	mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--include="${packages// /,}" "$@" "$suite" "$tree" "$sources"
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
