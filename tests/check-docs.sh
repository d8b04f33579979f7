#!/bin/sh
# SPDX-License-Identifier: ISC
# What is written must be what is there: settings, options, commands, formats. TAP.
set -u
: "${top_srcdir:?}" "${top_builddir:?}"
cd "$top_srcdir" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
verdict() { # verdict NAME FINDINGS
	number=$((number + 1))
	if [ -z "$2" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

# missing_in FILE PATTERN-WITH-@: words on stdin that have no such line
missing_in() {
	while read -r word; do
		grep -qE -- "$(printf %s "$2" | sed "s|@|$word|")" "$1" || echo "$word is not in $1"
	done
}

settings() {
	sed -n 's/^	{ "\([a-z-]*\)", CONF_.*/\1/p' common/settings.c
}

# ---- settings ----
[ "$(settings | wc -l)" -ge 30 ] || verdict "the settings are found" "only $(settings | wc -l)"
verdict "each setting is in the example file" "$(settings | missing_in common/sandpool.conf '^#@ = ')"
verdict "each setting is in sandpool.conf(5)" "$(settings | missing_in man/sandpool.conf.5 '^\.It Ic @( |$)')"
verdict "the example file has no other" "$(
	sed -n 's/^#\([a-z-]*\) = .*/\1/p' common/sandpool.conf | while read -r key; do
		settings | grep -qx -- "$key" || echo "$key"
	done)"
verdict "sandpool.conf(5) has no other" "$(
	sed -n '/^\.Sh SETTINGS/,/^\.Sh /s/^\.It Ic \([a-z-]*\).*/\1/p' man/sandpool.conf.5 | while read -r key; do
		settings | grep -qx -- "$key" || echo "$key"
	done)"

# The example file says what is in force without it: uncommented, it changes nothing but the
# places and the user, which are told apart by where it is installed.
mkdir "$work/languages"
cp languages/sh.lang "$work/languages/"
here='^(language-directory|image-directory|state-directory|worker-user|socket-group) = '
cat >"$work/none.conf" <<CONF
language-directory = "$work/languages";
image-directory = "$work/images";
state-directory = "$work/state";
worker-user = "1879100000";
socket-group = "1879100000";
CONF
{
	sed -n 's/^#\([a-z-]* = .*;\)$/\1/p' common/sandpool.conf | grep -vE "$here"
	cat "$work/none.conf"
} >"$work/all.conf"
chmod 755 "$work" # a reader that is not root any more must get there
for program in sandpool-fcgi sandpool-sandboxd; do
	if [ $program = sandpool-sandboxd ] && [ "$(id -u)" -ne 0 ]; then
		number=$((number + 1))
		echo "ok $number - $program reads the example file # SKIP needs root: it takes only root's files"
		continue
	fi
	"$top_builddir/$program" -T -c "$work/none.conf" >"$work/none" 2>"$work/none.err"
	"$top_builddir/$program" -T -c "$work/all.conf" >"$work/all" 2>"$work/all.err"
	verdict "the example file has $program's presets" "$(
		[ -s "$work/all" ] || cat "$work/all.err"
		diff "$work/none" "$work/all")"
	# ... and a mistake is found by file, line and nearest word
	{ cat "$work/none.conf"; echo 'slot = 3;'; } >"$work/bad.conf"
	"$top_builddir/$program" -t -c "$work/bad.conf" >"$work/out" 2>&1 && echo accepted >"$work/out"
	verdict "$program -t says file, line and the nearest word" "$(
		grep -q 'bad.conf:6: .*"slots"' "$work/out" || cat "$work/out")"
done
verdict "places in the example file are those of a package" "$(
	for line in 'language-directory = "/usr/share/sandpool/languages"' \
		'image-directory = "/var/lib/sandpool/images"' 'state-directory = "/var/lib/sandpool"' \
		'worker-user = "sandpool"' 'socket-group = "www-data"'; do
		grep -qxF "#$line;" common/sandpool.conf || echo "$line"
	done)"

