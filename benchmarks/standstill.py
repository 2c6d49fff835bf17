"""For how long does the window stand still? What a person does with a large mask, in a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/standstill.py [--side 512] [--only undo] [--where]

A volume of side x side x side voxels, uint16, with 5 000 objects, in a napari with the panel open. A timer rings every
5 ms; the longest time between two rings while something is done is what a person sees of it: nothing moves, no click is
heard. The limit is 100 ms. Beside it stands the longest time that the main thread computed between two rings: on a
machine where other programs run, the rest of the standstill is theirs. The first lines say what napari needs by itself
here, in a window without the panel, for the same mask.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from painting import volume_with_objects

Path_ = list[tuple[float, ...]]
"""Places of the mouse in the world."""

_DULL = ("standstill", "importlib", "inspect", "linecache", "genericpath")

RING, LIMIT, CALM = 5, 100, 0.4
"""Milliseconds between two rings; milliseconds that are too long; seconds of rest after which something is over."""

WORTH = 60
"""A standstill of so many milliseconds is looked at: what the main thread did, and what the others did meanwhile."""

MOVE = 20
"""Milliseconds between two moves of the mouse."""


class Bell:
    """Notes the longest time between two rings of a timer. ``where``: also what the main thread did meanwhile."""

    def __init__(self, where: bool) -> None:
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        self._loop, self._timer, self._once = QEventLoop(), QTimer(), QTimer
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._ring)
        self._last = self.longest = self._computed = self.busiest = 0.0
        self._main, self._watching = threading.get_ident(), False
        self._clock = time.pthread_getcpuclockid(self._main)
        self._samples: list[str] = []
        self.seen: list[str] = []
        if where:
            threading.Thread(target=self._watch, daemon=True).start()

    def during(self, work: Callable[[], Any], done: Callable[[], bool]) -> tuple[float, float, float]:
        """Do some work and go on until it is ``done``: the longest standstill, the longest computing and the whole
        time, in milliseconds."""
        self.longest, self._last = 0.0, time.perf_counter()
        self.busiest, self._computed = 0.0, time.thread_time()
        self.seen.clear()
        self._samples, self._watching = [], True
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
        self._watching = False
        if failed:
            traceback.print_exception(failed[0])
            os._exit(1)
        return 1e3 * self.longest, 1e3 * self.busiest, 1e3 * (over - began)

    def _ring(self) -> None:
        now = time.perf_counter()
        stood = 1e3 * (now - self._last)
        self.longest, self._last = max(self.longest, now - self._last), now
        computed = time.thread_time()
        computing, self._computed = computed - self._computed, computed
        self.busiest = max(self.busiest, computing)
        samples, self._samples = self._samples, []
        if stood > WORTH and samples:
            self.seen.append(f"{stood:.0f} ms, {1e3 * computing:.0f} of them computing, sampled {len(samples)} times:")
            self.seen += [f"  {samples.count(one):>3} {one}" for one in dict.fromkeys(samples)]

    def _watch(self) -> None:
        """What the main thread does, and for how long it waited for what holds it up. No frame is kept: what a function
        has would live on, such as the painter of a widget."""
        before = 0.0
        while True:
            time.sleep(0.003)
            if self._watching:
                now = time.clock_gettime(self._clock)
                moved, before = now - before > 0.0005, now
                found = f"{'computes' if moved else 'waits'} {_stack(self._main)}"
                for thread in [] if moved else sorted(sys._current_frames().keys() - {self._main}):
                    other = _stack(thread)
                    found += f"\n          meanwhile {other}" if other else ""
                self._samples.append(found)


def _stack(thread: int) -> str:
    """What a thread is at; nothing for one that only waits for work."""
    frame = sys._current_frames().get(thread)
    parts: list[tuple[str, int, str]] = []
    while frame is not None:
        parts.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    if parts and parts[0][2] in ("_worker", "_work", "_listen", "_watch"):
        return ""
    told = [part for part in parts if not any(dull in part[0] for dull in _DULL)]
    return " < ".join(f"{Path(file).stem}:{line} {name}" for file, line, name in told[:9])


class Window:
    """napari with the panel, an image and a mask that is kept."""

    def __init__(self, truth: Any, image: Any) -> None:
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
        self.truth, image, self.name = truth, image, "mask"
        self.copies = [self.truth.copy(), self.truth.copy()]
        self.image = self.viewer.add_image(image, name="image", contrast_limits=(0, 255))
        self.viewer.dims.set_point(0, len(truth) // 2)

    @property
    def layer(self) -> Any:
        return self.viewer.layers[self.name]

    @property
    def track(self) -> Any:
        return self.recorder.track(self.layer)

    def add(self) -> None:
        self.viewer.add_labels(self.copies.pop(), name="mask")

    def add_classes(self) -> None:
        self.name = "classes"
        classes = np.minimum(self.truth, 3).astype(np.uint8)
        self.viewer.add_labels(classes, name=self.name, metadata={"napari_seg_objects": False})

    def gesture(self, tool: str, path: Path_, **options: Any) -> tuple[Callable[[], None], Callable[[], bool]]:
        """The mouse is pressed with a tool in hand and moved, and what was begun is given up: what to do, and whether
        it is over. Of a tool that takes clicks each place is one."""
        over: list[bool] = []

        def events() -> Iterator[None]:
            self.hands.take(tool)
            self.hands.set_option(tool, **options)
            event = SimpleNamespace(button=1, modifiers=(), dims_displayed=[1, 2], type="mouse_press")
            pressed = None
            for place in path:
                event.pos, event.position = np.array(place[1:]), place
                self.controller.hover._moved(self.viewer, event)
                if pressed is None or self.hands.tool.kind == "seeds":
                    event.type = "mouse_press"
                    pressed = self.hands._press(self.viewer, event)
                    next(pressed, None)
                if self.hands.tool.kind == "seeds":
                    event.type = "mouse_release"
                else:
                    event.type = "mouse_move"
                next(pressed, None)
                yield
            self.hands.give_up()
            self.hands.put_down()
            over.append(True)

        return lambda: self._play(events()), lambda: bool(over) and self.rests()

    def hovering(self, path: Path_) -> tuple[Callable[[], None], Callable[[], bool]]:
        """The mouse moves with the brush of a range in hand."""
        over: list[bool] = []

        def events() -> Iterator[None]:
            self.hands.take("brush")
            self.hands.set_option("brush", mode="range", radius=100.0, low=None, high=None)
            for place in path:
                self.controller.hover._moved(self.viewer, SimpleNamespace(position=place, dims_displayed=[1, 2]))
                yield
            self.hands.put_down()
            over.append(True)

        return lambda: self._play(events()), lambda: bool(over) and self.rests()

    def _play(self, events: Iterator[None]) -> None:
        from qtpy.QtCore import QTimer

        if next(events, self) is not self:
            QTimer.singleShot(MOVE, lambda: self._play(events))

    def kept(self) -> bool:
        return len(self.recorder.tracks()) == 1 and self.rests()

    def rests(self) -> bool:
        return self.recorder.rests and not self.recorder.safe.waiting and self.controller.engine._inbox.empty()


def line_of(a: tuple[float, ...], b: tuple[float, ...], moves: int) -> Path_:
    return [tuple(x + (y - x) * k / moves for x, y in zip(a, b, strict=True)) for k in range(moves + 1)]


def with_a_large_one(side: int) -> Any:
    """5 000 objects, and one of some 270 000 voxels in the middle."""
    labels = volume_with_objects(side, 5000)
    middle, radius = side // 2, side // 13
    near = slice(middle - radius, middle + radius + 1)
    z, y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1]
    labels[near, near, near][z**2 + y**2 + x**2 <= radius**2] = 5001
    return labels


def alone(line: Callable[..., None], truth: Any, image: Any) -> None:
    """What napari needs for the same image and mask, without the panel."""
    import napari

    viewer = napari.Viewer(show=False)
    viewer.window.resize(1500, 950)
    viewer.show()
    viewer.add_image(image, name="image", contrast_limits=(0, 255))
    viewer.dims.set_point(0, len(truth) // 2)
    at_once = lambda: True  # noqa: E731
    line("nothing", lambda: None, at_once)
    line("another slice", lambda: viewer.dims.set_point(0, len(truth) // 2 + 40), at_once)
    line("a first small mask: napari loads what it needs", lambda: viewer.add_labels(np.zeros((8, 8, 8), int)), at_once)
    line("a mask is added", lambda: viewer.add_labels(truth.copy(), name="mask"), at_once)
    line("the layer is drawn again", lambda: viewer.layers["mask"].refresh(), at_once)
    shifted = np.roll(truth, 9, axis=1)
    line("the layer is given a new array", lambda: setattr(viewer.layers["mask"], "data", shifted), at_once)
    line("the layer is closed", lambda: viewer.layers.remove("mask"), at_once)
    line("a mask of classes is added", lambda: viewer.add_labels(np.minimum(truth, 3).astype(np.uint8)), at_once)
    viewer.layers.clear()
    viewer.window._qt_window.hide()  # the program would end with its last window


def measure(side: int, only: str, where: bool) -> None:
    import napari  # noqa: F401  before Qt's timers

    from napari_seg.gui.renewing import Renewal, put
    from napari_seg.session.predicted import Predicted

    truth, image = with_a_large_one(side), np.random.default_rng(1).integers(0, 255, (side,) * 3, np.uint8)

    def line(what: str, work: Callable[[], Any], done: Callable[[], bool]) -> None:
        longest, busiest, whole = bell.during(work, done)
        over = " **over**" if busiest > LIMIT else ""
        print(f"| {what} | {longest:.0f} | {busiest:.0f} | {whole:.0f} |{over}", flush=True)
        if bell.seen:
            for told in bell.seen:
                print(f"    {told}", flush=True)

    from napari import Viewer

    Viewer(show=False).close()  # there is a Qt application from here on
    bell = Bell(where)
    print(
        f"| napari alone, {side} x {side} x {side} | longest standstill, ms | longest computing, ms | all of it, ms |"
    )
    print("|---|---|---|---|")
    alone(line, truth, image)
    window = Window(truth, image)
    viewer, recorder, hands = window.viewer, window.recorder, window.hands
    bell.during(lambda: None, lambda: True)  # the window comes up

    def act(name: str, **options: Any) -> Callable[[], None]:
        def work() -> None:
            if options:
                hands.set_option(name, **options)
            hands.act(name)

        return work

    def point_at_an_object() -> None:
        viewer.cursor.position = tuple(float(k) for k in np.argwhere(window.layer.data)[0])

    shifted = np.roll(window.truth, 9, axis=1)
    told = Predicted("model", "0" * 32, {"threshold": 0.5})
    renewed: list[bool] = []
    handed: list[Any] = []

    def renew() -> None:
        renewed.clear()
        renewal = Renewal(shifted, None, "predict", told)
        put(recorder, window.track, renewal, lambda _: renewed.append(True), print)

    def renewal_is_kept() -> bool:
        return bool(renewed) and window.rests()

    def write_without_event() -> None:
        window.layer.data[:, ::40] = 7

    def save() -> None:
        handed.clear()
        recorder.hand_out([window.track], "mask.tif", lambda labels, record: handed.append(record))

    def is_handed_out() -> bool:
        return bool(handed) and window.rests()

    print(
        f"| {side} x {side} x {side}, 5000 objects | longest standstill, ms | longest computing, ms | all of it, ms |"
    )
    print("|---|---|---|---|")
    line("a mask is added, and laid down", window.add, window.kept)
    point_at_an_object()
    half = side / 2
    far, near = half - side / 2.2, half - side / 16
    moved = line_of((half, near, half), (half, side - near, half), 20)
    across = line_of((half, far, far), (half, side - far, side - far), 20)
    clicks = [(half, half - side / 30, half), (half, half + side / 30, half), (half, half, half + side / 30)]
    out = line_of((half, far, far), (half, far, half), 20)
    steps: list[tuple[str, Callable[[], Any], Callable[[], bool]]] = [
        ("20 moves of a line that splits an object of 270 000 voxels", *window.gesture("split", moved)),
        ("3 clicks that split it by the image", *window.gesture("split by seeds", clicks)),
        ("20 moves of a line that merges all under it", *window.gesture("merge", across, which="all")),
        ("20 moves of a region that grows in a slice", *window.gesture("grow", out, reach="slice")),
        ("20 moves of one that grows in the volume", *window.gesture("grow", out, reach="volume")),
        ("20 moves of the range brush", *window.gesture("brush", across, mode="range", radius=10.0, low=50, high=200)),
        ("20 moves of the mouse with a range brush of radius 100", *window.hovering(across)),
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
        viewer.layers.remove("mask")
        line("a mask of classes is added", window.add_classes, window.kept)
        line("delete all parts smaller than", act("delete small", size=3500.0), window.rests)
        line("that undone", lambda: recorder.undo(window.layer), window.rests)
        against = window.controller.against
        other = np.minimum(shifted, 3).astype(np.uint8)
        viewer.add_labels(other, name="reference", metadata={"napari_seg_objects": False})
        bell.during(lambda: None, lambda: len(recorder.tracks()) == 2 and window.rests())
        line(
            "compared with a reference",
            lambda: against.start(window.track, viewer.layers["reference"]),
            lambda: against.outcome is not None and window.rests(),
        )
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
