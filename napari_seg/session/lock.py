"""Who may write to a session: a lock that the system takes away from a program that ends, however it ends.

It belongs to the open file (``flock``; on Windows all locks do). Those of SQLite belong to the whole program on other
systems, and are gone as soon as anything in it, such as a file dialog, has opened and closed the same file
(https://sqlite.org/howtocorrupt.html, 2.2): a second window would then write too, and take the journal away.
"""

from __future__ import annotations

import errno
import sys
import time
from pathlib import Path
from typing import IO

LOCK = "session.lock"

_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""What systems say of a lock that another program holds."""

_WAIT = 0.2
"""Seconds in which the other window may make the session, or close it."""

if sys.platform == "win32":
    import msvcrt

    def _hold(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _hold(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _held(file: IO[bytes]) -> bool:
    """Whether the lock is ours now."""
    try:
        _hold(file)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


class Taken(Exception):
    """Another window holds the lock."""


class Lock:
    """The right to write to a session, held until :meth:`release` or the end of the program."""

    def __init__(self, folder: Path) -> None:
        """Raises ``Taken`` where another window holds it, ``OSError`` where nothing can be locked here."""
        self._file, end = (folder / LOCK).open("ab"), time.monotonic() + _WAIT
        try:
            while not _held(self._file):
                if time.monotonic() > end:
                    raise Taken
                time.sleep(0.01)
        except BaseException:
            self._file.close()
            raise

    def release(self) -> None:
        self._file.close()