# ---- programs ----
pages() { ls man/*.[0-9]; }
installed_pages() { sed -n '/^dist_man_MANS/,/[^\\]$/p' man/Makemodule.am; }
verdict "each page is installed" "$(pages | while read -r page; do
	installed_pages | grep -q "$page" || echo "$page"; done)"
if command -v mandoc >/dev/null; then
	# Pages of others need not be installed; our own are looked for below.
	verdict "mandoc finds nothing in the pages" "$(mandoc -T lint -W style man/*.[0-9] 2>/dev/null |
		grep -v 'referenced manual not found')"
else
	number=$((number + 1))
	echo "ok $number - mandoc finds nothing in the pages # SKIP mandoc is not installed"
fi
verdict "each command that is built has a page" "$(
	sed -n 's/^COMMAND(\([a-z]*\), \([0-9]\), .*/\1 \2/p' common/commands.def | while read -r name section; do
		[ -e "man/sandpool-$name.$section" ] || [ ! -e "$top_builddir/sandpool-$name" ] ||
			echo "man/sandpool-$name.$section"
	done)"
verdict "each option of the command line is in its page" "$(
	for program in RUN:run LANGUAGES:languages SYSTEM:system HEALTH:health; do
		grep "^OPTION(.*${program%:*}" fcgi/cli_options.def |
			sed -n "s/^OPTION([A-Z|]*, [^,]*, \"\([a-z-]*\)\".*/\1/p" |
			missing_in "man/sandpool-${program#*:}.1" '^\.It .*Fl Fl @( |$)'
	done)"
verdict "each reference leads to a page of ours or of the system" "$(
	sed -n 's/^\.Xr \(sandpool[a-z.-]*\) \([0-9]\).*/man\/\1.\2/p' man/*.[0-9] | sort -u |
		while read -r page; do [ -e "$page" ] || echo "$page"; done)"

# ---- language files ----
keys=$(sed -n 's/^\([a-z]*\) = .*/\1/p' languages/*.lang | sort -u)
verdict "each key of a language file is in sandpool-language(5)" "$(
	printf '%s\n' "$keys" | missing_in man/sandpool-language.5 '^\.It Ic @( |$)')"

# ---- the interface ----
verdict "each path is in sandpool-api(7)" "$(
	sed -n 's/^	{ "\(\/[a-z/]*\)", METHOD_.*/\1/p' fcgi/route.c | missing_in man/sandpool-api.7 '@')"
verdict "each status is in sandpool-api(7)" "$(
	sed -n '/job_status_name/,/};/s/.*"\([a-z_]*\)".*/\1/p' common/job.c | missing_in man/sandpool-api.7 '@')"
verdict "each limit is in sandpool-api(7)" "$(
	sed -n '/^const struct limit_field limit_fields/,/};/s/^	{ "\([a-z_]*\)".*/\1/p' common/job.c |
		missing_in man/sandpool-api.7 '@')"

# ---- the dashboard ----
verdict "the dashboard asks only for figures that there are" "$(
	grep -ohE 'sandpool_[a-z_]+' fcgi/grafana-dashboard.json fcgi/prometheus-alerts.yaml | sort -u |
		while read -r name; do
			grep -qE "\"$(printf %s "$name" | sed -E 's/_(bucket|count|sum)$//')[\"{ ]" fcgi/metrics.c || echo "$name"
		done)"
verdict "each figure is in the dashboard" "$(
	grep -ohE '"sandpool_[a-z_]+"' fcgi/metrics.c | tr -d '"' | sort -u | while read -r name; do
		grep -q "$name" fcgi/grafana-dashboard.json || echo "$name"
	done)"
if command -v python3 >/dev/null; then
	verdict "the dashboard is JSON" "$(python3 -c 'import json; json.load(open("fcgi/grafana-dashboard.json"))' 2>&1)"
fi
echo "1..$number"
