"""The shelf: models that were made on this machine, in the user's data folder. They are never written again.

Beside a model ``NAME.safetensors`` lies ``NAME.note.json``: what is known of it besides what it says itself, such as
whether it was taken; of a model that came with the program, when a person chose it. While one is trained,
``NAME.order.json`` holds what it takes to go on, and ``NAME.owner.json`` says which process of which machine trains it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from napari_seg.errors import SegError
from napari_seg.files import cause_of, written
from napari_seg.locks import WAIT, Taken, locked
from napari_seg.models.file import SAMPLES_SUFFIX, SUFFIX, read_spec
from napari_seg.models.spec import ModelSpec

NOTE, ORDER, OWNER, STATE = ".note.json", ".order.json", ".owner.json", ".resume"

CLAIMING = ".claiming.lock"
"""Locked while a process claims a training."""

_NEAR = 5.0
"""Seconds within which two times at which a process began are the same."""

_SILENT = 3600.0
"""Seconds after which a training on another machine, of whose processes nothing is known here, has ended if none of its
files was written: it writes its state much more often."""


_LEFT: set[Path] = set()
"""Files that are no longer needed and could not be removed, as their disk is read-only. They count as gone."""


@dataclass(frozen=True)
class Kept:
    """A model on the shelf. ``note``: what is known of it besides."""

    path: Path
    spec: ModelSpec
    note: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return name_of(self.path)


def shelf() -> Path:
    """Where models are kept: the user's data folder, or what ``NAPARI_SEG_MODELS`` names."""
    named = os.environ.get("NAPARI_SEG_MODELS")
    return Path(named) if named else platformdirs.user_data_path("napari-seg", appauthor=False) / "models"


