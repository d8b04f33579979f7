import os
me, caught = os.getpid(), []
for pid in range(1, 17):
    if pid != me:
        try:
            os.kill(pid, 19)
            caught.append(pid)
        except OSError:
            pass
# The first lines stop whom they can as early as can be: what follows is compiled after that.
exec(r'''
import ctypes, errno, platform, resource, stat, sys

libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
# numbers of x86-64 and of arm64; the newer ones are the same everywhere
PTRACE, READV, WRITEV, KCMP, GET_ROBUST_LIST, SETNS, PRLIMIT = (
    (117, 270, 271, 272, 100, 268, 261) if arm else (101, 310, 311, 312, 274, 308, 302))
KILL, TGKILL, SIGQUEUE, TGSIGQUEUE, SETPRIORITY, SCHED_SETAFFINITY = (
    (129, 131, 138, 240, 140, 122) if arm else (62, 234, 129, 297, 141, 203))
PIDFD_SEND_SIGNAL, PIDFD_OPEN, PIDFD_GETFD, PROCESS_MADVISE = 424, 434, 438, 440
PROCESS_MRELEASE = 448
DENIED = {errno.EPERM, errno.ESRCH, errno.EACCES, errno.ENOENT, errno.ENOSYS}
NAMES = ("mem maps environ auxv cwd root exe fd fd/0 fd/3 fdinfo map_files pagemap syscall stack "
         "smaps io personality ns/mnt ns/user ns/pid cwd/.. root/proc task/{0}/mem "
         "task/{0}/fd/3").split()


def differs(text):
    os.write(1, f"differs: {text}\n".encode())


def call(number, *arguments):
    rc = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))
    return rc, 0 if rc >= 0 else ctypes.get_errno()


# Through here a process could be read, changed or taken over: for nobody, of nobody.
def shut(what, pid, answer):
    rc, code = answer
    if rc >= 0 or code not in DENIED:
        differs(f"{what} of {pid}: {rc}, {errno.errorcode.get(code)}")


def open_files(pid):
    for name in NAMES:
        path = f"/proc/{pid}/" + name.format(pid)
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_PATH | os.O_DIRECTORY):
            try:
                os.close(os.open(path, flags))
                differs(f"{path} opens")
            except OSError as trouble:
                if trouble.errno not in DENIED | {errno.EROFS, errno.EISDIR, errno.ENOTDIR}:
                    differs(f"{path}: {trouble.strerror}")
        for look in (os.readlink, os.listdir):
            try:
                differs(f"{path}: {look(path)}")
            except OSError:
                pass


def reach(pid):
    room = ctypes.create_string_buffer(64)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(room), 64)
    at = ctypes.addressof(vector)
    for request in (16, 0x4206):
        shut("ptrace", pid, call(PTRACE, request, pid, 0, 0))
    shut("process_vm_readv", pid, call(READV, pid, at, 1, at, 1, 0))
    shut("process_vm_writev", pid, call(WRITEV, pid, at, 1, at, 1, 0))
    shut("kcmp", pid, call(KCMP, me, pid, 0, 1, 1))
    shut("get_robust_list", pid, call(GET_ROBUST_LIST, pid, at, at + 8))
    fd, code = call(PIDFD_OPEN, pid, 0)
    if fd < 0:
        return shut("pidfd_open", pid, (fd, code))
    for number in range(8):
        shut("pidfd_getfd", pid, call(PIDFD_GETFD, fd, number, 0))
    shut("setns", pid, call(SETNS, fd, 0x20000))
    shut("process_madvise", pid, call(PROCESS_MADVISE, fd, at, 1, 4, 0))
    shut("process_mrelease", pid, call(PROCESS_MRELEASE, fd, 0))
    os.close(fd)


# What a process may do to another one of its own user: never to init.
def push(pid, number):
    info = (ctypes.c_int * 32)(number, 0, -1)
    limit = (ctypes.c_ulong * 2)(0, 0)
    cpus = ctypes.c_ulong(1)
    fd = call(PIDFD_OPEN, pid, 0)[0]
    answers = [
        ("tgkill", call(TGKILL, pid, pid, number)),
        ("sigqueue", call(SIGQUEUE, pid, number, ctypes.addressof(info))),
        ("tgsigqueue", call(TGSIGQUEUE, pid, pid, number, ctypes.addressof(info))),
        ("pidfd_send_signal", call(PIDFD_SEND_SIGNAL, fd, number, 0, 0) if fd >= 0 else (-1, 1)),
        ("kill", call(KILL, pid, number)),
        ("setpriority", call(SETPRIORITY, 0, pid, 19)),
        ("sched_setaffinity", call(SCHED_SETAFFINITY, pid, 8, ctypes.addressof(cpus))),
    ]
    for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS):
        answers.append(("prlimit", call(PRLIMIT, pid, what, ctypes.addressof(limit), 0)))
    if fd >= 0:
        os.close(fd)
    for what, (rc, code) in answers:
        if pid == 1:
            shut(what, pid, (rc, code))
        elif rc < 0 and code not in DENIED:
            differs(f"{what} of {pid}: {errno.errorcode.get(code)}")


def attack(others, numbers):
    for pid in others:
        open_files(pid)
        reach(pid)
        for number in numbers:
            push(pid, number)


# The way by which the keeper sent the program: whoever has it could forge the end.
for number in range(3, 2048):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            differs(f"descriptor {number} is a socket")
    except OSError:
        pass
others = [pid for pid in range(1, 17) if pid != me]
if 1 in caught:
    differs("init was stopped")
attack(others, (11, 3, 18))
# These go on until they are killed, after the end of the first one.
for number in range(2):
    if os.fork() == 0:
        os.setsid()
        while True:
            attack([1], (19, 18, 9))
with open("left", "w") as file:
    file.write(f"{len(caught)}")
end = sys.stdin.readline().split()
os.write(1, b"as promised\n")
if end[0] == "signal":
    os.kill(me, int(end[1]))
while end[0] == "spin":
    pass
os._exit(int(end[1]))
''')
