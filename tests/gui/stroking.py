"""A program that works on a mask in a real napari window, with the panel and its recorder, until it is killed.

It tells what it does through a pipe, one tuple each: what, a state, and the time on the monotonic clock. A state is the
hash of every voxel and row as the window shows them. Told are: ``state`` before a step that leads there is handed over,
``ended`` when a person is done with something, ``flush`` when a step is about to be written, what a kill may wait for
(see :data:`MOMENTS`), ``left`` when the program has ended by itself, and ``fault`` where the window itself is wrong.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeVar

import napari
import npe2
import numpy as np
from napari._qt.qt_viewer import QtViewer  # noqa: F401  imported before the program is needed, as it takes seconds
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

import napari_seg
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry, object_key, whole
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.edit import edited
from napari_seg.gui import errands, manifest, portions
from napari_seg.gui.controller import Controller
from napari_seg.gui.dock import Panel
from napari_seg.gui.layers import layer_data
from napari_seg.session.predicted import Predicted
from napari_seg.session.store import Store
from napari_seg.session.writer import Writer

SHAPE = (12, 90, 150)
NAMES = {"image": "scan", "labels": "mask"}
MASK = "mask.nii.gz"
"""The file that a mask is exported as."""

MOMENTS = ("any", "stroke", "tool", "flush", "flush", "undoing", "volume", "errand", "saving", "closing", "opening")
"""What a kill waits for. ``errand``: something that takes long is between two of its portions, or closed there."""

RARE = {"undoing": 4, "volume": 2, "errand": 2, "saving": 2}
"""What is done besides strokes, and how often, of about thirty; one that a kill waits for comes soon."""

LEFT = Qt.MouseButton.LeftButton

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What to work on, from where the window before was killed. ``comes``: the mask comes by itself with its image."""

    folder: Path
    seed: int
    round: int
    moment: str
    comes: bool


