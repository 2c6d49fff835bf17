"""What a retraining from sessions begins with: the sessions that a person names, the model whose masks were corrected,
and which of the lessons that model can learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from napari_seg.data.formats import is_image
from napari_seg.errors import SegError
from napari_seg.files import at_home
from napari_seg.models.file import file_hash
from napari_seg.models.spec import ModelSpec
from napari_seg.session.database import NAME
from napari_seg.session.fingerprint import identity
from napari_seg.session.found_again import readings
from napari_seg.session.learning import Taught, fitting, lessons
from napari_seg.session.projects import knowing, recent, session_folder
from napari_seg.session.reading import reading
from napari_seg.session.session import home


def taught_in(named: str) -> list[Taught]:
    """The lessons of what a person names: the folder of a project, its name in the list of the last projects, a folder
    of images with a session, or an image that was corrected.

    Raises ``SegError`` where there is no such session.
    """
    path = at_home(named)
    if path.is_dir() and (session_folder(path) / NAME).exists():
        return lessons(path)
    known = [one.folder for one in recent() if one.name == named and (one.folder / NAME).exists()]
    if known:
        return lessons(known[0])
    if path.exists() and is_image(path):
        return _of_image(path)
    raise SegError(f"There is no session {named}; name the folder of a project, or an image that was corrected.")


def at_hand(found: Sequence[Taught]) -> tuple[list[Taught], list[str]]:
    """The lessons whose images can be read, and for each other image a sentence why it is left out.

    Raises ``SegError`` where none is left.
    """
    missing = dict[tuple[Path, int], SegError]()
    named = {one.key: one for one in found}
    for key, one in named.items():
        try:
            one.read_image()
        except SegError as error:
            missing[key] = error
    if missing.keys() == named.keys():
        first = next(iter(missing.values()))
        many = f"None of the {len(missing)} images that were corrected can be read; the first one: "
        raise SegError(f"{many}{first}") if len(missing) > 1 else first
    told = [f"{named[key].name} is left out: {error}" for key, error in missing.items()]
    return [one for one in found if one.key not in missing], told


def parent_of(found: Sequence[Taught], files: Iterable[Path]) -> Path | None:
    """The file of the model whose masks were corrected, the one of the last prediction where there are several;
    ``None`` where no model made any.

    Raises ``SegError`` where it is none of ``files``.
    """
    pasts = [one.past for one in found if one.past is not None]
    if not pasts:
        return None
    last = max(pasts, key=lambda past: past.at).predicted
    for path in files:
        if path.is_file() and file_hash(path) == last.model_hash:
            return path
    raise SegError(f"The masks were made by {last.model}, which is not among the models here; name its file.")


class Pupil(NamedTuple):
    """What a model learns from. ``new_classes``: the names of those that it does not know yet. ``channel``: the one of
    the images that its prediction looked at, where that was chosen. ``left_out``: images with masks of another kind."""

    lessons: tuple[Taught, ...]
    new_classes: tuple[str, ...] = ()
    channel: str | None = None
    left_out: int = 0


def pupil(model: ModelSpec, model_hash: str, found: Sequence[Taught]) -> Pupil:
    """What a model can learn from.

    Raises ``SegError`` where that is nothing, or where classes have other names or another order than in the model.
    """
    chosen = fitting(found, model.task, model_hash)
    kind = "single objects" if model.task.kind == "instance" else "classes"
    if not chosen:
        raise SegError(f"{model.name} finds {kind}, and no such mask was corrected; choose another model.")
    new = _new_classes(model, chosen)
    settings = [one.past.predicted.settings for one in chosen if one.past is not None]
    channels = {str(one["channel"]) for one in settings if one.get("channel")}
    if len(channels) > 1:
        raise SegError(f"The masks were made of the channels {', '.join(sorted(channels))}; train on one of them.")
    return Pupil(tuple(chosen), new, next(iter(channels), None), _images(found) - _images(chosen))


def classes_of(found: Sequence[Taught]) -> tuple[str, ...]:
    """The classes of all masks. Raises ``SegError`` where these differ in more than how many are named."""
    longest = max(found, key=lambda one: len(one.classes))
    for one in found:
        if longest.classes[: len(one.classes)] != one.classes:
            raise SegError(
                f"The classes of {one.name} are {', '.join(one.classes)}, those of {longest.name} are "
                f"{', '.join(longest.classes)}; name them alike, in the same order."
            )
    return longest.classes


def _new_classes(model: ModelSpec, chosen: Sequence[Taught]) -> tuple[str, ...]:
    task = model.task
    if task.kind == "instance":
        return ()
    several = len(task.planes) > 1  # then their names alone say which plane is which
    for one in chosen:
        if {*one.classes} != {*task.planes} if several else not task.planes and not task.taught_by(one.classes):
            raise SegError(
                f"{one.name}: the classes are {', '.join(one.classes)}, those of {model.name} are "
                f"{', '.join(task.planes or task.names)}; name them alike{'' if several else ', in the same order'}."
            )
    if task.planes or all(len(one.classes) <= len(task.names) for one in chosen):
        return ()
    return classes_of(chosen)[len(task.names) :]


def _images(found: Sequence[Taught]) -> int:
    return len({one.key for one in found})


def _of_image(path: Path) -> list[Taught]:
    """Of the session that an image has of its own, of the project in which the work on it goes on, or else of the
    project worked on last that knows it."""
    known = False
    for volume in readings(path, {}):
        known_by, voxels = identity(volume)
        for place in (_own(known_by), knowing(known_by, voxels)):
            if place is not None:
                known = True
                found = [one for one in lessons(place) if one.image.fingerprint.partition("-")[0] == known_by]
                if found:
                    return found
    if known:
        return []
    raise SegError(f"Nothing is kept of {path.name}; open it in the window and correct its mask first.")


def _own(known_by: str) -> Path | None:
    """The session that an image has of its own, or the project in which that goes on."""
    folder = home() / known_by
    if not (folder / NAME).exists():
        return None
    with reading(folder) as store:
        gone = store.gone(known_by)
    return folder if gone is None or gone.stale else gone.folder
