<?php
function differs($text) { fwrite(STDOUT, "differs: $text\n"); }
$others = array_diff(range(1, 16), [getmypid()]);
# There is no function for it; the shell is one of those that are there by then, and so is not asked.
exec("for pid in " . implode(" ", $others) . "; do" .
	" [ \$pid = \$\$ ] || { kill -STOP \$pid && echo \$pid; }; done 2>/dev/null", $caught);
function attack($pids) {
	foreach ($pids as $pid) {
		foreach (explode(" ", "mem maps environ auxv exe fd/3 pagemap syscall stack smaps io") as $name)
			foreach (["r", "r+"] as $mode)
				if (@fopen("/proc/$pid/$name", $mode))
					differs("$name of $pid opens");
		foreach (explode(" ", "cwd root exe fd/0 fd/3 ns/mnt") as $name)
			if (@readlink("/proc/$pid/$name") !== false)
				differs("$name of $pid leads somewhere");
		foreach (explode(" ", "cwd root fd map_files task/1/fd") as $name)
			if (@scandir("/proc/$pid/$name") !== false)
				differs("$name of $pid can be listed");
	}
}
exec("for signal in SEGV ABRT CONT STOP KILL; do kill -\$signal 1 && echo \$signal; done 2>/dev/null", $taken);
if ($taken)
	differs("init takes " . implode(" ", $taken));
if (in_array(1, $caught))
	differs("init was stopped");
for ($number = 3; $number < 2048; $number++) {
	$link = @readlink("/proc/self/fd/$number");
	if ($link !== false && str_starts_with($link, "socket:"))
		differs("descriptor $number is a socket");
}
if (preg_match("/LD_PRELOAD|SANDPOOL/", file_get_contents("/proc/self/environ")))
	differs("a trace of how it was started");
attack($others);
# This one goes on until it is killed, after the end of the first one.
exec("(while :; do kill -9 1; cat /proc/1/environ; done) >/dev/null 2>&1 &");
file_put_contents("left", count($caught));
[$how, $number] = explode(" ", trim(fgets(STDIN)));
fwrite(STDOUT, "as promised\n");
if ($how == "signal")
	exec("kill -$number " . getmypid());
while ($how == "spin")
	;
exit((int)$number);