def image_of(seed: int) -> np.ndarray:
    """Bright balls on a noisy ground."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(60, 9, SHAPE)
    return np.clip(noise + 90 * (first_labels(seed) > 0), 0, 255).astype(np.uint8)


def first_labels(seed: int) -> np.ndarray:
    """What the mask holds when it is opened first."""
    rng, labels = np.random.default_rng(seed), np.zeros(SHAPE, np.uint16)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    for label in range(1, 12):
        centre = rng.integers(0, SHAPE)
        labels[((z - centre[0]) * 2) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < rng.integers(20, 200)] = label
    return labels


def state_of(labels: np.ndarray, rows: Mapping[str, Entry]) -> bytes:
    """What tells one state from another: every voxel and every row."""
    voxels = np.ascontiguousarray(labels, np.uint64)
    return hashlib.blake2b(voxels.tobytes() + repr(sorted(rows.items())).encode(), digest_size=16).digest()


def open_on(viewer: Any, seed: int, kind: Literal["image", "labels"]) -> None:
    """Open the image, or the mask as it was at first."""
    image = Volume(image_of(seed), "ZYX", (2.0, 1.0, 1.0), "um", name=NAMES[kind])
    for data, about, _ in layer_data(image if kind == "image" else image.mask(first_labels(seed)), kind):
        getattr(viewer, f"add_{kind}")(data, **about)


class Person:
    """Whoever works in the window. ``states``: those that undo and redo lead through, ``at`` one of them."""

    def __init__(self, viewer: Any, panel: Panel, tell: Callable[..., None]) -> None:
        self.viewer, self.panel, self.tell = viewer, panel, tell
        self.recorder, self.hands = panel.controller.recorder, panel.controller.hands
        self.canvas = viewer.window._qt_viewer.canvas.native
        self.states: list[bytes] = []
        self.at = 0
        self.written = b""  # the voxels that were saved last

    @property
    def layer(self) -> Any:
        return self.recorder.tracks()[0].layer

    def state(self) -> bytes:
        track = self.recorder.tracks()[0]
        return state_of(track.layer.data, self.recorder.rows(track))

    def handed_over(self) -> None:
        """A step is about to be handed over to the session."""
        state = self.state()
        if self.states and state != self.states[self.at]:
            self.states[self.at + 1 :] = [state]
            self.at += 1
        self.tell("state", state)

    def step(self, move: int, take: Callable[[], T]) -> T:
        """The session takes a step back or forth: all that was handed over before it is done, a tool at work too."""
        before, self.at = self.at, self.at + move
        if self.at in range(len(self.states)):
            self.tell("state", self.states[self.at])
        change = take()
        if change is None:
            self.at = before
        return change

    def begin(self, job: Job) -> Iterator[float]:
        self.tell("opening")
        open_on(self.viewer, job.seed, "image")
        if not job.comes or job.round % 3 == 2:  # the file of the mask may be opened with it
            open_on(self.viewer, job.seed, "labels")
        while not (self.recorder.tracks() and self.recorder.rests):
            yield 0.01
        self.states = [self.state()]
        self.tell("ended", self.states[0])
        self.tell("ready")

    def work(self, job: Job) -> Iterator[float]:
        """All that is done until the kill. Yields how long to wait, while the window lives on."""
        yield from self.begin(job)
        draw = random.Random(f"{job.seed} {job.round}")
        soon = draw.randrange(1, 9)
        kinds = ["stroke"] * 12 + ["tool"] * 10 + ["accept"] * 2 + [kind for kind in RARE for _ in range(RARE[kind])]
        number = 0
        while True:
            number += 1
            kind = job.moment if number == soon and job.moment in {*RARE, "closing"} else draw.choice(kinds)
            yield from getattr(self, f"_{kind}")(draw, job)
            self.tell("ended", self.state())
            yield draw.choice([0.0, 0.0, 0.03, draw.random() * 0.2])

    # what a person does

    def _stroke(self, draw: random.Random, job: Job) -> Iterator[float]:
        """One of napari's own tools."""
        self._turn(draw)
        self.viewer.layers.selection.active = self.layer
        self.layer.selected_label = draw.randrange(1, 300)
        self.layer.brush_size = draw.randrange(2, 20)
        self.layer.mode = draw.choice(["paint", "paint", "paint", "erase", "fill"])
        yield from self._drag(draw, "stroke")

    def _tool(self, draw: random.Random, job: Job) -> Iterator[float]:
        """One of our tools."""
        self._turn(draw)
        tool = TOOLS[draw.choice(list(TOOLS))]
        self.layer.mode = "pan_zoom"
        self.layer.selected_label = draw.randrange(1, 20)
        if tool.kind == "action":
            self._mouse(QEvent.Type.MouseMove, self._place(draw))
            self.tell("tool")
            self.hands.act(tool.name)
            return
        if self.hands.tool is not tool:
            self.hands.take(tool.name)
        if tool.kind == "seeds":
            for _ in range(draw.randrange(2, 5)):
                place = self._place(draw)
                self._mouse(QEvent.Type.MouseButtonPress, place)
                self._mouse(QEvent.Type.MouseButtonRelease, place)
                yield 0.01
            self.tell("tool")
            self.hands.confirm()
        elif tool.kind == "click":
            place = self._place(draw)
            self._mouse(QEvent.Type.MouseButtonPress, place)
            self.tell("tool")
            self._mouse(QEvent.Type.MouseButtonRelease, place)
        else:
            yield from self._drag(draw, "tool")
        if self.hands.tool is not None and draw.random() < 0.5:
            self.hands.put_down()

    def _accept(self, draw: random.Random, job: Job) -> Iterator[float]:
        """A row of the table alone."""
        label = draw.randrange(1, 12)
        self.recorder.say(
            self.recorder.tracks()[0], {object_key(label): Entry(1, "accepted", f"é {draw.random()}")}, "accept"
        )
        yield 0.0

    def _undoing(self, draw: random.Random, job: Job) -> Iterator[float]:
        """Some steps back, and forth again."""
        self.recorder.tick()  # what was painted last is a step by itself
        moves = [-1] * draw.randrange(1, 4) + [1] * draw.randrange(0, 3)
        for move in moves:
            if 0 <= self.at + move < len(self.states):
                self.tell("undoing")
                (self.layer.undo if move < 0 else self.layer.redo)()
                while not self.recorder.rests:
                    yield 0.005
                if self.state() != self.states[self.at]:
                    self.tell("fault", f"a step of {move} led to something that never was")
        yield 0.0

    def _volume(self, draw: random.Random, job: Job) -> Iterator[float]:
        """Everything changes, as when somebody gives the layer another array."""
        self.tell("volume")
        self.layer.data = self._cells(draw)
        yield 0.0

    def _cells(self, draw: random.Random) -> np.ndarray:
        """Other labels in all of the volume."""
        side, rng = draw.randrange(3, 9), np.random.default_rng(draw.randrange(1000))
        cells = rng.integers(0, 900, [n // side + 1 for n in SHAPE], dtype=np.uint16)
        for axis in range(3):
            cells = np.repeat(cells, side, axis)
        return np.ascontiguousarray(cells[tuple(slice(0, n) for n in SHAPE)])

    def _errand(self, draw: random.Random, job: Job) -> Iterator[float]:
        """Something changes all of the volume, and takes long where a kill is to fall between two portions of it."""
        if job.moment == "errand":
            errands.PATIENCE = errands.PORTION = 0.0
            portions._AT_ONCE = SHAPE[1] * SHAPE[2]
        what = draw.choice(["delete", "renewal", "array", "undo", "undo"])
        track = self.recorder.tracks()[0]
        if what == "delete":
            self.hands.set_option("delete small", size=draw.choice([30.0, 300.0, 3000.0]))
            self.hands.act("delete small")
        elif what == "array":
            self.layer.data = self._cells(draw)
        else:
            cells, told = self._cells(draw), Predicted("spots", "0" * 32, {})

            def work_out(frozen: Any, said: Any) -> Any:
                return {0: edited(frozen[0], "predict", [(whole(SHAPE), cells)])}

            self.recorder.renew(track, (0,), work_out, "predict", told)
            if what == "undo":
                while not self.recorder.rests:
                    yield 0.005
                self.layer.undo()
        before = self.state()
        while not self.recorder.rests and self.state() == before:
            yield 0.002
        self.tell("errand")  # the first of it is seen
        if job.moment == "errand" and draw.random() < 0.3:
            yield from self._closing(draw, job)
        while not self.recorder.rests:
            yield 0.005

    def _saving(self, draw: random.Random, job: Job) -> Iterator[float]:
        self.viewer.layers.selection.active = self.layer
        before = state_of(self.layer.data, {})
        self.viewer.layers.save(str(job.folder / MASK), selected=True, plugin="napari-seg")
        if self.written not in (before, state_of(self.layer.data, {})):  # a tool at work may have come to its end
            self.tell("fault", "a file was saved of something that never was")
        self.tell("saved")
        yield 0.0

    def _closing(self, draw: random.Random, job: Job) -> Iterator[float]:
        self.tell("closing")
        self.viewer.close()
        while True:
            yield 1.0

    # the mouse

    def _turn(self, draw: random.Random) -> None:
        """Look at another slice, at times."""
        if draw.random() < 0.3:
            self.viewer.dims.set_point(0, draw.randrange(SHAPE[0]))

    def _place(self, draw: random.Random) -> QPoint:
        """Somewhere in the image."""
        width, height = self.canvas.width(), self.canvas.height()
        return QPoint(int(width * draw.uniform(0.1, 0.9)), int(height * draw.uniform(0.3, 0.7)))

    def _drag(self, draw: random.Random, what: str) -> Iterator[float]:
        place = self._place(draw)
        self._mouse(QEvent.Type.MouseMove, place)
        self._mouse(QEvent.Type.MouseButtonPress, place, LEFT, LEFT)
        self.tell(what)
        for _ in range(draw.randrange(0, 8)):
            yield 0.008
            place += QPoint(draw.randrange(-25, 26), draw.randrange(-25, 26))
            self._mouse(QEvent.Type.MouseMove, place, Qt.MouseButton.NoButton, LEFT)
        yield 0.005
        self._mouse(QEvent.Type.MouseButtonRelease, place, LEFT, Qt.MouseButton.NoButton)

    def _mouse(
        self,
        kind: QEvent.Type,
        place: QPoint,
        button: Qt.MouseButton = Qt.MouseButton.NoButton,
        held: Qt.MouseButton = Qt.MouseButton.NoButton,
    ) -> None:
        if kind != QEvent.Type.MouseMove:
            button, held = LEFT, LEFT if kind == QEvent.Type.MouseButtonPress else held
        here, there = QPointF(place), QPointF(self.canvas.mapToGlobal(place))
        event = QMouseEvent(kind, here, there, button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self.canvas, event)


def paint(pipe: Connection) -> None:
    """Open a window, wait for a :class:`Job`, and do it."""
    telling = threading.Lock()

    def tell(what: str, state: bytes | str = b"") -> None:
        try:
            with telling:
                pipe.send((what, state, time.monotonic()))
        except OSError:  # whoever listened is gone
            os._exit(1)

    def wrong(notification: Any) -> None:
        if notification.severity >= NotificationSeverity.WARNING:
            tell("fault", notification.message)

    manager = npe2.PluginManager.instance()
    manager.discover()
    if "napari-seg" not in manager:
        manager.register(npe2.PluginManifest.from_file(Path(napari_seg.__file__).with_name("napari.yaml")))
    Controller.warm_up = lambda self: None  # type: ignore[method-assign]  the process that predicts takes no part
    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.resize(760, 600)
    _, panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    viewer.show()
    person = Person(viewer, panel, tell)
    tell("waiting")
    job: Job = pipe.recv()
    os.environ["NAPARI_SEG_SESSIONS"] = str(job.folder / "sessions")
    notification_manager.notification_ready.connect(wrong)
    _listen(person)
    working = person.work(job)

    def go_on() -> None:
        try:
            QTimer.singleShot(int(1000 * next(working)), go_on)
        except Exception:  # noqa: BLE001  whatever it is, it is told
            tell("fault", traceback.format_exc())

    QTimer.singleShot(0, go_on)
    napari.run()
    atexit._run_exitfuncs()  # as at the end of a program
    tell("left")
    pipe.recv()  # the kill


def _listen(person: Person) -> None:
    """Tell when a step is handed over, and when one is written."""
    write = manifest.write
    put, commit, undo, redo = Writer.put, Store.commit, Store.undo, Store.redo

    def telling_put(writer: Writer, image: int, step: Any) -> Any:
        person.handed_over()
        return put(writer, image, step)

    def telling_commit(store: Store, image: int, step: Any) -> Any:
        person.tell("flush")
        return commit(store, image, step)

    def telling_undo(store: Store, *about: Any) -> Any:
        return person.step(-1, lambda: undo(store, *about))

    def telling_redo(store: Store, *about: Any) -> Any:
        return person.step(1, lambda: redo(store, *about))

    def telling_write(volume: Volume, *about: Any) -> Any:
        person.written = state_of(np.asarray(volume.data), {})
        person.tell("saving", person.written)
        return write(volume, *about)

    manifest.write = telling_write  # type: ignore[attr-defined]
    Writer.put, Store.commit = telling_put, telling_commit  # type: ignore[method-assign]
    Store.undo, Store.redo = telling_undo, telling_redo  # type: ignore[method-assign]
