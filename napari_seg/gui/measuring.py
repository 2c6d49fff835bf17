"""A model is measured on a folder of labelled images: the engine takes one case after the other.

The engine has one order at a time, so that a run on the first page waits for one image at most. Nothing is written but
the marks of the test set, where a person asks for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer
from psygnal import Signal

from napari_seg.data.formats import read_answered
from napari_seg.data.volume import labels_dtype
from napari_seg.errors import ChoiceNeeded, SegError, attempted
from napari_seg.evaluation.measurement import Measured, Measurement, summed_up
from napari_seg.gui.answers import proposing, remember
from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.gui.folder_sample import TRIED
from napari_seg.gui.known_models import KnownModels
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS, LayerData, layer_data
from napari_seg.gui.state import Question, Running
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import Progress, TimeLeft
from napari_seg.models.file import read_spec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic
from napari_seg.training.cases import Case, find_tests
from napari_seg.training.split import read_split
from napari_seg.wording import there_are

ALL = ""
"""The part of a folder that is all of it."""

_TABLE = "split.csv"
_LANE = "measuring"


@dataclass(frozen=True)
class Labelled:
    """A folder with images and labels. ``parts``: the words of its split, and how many images each has. ``asks``: an
    image that does not say what its axes are, and the question."""

    folder: Path
    parts: Mapping[str, int]
    images: int
    asks: tuple[Path, ChoiceNeeded] | None = None


@dataclass(eq=False)
class _Run:
    """What is left, and the case that the engine works on; ``fraction`` of it is done."""

    model: Path
    cases: Sequence[Case]
    found: list[Measured] = field(default_factory=list)
    order: int = 0
    fraction: float = 0.0
    stopping: bool = False
    time_left: TimeLeft = field(default_factory=TimeLeft)

    @property
    def case(self) -> Case:
        return self.cases[len(self.found)]


class Measuring:
    """One for each window. ``labelled``: the folder that was chosen, and ``part`` of it; ``model``: what is measured;
    ``surfaces``: whether distances between surfaces are, too; ``outcome``: what was found last; ``words``: what a
    person should know."""

    changed = Signal()

    opened = Signal(object)
    """The layer of an image that a person wants to look at."""

    def __init__(
        self, viewer: Any, engine: Engine, models: KnownModels, computing: Callable[[], Mapping[str, Any]]
    ) -> None:
        """``computing``: the settings of device and precision."""
        self._viewer, self._engine, self._models, self._computing = viewer, engine, models, computing
        self._run: _Run | None = None
        self._cases: tuple[Case, ...] = ()
        self._marking = 0
        self._number = 0
        self.labelled: Labelled | None = None
        self.part = ALL
        self.axes: str | None = None
        self.model: Path | None = None
        self.surfaces = False
        self.outcome: Measurement | None = None
        self.words = ""
        engine.said.connect(self._hear)

    @property
    def running(self) -> Running | None:
        """How far it is."""
        run = self._run
        if run is None:
            return None
        progress = Progress(len(run.found) + run.fraction, len(run.cases))
        if run.stopping:
            return Running(progress.fraction, "Stopping")
        return Running.in_turn(run.case.name, len(run.found), progress, run.time_left(progress))

    @property
    def question(self) -> Question | None:
        """What is to be answered of the folder."""
        if self.labelled is None or self.labelled.asks is None or self.axes is not None:
            return None
        _, question = self.labelled.asks
        return Question(str(question), question.choices)

    @property
    def has_surfaces(self) -> bool:
        """Whether the model finds classes, whose surfaces lie apart."""
        return self.model is not None and self._models.spec(self.model).task.kind == "semantic"

    @property
    def can_start(self) -> bool:
        ready = self.labelled is not None and self.model is not None and self.question is None
        return ready and self._run is None

    @property
    def can_keep(self) -> bool:
        """Whether there is an image that was measured, to be marked as test set."""
        return self.outcome is not None and bool(self.outcome.measured) and not self._marking

    def choose_model(self, path: Path) -> None:
        """Choose a model by its file, shipped or not."""
        if path == self.model:
            return
        self._forget()
        try:
            self._models.add(path, read_spec(path))
        except SegError as error:
            self.words = str(error)
        else:
            self.model = path
        self.changed.emit()

    def choose_folder(self, folder: Path) -> None:
        """Look what the folder holds, in a thread."""
        self.labelled, self.part, self.axes = None, ALL, None
        self._forget()
        number = self._number

        def then(found: Labelled | SegError) -> None:
            if number != self._number:
                return
            if isinstance(found, SegError):
                self.words = str(found)
            else:
                self.labelled = found
                self.part = next((word for word in found.parts if word.casefold() == "test"), ALL)
            self.changed.emit()

        self._engine.later(lambda: attempted(lambda: _looked_at(folder)), then, _LANE)

    def choose_part(self, word: str) -> None:
        if word != self.part:
            self.part = word
            self._forget()

    def answer(self, axes: str) -> None:
        """What the axes of images are whose files do not say it."""
        if self.labelled is not None and self.labelled.asks is not None:
            remember(self.labelled.asks[0], axes)
        self.axes = axes
        self._forget()

    def want_surfaces(self, wanted: bool) -> None:
        if wanted != self.surfaces:
            self.surfaces = wanted
            self._forget()

    def start(self) -> None:
        """Measure the model on the images that are chosen; :attr:`changed` tells when it is done."""
        labelled, model, part, axes = self.labelled, self.model, self.part, self.axes
        if labelled is None or model is None or not self.can_start:
            return
        self._forget()
        number = self._number

        def then(found: Sequence[Case] | SegError) -> None:
            if number != self._number:
                return
            if isinstance(found, SegError):
                self.words = str(found)
                self.changed.emit()
            else:
                self._cases = tuple(found)
                self._run = _Run(model, self._cases)
                self._order(self._run)

        self._engine.later(lambda: attempted(lambda: _cases_of(labelled, part, axes)), then, _LANE)

    def cancel(self) -> None:
        """Stop; what was measured until then is shown."""
        if self._run is not None:
            self._run.stopping = True
            self._engine.cancel(self._run.order)
            self.changed.emit()

    def keep_as_test(self) -> None:
        """Mark the images that were measured as test set: nothing may learn from them."""
        if self.outcome is not None and self.can_keep:
            measured = {case.name for case in self.outcome.measured}
            images = [str(case.image) for case in self._cases if case.name in measured]
            self._marking = self._engine.order("mark_test", images=images, axes=self.axes)
            self.changed.emit()

    def open(self, name: str) -> None:
        """Show an image of the folder with its labels as a mask, to be segmented and compared."""
        case = next((case for case in self._cases if case.name == name), None)
        if case is None or self.model is None:
            return
        task = self._models.spec(self.model).task

        def then(found: list[LayerData] | SegError) -> None:
            if isinstance(found, SegError):
                self.words = str(found)
                self.changed.emit()
                return
            there = {"image": self._layer_of(case.image), "labels": self._layer_of(case.labels)}
            made = [self._viewer.add_layer(Layer.create(*one)) for one in found if there[one[2]] is None]
            self.opened.emit(made[0] if there["image"] is None else there["image"])

        self._engine.later(lambda: attempted(lambda: _layers_of(case, task)), then, _LANE)

    def _layer_of(self, path: Path) -> Any:
        """The layer that shows what this file holds, if one does."""
        return next((layer for layer in self._viewer.layers if _shows(layer, path)), None)

    def _forget(self) -> None:
        """What was found is of something else."""
        self._number += 1
        self.cancel()
        self._run, self.outcome, self._cases, self.words = None, None, (), ""
        self.changed.emit()

    def _order(self, run: _Run) -> None:
        case, settings = run.case, PredictSpec(**self._computing())
        told = {"name": case.name, "image": str(case.image), "labels": str(case.labels), "group": case.group}
        run.fraction = 0.0
        run.order = self._engine.order(
            "measure",
            model=str(run.model),
            case={**told, "axes": case.axes},
            settings=settings.model_dump(mode="json"),
            surfaces=self.surfaces and self.has_surfaces,
        )
        self.changed.emit()

    def _hear(self, message: Message) -> None:
        run = self._run
        if message.order == self._marking:
            self._marked(message)
        elif run is not None and message.order == run.order:
            self._heard(run, message)

    def _heard(self, run: _Run, message: Message) -> None:
        why = ""
        match message:
            case Progressed(progress=progress):
                run.fraction = progress.fraction
                self.changed.emit()
                return
            case Cancelled():
                self._end(run)
                return
            case Finished(answer=answer):
                run.found.append(Measured.model_validate(answer["measured"]))
            case Failed(sentence=sentence):
                why = sentence
            case Died(reason=reason):
                why = f"The engine stopped ({reason}); close other programs."
        if why:
            run.found.append(Measured(name=run.case.name, group=run.case.group, why=why))
        if run.stopping or len(run.found) == len(run.cases):
            self._end(run)
        else:
            self._order(run)

    def _end(self, run: _Run) -> None:
        """Sum up what there is."""
        self._run = None
        found = attempted(lambda: summed_up(self._models.names.get(run.model, run.model.stem), run.found))
        if isinstance(found, SegError):
            self.words = str(found)
        elif run.found:
            self.outcome = found
            rest = len(run.cases) - len(run.found)
            self.words = f"Stopped: {there_are(rest, 'image')} left out." if rest else ""
        self.changed.emit()

    def _marked(self, message: Message) -> None:
        match message:
            case Progressed():
                return
            case Finished(answer=answer):
                new = there_are(answer["new"], "image")
                self.words = f"{new} newly marked as test set; no training takes them any more."
            case Failed(sentence=sentence):
                self.words = sentence
            case Died(reason=reason):
                self.words = f"The engine stopped ({reason}), and nothing was marked; try again."
        self._marking = 0
        self.changed.emit()


def _looked_at(folder: Path) -> Labelled:
    """Raises ``SegError`` where the folder does not hold images and labels, or its split cannot be read."""
    cases, table = find_tests(folder), folder / _TABLE
    parts = Counter(row.split for row in read_split(table, {}, "")) if table.exists() else Counter[str]()
    return Labelled(folder, dict(sorted(parts.items())), len(cases), _asking([case.image for case in cases]))


def _asking(images: Sequence[Path]) -> tuple[Path, ChoiceNeeded] | None:
    """One of the first images, if it does not say what its axes are, and the question."""
    for path in images[:TRIED]:
        try:
            read_answered(path)
        except ChoiceNeeded as question:
            if question.parameter == "axes":
                return path, proposing(path, question)
        except SegError:
            continue  # its row will say why
    return None


def _cases_of(labelled: Labelled, part: str, axes: str | None) -> Sequence[Case]:
    if part == ALL:
        return find_tests(labelled.folder, axes=axes)
    return find_tests(labelled.folder, split=labelled.folder / _TABLE, hold_out=part, axes=axes)


def _layers_of(case: Case, task: Semantic | Instance) -> list[LayerData]:
    """The image, and its labels where they lie on it: of what the ``task`` finds."""
    image, labels, _ = case.load()
    values = np.asarray(labels.data)
    values = values.astype(labels_dtype(int(values.max(initial=0))))
    known = {OBJECTS: True} if task.kind == "instance" else {OBJECTS: False, CLASSES: task.names}
    reference = replace(labels, data=values, name=f"{case.name} reference", translate=image.translate)
    masks = layer_data(reference, "labels")
    if "C" not in labels.axes:
        masks = [(data, {**about, "metadata": {**about["metadata"], **known}}, kind) for data, about, kind in masks]
    return [*layer_data(image, "image"), *masks]


def _shows(layer: Any, path: Path) -> bool:
    """Whether a layer shows an image of this file."""
    volume = layer.metadata.get(KEY)
    source = getattr(volume, "source", None)
    return source is not None and source.path == path
