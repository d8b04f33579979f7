# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# What a guest and a build tree consist of, and how a tree is made from Debian packages.  A change
# here makes all of them anew.  To be sourced after lib.sh.

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
