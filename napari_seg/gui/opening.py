"""From a path to layers, with every question asked and every note said aloud; no Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from napari_seg.data.align import onto_grid
from napari_seg.data.formats import read
from napari_seg.data.geometry import same_world
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.gui.kinds import Kind, kind_of
from napari_seg.gui.layers import KEY, LayerData, layer_data

T = TypeVar("T")


class Person(Protocol):
    """Who answers what the file does not say. ``None`` means: leave it, open nothing."""

    def choose(self, title: str, question: ChoiceNeeded) -> str | None: ...

    def image_or_labels(self, volume: Volume) -> Kind | None: ...

    def wait_for(self, words: str, work: Callable[[], T]) -> T | None:
        """Do the work without blocking the window; ``None`` where the person did not want to wait for it."""


@dataclass
class Opened:
    """What came of a path: layers, none where the person changed their mind, and sentences to be said."""

    layers: list[LayerData] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_path(path: Path, person: Person, shown: Iterable[Any] = ()) -> Opened:
    """Read ``path``. ``shown`` are the layers that are already open: a mask is put onto the grid of its image.

    Raises ``SegError`` for a file that cannot be read.
    """
    found = _read(path, person)
    if found is None:
        return Opened()
    volume, certain = found
    kind = certain or person.image_or_labels(volume)
    if kind is None:
        return Opened()
    known = [layer.metadata.get(KEY) for layer in shown]

    def prepare() -> Opened:
        placed = _beside_its_image(volume, known) if kind == "labels" else volume
        return Opened(layer_data(placed, kind), [f"{placed.name}: {note}" for note in placed.notes])

    return person.wait_for(f"Preparing {path.name}", prepare) or Opened()


def _read(path: Path, person: Person) -> tuple[Volume, Kind | None] | None:
    """Read and ask until nothing is open any more; ``None`` where the person did not want to go on."""
    answers: dict[str, str] = {}

    def look() -> tuple[Volume, Kind | None]:
        volume = read(path, axes=answers.get("axes"), series=answers.get("series"))
        return volume, kind_of(volume)

    while True:
        try:
            return person.wait_for(f"Reading {path.name}", look)
        except ChoiceNeeded as question:
            answer = person.choose(path.name, question)
            if answer is None:
                return None
            answers[question.parameter] = answer


def _beside_its_image(mask: Volume, known: list[Any]) -> Volume:
    """The mask on the grid of the open image that it overlaps, where it does not lie on the grid of one already."""
    images = [volume for volume in known if isinstance(volume, Volume) and volume.affine is not None]
    if mask.affine is None or any(_same_grid(mask, image) for image in images):
        return mask
    for image in reversed(images):
        try:
            return onto_grid(mask, image)
        except SegError:
            continue  # it lies elsewhere; the next image may be its own
    return mask


def _same_grid(a: Volume, b: Volume) -> bool:
    if a.affine is None or b.affine is None or a.grid != b.grid:
        return False
    return same_world(a.affine, b.affine, (1,) * (3 - a.ndim) + a.grid)
