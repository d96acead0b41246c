"""Asks for huge pages in one way, says line by line what became of it, and ends or lives on.

    huge.py WAY PAGES END

WAY: cow, two-children, at-once, slowly, fallback, read, populate. END: ends, or lives (what may be killed is then
a child of what lives on).
"""

import errno
import mmap
import os
import signal
import sys
import time

PAGE = 2 << 20
HUGE, WITHOUT_RESERVATION = 0x40000, 0x4000
POPULATE_WRITE = 23
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | HUGE
FOR_GOOD = 600


def say(text):
    os.write(1, (text + "\n").encode())


def mapped(pages, flags=0):
    return mmap.mmap(-1, pages * PAGE, flags=ANONYMOUS | flags)


def touch(memory, pages, pause=0.0):
    for page in range(pages):
        memory[page * PAGE] = page + 1
        time.sleep(pause)


def cow(pages, children):
    """Holds pages that its children, who share them, write."""
    memory = mapped(pages)
    touch(memory, pages)
    for _ in range(children):
        if os.fork() == 0:
            touch(memory, pages)
            time.sleep(1)
            os._exit(0)
    statuses = [os.wait()[1] for _ in range(children)]
    for status in statuses:
        if os.WIFSIGNALED(status):
            say(f"killed {os.WTERMSIG(status)}")
    return memory, 128 + signal.SIGBUS if any(statuses) else 0


def at_once(pages, pause=0.0):
    memory = mapped(pages, WITHOUT_RESERVATION)
    touch(memory, pages, pause)
    return memory, 0


def fallback(pages):
    """As most programs do: ordinary memory where huge pages are refused."""
    try:
        memory = mapped(pages)
    except OSError as error:
        say(f"refused {errno.errorcode[error.errno]}")
        return None, 0
    touch(memory, pages)
    return memory, 0


def read(pages):
    """The kernel, not the process, meets the refusal."""
    memory = mapped(pages, WITHOUT_RESERVATION)
    view, zero = memoryview(memory), os.open("/dev/zero", os.O_RDONLY)
    try:
        for page in range(pages):
            os.readv(zero, [view[page * PAGE : page * PAGE + 1]])
    except OSError as error:
        say(f"refused {errno.errorcode[error.errno]}")
        return memory, 1
    return memory, 0


def populate(pages):
    memory = mapped(pages, WITHOUT_RESERVATION)
    try:
        memory.madvise(POPULATE_WRITE)
    except OSError as error:
        say(f"refused {errno.errorcode[error.errno]}")
        return memory, 1
    return memory, 0


WAYS = {
    "cow": lambda pages: cow(pages, 1),
    "two-children": lambda pages: cow(pages, 2),
    "at-once": at_once,
    "slowly": lambda pages: at_once(pages, 0.9),
    "fallback": fallback,
    "read": read,
    "populate": populate,
}
# Their own process is not the one that is killed.
WITH_CHILDREN = ("cow", "two-children")


def lives(way, pages):
    """What is killed is a child; what it holds, it holds for good."""
    if way in WITH_CHILDREN:
        held, _ = WAYS[way](pages)
        say("done")
        time.sleep(FOR_GOOD)
        return held
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        held, _ = WAYS[way](pages)
        os.close(writer)
        time.sleep(FOR_GOOD)
        os._exit(0 if held else 1)
    os.close(writer)
    # At its end, or once it has said all that it will.
    os.read(reader, 1)
    time.sleep(0.05)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended and os.WIFSIGNALED(status):
        say(f"killed {os.WTERMSIG(status)}")
    say("done")
    time.sleep(FOR_GOOD)


way, pages, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if end == "lives":
    lives(way, pages)
_, code = WAYS[way](pages)
say("done")
sys.exit(code)
