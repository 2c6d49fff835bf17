"""A labels layer and its place in a session: which blocks its voxels are, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import SPATIAL, labels_dtype
from napari_seg.editing.annotation import Box, Extents, whole
from napari_seg.editing.edit import Patch
from napari_seg.errors import SegError
from napari_seg.gui.views import own_steps, repaint, swap_labels, voxel_at
from napari_seg.session.blocks import Grid
from napari_seg.session.records import ImageRow, Place
from napari_seg.session.session import Session
from napari_seg.tasks.base import Labels


class Track:
    """What is known of a layer that is kept: ``plane`` of image ``row`` in ``session``.

    ``image``: the layer of the image, if there is one.
    """

    def __init__(self, layer: Any, session: Session, row: ImageRow, plane: str, image: Any = None) -> None:
        self.layer, self.session, self.row, self.plane, self.image = layer, session, row, plane, image
        self.grid = Grid(row.grid)
        self.extents = {}
        self.stirred = False  # something was changed while its extents were not known
        self.coming: dict[int, Extents] = {}  # while it is looked for them: what was written since
        self.scanned = 0
        self.laying = False  # whether what it shows and what is kept of it differ, as one of them is being changed
        self.comparing = False  # whether somebody looks for what differs in it from what is kept
        self.version = 0  # another one after every change
        self.in_hand = False  # it shows something that is not done yet, such as a stroke of one of our tools
        if not self.fits(layer.data):
            shape = row.grid if row.times == 1 else (row.times, *row.grid)
            raise SegError(
                f"{layer.name} has the shape {tuple(layer.data.shape)}, its image {shape}, so what you change in it "
                "is not kept; open it with its own image."
            )

    def fits(self, data: Any) -> bool:
        """Whether an array has a voxel for each of the image, at all its points in time."""
        shape, whole = tuple(data.shape), (self.row.times, *self.row.grid)
        return shape == whole or (self.row.times == 1 and shape == self.row.grid)

    @property
    def extents(self) -> dict[int, Extents]:
        """Where each label lies, by time point, as far as that is known."""
        return self._extents

    @extents.setter
    def extents(self, found: dict[int, Extents]) -> None:
        self._extents = found
        self._tops: dict[int, int] = {}  # the largest label of other time points

    def time_at(self, dims: Any) -> int:
        """The time point that is shown where the sliders of a viewer stand so; 0 where there is no time."""
        if self.layer.ndim == len(self.row.grid):
            return 0
        return int(np.clip(voxel_at(self.layer, dims)[0], 0, self.row.times - 1))

    @property
    def key(self) -> tuple[Path, int]:
        """What all masks of an image share: the session's folder and the number of the image."""
        return self.session.folder, self.row.id

    @property
    def about(self) -> Any:
        """The layer of its image, or its own where there is none."""
        return self.layer if self.image is None else self.image

    @property
    def frames(self) -> Labels:
        """The voxels of the layer with time in front, a view."""
        data: NDArray[Any] = self.layer.data
        return data if data.ndim > len(self.row.grid) else data[None]

    @property
    def places(self) -> int:
        """How many blocks there are, over all time points."""
        return len(self.grid) * self.row.times

    def place(self, number: int) -> Place:
        return Place(self.plane, *divmod(number, len(self.grid)))

    def all_places(self) -> Iterator[Place]:
        return map(self.place, range(self.places))

    def touched(self, boxes: Iterable[Box]) -> set[Place]:
        """The blocks that boxes over the layer's axes reach into."""
        found: set[Place] = set()
        for box in boxes:
            times = range(box[0].start, box[0].stop) if len(box) > len(self.row.grid) else range(1)
            for number in self.grid.touched(box[-len(self.row.grid) :]):
                found.update(Place(self.plane, time, number) for time in times)
        return found

    def copies(self, places: Iterable[Place]) -> dict[Place, Labels]:
        """What the layer holds in these blocks now."""
        frames = self.frames
        return {place: frames[place.time][self.grid.box(place.block)].copy() for place in places}

    def blocks_of(self, labels: Labels) -> dict[Place, Labels]:
        """All blocks of labels shaped like the layer, as views."""
        frames = labels if labels.ndim > len(self.row.grid) else labels[None]
        places = self.all_places()
        return {place: frames[place.time][self.grid.box(place.block)] for place in places}

    def patch(self, patches: Iterable[Patch], time: int) -> None:
        """Show what patches over the grid hold after an edit, at one time point."""
        boxes = []
        for patch in patches:
            self.make_room(int(patch.after.max(initial=0)))
            self.frames[time][patch.box] = patch.after
            self.follow(time, patch.start, patch.after)
            boxes.append(self.box_at(patch.box, time))
        self.version += 1
        repaint(self.layer, boxes)

    @property
    def whole(self) -> Box:
        """All of the layer, as a box over its axes."""
        return tuple(slice(0, n) for n in self.layer.data.shape)

    def box_at(self, box: Box, time: int) -> Box:
        """A box over the grid as one over the layer's axes."""
        return (slice(time, time + 1), *box) if self.layer.data.ndim > len(box) else box

    def show(self, labels: Labels) -> None:
        """Show other labels altogether."""
        with own_steps(self.layer):
            swap_labels(self.layer, labels)
        self.forget()

    def forget(self) -> None:
        """The layer holds something else altogether."""
        self.extents, self.coming = {}, {}
        self.version += 1

    def follow(self, time: int, start: tuple[int, ...], after: Labels) -> None:
        """Labels were written: keep the extents up to date."""
        for known in (self.extents, self.coming):
            if time in known:
                known[time].include(start, after)
        if time not in self.extents:
            self.stirred = True
            self.rise(time, int(after.max(initial=0)))

    def learn(self, tops: Mapping[int, int]) -> None:
        """The largest label of time points, found in a thread."""
        self._tops.update(tops)

    def rise(self, time: int, label: int) -> None:
        """A label occurs at a time."""
        if time in self._tops:
            self._tops[time] = max(self._tops[time], label)

    def extents_at(self, time: int) -> Extents:
        if time not in self.extents:
            self.extents[time] = Extents(self.frames[time])
        return self.extents[time]

    @property
    def largest(self) -> int:
        """The largest label at any time: in a film a number means the same object throughout."""
        for time, frame in enumerate(self.frames):
            if time not in self.extents and time not in self._tops:
                self._tops[time] = int(frame.max(initial=0))
        return self.largest_known

    @property
    def largest_known(self) -> int:
        """The largest label of the time points that somebody has looked at."""
        return max([*self._tops.values(), *(known.largest for known in self.extents.values())], default=0)

    def elsewhere(self, label: int, time: int) -> bool:
        """Whether a label occurs at another time than this."""
        for other, frame in enumerate(self.frames):
            box = self.extents[other][label] if other in self.extents else whole(frame.shape)
            if other != time and box is not None and (frame[box] == label).any():
                return True
        return False

    def time_and_box(self, box: Box) -> Iterator[tuple[int, Box]]:
        """A box over the layer's axes as boxes over the grid, by time point."""
        spatial = box[-len(self.row.grid) :]
        times = range(box[0].start, box[0].stop) if len(box) > len(self.row.grid) else range(1)
        for time in times:
            yield time, spatial

    def make_room(self, label: int) -> None:
        """Give the layer a dtype that holds a label."""
        if label > np.iinfo(self.layer.data.dtype).max:
            with own_steps(self.layer):
                swap_labels(self.layer, self.layer.data.astype(labels_dtype(label)))


def axes_by_number(ndim: int) -> str:
    """The axes of an array that nobody named, as far as keeping its blocks apart is concerned."""
    return ("T" + SPATIAL)[-ndim:]
