"""Gets SIGBUS in ways of its own: bus.py HOW [SECONDS]. Says `ready`, does it when a line comes on stdin, and says what became of it."""
import ctypes
import mmap
import os
import signal
import sys
import tempfile
import time

PAGE = 2 << 20
HUGE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def queue_to_itself(code):
    """A SIGBUS with any si_code, which a process may send to itself alone (rt_tgsigqueueinfo, x86-64: 297)."""
    info = (ctypes.c_int * 32)(7, 0, code)
    return lambda: libc.syscall(297, os.getpid(), os.getpid(), 7, ctypes.byref(info))


def in_child(do):
    child = os.fork()
    if child == 0:
        do()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(child, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)


def cut_file():
    with tempfile.TemporaryFile() as file:
        file.truncate(8192)
        mapped = mmap.mmap(file.fileno(), 8192)
        file.truncate(0)
        mapped[0] = 1


def copy_on_write(pages):
    memory = mmap.mmap(-1, pages * PAGE, flags=HUGE)
    for page in range(pages):
        memory[page * PAGE] = 1

    def write():
        for page in range(pages):
            memory[page * PAGE] = 2

    return write


def flood(seconds):
    signal.signal(signal.SIGBUS, signal.SIG_IGN)
    send, sent, until = queue_to_itself(2), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(1000):
            send()
        sent += 1000
    print(sent, flush=True)


how, number = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
do = {
    "cut-file": lambda: lambda: in_child(cut_file),
    "kill": lambda: lambda: in_child(lambda: os.kill(os.getpid(), 7)),
    "memory-error": lambda: lambda: in_child(queue_to_itself(4)),
    "fork": lambda: None,
    "flood": lambda: lambda: flood(number),
}[how]()
print("ready", flush=True)
for _ in sys.stdin:
    if how == "fork":
        do = do or copy_on_write(number)
        in_child(do)
    else:
        do()
