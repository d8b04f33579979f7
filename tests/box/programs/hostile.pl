# While it is still being compiled: before that there is nothing of ours.
BEGIN { @caught = grep { $_ != $$ && kill STOP => $_ } 1 .. 16 }
sub differs { print "differs: @_\n" }
$| = 1;
differs("init was stopped") if grep { $_ == 1 } @caught;
sub attack {
	for my $pid (@_) {
		for my $name (qw(mem maps environ auxv exe fd/3 pagemap syscall stack smaps io)) {
			differs("$name of $pid opens") if open my $file, "<", "/proc/$pid/$name";
			differs("$name of $pid opens for writing") if open $file, "+<", "/proc/$pid/$name";
		}
		for my $name (qw(cwd root exe fd/0 fd/3 ns/mnt)) {
			differs("$name of $pid leads somewhere") if defined readlink "/proc/$pid/$name";
		}
		for my $name (qw(. cwd root fd map_files task)) {
			differs("$name of $pid can be listed") if opendir my $folder, "/proc/$pid/$name";
		}
		for my $signal (qw(SEGV ABRT CONT STOP KILL)) {
			differs("init takes $signal") if kill($signal => $pid) && $pid == 1;
		}
	}
}
for my $number (3 .. 2047) {
	differs("descriptor $number is a socket") if -S "/proc/self/fd/$number";
}
attack(grep { $_ != $$ } 1 .. 16);
for (1, 2) {
	next if fork;
	attack(1) while 1;
}
open my $left, ">", "left";
print $left scalar @caught;
close $left;
my ($end, $number) = split " ", <STDIN>;
print "as promised\n";
kill $number => $$ if $end eq "signal";
1 while $end eq "spin";
exit $number;