def name_of(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


def kept() -> list[Kept]:
    """All models of the shelf, the newest first; files that are none are left out. What was read once is known."""
    found = []
    models = {path for path in shelf().glob(f"*{SUFFIX}") if not path.name.endswith(SAMPLES_SUFFIX)}
    for path in _by_age(models - _LEFT):
        try:
            about = path.stat()
            found.append(Kept(path, _spec(path, about.st_mtime_ns, about.st_size), _read(_beside(path, NOTE))))
        except (SegError, OSError):
            continue
    return found


@lru_cache(1024)
def _spec(path: Path, changed: int, size: int) -> ModelSpec:
    return read_spec(path)


def free_path(name: str) -> Path:
    """Where a new model goes whose parent has this name: ``nuclei2d-1``, then ``nuclei2d-2``. The name is taken from
    then on, until :func:`end_order`, also for other windows.

    Raises ``SegError`` where nothing can be kept there.
    """
    folder = shelf()
    _remove_again()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = {name.split(".")[0].lower() for name in os.listdir(folder)}  # noqa: PTH208  names alone
        return _reserved(folder, name, taken)
    except OSError as error:
        raise _refused(folder, error) from None


def _reserved(folder: Path, name: str, taken: set[str]) -> Path:
    stem = re.sub(r"-\d+$", "", re.sub(r"[^\w-]+", "_", name).strip("_")) or "model"
    for number in itertools.count(1):
        path = folder / f"{stem}-{number}{SUFFIX}"
        if f"{stem}-{number}".lower() not in taken:
            with contextlib.suppress(FileExistsError):
                _beside(path, ORDER).open("x").close()
                return path
    raise AssertionError


def put_note(path: Path, **known: Any) -> None:
    """Note something of a model; what was noted before stays. Raises ``SegError`` where that is not possible."""
    _write(_beside(path, NOTE), {**_read(_beside(path, NOTE)), **known})


def put_chosen(path: Path) -> None:
    """A person chose a model of the shelf, or one that came with the program. Raises ``SegError`` where that cannot be
    noted."""
    put_note(shelf() / path.name, chosen=time.time())


def chosen_at(path: Path) -> float:
    """When a person chose such a model last; where nobody did, when it was made here, else 0."""
    noted = _read(_beside(shelf() / path.name, NOTE)).get("chosen")
    return noted if isinstance(noted, float) else _written(shelf() / path.name)


def put_order(path: Path, order: dict[str, Any]) -> None:
    """Keep what it takes to go on with a training. Raises ``SegError`` where that is not possible."""
    _write(_beside(path, ORDER), order)


def orders() -> dict[Path, dict[str, Any]]:
    """The trainings that were begun and neither ended nor given up, and that no process works on, the newest first, by
    their models."""
    _remove_again()
    found = _by_age(shelf().glob(f"*{ORDER}"))
    records = {path.with_name(path.name.removesuffix(ORDER) + SUFFIX): _read(path) for path in found}
    return {path: record for path, record in records.items() if record and not _is_owned(path)}


def claim(path: Path) -> bool:
    """Make this process the one that trains a model, until :func:`let_go` or its end. ``False`` where another one does.

    Raises ``SegError`` where that cannot be noted.
    """
    me = psutil.Process()
    try:
        with locked(path.with_name(CLAIMING), WAIT):
            if _is_owned(path):
                return False
            _write(_beside(path, OWNER), {"host": platform.node(), "pid": me.pid, "began": me.create_time()})
    except Taken:
        return False
    except OSError as error:
        raise _refused(path.parent, error) from None
    return True


def let_go(path: Path) -> None:
    """This process trains a model no longer."""
    _remove(_beside(path, OWNER))


def _is_owned(path: Path) -> bool:
    known = _read(_beside(path, OWNER))
    if known.get("host", platform.node()) != platform.node():
        return time.time() - max(map(_written, (_beside(path, OWNER), state_of(path), path))) < _SILENT
    try:
        return bool(abs(psutil.Process(known["pid"]).create_time() - known["began"]) < _NEAR)
    except (KeyError, TypeError, ValueError, psutil.Error):
        return False


def end_order(path: Path) -> None:
    """A training is over: what it took to go on is no longer needed."""
    for file in (_beside(path, ORDER), _beside(path, OWNER), state_of(path)):
        _remove(file)


def throw_away(path: Path) -> None:
    """A training is given up: nothing of it is kept."""
    end_order(path)
    for file in (path, _beside(path, SAMPLES_SUFFIX)):
        _remove(file)


def left_behind(path: Path) -> bool:
    """A training ended before its time: a model that holds no more than what it began with is thrown away, and its name
    is free again. Whether there is one that has learned."""
    try:
        history = read_spec(path).history
        learned = not history or history[-1].details.get("kept_at") != 0
    except SegError:
        learned = False
    if not learned:
        throw_away(path)
    return learned


def state_of(path: Path) -> Path:
    """Where a training keeps its state."""
    return path.with_name(path.name + STATE)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(name_of(path) + ending)


def _by_age(paths: Any) -> list[Path]:
    return sorted(paths, key=lambda path: (-_written(path), path.name))


def _written(path: Path) -> float:
    """When a file was written last, 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    """Remove a file, at a later look where that is not possible now: what is over must not wait for a disk."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        _LEFT.add(path)
    else:
        _LEFT.discard(path)


def _remove_again() -> None:
    for path in tuple(_LEFT):
        _remove(path)


def _read(path: Path) -> dict[str, Any]:
    """An object of JSON; nothing where there is none, or it is damaged: a model is whole without it."""
    if path in _LEFT:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, known: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as aside:
            aside.write_text(json.dumps(known, indent=1), encoding="utf-8")
        _LEFT.discard(path)
    except OSError as error:
        raise _refused(path.parent, error) from None


def _refused(folder: Path, error: OSError) -> SegError:
    reason = cause_of(error)
    return SegError(
        f"Models cannot be kept in {folder} ({reason}); free some space, or let NAPARI_SEG_MODELS name another."
    )
