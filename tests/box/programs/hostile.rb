# As early as can be: before the parser has read the rest nothing of ours runs.
BEGIN { CAUGHT = (1..16).select { |pid| pid != $$ && Process.kill(:STOP, pid) rescue nil } }
def differs(text) = $stdout.syswrite("differs: #{text}\n")
def quietly
  yield
rescue SystemCallError, IOError, ArgumentError
  nil
end
def attack(pids)
  pids.each do |pid|
    %w[mem maps environ auxv exe fd/3 pagemap syscall stack smaps io].each do |name|
      %w[r r+].each { |mode| quietly { File.open("/proc/#{pid}/#{name}", mode); differs("#{name} of #{pid} opens") } }
    end
    %w[cwd root exe fd/0 fd/3 ns/mnt].each do |name|
      quietly { File.readlink("/proc/#{pid}/#{name}"); differs("#{name} of #{pid} leads somewhere") }
    end
    %w[cwd root fd map_files task/1/fd].each do |name|
      quietly { Dir.children("/proc/#{pid}/#{name}"); differs("#{name} of #{pid} can be listed") }
    end
    %i[SEGV ABRT CONT STOP KILL].each do |signal|
      quietly { Process.kill(signal, pid); differs("init takes #{signal}") if pid == 1 }
    end
  end
end
differs("init was stopped") if CAUGHT.include?(1)
(3..2047).each do |number|
  quietly { differs("descriptor #{number} is a socket") if IO.for_fd(number, autoclose: false).stat.socket? }
end
differs("a trace of how it was started") if File.read("/proc/self/environ") =~ /LD_PRELOAD|SANDPOOL/
attack((1..16).to_a - [$$])
2.times { fork { loop { attack([1]) } } }
File.write("left", CAUGHT.size)
how, number = STDIN.gets.split
$stdout.syswrite("as promised\n")
Process.kill(number.to_i, $$) if how == "signal"
loop { } if how == "spin"
exit! number.to_i
