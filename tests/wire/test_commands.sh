#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The commands that people type: sandpool, sandpool key, and the switches of sandpool-fcgi.

build=${top_builddir:-.}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
number=0

ok() { # ok NAME COMMAND...
	number=$((number + 1))
	name=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		sed 's/^/# /' "$dir/out"
	fi
}

is() { [ "$1" = "$2" ] || { echo "\"$1\" is not \"$2\""; return 1; }; }
code() { # code WANTED COMMAND...
	wanted=$1
	shift
	"$@"
	is $? "$wanted"
}
has() { # has TEXT COMMAND...
	text=$1
	shift
	"$@" >"$dir/text" 2>&1
	grep -qF -e "$text" "$dir/text" || { cat "$dir/text"; return 1; }
}
hasnt() { ! has "$@"; }

SANDPOOL_LIBEXEC=$dir/libexec
export SANDPOOL_LIBEXEC
mkdir "$SANDPOOL_LIBEXEC"
ln -s "$(cd "$build" && pwd)/sandpool-key" "$SANDPOOL_LIBEXEC/sandpool-key"
printf '#!/bin/sh\nprintf "%%s|" "$@"\nexit 7\n' >"$SANDPOOL_LIBEXEC/sandpool-try"
chmod +x "$SANDPOOL_LIBEXEC/sandpool-try"

ok "sandpool alone says what there is" has "key " "$build/sandpool"
ok "commands that are not known to it too" has "  try" "$build/sandpool" --help
ok "none that is not there" hasnt "image" "$build/sandpool" --help
ok "and ends with 2" code 2 "$build/sandpool"
ok "a command gets its arguments as they are" has "a b|\$c|" "$build/sandpool" try "a b" '$c'
ok "and its exit code comes back" code 7 "$build/sandpool" try
ok "an unknown command" code 2 "$build/sandpool" nothing
ok "a command with a path in it" code 2 "$build/sandpool" ../libexec/sandpool-try
ok "its version" has "sandpool " "$build/sandpool" --version

keys=$dir/keys
key=$("$build/sandpool" key -k "$keys" add alice --paths /run --limits memory=64MiB --concurrency 2 2>"$dir/audit")
ok "a new key is 64 hex digits" is "$(printf %s "$key" | grep -cE '^[0-9a-f]{64}$')" 1
ok "the change is told" grep -q "alice: added" "$dir/audit"
ok "the file has its hash" grep -q "^alice:$(printf %s "$key" | sha256sum | cut -d' ' -f1):/run:memory=64MiB:2\$" "$keys"
ok "but not the key" hasnt "$key" cat "$keys"
ok "others cannot read the file" is "$(stat -c %a "$keys")" 640
ok "the same name again" code 1 "$build/sandpool" key -k "$keys" add alice
ok "a name that is none" code 1 "$build/sandpool" key -k "$keys" add 'a b'
ok "limits that are none" code 1 "$build/sandpool" key -k "$keys" add bob --limits speed=1
chmod 600 "$keys"
ok "a second key" code 0 "$build/sandpool" key -k "$keys" add bob
ok "the file's mode stays" is "$(stat -c %a "$keys")" 600
ok "both are listed" has "bob	paths=all" "$build/sandpool" key -k "$keys" list
ok "with what they may" has "alice	paths=/run	memory_bytes=67108864	concurrency=2" "$build/sandpool" key -k "$keys" list
ok "one is removed" code 0 "$build/sandpool" key -k "$keys" remove alice
ok "and is gone" hasnt alice "$build/sandpool" key -k "$keys" list
ok "once only" code 1 "$build/sandpool" key -k "$keys" remove alice
ok "the other is not" has bob "$build/sandpool" key -k "$keys" list
ok "no command" code 2 "$build/sandpool" key -k "$keys"
ok "a command too many" code 2 "$build/sandpool" key -k "$keys" list all
echo '# nothing' >"$dir/empty.conf"
ok "no file" has "no keys file" "$build/sandpool" key -c "$dir/empty.conf" list

mkdir "$dir/languages"
cat >"$dir/languages/a.lang" <<'TEXT'
id = "a"; name = "A"; file = "a"; run = [ "a" ];
TEXT
# as root it reads only what is root's, and goes on as somebody else
chmod 755 "$dir" "$dir/languages"
chmod 644 "$dir/languages/a.lang"
conf=$dir/conf
write_conf() {
	printf 'language-directory = "%s/languages"; worker-user = "65534";\n%s\n' "$dir" "$1" >"$conf"
	chmod 644 "$conf"
}
write_conf ''
ok "a good configuration" code 0 "$build/sandpool-fcgi" -c "$conf" -t
ok "is printed" has 'slots = ' "$build/sandpool-fcgi" -c "$conf" -T
write_conf 'slotz = 3;'
ok "a mistyped key is named, with its line and what was meant" has 'conf:2: unknown key "slotz"; did you mean "slots"?' \
	"$build/sandpool-fcgi" -c "$conf" -t
ok "and it ends with 1" code 1 "$build/sandpool-fcgi" -c "$conf" -t
write_conf ''
echo 'id = "a"; name = "A"; file = "a"; run = [ "a" ]; deny = [ "(" ];' >"$dir/languages/a.lang"
ok "a code rule that is no pattern" has "not a regular expression" "$build/sandpool-fcgi" -c "$conf" -t
ok "an unknown switch" code 2 "$build/sandpool-fcgi" --nothing
ok "its version and how it was built" has "compiler: " "$build/sandpool-fcgi" -V
echo "1..$number"
