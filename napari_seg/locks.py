"""Locks between programs and between machines: the system takes them away from a program that ends, however it ends.

They belong to the open file. Those of SQLite belong to the whole program on POSIX systems, and are gone as soon as
anything in it, such as a file dialog, has opened and closed the same file (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""What systems say of a lock that another program holds."""

_NONE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""What systems say of disks that know no locks."""

WAIT = 0.2
"""Seconds in which the other window may make a session, or close it."""

if sys.platform == "win32":
    import msvcrt

    def _hold(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    _OF_THE_FILE = sys.platform == "linux" and sys.maxsize > 2**32

    def _hold(file: IO[bytes]) -> None:
        """On Linux a lock of a range, which a machine that exports the disk sees of those that use it; else ``flock``.
        Both belong to the open file."""
        if _OF_THE_FILE:
            try:
                fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            else:
                return
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Taken(Exception):
    """Another program holds the lock."""


class Lock:
    """A lock on a file, made where it is not there, held until :meth:`release` or the end of the program."""

    def __init__(self, path: Path, wait: float = WAIT) -> None:
        """Raises ``Taken`` where another program holds it for longer than ``wait`` seconds, ``OSError`` where nothing
        can be locked here."""
        self._path, end = path, time.monotonic() + wait
        while True:
            self._file = path.open("ab")
            self._links = os.fstat(self._file.fileno()).st_nlink
            try:
                if _is_ours(self._file) and self.lasts:
                    return
            except BaseException:
                self._file.close()
                raise
            self._file.close()
            if time.monotonic() > end:
                raise Taken
            time.sleep(0.01)

    @property
    def lasts(self) -> bool:
        """Whether the file that is locked still has its name: from another one nobody would be kept away."""
        known = self._links == 0 or os.fstat(self._file.fileno()).st_nlink > 0  # some disks know no number of names
        return known and self._path.exists()

    def release(self) -> None:
        self._file.close()


@contextlib.contextmanager
def locked(path: Path, wait: float = 10.0) -> Iterator[None]:
    """Hold a lock while something is read, changed and written back; on a disk that knows no locks go on without one.
    Raises as :class:`Lock` does."""
    lock = None
    try:
        lock = Lock(path, wait)
    except OSError as error:
        if error.errno not in _NONE:
            raise
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _is_ours(file: IO[bytes]) -> bool:
    try:
        _hold(file)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True
