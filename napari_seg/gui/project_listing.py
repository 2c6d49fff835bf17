"""What is read of a project when it is opened, in a thread: its images, what is known of them, where they lie now."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_seg.data.dicom_series import SeriesSearch
from napari_seg.data.formats import FORMATS, images_in, is_image, read_answered, stem, suffix_of
from napari_seg.errors import SegError
from napari_seg.files import cause_of
from napari_seg.session.cases import Case, cases
from napari_seg.session.database import NAME
from napari_seg.session.fingerprint import identity
from napari_seg.session.found_again import image_of
from napari_seg.session.projects import FOLDER, About, Told, about, failures, model_of, remember, tell_about
from napari_seg.session.records import ImageRow, plain
from napari_seg.session.session import Session
from napari_seg.session.store import Store
from napari_seg.session.whereabouts import AT, BEFORE, exists, listed_of, near, resolved, within

GONE = "Its file is not where it was; press Find images..., or open it from where it lies now."

NO_FILE = "This image came from no file; open it again to go on with it."


REPLACED = "Its file shows another image now; put the former one back in its place, or press Find images..."

SHARED = "Another image of its file is listed; open this one from the first page."


@dataclass(frozen=True, eq=False)
class Listing:
    """``folder``: whose images are listed, if there is one. ``search``: of DICOM series that are still to come.
    ``troubles``: why something failed with an image. ``missing``: why images are not where they were. ``model``: the
    file of the one that was used last."""

    session: Session
    name: str
    folder: Path | None
    cases: Mapping[Path, Case] = field(repr=False)
    files: tuple[Path, ...] = field(repr=False)
    troubles: Mapping[Path, str] = field(repr=False)
    missing: Mapping[Path, str] = field(default_factory=dict)
    search: SeriesSearch | None = None
    model: Told | None = None


def listing(session: Session, chosen: Path) -> Listing:
    """Read a project. ``chosen``: the folder that a person named, of images or of the project.

    Raises ``SegError`` where it cannot be read, or holds what no program of ours has written.
    """
    try:
        told = session.writer.call(about).result()
        known = session.writer.call(cases).result()
        failed = session.writer.call(failures).result()
        model = session.writer.call(model_of).result()
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        raise SegError(
            f"{session.folder / NAME} is damaged or no session; move it away, or restore it from a backup."
        ) from None
    folder = _folder_of(session, chosen, told)
    by_name = session.folder.name if folder is None else folder.resolve().name or str(folder)
    name = told.name or by_name
    if not session.read_only:
        session.writer.call(lambda store: _tell(store, session, told, name, folder)).result()
    remember(name, session.folder, (found.image.fingerprint for found in known))
    files, search = _images(folder) if folder is not None else ([], None)
    ends = {resolved(path): path for path in files}
    of_file: dict[Path, list[Case]] = defaultdict(list)
    for found in known:
        where = session.path(found.image)
        end = Path(found.image.name) if where is None else resolved(where)
        of_file[ends.setdefault(end, end)].append(found)
    by_path, missing = dict[Path, Case](), dict[Path, str]()
    for path, rows in of_file.items():
        there = path in files or (path.is_absolute() and exists(path))
        why = "" if there else GONE if path.is_absolute() else NO_FILE
        if path not in files:
            files.append(path)
        if why:
            missing[path] = why
        by_path[path] = first = rows[0] if len(rows) == 1 else _shown_now(session, path, rows)
        for other in [other for other in rows if other is not first and other.state != "new"]:
            aside = former(path, ends)
            files.append(aside)
            ends[aside], by_path[aside] = aside, other
            missing[aside] = why or (SHARED if _shows(session, path, other) else REPLACED)
    troubles = {path: why for path in files if (why := failed.get(plain(session.relative(path)), ""))}
    return Listing(session, name, folder, by_path, tuple(files), troubles, missing, search, model)


def former(path: Path, listed: Container[Path]) -> Path:
    """A name in the list for an image whose file shows another one now: that of no file, and of no other image."""
    base, number = stem(path) or "image", 1
    while (free := path.parent / f"{base} (former{'' if number == 1 else f' {number}'}){suffix_of(path)}") in listed:
        number += 1
    return free


def _shown_now(session: Session, path: Path, rows: list[Case]) -> Case:
    """Of the images that lay in a file the one that lies there now; where none of them does, the newest with work."""
    newest = sorted(rows, key=lambda found: (found.state != "new", found.image.id), reverse=True)
    return next((found for found in newest if _shows(session, path, found)), newest[0])


def _shows(session: Session, path: Path, found: Case) -> bool:
    """Whether a file shows the image of a case."""
    row = found.image
    try:
        image_of(path, row, session.writer.call(lambda store: store.voxels(row.id)).result())
    except SegError:
        return False
    return True


class Finder:
    """Looks for images that are not where they were, by what they show. In the helper thread, in pieces."""

    def __init__(self, session: Session, rows: Iterable[ImageRow], folders: Iterable[Path], axes: str | None) -> None:
        """``folders``: where the images may lie, with all that is in them; without any, where things move to."""
        self._session, self._axes = session, axes
        self._left = {row.fingerprint: row for row in rows}  # an image that is another one's twin has both hashes
        self._candidates = self._all(list(folders))
        self.found = 0

    def go_on(self, seconds: float) -> bool:
        """Look at some files for about so long; whether the search is over."""
        end = time.monotonic() + seconds
        while self._left and time.monotonic() < end:
            path = next(self._candidates, None)
            if path is None:
                return True
            self._look_at(path)
        return not self._left

    def _look_at(self, path: Path) -> None:
        try:
            image = read_answered(path, self._axes)
        except SegError:
            return
        known, voxels = identity(image)
        found = self._session.writer.call(lambda store: self._session.found(store, known, voxels)).result()
        if found is None or found.fingerprint not in self._left:
            return
        row = found
        name, where = image.name, self._session.relative(path)
        self._session.writer.call(lambda store: store.move_image(row.id, name, where)).result()
        del self._left[row.fingerprint]
        self.found += 1

    def _all(self, folders: list[Path]) -> Iterator[Path]:
        rows = list(self._left.values())
        if folders:
            yield from within(folders, {Path(row.path).name for row in rows})
        else:
            before = self._session.writer.call(lambda store: store.meta(BEFORE)).result()
            yield from near(rows, self._session.folder, before)


def title_of(path: Path, files: Iterable[Path]) -> str:
    """What an image is called in the list: with its folder where another one has its name."""
    name = stem(path)
    alone = sum(stem(other).casefold() == name.casefold() for other in files) < 2
    return name if alone or not path.parent.name else f"{path.parent.name}/{name}"


def _tell(store: Store, session: Session, told: About, name: str, folder: Path | None) -> None:
    where, here = "" if folder is None else session.relative(folder), str(session.folder.resolve())
    if (told.name, told.folder) != (name, where):
        tell_about(store, About(name, where))
    if store.meta(AT) != here:
        store.put_meta(BEFORE, store.meta(AT))
        store.put_meta(AT, here)


def _folder_of(session: Session, chosen: Path, told: About) -> Path | None:
    """The folder of images: the one that was chosen, else the one the session lies in or names."""
    if resolved(chosen) != session.folder.resolve():
        return chosen
    return listed_of(session.folder, told)


def _images(folder: Path) -> tuple[list[Path], SeriesSearch | None]:
    """The images of a folder, and a search for the DICOM series in it."""
    if is_image(folder) and not FORMATS["dicom"].codec.claims(folder):
        return [folder], None
    try:
        found = [path for path in images_in(folder) if not path.name.lower().endswith(FORMATS["dicom"].suffixes)]
    except PermissionError:
        raise SegError(f"You may not read {folder}; ask its owner, or choose another folder.") from None
    except OSError as error:
        reason = cause_of(error)
        raise SegError(f"{folder} cannot be read ({reason}); choose another folder.") from None
    return found, SeriesSearch(folder, frozenset({FOLDER}))
