"""The independent test set: images that no training may learn from, known by what they show.

Marks lie in one file in the user's data folder, so that they hold in every project. They name no place on the disk: an
image is known by its :mod:`content <napari_seg.data.content>`, under any name and in any format that keeps its values,
also mirrored or turned. A copy that is cropped, resampled, rescaled or compressed with loss is not known again.

Whatever learns or compares models to choose one asks :func:`refuse` first. Predicting and evaluating are what a test
set is for; they do not ask.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import platformdirs

from napari_seg.data.content import Content, content_of, possible_sizes
from napari_seg.data.formats import images_of, read_answered, stem
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.files import reason, written
from napari_seg.jobs import Progress, Steps, job
from napari_seg.locks import Taken, locked
from napari_seg.spec import Spec
from napari_seg.training.cases import Case
from napari_seg.training.check import Finding
from napari_seg.training.mending import Mended
from napari_seg.wording import first_of, there_are

FORMAT = 1

_PLACE = "NAPARI_SEG_TEST_SET"
_ELSEWHERE = f"let {_PLACE} name another file"


class Mark(Spec):
    """An image of the test set. ``name`` is that of its file when it was marked, without folder and suffix."""

    name: str
    sizes: tuple[int, ...]
    key: str
    when: str


class Marks(Spec):
    """What the file holds."""

    format: int = FORMAT
    marks: tuple[Mark, ...] = ()


class Learnable(Protocol):
    """What may be learned from: a name, and an image as the first of what is loaded."""

    @property
    def name(self) -> str: ...

    def load(self) -> tuple[Any, ...]: ...


def place() -> Path:
    """The file with the marks: in the user's data folder, or what ``NAPARI_SEG_TEST_SET`` names."""
    named = os.environ.get(_PLACE)
    return Path(named) if named else platformdirs.user_data_path("napari-seg", appauthor=False) / "test_set.json"


def marked() -> tuple[Mark, ...]:
    """The images that are marked. Raises ``SegError`` where the marks cannot be read: they are never passed over."""
    try:
        found = Marks.from_file(place().read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as error:  # the marks in it may be whole, so nothing is said of deleting it
        denied = isinstance(error, PermissionError)
        cure = "ask its owner for the permission" if denied else f"check the disk, or {_ELSEWHERE}"
        raise SegError(f"The marks of the test set in {place()} cannot be read {reason(error, cure)}") from None
    except SegError as error:
        wrong = str(error).partition(";")[0]
        raise SegError(
            f"The marks of the test set in {place()} cannot be read ({wrong}); mend the file, or delete it and mark "
            "the images again."
        ) from None
    if found.format > FORMAT:
        raise SegError(f"The marks of the test set in {place()} were written by a newer napari-seg; update napari-seg.")
    return found.marks


@job
def add(paths: Sequence[Path], *, axes: str | None = None) -> Steps[tuple[Mark, ...]]:
    """Mark images, or all images of folders (of ``images/`` in one that has it); returns the marks that are new.

    ``axes`` is for files that leave them open. Raises ``SegError`` for what is no image.
    """
    marked()  # it can be read
    now, new = datetime.now(UTC).isoformat(timespec="seconds"), dict[str, Mark]()
    for path, content in (yield from _contents(paths, axes)):
        if not content.key:
            raise SegError(f"{path.name} has one value everywhere, so it could not be known again; leave it out.")
        new.setdefault(content.key, Mark(name=stem(path), sizes=content.sizes, key=content.key, when=now))
    with _alone():
        known = marked()
        found = tuple(mark for key, mark in new.items() if key not in {mark.key for mark in known})
        _keep((*known, *found))
    return found


@job
def remove(paths: Sequence[Path], *, names: Sequence[str] = (), axes: str | None = None) -> Steps[tuple[Mark, ...]]:
    """Take the marks off images and folders, and off ``names`` as they were marked; returns those taken off.

    Raises ``SegError`` for a name that is not marked.
    """
    known = marked()
    unknown = sorted({*names} - {mark.name for mark in known})
    if unknown:
        raise SegError(f"No image named {unknown[0]} is marked as test set; napari-seg test-set list shows the names.")
    keys = {content.key for _, content in (yield from _contents(paths, axes))}
    with _alone():
        known = marked()
        gone = tuple(mark for mark in known if mark.key in keys or mark.name in names)
        _keep(tuple(mark for mark in known if mark not in gone))
    return gone


def refuse(lessons: Iterable[Learnable]) -> Steps[None]:
    """Raises ``SegError`` naming the images that are marked. Voxels are read only of those with the sizes of a mark."""
    for finding in (yield from findings(lessons)):
        raise SegError(finding.sentence)


def findings(lessons: Iterable[Learnable]) -> Steps[tuple[Finding, ...]]:
    """What :func:`refuse` would raise, for the data check. What cannot be read is no matter of this."""
    marks = marked()
    if not marks:
        return ()
    keys, sizes = {mark.key for mark in marks}, {mark.sizes for mark in marks}
    lessons, found = tuple(lessons), list[str]()
    for number, lesson in enumerate(lessons):
        yield Progress(number, len(lessons), "looking for images of the test set")
        with suppress(SegError):
            volume = _image_of(lesson)
            if sizes & possible_sizes(volume) and content_of(volume).key in keys:
                found.append(lesson.name)
    if not found:
        return ()
    names = first_of(found)
    which, them = there_are(len(found), "image"), "it" if len(found) == 1 else "them"
    words = (
        f"{which} of the independent test set ({names}), which nothing may learn from; take {them} out of the data, "
    )
    return (Finding(f"{words}or take the mark off with napari-seg test-set remove.", tuple(found), True),)


def _image_of(lesson: Any) -> Volume:
    """The image as it lies in its file, whatever is mended in it later."""
    while isinstance(lesson, Mended):
        lesson = lesson.case
    if isinstance(lesson, Case):  # its labels need not be read
        return read_answered(lesson.image, lesson.axes)
    volume: Volume = lesson.load()[0]
    return volume


def _contents(paths: Sequence[Path], axes: str | None) -> Steps[list[tuple[Path, Content]]]:
    """What the images show, in the order of the paths."""
    folders = (path / "images" if (path / "images").is_dir() else path for path in paths)
    files, found = list(images_of(folders)), []
    for number, path in enumerate(files):
        yield Progress(number, len(files), f"looking at {stem(path)}")
        found.append((path, content_of(read_answered(path, axes))))
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """While the marks are read, changed and written back no other program does: it would lose what it has marked."""
    path = place().with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            yield
    except Taken:
        raise SegError("Another program is changing the test set; try again when it is done.") from None
    except OSError as error:
        raise _unwritten(error) from None


def _keep(marks: tuple[Mark, ...]) -> None:
    path, text = place(), Marks(marks=marks).to_json()
    Marks.from_file(text)  # what cannot be read again does not replace what can
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as aside:
            aside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritten(error) from None


def _unwritten(error: OSError) -> SegError:
    cure = _ELSEWHERE
    if isinstance(error, PermissionError):
        cure = f"ask the owner of the folder for the permission, or {_ELSEWHERE}"
    return SegError(f"The marks of the test set in {place()} could not be written {reason(error, cure)}")
