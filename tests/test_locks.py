"""Locks between programs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from napari_seg import locks
from napari_seg.locks import Lock, Taken, locked

POSIX = """
import fcntl, sys
file = open(sys.argv[1], "ab")
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("refused")
else:
    print("locked")
"""


def test_one_at_a_time_and_the_next_when_it_is_let_go(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    with pytest.raises(Taken):
        Lock(tmp_path / "lock", 0.05)
    (tmp_path / "lock").read_bytes()  # as a file dialog does
    with pytest.raises(Taken), locked(tmp_path / "lock", 0.05):
        raise AssertionError
    lock.release()
    with locked(tmp_path / "lock"), pytest.raises(Taken):
        Lock(tmp_path / "lock", 0.05)
    Lock(tmp_path / "lock").release()


def test_a_file_that_took_the_place_of_the_locked_one(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert lock.lasts
    (tmp_path / "lock").unlink()
    assert not lock.lasts
    other = Lock(tmp_path / "lock")
    assert other.lasts
    assert not lock.lasts
    lock.release()
    other.release()


@pytest.mark.skipif(sys.platform != "linux", reason="flock is used elsewhere")
def test_who_locks_ranges_is_kept_out(tmp_path: Path) -> None:
    """So a machine that exports the disk sees the locks of those that use it."""
    command = [sys.executable, "-c", POSIX, os.fspath(tmp_path / "lock")]
    lock = Lock(tmp_path / "lock")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "refused\n"
    lock.release()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "locked\n"


def test_a_disk_that_knows_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_hold", Mock(side_effect=OSError(errno.ENOSYS, "Function not implemented")))
    with pytest.raises(OSError, match="not implemented"):
        Lock(tmp_path / "lock")
    with locked(tmp_path / "lock"):
        pass
