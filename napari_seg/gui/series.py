"""Images segmented one after the other. The engine reads each file; one that fails says why, and the next one comes.

The engine has one order at a time, so that a run on the first page waits for one image at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from psygnal import Signal

from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.gui.project import Project
from napari_seg.gui.runs import smaller_tile
from napari_seg.gui.state import Running
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import Progress, TimeLeft
from napari_seg.models.spec import ModelSpec
from napari_seg.session.session import Session


@dataclass(frozen=True)
class How:
    """With which model and settings. ``axes``: see :func:`~napari_seg.data.formats.read_answered`."""

    path: Path
    model: ModelSpec = field(repr=False)
    settings: PredictSpec
    axes: str | None = None


@dataclass(eq=False)
class _Run:
    """What is left, and the image that the engine works on: ``retried`` with smaller tiles, ``fraction`` of it done."""

    how: How
    session: Session | None
    left: list[Path]
    total: int
    path: Path
    order: int = 0
    done: int = 0
    fraction: float = 0.0
    retried: bool = False
    stopping: bool = False
    time_left: TimeLeft = field(default_factory=TimeLeft)


class Series:
    """One for each window."""

    changed = Signal()

    def __init__(self, engine: Engine, project: Project) -> None:
        self._engine, self._project = engine, project
        self._run: _Run | None = None
        engine.said.connect(self._hear)

    @property
    def running(self) -> Running | None:
        """How far it is."""
        run = self._run
        if run is None:
            return None
        progress = Progress(run.done + run.fraction, run.total)
        if run.stopping:
            return Running(progress.fraction, "Stopping")
        return Running.in_turn(run.path.name, run.done, progress, run.time_left(progress))

    def state(self, path: Path) -> Literal["running", "waiting"] | None:
        """What an image is in the series for."""
        run = self._run
        if run is None or run.stopping:
            return None
        return "running" if path == run.path else "waiting" if path in run.left else None

    def start(self, paths: list[Path], how: How) -> None:
        first, *left = paths
        self._run = _Run(how, self._project.session, left, len(paths), first)
        self._order(self._run, how.settings)

    def cancel(self) -> None:
        """Stop; masks that have come stay."""
        if self._run is not None:
            self._run.stopping = True
            self._engine.cancel(self._run.order)
            self.changed.emit()

    def _order(self, run: _Run, settings: PredictSpec) -> None:
        case = self._project.cases.get(run.path)
        run.order = self._engine.order(
            "predict_file",
            path=str(run.path),
            axes=run.how.axes,
            sized=(case.image.fingerprint, case.size) if case is not None and case.size else None,
            model=str(run.how.path),
            settings=settings.model_dump(mode="json"),
        )
        self.changed.emit()

    def _hear(self, message: Message) -> None:
        run = self._run
        if run is None or message.order != run.order:
            return
        if run.session is not self._project.session:  # these images are of another project
            self._run = None
            self.changed.emit()
            return
        match message:
            case Progressed(progress=progress):
                run.fraction = progress.fraction
                self.changed.emit()
                return
            case Finished(answer=answer):
                self._project.keep(run.path, answer, run.how.model)
            case Failed(sentence=sentence):
                self._project.fail(run.path, sentence)
            case Died() if not run.retried and not run.stopping:
                run.retried, tile = True, smaller_tile(run.how.model, run.how.settings)
                self._order(run, run.how.settings.model_copy(update={"tile": tile}))
                return
            case Died(reason=reason):
                self._project.fail(run.path, f"The engine stopped twice ({reason}); close other programs.")
            case Cancelled():
                run.stopping = True
        self._go_on(run)

    def _go_on(self, run: _Run) -> None:
        if run.stopping or not run.left:
            self._run = None
            self.changed.emit()
            return
        run.path, run.retried, run.fraction = run.left.pop(0), False, 0.0
        run.done += 1
        self._order(run, run.how.settings)
