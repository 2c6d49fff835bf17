"""Images come into a project together with the work that was done on them, wherever that was kept so far.

Work that no window shows is brought at once. Work that this window shows is rehearsed in a thread, so that what could
fail has been tried; then the masks are kept in the project from the same moment on, and what a person does meanwhile
follows. The session that the work comes from stays, and is told where it went.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import Arrivals
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.session.cases import count
from napari_seg.session.database import NAME, SCORES
from napari_seg.session.projects import remember_image
from napari_seg.session.records import SIZE, ImageRow
from napari_seg.session.session import OTHER_WINDOW, Session, home, twin
from napari_seg.session.store import Store


@dataclass(frozen=True, eq=False)
class Joined:
    """An image of a project. ``tracks``: the masks of it that this window keeps elsewhere, which are to come now."""

    row: ImageRow
    tracks: tuple[Track, ...] = ()


def join(
    session: Session, image: Volume, known_by: str, voxels: str, arrivals: Arrivals, tracks: list[Track], who: str
) -> Joined:
    """The row of an image in a project, with the work on it that lies elsewhere. In the helper thread.

    ``tracks``: all that the window keeps. Raises ``SegError`` where the image is in the project under another name, or
    its work cannot be brought.
    """
    row = session.image(image, known_by, voxels).result()
    _refuse_twice(session, row, image)
    remember_image(session.folder, row.fingerprint)
    if session.read_only or session.writer.call(lambda store: store.holds_work(row.id)).result():
        return Joined(row)
    names = [known_by, twin(known_by, voxels)] if voxels else [known_by]
    if (shown := _shown(tracks, names, voxels, session)) is not None:
        where, known = shown.session, shown.row
        if where.read_only:
            raise SegError(f"{image.name}: {where.read_only}")
        if where.writer.kept.trouble:
            raise SegError(f"{image.name} has changes that are not kept yet: {where.writer.kept.trouble}")
        if _bring_size(session, row, where, known.fingerprint):
            row = session.image(image, known_by, voxels).result()
        session.writer.call(lambda store: store.bring(row.id, where.folder, known.fingerprint, rehearse=True)).result()
        _copy_scores(where.folder, known.id, session.folder, row.id)
        return Joined(row, tuple(track for track in tracks if track.key == shown.key))
    for name in names:
        if (home() / name / NAME).exists():
            with arrivals.own(name) as own:
                if is_of(own, name, voxels):
                    if _bring_size(session, row, own, name):
                        row = session.image(image, known_by, voxels).result()
                    _bring_own(session, row, own, name, who, arrivals)
                    break
    return Joined(row)


def settle(recorder: Recorder, session: Session, joined: Joined, then: Callable[[], None]) -> None:
    """Keep the masks of an image in its project from now on; ``then`` is called when they are there. On the main
    thread."""
    live = [track for track in joined.tracks if recorder.track(track.layer) is track]
    if not live:
        then()
        return
    old, known, who, row = live[0].session, live[0].row, recorder.who, joined.row

    done = recorder.rehome(live, session, row, lambda store: _bring(store, row, old.folder, known.fingerprint, who))

    def came(kept: bool) -> None:
        if not kept:
            recorder.go_back(live, old, known)
            session.writer.send(lambda store: store.forget(row.id))
        elif own_session(old):
            old.writer.send(lambda store: store.send_on(known.fingerprint, session.folder.resolve()))
        then()

    recorder.after(done, came)


def is_of(session: Session, known_by: str, voxels: str) -> bool:
    """Whether a session knows an image of this fingerprint, and of these voxels where both are known."""

    def ask(store: Store) -> bool:
        found = store.find(known_by)
        return found is not None and (not voxels or store.voxels(found.id) in ("", voxels))

    return session.writer.call(ask).result()


def _shown(tracks: list[Track], names: list[str], voxels: str, but: Session) -> Track | None:
    """A mask of an image that a window shows and another session keeps."""
    known = [track for track in tracks if track.session is not but and track.row.fingerprint in names]
    return next((track for track in known if is_of(track.session, track.row.fingerprint, voxels)), None)


def own_session(session: Session) -> bool:
    """Whether a session began by itself, for one image."""
    return session.folder.parent == home()


def _bring_own(session: Session, row: ImageRow, own: Session, known_by: str, who: str, arrivals: Arrivals) -> None:
    if own.read_only == OTHER_WINDOW:  # work may begin there at any moment
        raise SegError(f"{row.name} is open in another window; close it there first.")
    found = own.writer.call(lambda store: store.find(known_by)).result()
    if found is None or not own.writer.call(lambda store: store.worked_on(found.id)).result():
        return
    if own.read_only:
        raise SegError(f"{row.name}: {own.read_only}")
    gone = own.writer.call(lambda store: store.gone(known_by)).result()
    if gone is not None and not gone.stale and (gone.folder / NAME).exists():  # it went on in another project
        other = arrivals.opened(str(gone.folder), gone.folder)
        if other.writer.call(lambda store: store.find(known_by)).result() is not None:
            session.writer.call(lambda store: _bring(store, row, gone.folder, known_by, who)).result()
            return
    session.writer.call(lambda store: _bring(store, row, own.folder, known_by, who)).result()
    _copy_scores(own.folder, found.id, session.folder, row.id)
    own.writer.call(lambda store: store.send_on(known_by, session.folder.resolve())).result()


def _bring_size(session: Session, row: ImageRow, other: Session, known_by: str) -> bool:
    """Let a project know which size of voxels a person gave an image before; whether they did."""
    told = other.writer.call(lambda store: store.meta(SIZE + known_by)).result()
    if told:
        session.writer.call(lambda store: store.put_meta(SIZE + row.fingerprint, told)).result()
    return bool(told)


def _bring(store: Store, row: ImageRow, folder: Path, known_by: str, who: str) -> None:
    if not store.holds_work(row.id):  # it came when this was tried before
        store.bring(row.id, folder, known_by)
    count(store, row.id, time.time(), who)


def _refuse_twice(session: Session, row: ImageRow, image: Volume) -> None:
    """Raise ``SegError`` where an image is in the project already, from another file that is still there."""
    before = session.path(row)
    if image.source is None or before is None:
        return
    same = True
    with contextlib.suppress(OSError, ValueError):
        same = not before.exists() or before.samefile(image.source.path)
    if not same:
        raise SegError(
            f"{image.source.path.name} is the same image as {before.name}, which is in the project already; "
            "open that one instead."
        )


def _copy_scores(source: Path, before: int, target: Path, now: int) -> None:
    """Scores are a cache: where they cannot be copied, they are made again."""
    with contextlib.suppress(OSError):
        for path in (source / SCORES).glob(f"{before}-*.npy"):
            (target / SCORES).mkdir(exist_ok=True)
            end = target / SCORES / f"{now}-{path.name.partition('-')[2]}"
            try:
                os.link(path, end)
            except OSError:
                shutil.copyfile(path, end)
