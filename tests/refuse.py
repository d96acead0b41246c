"""Runs a command to which the kernel refuses one system call with EPERM, as a container runtime's seccomp profile may.

    refuse.py SYSCALL COMMAND...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"clone3": 435, "inotify_init1": 294, "prlimit64": 302},
    "aarch64": {"clone3": 435, "inotify_init1": 26, "prlimit64": 261},
}
LOAD_WORD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2


def instruction(code, if_true, if_false, operand):
    return struct.pack("=HBBI", code, if_true, if_false, operand)


number = NUMBERS[platform.machine()][sys.argv[1]]
program = [
    instruction(LOAD_WORD, 0, 0, 0),
    instruction(EQUAL, 0, 1, number),
    instruction(RETURN, 0, 0, ERROR | errno.EPERM),
    instruction(RETURN, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(program))
header = struct.pack("@HP", len(program), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SECCOMP, FILTER, header, 0, 0):
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[2], sys.argv[2:])
