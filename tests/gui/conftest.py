"""What the tests of the window share: the plugin known to napari, a tiny model, and an engine without a process."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import npe2
import numpy as np
import pytest
from napari.components import ViewerModel
from psygnal import Signal

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.gui import errands, foresight
from napari_seg.gui.controller import Controller
from napari_seg.gui.dock import spare_the_collector
from napari_seg.gui.engine import Message

MANIFEST = Path(__file__).parents[2] / "napari_seg" / "napari.yaml"


EXAMINING = -1
"""The number of every order to look at what is learned from."""

WARMING = -2
"""The number of every order to get ready for live trainings."""


class PretendEngine:
    """Takes orders like the engine and says what a test lets it say; thread work is done at the next poll."""

    said = Signal(object)

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.scores: list[dict[str, Any]] = []  # orders to keep scores, which nobody waits for
        self.examined: list[dict[str, Any]] = []  # orders to look at what is learned from
        self.cancelled: list[int] = []
        self.warmed = 0  # how often it was told to get ready for live trainings
        self._work: list[tuple[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None] | None]] = []

    def order(self, verb: str, **content: Any) -> int:
        if verb == "keep_scores":
            self.scores.append(content)
            return 0
        if content.get("live"):
            self.warmed += 1
            return WARMING
        if verb == "examine":
            self.examined.append(content)
            return EXAMINING
        self.orders.append({"verb": verb, **content})
        return len(self.orders)

    def cancel(self, number: int) -> None:
        if number != EXAMINING:
            self.cancelled.append(number)

    def later(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        lane: str = "",
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self._work.append((work, then, failed))

    def poll(self) -> None:
        work, self._work = self._work, []
        for what, then, failed in work:
            try:
                found = what()
            except Exception as error:
                if failed is None:
                    raise
                failed(error)
            else:
                then(found)

    def say(self, message: Message) -> None:
        self.said.emit(message)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session", autouse=True)
def collector() -> None:
    """What the first panel does once, before there is a window: else that window is never looked through again."""
    spare_the_collector()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """What a window leaves behind is taken apart here, and not while Qt paints a later one, nor in a thread."""
    yield
    if {"qtbot", "make_napari_viewer"} & {*getattr(item, "fixturenames", ())}:
        gc.collect()


@pytest.fixture
def controller(engine: Any, qtbot: Any) -> Iterator[Controller]:
    """Of a viewer without a window."""
    made = Controller(ViewerModel(), engine)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sessions start by themselves and models are kept, for this test alone."""
    monkeypatch.setenv("NAPARI_SEG_SESSIONS", str(tmp_path / "sessions"))
    monkeypatch.setenv("NAPARI_SEG_MODELS", str(tmp_path / "shelf"))
    return tmp_path / "sessions"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is begun is waited for, also on a slow machine; tests of what takes long take this away."""
    monkeypatch.setattr(errands, "PATIENCE", 60.0)
    monkeypatch.setattr(foresight, "PATIENCE", 60.0)


@pytest.fixture
def engine() -> PretendEngine:
    return PretendEngine()


@pytest.fixture
def trainer() -> PretendEngine:
    """The engine that trains."""
    return PretendEngine()


@pytest.fixture(scope="session")
def spots(model_file: Callable[..., Path]) -> Path:
    """A model for objects in 2D, with fresh weights."""
    return model_file("instance", classes=("spot",))


@pytest.fixture(scope="session")
def organs(model_file: Callable[..., Path]) -> Path:
    """A model for two classes in 3D, with fresh weights."""
    return model_file("semantic", ndim=3, classes=("liver", "spleen"))


@pytest.fixture(scope="session")
def plugin() -> None:
    """The manifest of this checkout is known to napari, also where the package is not installed."""
    manager = npe2.PluginManager.instance()
    manager.discover()
    if "napari-seg" not in manager:
        manager.register(npe2.PluginManifest.from_file(MANIFEST))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures: a, b and c."""
    made = tmp_path / "images"
    made.mkdir()
    for k, name in enumerate("abc"):
        data = np.random.default_rng(k).integers(0, 255, (40, 50)).astype(np.uint8)
        write(Volume(data, "YX"), made / f"{name}.png")
    return made


@pytest.fixture
def open_window(engine: PretendEngine, request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Opens windows, one after the other or beside each other, of the kind ``Window`` of the test's module."""
    made: list[Any] = []

    def make() -> Any:
        made.append(request.module.Window(engine))
        return made[-1]

    yield make
    for window in made:
        window.recorder.close()


@pytest.fixture
def desk(engine: PretendEngine, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The ``Desk`` of the test's module."""
    made = request.module.Desk(engine)
    yield made
    made.recorder.close()


@pytest.fixture
def picture() -> np.ndarray[Any, Any]:
    """Bright disks on a dark, noisy ground: (y, x)."""
    rows, columns = np.mgrid[:96, :128]
    disks = sum(np.hypot(rows - y, columns - x) < 9 for y, x in ((20, 25), (50, 60), (70, 100), (30, 95)))
    noise = np.random.default_rng(0).normal(100, 10, rows.shape)
    return (noise + 400 * disks).astype(np.uint16)
