"""A session in a folder and a person who works on images in it, for tests of what is learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_seg.data.formats import read
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry
from napari_seg.session.blocks import Grid
from napari_seg.session.learning import lessons
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import Place, Plane, Step, row_key
from napari_seg.session.session import Session

MODEL = Predicted("nuclei2d", "0f", {}, None)


class Desk:
    """A session in a folder, and a person who works on images in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.session = Session.open(folder / "session")
        self.clock = 1e9

    def image(self, name: str, data: Any, axes: str | None = None, **known: Any) -> int:
        """An image in a file beside the session; its number there."""
        path = self.folder / name
        tifffile.imwrite(path, data)
        return self.row(replace(read(path, axes=axes), **known))

    def row(self, volume: Volume) -> int:
        return self.session.image(volume).result().id

    def plane(self, image: int, name: str = "mask", *, objects: bool = True, classes: tuple[str, ...] = ()) -> None:
        self.session.writer.call(lambda store: store.put_plane(image, Plane(name, objects, classes))).result()

    def put(self, image: int, labels: Any, tool: str = "brush", plane: str = "mask", **known: Any) -> None:
        """New labels ``(times, *grid)`` of a plane: one step."""
        labels = np.asarray(labels)
        grid = Grid(labels.shape[1:])
        blocks = {Place(plane, t, k): labels[t][grid.box(k)] for t in range(len(labels)) for k in range(len(grid))}
        self.clock += 1
        known.setdefault("who", "Ann")
        assert self.session.writer.put(image, Step(tool, self.clock, blocks=blocks, **known)).result()

    def predict(self, image: int, labels: Any, plane: str = "mask", model: Predicted = MODEL) -> None:
        self.put(image, labels, "predict", plane, said="keep", origin=model.origin(plane))

    def say(self, image: int, rows: Mapping[str, Entry], plane: str = "mask") -> None:
        self.clock += 1
        named = {row_key(plane, key): entry for key, entry in rows.items()}
        assert self.session.writer.put(image, Step("accept", self.clock, "Bob", rows=named)).result()

    def lessons(self, *args: Any, **known: Any) -> Any:
        return lessons(self.session.folder, *args, **known)
