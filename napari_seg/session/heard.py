"""How much a person has said of the images of a session: what there is to learn from, counted, and told in words.

It is a quick look for the window, at those blocks alone in which something was said. Which voxels count is worked out
where it is learned from.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_seg.editing.annotation import CASE, Entry, label_of
from napari_seg.editing.said import class_names, counts_objects, decided_regions
from napari_seg.session.records import LEARNING, SAID, ImageRow, Plane, rows_of
from napari_seg.session.store import Store
from napari_seg.wording import class_name, count_of, listed


@dataclass(frozen=True)
class Heard:
    """What a person has said of one plane of an image: ``image`` in its session, ``fingerprint`` in all.

    ``objects``: those that were changed or accepted. ``classes``: the names of those that were painted or accepted, and
    ``painted`` how many slices (of a picture: one) that was in. ``slices``, ``boxes`` and ``case`` are finished.
    ``erased``: background was made. ``marked``: a person has marked where a model may learn from it.
    """

    image: int
    fingerprint: str
    name: str
    plane: Plane
    objects: int = 0
    classes: tuple[str, ...] = ()
    painted: int = 0
    slices: int = 0
    boxes: int = 0
    case: bool = False
    erased: bool = False
    marked: bool = False

    @property
    def corrected(self) -> int:
        """How much that is, in objects, or of classes in slices."""
        return self.objects if self.plane.objects else max(self.painted, self.slices) + self.boxes + self.case

    def __bool__(self) -> bool:
        return bool(
            self.objects or self.classes or self.slices or self.boxes or self.case or self.erased or self.marked
        )


Known = MutableMapping[tuple[int, int], tuple[Heard, ...]]
"""What was heard, by the number of an image and its last revision: what did not change is not looked at again."""


def heard_in(store: Store, known: Known) -> tuple[Heard, ...]:
    """What a person has said of each plane of each image; where nothing was said, of that nothing is told."""
    found = list[Heard]()
    for image in store.images():
        key = image.id, image.head
        if key not in known:
            for old in [old for old in known if old[0] == image.id]:
                del known[old]
            known[key] = tuple(_heard_of(store, image))
        found += known[key]
    return tuple(found)


def has_spoken(store: Store, image: int, plane: str) -> bool:
    """Whether a person has said anything of a plane of an image."""
    rows = [row for row in store.images() if row.id == image]
    return any(heard.plane.name == plane for row in rows for heard in _heard_of(store, row))


def _heard_of(store: Store, image: ImageRow) -> Iterable[Heard]:
    rows = store.rows(image.id)
    for plane in store.planes(image.id):
        if plane.is_mask:
            own = rows_of(rows, plane.name)
            objects, names = counts_objects(plane.objects, own), class_names(plane.classes, own)
            known = replace(plane, objects=objects, classes=names)
            heard = _heard(store, image, known, own)
            if heard:
                yield heard


def _heard(store: Store, image: ImageRow, plane: Plane, rows: dict[str, Entry]) -> Heard:
    labels, where, erased = _changed(store, image, plane)
    accepted = {label_of(key) for key, entry in rows.items() if entry.state == "accepted"} - {0}
    rejected = {label_of(key) for key, entry in rows.items() if entry.state == "rejected"}
    finished = [key.split()[0] for key, entry in rows.items() if entry.state == "accepted"]
    regions = {label for label, _ in decided_regions(rows, ("accepted",))}
    names = plane.classes
    classes = sorted(labels | regions)
    return Heard(
        image.id,
        image.fingerprint,
        image.name,
        plane,
        objects=len((labels | accepted) - rejected) if plane.objects else 0,
        classes=() if plane.objects else tuple(class_name(k, names) for k in classes),
        painted=where if labels and not plane.objects else 0,
        slices=finished.count("slice"),
        boxes=finished.count("box"),
        case=CASE in finished,
        erased=erased,
        marked=bool(store.names(image.id, plane.name + LEARNING, image.times)),
    )


def _changed(store: Store, image: ImageRow, plane: Plane) -> tuple[set[int], int, bool]:
    """The labels of voxels that a person has changed, in how many slices these lie, and whether some are background."""
    labels, slices, erased = set[int](), set[tuple[int, int]](), False
    grid = store.grid(image.id)
    for place in store.names(image.id, plane.name + SAID, image.times):
        said = store.block(image.id, place) > 0
        values = np.unique(store.block(image.id, place._replace(plane=plane.name))[said])
        labels.update(int(value) for value in values if value)
        erased = erased or bool((values == 0).any())
        if len(image.grid) == 3:
            first = grid.box(place.block)[0].start
            slices.update((place.time, first + int(k)) for k in np.flatnonzero(said.any((1, 2))))
        elif said.any():
            slices.add((place.time, 0))
    return labels, len(slices), erased


def words_of(heard: Sequence[Heard]) -> str:
    """``14 objects and 3 finished slices in 2 images``, of one plane of each image; empty where nothing was said."""
    objects, painted = sum(h.objects for h in heard), sum(h.painted for h in heard)
    classes = dict.fromkeys(name for h in heard for name in h.classes)
    parts = [count_of(objects, "object")] if objects else []
    if classes:
        volumes = painted > sum(bool(h.painted) for h in heard)
        parts.append(listed(list(classes)) + (f", painted in {count_of(painted, 'slice')}" if volumes else ""))
    parts += [count_of(n, f"finished {what}") for what, n in _finished(heard) if n]
    if any(h.marked for h in heard):
        parts.append("what you marked")
    images = len({h.fingerprint for h in heard})
    if not parts:
        return f"background that was erased in {count_of(images, 'image')}" if heard else ""
    return f"{listed(parts)} in {count_of(images, 'image')}"


def _finished(heard: Sequence[Heard]) -> tuple[tuple[str, int], ...]:
    return (
        ("slice", sum(h.slices for h in heard)),
        ("box", sum(h.boxes for h in heard)),
        ("case", sum(h.case for h in heard)),
    )
