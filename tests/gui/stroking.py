"""A program that paints strokes with napari's brush on a layer that is kept, until it is killed. Run by a test.

    python stroking.py IMAGE SEED

Prints "ready", then the number and the time of each stroke after the button was let go.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (12, 90, 150)


def stroke(layer: Any, seed: int, number: int) -> None:
    """Stroke ``number``: five moves of the brush, as the mouse makes them."""
    rng = np.random.default_rng((seed, number))
    path = np.cumsum(np.vstack([rng.integers(0, SHAPE), rng.integers(-4, 5, (4, 3)) * (0, 1, 1)]), axis=0)
    layer.mode, layer.brush_size, layer.selected_label = "paint", int(rng.integers(2, 20)), int(rng.integers(1, 300))
    layer._begin_stroke()
    for last, here in itertools.pairwise(np.clip(path, 0, np.array(SHAPE) - 1)):
        layer._draw(layer.selected_label, last, here)
    layer._commit_stroke()


def tell(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main(image: str, seed: int) -> None:
    from napari.components import ViewerModel

    from napari_seg.gui.engine import Engine
    from napari_seg.gui.recorder import Recorder

    viewer, engine = ViewerModel(), Engine()
    recorder = Recorder(viewer, engine, "Ann")
    viewer.add_image(np.load(image), name="scan")
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint16), name="mask")
    while not (recorder.tracks() and recorder.rests):
        engine.poll()
        recorder.tick()
    tell("ready")
    for number in itertools.count():
        stroke(layer, seed, number)
        tell(f"{number} {time.time()}")
        until = time.monotonic() + 0.01
        while time.monotonic() < until:
            engine.poll()
            recorder.tick()


if __name__ == "__main__":
    main(str(Path(sys.argv[1])), int(sys.argv[2]))
