"""What a stroke costs on a large volume while its session runs, and what 200 of them leave in memory.

    python benchmarks/painting.py [--side 512] [--strokes 200]

A volume of side x side x side voxels, uint16, with 5 000 objects. A stroke has 25 moves. Each move is timed in napari's
brush and in ours, as the window would call them but without the repaint; then the flush of the stroke, from the release
of the button until the step is on the disk. Memory is that of the process above what it had with the arrays alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil

MOVES = 25


def volume_with_objects(side: int, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((side,) * 3, np.uint16)
    for number, (z, y, x) in enumerate(rng.integers(0, side - 20, (count, 3)), 1):
        labels[z : z + 12, y : y + 18, x : x + 18] = number
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--strokes", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SEG_SESSIONS"] = f"{folder}/sessions"
        os.environ["NAPARI_CONFIG"] = f"{folder}/napari.yaml"
        measure(options.side, options.strokes)


def measure(side: int, strokes: int) -> None:
    from napari.components import ViewerModel

    from napari_seg.gui.engine import Engine
    from napari_seg.gui.hands import Hands
    from napari_seg.gui.recorder import Recorder
    from napari_seg.gui.surroundings import Surroundings

    viewer, engine = ViewerModel(), Engine()
    image = np.random.default_rng(1).integers(0, 255, (side,) * 3, np.uint8)
    viewer.add_image(image, name="image", contrast_limits=(0, 255))
    layer = viewer.add_labels(volume_with_objects(side, 5000), name="mask")
    recorder = Recorder(viewer, engine)
    hands = Hands(viewer, recorder, Surroundings(recorder))

    def rest() -> None:
        while not (recorder.tracks() and recorder.rests):
            engine.poll()
            recorder.tick()
            time.sleep(0.001)

    began = time.perf_counter()
    rest()
    print(f"session begun on {side} x {side} x {side} after {time.perf_counter() - began:.1f} s")
    memory = psutil.Process().memory_info().rss
    rng = np.random.default_rng(2)
    napari_moves, our_moves, flushes = [], [], []
    hands.take("brush")
    hands.set_option("brush", radius=10.0)
    for number in range(strokes):
        z, y, x = rng.integers(40, side - 80, 3)
        path = [(float(z), float(y + k % 5), float(x + 2 * k)) for k in range(MOVES)]
        viewer.dims.set_point(0, float(z))
        layer.selected_label = 1 + number % 60000
        if number % 2:
            napari_moves += napari_stroke(layer, path)
        else:
            our_moves += our_stroke(hands, viewer, path)
        start = time.perf_counter()
        recorder.tick()
        recorder.track(layer).session.writer.flush(10)
        flushes.append(time.perf_counter() - start)
        rest()
    grown = psutil.Process().memory_info().rss - memory
    print(f"{'milliseconds':<28}{'median':>8}{'worst':>8}{'limit':>16}")
    for name, values in (("a move of napari's brush", napari_moves), ("a move of our brush", our_moves)):
        print(f"{name:<28}{1e3 * np.median(values):>8.2f}{1e3 * max(values):>8.1f}{'5 / 100':>16}")
    print(f"{'flush of a stroke':<28}{1e3 * np.median(flushes):>8.2f}{1e3 * max(flushes):>8.1f}{'50':>16}")
    print(f"memory above the arrays after {strokes} strokes: {grown / 1e6:.0f} MB (limit 300)")
    recorder.close()
    engine.close()


def napari_stroke(layer: Any, path: list[tuple[float, ...]]) -> list[float]:
    """The moves of napari's own brush, as its mouse callback makes them."""
    layer.brush_size = 20
    layer.mode = "paint"
    times = []
    layer._begin_stroke()
    for last, here in zip([path[0], *path], path, strict=False):
        times.append(timed(lambda last=last, here=here: layer._draw(layer.selected_label, last, here)))
    times.append(timed(layer._commit_stroke))
    layer.mode = "pan_zoom"
    return times


def our_stroke(hands: Any, viewer: Any, path: list[tuple[float, ...]]) -> list[float]:
    """The moves of our brush, as the mouse callback gets them."""
    if hands.tool is None:
        hands.take("brush")
    event = SimpleNamespace(button=1, modifiers=(), dims_displayed=[1, 2], type="mouse_press")
    event.pos, event.position = np.array(path[0][1:]), path[0]
    call = hands._press(viewer, event)
    times = [timed(lambda: next(call))]
    event.type = "mouse_move"
    for point in path[1:]:
        event.pos, event.position = np.array(point[1:]), point
        times.append(timed(lambda: next(call)))
    event.type = "mouse_release"
    times.append(timed(lambda: next(call, None)))
    return times


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
