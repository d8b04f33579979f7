#!/bin/sh
# SPDX-License-Identifier: ISC
# The rooms of the house: what may include what, and what the root process links. TAP.
set -u
: "${top_srcdir:?}" "${top_builddir:?}"
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

outside() { # outside FOLDER ALLOWED: each include of ours that leads elsewhere
	(cd "$top_srcdir" && grep -nE '^#include "' "$1"/*.[ch]) |
		grep -vE "#include \"(($2)/|config\.h\")"
}

verdict "common/ includes only common/" "$(outside common common)"
verdict "fcgi/ includes only fcgi/ and common/" "$(outside fcgi 'fcgi|common')"
verdict "sandbox/ includes only sandbox/ and common/" "$(outside sandbox 'sandbox|common')"

only() { # only HEADER FILE...: these files alone know that library
	header=$1
	shift
	found=$(cd "$top_srcdir" && grep -lE "^#include <$header" common/*.[ch] fcgi/*.[ch] sandbox/*.[ch])
	for file in $found; do
		case " $* " in
		*" $file "*) ;;
		*) echo "$file includes <$header>" ;;
		esac
	done
}
verdict "one file knows libcurl" "$(only curl/ fcgi/remote.c)"
verdict "one file knows libfcgi" "$(only fcgi fcgi/request.c)"
verdict "libseccomp is known to the two filters" \
	"$(only seccomp.h sandbox/filter.c sandbox/filter_table.c sandbox/filter_table.h fcgi/confine.c)"
verdict "no header of ours brings libcgroup" "$(cd "$top_srcdir" && grep -l '#include <libcgroup' ./*/*.h)"

links() { # links PROGRAM: the libraries that it names, without what comes with libc or a sanitizer
	# libtool is not used: the programs are the files themselves
	LC_ALL=C readelf -d "$top_builddir/$1" | sed -n 's/.*(NEEDED).*\[\(lib[a-z_A-Z0-9+-]*\)\.so.*/\1/p' |
		grep -vE '^(libc|libm|libpthread|ld-linux.*|libasan|libubsan|libgcov)$'
}
must_not() { # must_not PROGRAM PATTERN
	[ -x "$top_builddir/$1" ] || {
		echo "$1 is not built"
		return
	}
	links "$1" | grep -E "$2" | sed "s/^/$1 links /"
}
parsers='libfcgi|libmsgpack|libjansson|libcurl|libz|libxml|libssl|libgnutls'
verdict "sandpool-sandboxd links nothing that parses what clients send" \
	"$(must_not sandpool-sandboxd "$parsers")"
verdict "sandpool-shell and sandpool-check neither" \
	"$(must_not sandpool-shell "$parsers"; must_not sandpool-check "$parsers")"
verdict "sandpool-fcgi links neither libcgroup nor libcurl" \
	"$(must_not sandpool-fcgi 'libcgroup|libcurl')"
verdict "the command line links neither libcgroup nor libseccomp nor libfcgi" \
	"$(for program in run languages system health; do
		must_not sandpool-$program 'libcgroup|libseccomp|libfcgi'
	done)"
verdict "sandpool itself links no library of others" "$(must_not sandpool .)"

first_lines=$(cd "$top_srcdir" && for file in sandbox/*.c fcgi/*.c; do
	head -n 30 "$file" | grep -q 'Runs as' || echo "$file does not say who runs it"
done)
verdict "each source says who runs it" "$first_lines"
licence=$(cd "$top_srcdir" && for file in common/*.[ch] fcgi/*.[ch] sandbox/*.[ch] tests/*.h tests/*/*.c; do
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier: ISC' || echo "$file"
done)
verdict "each source names its licence" "$licence"
echo "1..$number"
