#!/usr/bin/env bats
# SPDX-License-Identifier: ISC

load helper

# The shell's own answer to what may stand at the end of the line.
bash_completes() { # bash_completes WORD...
	bash --norc --noprofile -c '
		. "$1"
		shift
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_sandpool
		printf "%s\n" "${COMPREPLY[@]}"' bash "$SANDPOOL_BUILD/completions/sandpool" "$@"
}

@test "bash completes commands, options, values and languages" {
	has "$(bash_completes sandpool h)" health
	has "$(bash_completes sandpool run --tim)" --timeout
	is "$(bash_completes sandpool run --compare tok)" tokens
	has "$(bash_completes sandpool run -l pyth)" python3
	has "$(bash_completes sandpool languages pyth)" python3
	touch file.py
	is "$(bash_completes sandpool run fil)" file.py
	is "$(bash_completes sandpool health --check)" ""
}

@test "fish completes commands, options, values and languages" {
	fish_completes() {
		HOME=$PWD fish --no-config -c "source $SANDPOOL_BUILD/completions/sandpool.fish; complete -C '$1'"
	}
	has "$(fish_completes 'sandpool h')" health
	has "$(fish_completes 'sandpool run --tim')" --timeout
	has "$(fish_completes 'sandpool run --compare tok')" tokens
	has "$(fish_completes 'sandpool run -l pyth')" python3
	lacks "$(fish_completes 'sandpool health --c')" --check
}

@test "zsh takes the completion, and it names each option" {
	zsh -f -c 'autoload -Uz compinit; compinit -D -u; source "$1" 2>/dev/null; whence -w _sandpool' \
		zsh "$SANDPOOL_BUILD/completions/_sandpool" >out
	has "$(cat out)" "_sandpool: function"
	for option in timeout limit collect expect tests url local; do
		grep -q -e "--$option" "$SANDPOOL_BUILD/completions/_sandpool"
	done
}

@test "each option of the table is in each completion" {
	for option in $(sed -n 's/^OPTION([^"]*"\([a-z-]*\)".*/\1/p' "$here/../../fcgi/cli_options.def" | sort -u); do
		grep -q -e "--$option\b" "$SANDPOOL_BUILD/completions/sandpool"
		grep -q -e "--$option\b" "$SANDPOOL_BUILD/completions/_sandpool"
		grep -q -e "-l $option\b" "$SANDPOOL_BUILD/completions/sandpool.fish"
	done
}
