"""The tutorial of the README in the real window, with the mouse: how many minutes, clicks and objects it takes.

    python benchmarks/tutorial.py histology --data ../shared/data --output FOLDER
    python benchmarks/tutorial.py tumour --data ../shared/data --output FOLDER

Without a display: ``xvfb-run -a -s "-screen 0 1600x1000x24"`` before them.

``histology``: the shipped model, which knows fluorescence, on stained tissue. Five images are segmented, cleared and
drawn anew with the lasso, nucleus by nucleus, along the outlines of the truth, and finished; the model is retrained
and segments images that it never saw. ``tumour``: on four patients of the sarcoma MR a few slices of the tumour are
drawn, the ones between them interpolated, and a new model is trained from nothing; it segments the two of the test.

Pictures of the window are written at each step. A hand is slower than this one: count clicks, not its minutes. AP at
IoU 0.5 and Dice are those of the masks in the window.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from retraining import head, row
from scipy.ndimage import label
from skimage.measure import find_contours

from napari_seg import evaluate
from napari_seg.data.formats import read
from napari_seg.training.cases import Case, find_cases

LEARNED, UNSEEN, SLICES = 5, 8, 7
PAUSE = 0.02
"""Seconds between two moves of the mouse: napari takes no more."""


class Hand:
    """A person at the window: what they press and draw, counted."""

    def __init__(self, output: Path) -> None:
        os.environ["NAPARI_SEG_SESSIONS"], os.environ["NAPARI_SEG_MODELS"] = f"{output}/sessions", f"{output}/models"
        import napari

        self.output, self.clicks, self.began = output, 0, time.monotonic()
        self.viewer = napari.Viewer(show=False)
        self.window = self.viewer.window._qt_window
        self.window.resize(1500, 950)
        _, self.panel = self.viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
        self.viewer.show()
        self.controller = self.panel.controller
        self.canvas = self.viewer.window._qt_viewer.canvas

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.began) / 60

    def until(self, true: Callable[[], bool], patience: float = 900) -> None:
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + patience
        while not true():
            assert time.monotonic() < end, "waited in vain"
            QApplication.processEvents()
            time.sleep(0.004)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end)

    def rest(self) -> None:
        self.until(lambda: bool(self.controller.recorder.rests))

    def picture(self, name: str) -> None:
        self.wait(0.5)
        self.window.grab().save(str(self.output / f"{name}.png"))

    def page(self, title: str) -> Any:
        tabs = self.panel.tabs
        number = next(k for k in range(tabs.count()) if tabs.tabText(k).endswith(title))
        tabs.setCurrentIndex(number)
        self.clicks += 1
        self.wait(0.2)
        return self.panel.pages.widget(number)

    def press(self, button: Any) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self.until(button.isEnabled, 60)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.clicks += 1
        self.wait(0.2)

    def act(self, tool: str) -> None:
        self.controller.hands.act(tool)
        self.clicks += 1
        self.wait(0.3)
        self.rest()

    def show_slice(self, layer: Any, z: int) -> None:
        """Move the slider to a slice of a mask: it counts through all volumes that are open, wherever they lie."""
        self.viewer.dims.set_point(0, layer.data_to_world((z, 0, 0))[0])
        self.wait(0.2)
        assert round(layer.world_to_data(self.viewer.dims.point)[0]) == z

    def draw(self, layer: Any, points: Iterable[tuple[float, ...]]) -> None:
        """A stroke with the left button along points of a layer."""
        from qtpy.QtCore import QEvent, Qt

        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        path = list(points)
        self.hover(layer, path[0])
        self._mouse(QEvent.Type.MouseButtonPress, layer, path[0], left, left)
        for point in path[1:]:
            self._mouse(QEvent.Type.MouseMove, layer, point, none, left)
        self._mouse(QEvent.Type.MouseButtonRelease, layer, path[-1], left, none)
        self.clicks += 1
        self.rest()

    def hover(self, layer: Any, point: tuple[float, ...]) -> None:
        """Bring the mouse to a point of a layer."""
        from qtpy.QtCore import QEvent, Qt

        none = Qt.MouseButton.NoButton
        self._mouse(QEvent.Type.MouseMove, layer, point, none, none)

    def _mouse(self, kind: Any, layer: Any, point: tuple[float, ...], button: Any, held: Any) -> None:
        from qtpy.QtCore import QPoint, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        *_, y, x = layer.data_to_world(point)
        seen, native = self.canvas.view.camera.transform.map([x, y, 0, 1]), self.canvas.native
        at = QPoint(round(seen[0]), round(seen[1]))
        where = QPointF(at), QPointF(native.mapToGlobal(at))
        QApplication.sendEvent(native, QMouseEvent(kind, *where, button, held, Qt.KeyboardModifier.NoModifier))
        self.wait(PAUSE)

    def lasso(self, layer: Any, inside: NDArray[np.bool_], before: tuple[int, ...] = ()) -> int:
        """Draw around what is ``inside`` a plane; the number of outlines that were taken, 0 or 1."""
        hands = self.controller.hands
        if hands.tool is None or hands.tool.name != "lasso":
            hands.pick("lasso")
            self.clicks += 1
        outline = max(find_contours(np.pad(inside, 1), 0.5), key=len)[::2] - 1
        self.draw(layer, [(*before, *point) for point in outline])
        if hands.said:
            print(f"Not drawn: {hands.said}")
        return int(not hands.said)

    def open(self, case: Case) -> None:
        self.viewer.open([str(case.image)], plugin="napari-seg")
        self.wait(1)

    def mask(self, case: Case) -> Any:
        """The mask of an image that is open."""
        name = case.image.name.partition(".")[0]
        return next((t.layer for t in self.controller.recorder.tracks() if t.layer.name.startswith(name)), None)

    def segment(self, case: Case) -> Any:
        self.open(case)
        self.press(self.page("Segment").run)
        state = self.controller
        self.until(lambda: state.state.phase in ("done", "failed") and self.mask(case) is not None)
        self.rest()
        return self.mask(case)

    def train(self, minutes: float) -> Any:
        """Retrain, or train a new model, and use what comes of it."""
        page = self.page("Train")
        self.wait(6)
        self.picture("3_train")
        print(f"{page.lessons.text()} {page.start_words.text()} {page.reasons.text()}")
        page.minutes.setValue(minutes)
        began = time.monotonic()
        self.press(page.begin)
        self.wait(40 * minutes)
        self.picture("4_learning")
        self.until(lambda: page._training.state.phase != "running", 200 * minutes + 300)
        state = page._training.state
        print(f"{time.monotonic() - began:.0f} s. {state.headline}. {state.judgement and state.judgement.sentence}")
        self.picture("5_verdict")
        self.press(page.verdict.use)
        self.wait(1)
        return page


def labels_of(case: Case) -> NDArray[Any]:
    return np.asarray(read(case.labels).data)


def worth(case: Case, layer: Any) -> float:
    truth = read(case.labels)
    mask = truth.mask(np.asarray(layer.data).astype(np.int32))
    if truth.ndim == 2:
        return float(evaluate(truth, mask, "instance").ap["0.50"] or 0)
    return float(evaluate(truth, mask).per_class.get("1", {"dice": 0.0})["dice"] or 0)


def histology(data: Path, hand: Hand, minutes: float) -> None:
    folder = data / "nuclei2d"
    cases = find_cases(folder, split=folder / "split.csv", where={"kind": "hist_purple"})
    order = sorted(cases, key=lambda case: hashlib.sha256(f"0 {case.name}".encode()).hexdigest())
    shown = [case for case in order if 10 <= labels_of(case).max() <= 20][:LEARNED]
    head("image", "AP before", "AP after", "nuclei drawn", "clicks", "minutes")
    objects = 0
    for case in shown:
        layer = hand.segment(case)
        before = worth(case, layer)
        if case is shown[0]:
            hand.picture("1_wrong")
        page = hand.page("Correct")
        hand.viewer.layers.selection.active = layer
        hand.viewer.reset_view()
        hand.controller.hands.pick("delete small")
        hand.controller.hands.set_option("delete small", size=1e5)
        hand.press(page.card.apply)  # all of it is wrong
        hand.rest()
        truth = labels_of(case)
        hand.controller.hands.set_option("lasso", apart=True)
        for number in np.unique(truth[truth > 0]):
            objects += hand.lasso(layer, truth == number)
        hand.controller.hands.put_down()
        hand.act("finish case")
        row(case.name[:6], before, worth(case, layer), objects, hand.clicks, hand.minutes)
        if case is shown[0]:
            hand.picture("2_drawn")
    hand.train(minutes)
    head("never seen", "AP")
    found = []
    for case in [case for case in order if case not in shown][:UNSEEN]:
        found.append(worth(case, hand.segment(case)))
        row(case.name[:6], found[-1])
    hand.picture("6_better")
    print(f"Mean AP at IoU 0.5 on images never seen: {fmean(found):.3f}. {objects} nuclei, {hand.clicks} clicks.")


def tumour(data: Path, hand: Hand, minutes: float) -> None:
    folder = data / "sarcoma_ct_mr_pet"
    cases = find_cases(folder / "mr_t1", split=folder / "split.csv", hold_out="")
    known = {case.name for case in find_cases(folder / "mr_t1", split=folder / "split.csv")}
    head("patient", "outlines drawn", "of slices", "Dice", "clicks", "minutes")
    outlines = 0
    for case in [case for case in cases if case.name in known]:
        hand.open(case)
        page = hand.page("Correct")
        hand.press(page.begin_classes)
        hand.wait(1)
        layer, truth = hand.mask(case), labels_of(case)
        page.classes.renamed.emit(1, "tumour")
        hand.clicks += 1
        hand.viewer.layers.selection.active, layer.selected_label = layer, 1
        hand.viewer.reset_view()
        held = np.flatnonzero(truth.any((1, 2)))
        for z in sorted({int(z) for z in np.linspace(held[0], held[-1], SLICES).round()}):
            hand.show_slice(layer, z)
            parts, count = label(truth[z])
            for part in range(1, count + 1):
                if (parts == part).sum() >= 8:
                    outlines += hand.lasso(layer, parts == part, (z,))
        hand.controller.hands.put_down()
        hand.act("interpolate")
        hand.act("finish case")
        row(case.name, outlines, len(held), worth(case, layer), hand.clicks, hand.minutes)
        if case.name == min(known):
            hand.picture("2_drawn")
    hand.train(minutes)
    head("never seen", "Dice")
    for case in [case for case in cases if case.name not in known]:
        layer, truth = hand.segment(case), labels_of(case)
        row(case.name, worth(case, layer))
        hand.show_slice(layer, int(np.median(np.flatnonzero(truth.any((1, 2))))))
        hand.picture(f"6_{case.name}")
    print(f"{outlines} outlines, {hand.clicks} clicks.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["histology", "tumour"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    hand = Hand(asked.output)
    (histology if asked.what == "histology" else tumour)(asked.data, hand, asked.minutes)
    hand.viewer.close()


if __name__ == "__main__":
    main()
