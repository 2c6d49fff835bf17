"""For how long does the window stand still? What a person does with a large mask, in a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/standstill.py [--side 512] [--only undo] [--where]

A volume of side x side x side voxels, uint16, with 5 000 objects, in a napari with the panel open. A timer rings every
5 ms; the longest time between two rings while something is done is what a person sees of it: nothing moves, no click is
heard. The limit is 100 ms. Beside it stands the longest time that the main thread computed between two rings: on a
machine where other programs run, the rest of the standstill is theirs. The first lines say what napari and the drawing
of the window need by themselves here.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from painting import volume_with_objects

_DULL = ("standstill", "importlib", "inspect", "linecache", "genericpath")

RING, LIMIT, CALM = 5, 100, 0.4
"""Milliseconds between two rings; milliseconds that are too long; seconds of rest after which something is over."""


class Bell:
    """Notes the longest time between two rings of a timer. ``where``: also what the main thread did meanwhile."""

    def __init__(self, where: bool) -> None:
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        self._loop, self._timer, self._once = QEventLoop(), QTimer(), QTimer
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._ring)
        self._last = self.longest = self._computed = self.busiest = 0.0
        self._main = threading.get_ident()
        self.seen: Counter[str] = Counter()
        if where:
            threading.Thread(target=self._watch, daemon=True).start()

    def during(self, work: Callable[[], Any], done: Callable[[], bool]) -> tuple[float, float, float]:
        """Do some work and go on until it is ``done``: the longest standstill, the longest computing and the whole
        time, in milliseconds."""
        self.longest, self._last = 0.0, time.perf_counter()
        self.busiest, self._computed = 0.0, time.thread_time()
        self.seen.clear()
        began, over = self._last, 0.0
        failed: list[BaseException] = []

        def begin() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  shown below
                failed.append(error)

        def look() -> None:
            nonlocal over
            now = time.perf_counter()
            over = over or (now if done() else 0.0)
            if failed or (over and now - over > CALM):
                self._loop.quit()

        looks = self._once()
        looks.timeout.connect(look)
        self._timer.start(RING)
        self._once.singleShot(0, begin)
        looks.start(20)
        self._loop.exec()
        self._timer.stop()
        looks.stop()
        if failed:
            traceback.print_exception(failed[0])
            os._exit(1)
        return 1e3 * self.longest, 1e3 * self.busiest, 1e3 * (over - began)

    def _ring(self) -> None:
        now = time.perf_counter()
        self.longest, self._last = max(self.longest, now - self._last), now
        computed = time.thread_time()
        self.busiest, self._computed = max(self.busiest, computed - self._computed), computed

    def _watch(self) -> None:
        while True:
            time.sleep(0.01)
            frame = sys._current_frames().get(self._main)
            if time.perf_counter() - self._last > 0.05 and frame is not None:
                stack = [part for part in traceback.extract_stack(frame) if not any(k in part.filename for k in _DULL)]
                self.seen[" < ".join(f"{Path(p.filename).stem}:{p.lineno} {p.name}" for p in stack[:-8:-1])] += 1


class Window:
    """napari with the panel, an image and a mask that is kept."""

    def __init__(self, side: int) -> None:
        import napari

        from napari_seg.gui.dock import Panel

        self.viewer = napari.Viewer(show=False)
        self.panel = Panel(self.viewer)
        self.viewer.window.add_dock_widget(self.panel, name="Segmentation")
        self.viewer.window.resize(1500, 950)
        self.viewer.show()
        self.controller = self.panel.controller
        self.recorder, self.hands = self.controller.recorder, self.controller.hands
        self.panel.tabs.setCurrentIndex(1)
        self.truth = volume_with_objects(side, 5000)
        self.copies = [self.truth.copy(), self.truth.copy()]
        image = np.random.default_rng(1).integers(0, 255, (side,) * 3, np.uint8)
        self.image = self.viewer.add_image(image, name="image", contrast_limits=(0, 255))
        self.viewer.dims.set_point(0, side // 2)

    @property
    def layer(self) -> Any:
        return self.viewer.layers["mask"]

    @property
    def track(self) -> Any:
        return self.recorder.track(self.layer)

    def add_first(self) -> None:
        self.viewer.add_labels(np.zeros((8, 8, 8), np.uint8), metadata={"napari_seg_only_shown": True})

    def add(self) -> None:
        self.viewer.add_labels(self.copies.pop(), name="mask")

    def kept(self) -> bool:
        return len(self.recorder.tracks()) == 1 and self.rests()

    def rests(self) -> bool:
        return self.recorder.rests and not self.recorder.safe.waiting and self.controller.engine._inbox.empty()


def measure(side: int, only: str, where: bool) -> None:
    from napari_seg.gui.arrivals import OBJECTS
    from napari_seg.gui.renewing import Renewal, Renewing
    from napari_seg.session.predicted import Predicted

    window, bell = Window(side), Bell(where)
    viewer, recorder, hands = window.viewer, window.recorder, window.hands
    bell.during(lambda: None, lambda: True)  # the window comes up

    def line(what: str, work: Callable[[], Any], done: Callable[[], bool] = window.rests) -> None:
        longest, busiest, whole = bell.during(work, done)
        over = " **over**" if busiest > LIMIT else ""
        print(f"| {what} | {longest:.0f} | {busiest:.0f} | {whole:.0f} |{over}", flush=True)
        if longest > LIMIT:
            for stack, times in bell.seen.most_common(6):
                print(f"    {times:>4} {stack}", flush=True)

    def act(name: str, **options: Any) -> Callable[[], None]:
        def work() -> None:
            if options:
                hands.set_option(name, **options)
            hands.act(name)

        return work

    def point_at_an_object() -> None:
        viewer.cursor.position = tuple(float(k) for k in np.argwhere(window.layer.data)[0])

    renewing = Renewing(recorder, window.controller.engine)
    shifted = np.roll(window.truth, 9, axis=1)
    told = Predicted("model", "0" * 32, {"threshold": 0.5})
    renewed: list[bool] = []
    handed: list[Any] = []

    def renew() -> None:
        renewed.clear()
        renewing.put(window.track, Renewal(shifted, None, "predict", told), lambda: renewed.append(True))

    def renewal_is_kept() -> bool:
        return bool(renewed) and window.rests()

    def write_without_event() -> None:
        window.layer.data[:, ::40] = 7

    def save() -> None:
        handed.clear()
        recorder.hand_out(window.track, "mask.tif", lambda labels, record: handed.append(record))

    def is_handed_out() -> bool:
        return bool(handed) and window.rests()

    print(
        f"| {side} x {side} x {side}, 5000 objects | longest standstill, ms | longest computing, ms | all of it, ms |"
    )
    print("|---|---|---|---|")
    line("nothing", lambda: None)
    line("another slice (napari alone)", lambda: viewer.dims.set_point(0, side // 2 + 40))
    line("a first small mask (napari loads what it needs for masks)", window.add_first)
    line("a mask is added, and laid down", window.add, window.kept)
    line("the layer is drawn again (napari alone)", window.layer.refresh)
    point_at_an_object()
    steps: list[tuple[str, Callable[[], Any], Callable[[], bool]]] = [
        ("delete one object", act("delete"), window.rests),
        ("that undone", lambda: recorder.undo(window.layer), window.rests),
        ("delete all smaller than, 1200 objects", act("delete small", size=3500.0), window.rests),
        ("that undone", lambda: recorder.undo(window.layer), window.rests),
        ("that done again", lambda: recorder.redo(window.layer), window.rests),
        ("delete all at the border", act("delete border"), window.rests),
        ("a new prediction under the mask", renew, renewal_is_kept),
        ("that undone", lambda: recorder.undo(window.layer), window.rests),
        ("that done again", lambda: recorder.redo(window.layer), window.rests),
        ("all brought back to how it was opened", lambda: recorder.restore(window.layer, 0), window.rests),
        ("a review is begun", window.controller.reviewing.look, lambda: not window.controller.reviewing.looking),
        ("exported: what nobody told of is looked for", save, is_handed_out),
        ("exported after another program wrote into all of it", lambda: (write_without_event(), save()), is_handed_out),
        ("that undone", lambda: recorder.undo(window.layer), window.rests),
        ("another program gave the layer a new array", lambda: setattr(window.layer, "data", shifted), window.rests),
        ("delete one object after that", act("delete"), window.rests),
        ("the layer is closed", lambda: viewer.layers.remove("mask"), window.rests),
        ("the mask is opened again, with what was done", window.add, window.kept),
    ]
    for what, work, done in steps:
        if only in what:
            line(what, work, done)
    if not only:
        window.layer.metadata[OBJECTS] = False
        np.minimum(window.layer.data, 3, out=window.layer.data)
        line("classes: delete all parts smaller than", act("delete small", size=3500.0))
        line("that undone", lambda: recorder.undo(window.layer))
    began = time.perf_counter()
    viewer.close()
    print(f"the window closed after {1e3 * (time.perf_counter() - began):.0f} ms (it may wait)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--only", default="", help="only what has these words in its line")
    parser.add_argument("--where", action="store_true", help="say what the main thread did where it stood still")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SEG_SESSIONS"] = f"{folder}/sessions"
        os.environ["NAPARI_CONFIG"] = f"{folder}/napari.yaml"
        measure(options.side, options.only, options.where)
    print(f"\nload {os.getloadavg()[0]:.1f} after", flush=True)
    os._exit(0)  # the process of the engine and Qt's threads need no more care


if __name__ == "__main__":
    main()
