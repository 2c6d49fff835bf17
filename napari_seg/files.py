"""Files and folders are written aside, and take their name when they are whole and on the disk: a program that is
killed on the way, a full disk and a power cut lose neither this nor what had the name before.

What a link leads to is written, and the link stays. A file takes the place of another in one step. A folder cannot: so
the earlier one gets a name that says what it is, the new one takes its place, and then the earlier one goes. Where that
was cut off, :func:`bring_back` does the rest when the place is looked at again. What was cut off while it was written
lies hidden, and goes with a writing later on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

EARLIER = ".napari-seg-earlier"
"""What the name of a folder ends in while another takes its place."""

_ASIDE = ".napari-seg-"

_DAY = 24 * 3600.0

_NOT_HERE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""What systems say of disks on which nobody can wait for the disk itself."""


@contextlib.contextmanager
def written(path: Path, suffix: str = "") -> Iterator[Path]:
    """Gives a name beside ``path``, which ends in ``suffix``, to write a file or a folder under; it takes the place of
    ``path``, or of what that leads to, at the end. Where anything raises, nothing is changed. ``OSError`` comes as it
    is.
    """
    path = target(path)
    aside = aside_of(path, suffix)
    try:
        yield aside
        settle(aside)
        _replace(aside, path)
    finally:
        remove(aside)


def at_home(path: str | Path) -> Path:
    """A path as a person writes it, where ``~`` is their own folder; of a name that merely begins so it is a part."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  that of a Path raises for such a name


def exists(path: Path) -> bool:
    """Whether there is something of this name. There is nothing of one that is too long for the disk."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def target(path: Path) -> Path:
    """What a name leads to through links, be it there or not. Raises ``OSError`` where they lead in a circle."""
    with contextlib.suppress(RuntimeError):  # what Python says of a circle, before 3.13
        found = path.resolve()
        if not found.is_symlink():
            return found
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def cause_of(error: OSError) -> str:
    """Why the disk refused, in the words of the system."""
    return (error.strerror or str(error)).lower()


def reason(error: OSError, cure: str) -> str:
    """Why a file could not be written, and the cure: the end of a sentence. Where its name is too long or leads in a
    circle, no other folder helps; a full disk needs space."""
    known = {errno.ENAMETOOLONG: "choose a shorter name", errno.ELOOP: "choose another name"}
    known |= dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space")
    return f"({cause_of(error)}); {known.get(error.errno or 0, cure)}."


def as_text(name: str) -> str:
    """The name of a file as text that can be written: bytes of it that are no UTF-8, which Python shows as lone
    surrogates, are replaced. The file itself is only found under the name as it came."""
    return re.sub("[\ud800-\udfff]", "\ufffd", name)


def aside_of(path: Path, suffix: str = "") -> Path:
    """A name beside ``path`` that nobody sees, to write under first."""
    return path.with_name(f"{_ASIDE}{uuid.uuid4().hex[:12]}{suffix}")


def settle(path: Path) -> None:
    """Wait until a file, or all files of a folder, lie on the disk: else a power cut leaves names without contents."""
    for file in [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]:
        with file.open("r+b") as opened:
            try:
                os.fsync(opened.fileno())
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise


def _replace(aside: Path, path: Path) -> None:
    _sweep(aside)
    earlier = _earlier(path)
    if not path.is_dir():
        aside.replace(path)
        return
    remove(earlier)
    path.rename(earlier)
    try:
        aside.rename(path)
    except BaseException:
        earlier.rename(path)
        raise
    remove(earlier)


_unsaid: set[Path] = set()
"""What :func:`bring_back_all` gave its name again, and nobody has been told of it."""


def bring_back(path: Path) -> str:
    """Give an earlier folder its name again, where it was cut off that another takes its place; what is to be said of
    that, if it was so."""
    with contextlib.suppress(OSError):  # links in a circle lead to nothing
        path = target(path)
    if path not in _unsaid:
        if exists(path) or not exists(_earlier(path)) or not _earlier(path).is_dir():
            return ""
        try:
            _earlier(path).rename(path)
        except OSError:  # nothing may be written here: it stays where it can be seen
            return ""
    _unsaid.discard(path)
    return f"The last saving of {path.name} was cut off, so this is the one before; save the mask again."


def bring_back_all(folder: Path) -> None:
    """The same for all that lie in a folder; each is told of when it is read."""
    for earlier in folder.glob(f"*{EARLIER}"):
        path = earlier.with_name(earlier.name.removesuffix(EARLIER))
        if bring_back(path):
            _unsaid.add(target(path))


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one; what is left of a folder when that is cut off is not seen."""
    if path.is_dir():
        hidden = path
        if not path.name.startswith("."):
            hidden = path.rename(aside_of(path, ""))
        shutil.rmtree(hidden, ignore_errors=True)
    elif path.exists():
        path.unlink()


def _earlier(path: Path) -> Path:
    return path.with_name(path.name + EARLIER)


def _sweep(aside: Path) -> None:
    """Remove what a program that was killed has left here, by the clock of this disk."""
    for left in aside.parent.glob(f"{_ASIDE}*"):
        with contextlib.suppress(OSError):
            if aside.stat().st_mtime - left.stat().st_mtime > _DAY:
                remove(left)
