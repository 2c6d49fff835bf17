"""Live mode: how long it takes from the end of a stroke to the new suggestion, with the window's own engines.

    xvfb-run -a python benchmarks/live_mode.py --data ../shared/data [--strokes 5] [--paints 3]

On 256 x 256 pixels of the nuclei sample, and on a hippocampus of the MR data that is not held out: the mask is the
truth with every third object, or the last third of the slices, missing; each stroke paints a bit of what is missing.
The process starts when the mode is switched on. The first stroke ends some seconds later (``--paints 0``: at once), as
a person paints first; it stands by itself.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

LIMIT = 5.0
"""Seconds."""


def measured(
    image: Any, truth: Any, mask: Any, model: Path, strokes: int, *, objects: bool, slices: range, paints: float
) -> None:
    """Paint ``strokes`` bits of the truth that are missing in the mask, and print the seconds until each suggestion."""
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QApplication

    from napari_seg.gui.controller import Controller
    from napari_seg.gui.engine import Engine
    from napari_seg.gui.layers import KEY, OBJECTS

    application = QApplication.instance() or QApplication([])
    controller = Controller(ViewerModel(), Engine())
    live = controller.classroom.live

    def until(true: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not true():
            assert time.monotonic() < end, (live.words, live.trouble)
            application.processEvents()
            controller.tick()
            time.sleep(0.01)

    controller.choose_model(model)
    scale = image.spacing or (1,) * image.ndim
    controller.viewer.add_image(image.data, name="image", metadata={KEY: image}, scale=scale)
    layer = controller.viewer.add_labels(mask, name="mask", metadata={OBJECTS: objects}, scale=scale)
    until(lambda: controller.recorder.track(layer) is not None and layer.editable)
    live.switch(True)
    ready = time.monotonic() + paints
    until(lambda: time.monotonic() > ready)
    missing = np.argwhere((truth > 0) & (mask == 0))
    seconds = []
    for number in range(strokes):
        at = missing[(number + 1) * len(missing) // (strokes + 1)]
        if image.ndim == 3:
            controller.viewer.dims.set_current_step(0, int(np.clip(at[0], slices.start, slices.stop - 1)))
        box = tuple(slice(max(0, int(k) - (0 if axis < len(at) - 2 else 3)), int(k) + 4) for axis, k in enumerate(at))
        box = (slice(int(at[0]), int(at[0]) + 1), *box[1:]) if image.ndim == 3 else box
        where = np.nonzero(truth[box] == truth[tuple(at)])
        layer.data_setitem(tuple(w + side.start for w, side in zip(where, box, strict=True)), int(truth[tuple(at)]))
        controller.tick()
        began, order = time.monotonic(), live._done
        until(lambda before=order: live._done != before and not live._order and not live.words.startswith("Learning"))
        seconds.append(time.monotonic() - began)
    controller.close()
    rest = seconds[1:]
    print(
        f"  first {seconds[0]:.1f} s; then median {median(rest):.1f} s, longest {max(rest):.1f} s (limit {LIMIT:.0f} s)"
    )


def nuclei(strokes: int, paints: float) -> None:
    from dataclasses import replace

    from napari_seg.data.formats import read
    from napari_seg.data.samples import labels_of, path_of
    from napari_seg.models.zoo import shipped

    image, labels = read(path_of("nuclei2d")), read(labels_of("nuclei2d"))
    part = (slice(0, 256), slice(0, 256))
    image, truth = replace(image, data=np.asarray(image.data)[part], source=None), np.asarray(labels.data)[part]
    mask = np.where(truth % 3 == 0, 0, truth).astype(np.uint16)
    print("nuclei2d, 256 x 256:")
    measured(image, truth, mask, shipped()["nuclei2d"], strokes, objects=True, slices=range(1), paints=paints)


def hippocampus(data: Path, strokes: int, paints: float) -> None:
    from dataclasses import replace

    from napari_seg.data.formats import read
    from napari_seg.models.zoo import shipped

    path = sorted((data / "hippocampus_mr" / "images").glob("*.nii.gz"))[0]
    image, labels = read(path), read(data / "hippocampus_mr" / "labels" / path.name)
    image, truth = replace(image, data=np.asarray(image.data), source=None), np.asarray(labels.data)
    mask = truth.astype(np.uint8).copy()
    mask[2 * len(mask) // 3 :] = 0
    print(f"hippocampus3d, {' x '.join(map(str, truth.shape))}:")
    model, slices = shipped()["hippocampus3d"], range(len(mask))
    measured(image, truth, mask, model, strokes, objects=False, slices=slices, paints=paints)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "../shared/data")
    parser.add_argument("--strokes", type=int, default=5)
    parser.add_argument("--paints", type=float, default=3.0, help="seconds until the first stroke ends")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SEG_SESSIONS"] = str(Path(folder) / "sessions")
        os.environ["NAPARI_SEG_MODELS"] = str(Path(folder) / "models")
        nuclei(asked.strokes, asked.paints)
        if asked.data.exists():
            hippocampus(asked.data, asked.strokes, asked.paints)


if __name__ == "__main__":
    main()
