"""The child's side of `sandbox`: gives up rights that can't be had back, then runs a program in this very process.

Run as a script: `python -I confine.py LIMITS PROGRAM STATUS`. The last two are descriptors: the program's source, and a
pipe that hears "confined" before the program's first instruction. Layers, each enforced by the kernel for anyone:

- resource limits: address space, processor time, descriptors, no file of any size, no core;
- Landlock (kernel documentation, userspace-api/landlock): files are read under the interpreter's directories, nothing
  is written anywhere, and from kernel 6.12 on no signal leaves;
- seccomp: a list of allowed system calls. There is no socket, no process or thread, no exec, no signal to others, no
  ptrace, no mount, no namespace, no key, no io_uring among them.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys
import sysconfig
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
EPERM, ENOSYS = 1, 38
DESCRIPTORS = 32

# --- Landlock -----------------------------------------------------------------------------------------------
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ_FILE, READ_DIR = 1 << 2, 1 << 3
#: Rights over files that each version of the interface knows, as the number of their bits.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
BIND_TCP_CONNECT_TCP = 3
SCOPED_ABSTRACT_SOCKETS_AND_SIGNALS = 3
READABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
SHARED_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")

# --- seccomp (x86-64) ---------------------------------------------------------------------------------------
ARCHITECTURE = 0xC000003E
X32 = 0x40000000
ALLOWED = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21, "pipe": 22, "select": 23,
    "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "dup2": 33, "pause": 34, "nanosleep": 35,
    "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39, "exit": 60, "uname": 63, "getdents": 78, "getcwd": 79,
    "chdir": 80, "readlink": 89, "umask": 95, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99,
    "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "getpgrp": 111,
    "sigaltstack": 131, "arch_prctl": 158, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204,
    "getdents64": 217, "set_tid_address": 218, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "openat": 257, "newfstatat": 262,
    "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "epoll_pwait": 281,
    "eventfd2": 290, "epoll_create1": 291, "dup3": 292, "pipe2": 293, "getrandom": 318, "membarrier": 324,
    "statx": 332, "rseq": 334, "close_range": 436, "faccessat2": 439,
}  # fmt: skip
#: Calls that are allowed for some values of one argument: (number, argument, values). No owner of signals among them.
ALLOWED_WITH = (
    (16, 1, (0x5401, 0x5413, 0x541B, 0x5450, 0x5451)),  # ioctl: TCGETS, TIOCGWINSZ, FIONREAD, FIONCLEX, FIOCLEX
    (72, 1, (0, 1, 2, 3, 4, 1030)),  # fcntl: duplicate, flags
    (302, 0, (0,)),  # prlimit64: of itself
)
CLONE3 = 435
LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000


def limit(seconds: float, memory: int) -> None:
    """Resource limits; `seconds` of processor time, `memory` in bytes."""
    whole = max(1, int(seconds + 0.999))
    for what, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, whole, whole + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
    ):
        resource.setrlimit(what, (soft, hard))


def readable() -> list[str]:
    """What the interpreter needs of the file system."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {str(Path(path).resolve()) for path in paths}
    return sorted({*paths, *SHARED_LIBRARIES, *READABLE_DEVICES})


def landlock(libc: ctypes.CDLL) -> None:
    """Takes every right over files but reading the interpreter's. Raises OSError where the kernel has no Landlock."""
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        raise OSError(ctypes.get_errno(), "the kernel offers no Landlock (Linux 5.13 with CONFIG_SECURITY_LANDLOCK)")
    rights = [(1 << FILE_RIGHTS.get(version, 16)) - 1]
    rights += [BIND_TCP_CONNECT_TCP] if version >= 4 else []
    rights += [SCOPED_ABSTRACT_SOCKETS_AND_SIGNALS] if version >= 6 else []
    attributes = struct.pack(f"{len(rights)}Q", *rights)
    ruleset = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in readable():
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rule = struct.pack("=Qi", READ_FILE | READ_DIR if Path(path).is_dir() else READ_FILE, handle)
        if libc.syscall(ADD_RULE, ruleset, 1, rule, 0):
            raise OSError(ctypes.get_errno(), f"landlock_add_rule for {path}")
        os.close(handle)
    if libc.syscall(RESTRICT_SELF, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)


def filter_program() -> bytes:
    """The seccomp filter as classic BPF: what is not allowed fails with EPERM, another architecture dies."""

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, value)

    steps = [
        step(LOAD, 4), step(JUMP_EQUAL, ARCHITECTURE, 1, 0), step(RETURN, KILL),
        step(LOAD, 0), step(JUMP_GREATER_EQUAL, X32, 0, 1), step(RETURN, ERRNO | ENOSYS),
    ]  # fmt: skip
    for number in ALLOWED.values():
        steps += [step(JUMP_EQUAL, number, 0, 1), step(RETURN, ALLOW)]
    for number, argument, values in ALLOWED_WITH:
        steps += [step(JUMP_EQUAL, number, 0, 2 + 2 * len(values)), step(LOAD, 16 + 8 * argument)]
        for value in values:
            steps += [step(JUMP_EQUAL, value, 0, 1), step(RETURN, ALLOW)]
        steps.append(step(RETURN, ERRNO | EPERM))
    # The C library tries the old call where there is no new one; the old one is refused too.
    steps += [step(JUMP_EQUAL, CLONE3, 0, 1), step(RETURN, ERRNO | ENOSYS), step(RETURN, ERRNO | EPERM)]
    return b"".join(steps)


def seccomp(libc: ctypes.CDLL) -> None:
    """Installs the filter. Raises OSError."""
    if platform.machine() != "x86_64":
        raise OSError(ENOSYS, f"the list of system calls is for x86_64, not {platform.machine()}")
    program = filter_program()
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_SECCOMP, 2, header, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


def main() -> None:
    """Confines this process, says so, and runs the program."""
    limits, program, status = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with os.fdopen(program, encoding="utf-8") as file:
        source = file.read()
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_PDEATHSIG, 9), (PR_SET_DUMPABLE, 0), (PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl({option})")
    landlock(libc)
    limit(limits["seconds"], limits["memory"])
    seccomp(libc)
    os.write(status, b"confined")
    os.close(status)
    sys.argv = ["program"]
    exec(compile(source, "program", "exec"), {"__name__": "__main__"})  # noqa: S102


if __name__ == "__main__":
    main()
