"""What a stroke costs on a large volume while its session runs, and what 200 of them leave in memory.

    python benchmarks/painting.py [--side 512] [--strokes 200]
    python benchmarks/painting.py --training ../shared/data [--side 512] [--strokes 60]

A volume of side x side x side voxels, uint16, with 5 000 objects. A stroke has 25 moves. Each move is timed in napari's
brush and in ours, as the window would call them but without the repaint; then the flush of the stroke, from the release
of the button until the step is on the disk. Memory is that of the process above what it had with the arrays alone.

``--training``: how much longer a move of our brush takes while a model is retrained on the nuclei of this data in
another process, which stands as far back as the window's own. Strokes with and without it take turns; between two moves
lie 8 ms, as with a hand.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil

MOVES = 25
PAUSE = 0.008


def volume_with_objects(side: int, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((side,) * 3, np.uint16)
    for number, (z, y, x) in enumerate(rng.integers(0, side - 20, (count, 3)), 1):
        labels[z : z + 12, y : y + 18, x : x + 18] = number
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--strokes", type=int)
    parser.add_argument("--training", type=Path, metavar="DATA")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SEG_SESSIONS"] = f"{folder}/sessions"
        os.environ["NAPARI_CONFIG"] = f"{folder}/napari.yaml"
        if options.training is None:
            measure(options.side, options.strokes or 200)
        else:
            measure_beside(options.training, Path(folder), options.side, options.strokes or 60)


class Window:
    """A viewer with a large volume and its mask, without a canvas, and our brush in the hand."""

    def __init__(self, side: int) -> None:
        from napari.components import ViewerModel

        from napari_seg.gui.engine import Engine
        from napari_seg.gui.hands import Hands
        from napari_seg.gui.recorder import Recorder
        from napari_seg.gui.surroundings import Surroundings

        self.viewer, self.engine = ViewerModel(), Engine()
        image = np.random.default_rng(1).integers(0, 255, (side,) * 3, np.uint8)
        self.viewer.add_image(image, name="image", contrast_limits=(0, 255))
        self.layer = self.viewer.add_labels(volume_with_objects(side, 5000), name="mask")
        self.recorder = Recorder(self.viewer, self.engine)
        self.hands = Hands(self.viewer, self.recorder, Surroundings(self.recorder))
        began = time.perf_counter()
        self.rest()
        print(f"session begun on {side} x {side} x {side} after {time.perf_counter() - began:.1f} s")
        self.hands.take("brush")
        self.hands.set_option("brush", radius=10.0)

    def rest(self) -> None:
        while not (self.recorder.tracks() and self.recorder.rests):
            self.engine.poll()
            self.recorder.tick()
            time.sleep(0.001)

    def close(self) -> None:
        self.recorder.close()
        self.engine.close()


def a_path(rng: np.random.Generator, side: int) -> list[tuple[float, ...]]:
    z, y, x = rng.integers(40, side - 80, 3)
    return [(float(z), float(y + k % 5), float(x + 2 * k)) for k in range(MOVES)]


def measure_beside(data: Path, folder: Path, side: int, strokes: int) -> None:
    from napari_seg.gui.training import NICENESS

    window = Window(side)
    viewer, layer, hands = window.viewer, window.layer, window.hands
    script = Path(__file__).with_name("retraining.py")
    order = [sys.executable, str(script), "work", "retrain", "--data", str(data), "--steps", "100000"]
    order += ["--output", str(folder / "model.safetensors")]
    moves: dict[bool, list[float]] = {False: [], True: []}
    with subprocess.Popen(order, stdout=subprocess.PIPE, preexec_fn=lambda: os.nice(NICENESS)) as training:
        assert training.stdout is not None
        training.stdout.readline()  # its first step is done
        rng = np.random.default_rng(2)
        for number in range(strokes):
            beside = bool(number % 2)
            training.send_signal(signal.SIGCONT if beside else signal.SIGSTOP)
            path = a_path(rng, side)
            viewer.dims.set_point(0, path[0][0])
            layer.selected_label = 1 + number
            moves[beside] += our_stroke(hands, viewer, path, PAUSE)
            window.rest()
        training.kill()
    print(f"{'milliseconds':<28}{'median':>8}{'95 %':>8}{'worst':>8}")
    alone, beside = (np.array([np.median(v), np.percentile(v, 95), max(v)]) for v in moves.values())
    for name, values in (("a move of our brush", alone), ("while a model is trained", beside)):
        print(f"{name:<28}" + "".join(f"{1e3 * value:>8.2f}" for value in values))
    print(f"{'times as long':<28}" + "".join(f"{value:>8.2f}" for value in beside / alone) + "   (limits 2, 4)")
    window.close()


def measure(side: int, strokes: int) -> None:
    window = Window(side)
    viewer, layer, hands = window.viewer, window.layer, window.hands
    memory = psutil.Process().memory_info().rss
    rng = np.random.default_rng(2)
    napari_moves, our_moves, flushes = [], [], []
    for number in range(strokes):
        path = a_path(rng, side)
        viewer.dims.set_point(0, path[0][0])
        layer.selected_label = 1 + number % 60000
        if number % 2:
            napari_moves += napari_stroke(layer, path)
        else:
            our_moves += our_stroke(hands, viewer, path)
        start = time.perf_counter()
        window.recorder.tick()
        window.recorder.track(layer).session.writer.flush(10)
        flushes.append(time.perf_counter() - start)
        window.rest()
    grown = psutil.Process().memory_info().rss - memory
    print(f"{'milliseconds':<28}{'median':>8}{'worst':>8}{'limit':>16}")
    for name, values in (("a move of napari's brush", napari_moves), ("a move of our brush", our_moves)):
        print(f"{name:<28}{1e3 * np.median(values):>8.2f}{1e3 * max(values):>8.1f}{'5 / 100':>16}")
    print(f"{'flush of a stroke':<28}{1e3 * np.median(flushes):>8.2f}{1e3 * max(flushes):>8.1f}{'50':>16}")
    print(f"memory above the arrays after {strokes} strokes: {grown / 1e6:.0f} MB (limit 300)")
    window.close()


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


def our_stroke(hands: Any, viewer: Any, path: list[tuple[float, ...]], pause: float = 0.0) -> list[float]:
    """The moves of our brush, as the mouse callback gets them, with a ``pause`` in seconds between them."""
    if hands.tool is None:
        hands.take("brush")
    event = SimpleNamespace(button=1, modifiers=(), dims_displayed=[1, 2], type="mouse_press")
    event.pos, event.position = np.array(path[0][1:]), path[0]
    call = hands._press(viewer, event)
    times = [timed(lambda: next(call))]
    event.type = "mouse_move"
    for point in path[1:]:
        event.pos, event.position = np.array(point[1:]), point
        time.sleep(pause)
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
