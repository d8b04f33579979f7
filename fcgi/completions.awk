#!/usr/bin/awk -f
# SPDX-License-Identifier: ISC
# awk -v shell=bash|zsh|fish -f fcgi/completions.awk common/commands.def fcgi/cli_options.def
#
# What the shells complete behind "sandpool", made from the two tables that the programs are
# made from. A line that does not have the form of its table is an error.

function fail(why) {
	print FILENAME ":" FNR ": " why > "/dev/stderr"
	failed = 1
	exit 1
}

# The text between the first and the last quotation mark of what is left of a line.
function last_text(line) {
	sub(/^[^"]*"/, "", line)
	sub(/"[)]$/, "", line)
	return line
}

/^COMMAND\(/ {
	if (split($0, part, /[(,)] */) < 4)
		fail("not a command")
	commands++
	command[commands] = part[2]
	what[commands] = last_text($0)
	next
}

/^OPTION\(/ {
	line = $0
	sub(/^OPTION\(/, "", line)
	if (split(line, part, /, */) < 8)
		fail("not an option")
	options++
	programs[options] = "|" tolower(part[1]) "|"
	letter[options] = part[2] == "0" ? "" : substr(part[2], 2, 1)
	name[options] = substr(part[3], 2, length(part[3]) - 2)
	argument[options] = part[4] == "NULL" ? "" : substr(part[4], 2, length(part[4]) - 2)
	repeats[options] = part[5] == "LIST"
	values[options] = part[7]
	for (i = 0; i < 7; i++)
		sub(/^[^,]*, */, "", line)
	help[options] = last_text(line)
	if (name[options] !~ /^[a-z-]+$/ || part[7] !~ /^[A-Z]+$/)
		fail("not an option")
	next
}

function words(kind) {
	if (kind == "COMPARE")
		return "exact trailing-space tokens float:1e-6"
	if (kind == "COLOR")
		return "auto always never"
	if (kind == "LIMIT")
		return "wall= cpu= memory= output= disk= processes= cpu_percent= total= compile.wall= compile.cpu= compile.memory="
	return ""
}

function quoted(text) {
	gsub(/'/, "'\\''", text)
	return "'" text "'"
}

function bash(    i, k, all, cases) {
	print "# bash completion for sandpool, made from its tables of commands and options"
	print "_sandpool_languages() {"
	print "\tsandpool languages 2>/dev/null | awk 'NR > 1 { print $1 }'"
	print "}"
	print "_sandpool() {"
	print "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options="
	print "\tCOMPREPLY=()"
	print "\tif [ \"$COMP_CWORD\" -eq 1 ]; then"
	all = ""
	for (i = 1; i <= commands; i++)
		all = all command[i] " "
	print "\t\tmapfile -t COMPREPLY < <(compgen -W '" all "--help --version' -- \"$word\")"
	print "\t\treturn"
	print "\tfi"
	print "\tcase ${COMP_WORDS[1]}:$before in"
	for (k = 1; k <= commands; k++)
		for (i = 1; i <= options; i++) {
			if (!index(programs[i], "|" command[k] "|") || argument[i] == "")
				continue
			cases = command[k] ":--" name[i]
			if (letter[i] != "")
				cases = cases " | " command[k] ":-" letter[i]
			print "\t" cases ")"
			if (values[i] == "FILE")
				print "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")"
			else if (values[i] == "DIRECTORY")
				print "\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$word\")"
			else if (values[i] == "LANGUAGE")
				print "\t\tmapfile -t COMPREPLY < <(compgen -W \"$(_sandpool_languages)\" -- \"$word\")"
			else if (words(values[i]) != "")
				print "\t\tmapfile -t COMPREPLY < <(compgen -W '" words(values[i]) "' -- \"$word\")"
			print "\t\treturn"
			print "\t\t;;"
		}
	print "\tesac"
	print "\tcase ${COMP_WORDS[1]} in"
	for (k = 1; k <= commands; k++) {
		all = ""
		for (i = 1; i <= options; i++)
			if (index(programs[i], "|" command[k] "|"))
				all = all (all == "" ? "" : " ") "--" name[i]
		if (all != "")
			print "\t" command[k] ") options='" all "' ;;"
	}
	print "\tesac"
	print "\tcase $word in"
	print "\t-*) mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\") ;;"
	print "\t*)"
	print "\t\tif [ \"${COMP_WORDS[1]}\" = languages ]; then"
	print "\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$(_sandpool_languages)\" -- \"$word\")"
	print "\t\telse"
	print "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")"
	print "\t\tfi"
	print "\t\t;;"
	print "\tesac"
	print "}"
	print "complete -o filenames -o bashdefault -F _sandpool sandpool"
}

# What zsh puts between brackets and after colons must not have any itself.
function zsh_text(text) {
	gsub(/[][]/, "", text)
	gsub(/:/, "\\:", text)
	gsub(/'/, "", text)
	return text
}

function zsh_action(kind) {
	if (kind == "FILE")
		return "_files"
	if (kind == "DIRECTORY")
		return "_files -/"
	if (kind == "LANGUAGE")
		return "_sandpool_languages"
	if (words(kind) != "")
		return "(" zsh_text(words(kind)) ")"
	return ""
}

function zsh(    i, k, spec, names) {
	print "#compdef sandpool"
	print "# zsh completion for sandpool, made from its tables of commands and options"
	print "_sandpool_languages() {"
	print "\tlocal -a ids"
	print "\tids=(${(f)\"$(sandpool languages 2>/dev/null | awk 'NR > 1 { print $1 }')\"})"
	print "\tcompadd -a ids"
	print "}"
	print "_sandpool() {"
	print "\tlocal -a commands"
	print "\tcommands=("
	for (i = 1; i <= commands; i++)
		print "\t\t'" command[i] ":" zsh_text(what[i]) "'"
	print "\t)"
	print "\tif (( CURRENT == 2 )); then"
	print "\t\t_describe command commands"
	print "\t\treturn"
	print "\tfi"
	print "\tshift words"
	print "\t(( CURRENT-- ))"
	print "\tcase $words[1] in"
	for (k = 1; k <= commands; k++) {
		spec = ""
		for (i = 1; i <= options; i++) {
			if (!index(programs[i], "|" command[k] "|"))
				continue
			names = letter[i] != "" ? "{-" letter[i] ",--" name[i] "}" : "--" name[i]
			spec = spec " \\\n\t\t\t" (repeats[i] ? "'*'" : "") names \
				"'[" zsh_text(help[i]) "]" \
				(argument[i] != "" ? ":" zsh_text(tolower(argument[i])) ":" zsh_action(values[i]) : "") "'"
		}
		if (spec == "")
			continue
		print "\t" command[k] ")"
		print "\t\t_arguments -S" spec " \\"
		print command[k] == "languages" ? "\t\t\t'*:language:_sandpool_languages'" : "\t\t\t'*:file:_files'"
		print "\t\t;;"
	}
	print "\t*) _files ;;"
	print "\tesac"
	print "}"
	print "_sandpool \"$@\""
}

function fish(    i, k, line) {
	print "# fish completion for sandpool, made from its tables of commands and options"
	print "function __sandpool_languages"
	print "\tsandpool languages 2>/dev/null | awk 'NR > 1 { print $1 \"\\t\" $3 }'"
	print "end"
	for (i = 1; i <= commands; i++)
		print "complete -c sandpool -n __fish_use_subcommand -f -a " command[i] " -d " quoted(what[i])
	print "complete -c sandpool -n '__fish_seen_subcommand_from languages' -f -a '(__sandpool_languages)'"
	for (k = 1; k <= commands; k++)
		for (i = 1; i <= options; i++) {
			if (!index(programs[i], "|" command[k] "|"))
				continue
			line = "complete -c sandpool -n '__fish_seen_subcommand_from " command[k] "'"
			if (letter[i] != "")
				line = line " -s " letter[i]
			line = line " -l " name[i] " -d " quoted(help[i])
			if (argument[i] != "")
				line = line (values[i] == "FILE" || values[i] == "DIRECTORY" ? " -r" : " -x")
			if (values[i] == "LANGUAGE")
				line = line " -a '(__sandpool_languages)'"
			else if (words(values[i]) != "")
				line = line " -a " quoted(words(values[i]))
			print line
		}
}

END {
	if (failed)
		exit 1
	if (!commands || !options) {
		print "completions: the tables are empty" > "/dev/stderr"
		exit 1
	}
	if (shell == "bash")
		bash()
	else if (shell == "zsh")
		zsh()
	else if (shell == "fish")
		fish()
	else
		exit 1
}
