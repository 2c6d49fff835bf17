"""Two models on the image that is open: their masks over each other, one key apart, with the differences marked.

Both are only shown: they are no masks that anything is kept of, and are gone when the comparison ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from napari_seg.gui.colours import class_looks
from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.gui.layers import CLASSES, OBJECTS
from napari_seg.gui.notice import say
from napari_seg.gui.results import Target, blank, box_of, pasted
from napari_seg.gui.show_only import shown_over, taken_away
from napari_seg.gui.state import Running
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.tasks.base import Labels as Array

ALIKE = 0.8
"""Objects that overlap by this share of what they cover together are the same in both masks."""

LOST, FOUND = 1, 2
"""What the marks say: only the old model has it so, only the new one."""

COLOURS = {None: (0, 0, 0, 0), LOST: (1.0, 0.55, 0.0, 0.85), FOUND: (0.0, 0.75, 1.0, 0.85)}

Which = Literal["", "old", "new", "waiting"]

TITLES: Mapping[str, str] = {"old": "Old model", "new": "New model"}
MARKS = "Differences"


class Comparing:
    """One for each window. ``which``: the mask that is seen; ``running``: how far the predictions are."""

    changed = Signal()

    def __init__(self, viewer: Any, engine: Engine) -> None:
        self._viewer, self._engine = viewer, engine
        self._orders: dict[int, str] = {}
        self._answers: dict[str, Mapping[str, Any]] = {}
        self._layers: dict[str, Any] = {}
        self._hidden: list[Any] = []
        self._target: Target | None = None
        self._region: Region | None = None
        self.which: Which = ""
        self.running: Running | None = None
        self.trouble = ""
        engine.said.connect(self._hear)
        viewer.layers.events.removed.connect(self._removed)

    def start(self, old: Target, new: Target, settings: PredictSpec, region: Region | None) -> None:
        """Let both models segment the image; then the new mask is seen."""
        self.end()
        self._target, self._region, self.which, self.trouble = new, region, "waiting", ""
        box = None if region is None else {"start": region.start, "stop": region.stop, "time": region.time}
        for name, target in (("old", old), ("new", new)):
            order = self._engine.order(
                "predict",
                image=target.volume,
                model=str(target.path),
                settings=settings.model_dump(mode="json"),
                region=box,
            )
            self._orders[order] = name
        self.running = Running(0.0, "Both models look at this image")
        self.changed.emit()

    def flick(self) -> None:
        """Show the other mask."""
        if self._layers:
            self._show("old" if self.which == "new" else "new")

    def end(self) -> None:
        """Take the masks away, and show what was hidden for them."""
        for order in self._orders:
            self._engine.cancel(order)
        layers, self._layers, self._answers, self._orders = list(self._layers.values()), {}, {}, {}
        taken_away(self._viewer, layers)
        hidden, self._hidden = self._hidden, []
        for layer in hidden:
            layer.visible = True
        if self.which:
            self.which, self.running = "", None
            self.changed.emit()

    def _hear(self, message: Message) -> None:
        name = self._orders.get(message.order)
        if name is None:
            return
        match message:
            case Progressed(progress=progress):
                done = (len(self._answers) + progress.fraction) / 2
                self.running = Running(done, "Both models look at this image")
            case Finished(answer=answer):
                del self._orders[message.order]
                self._answers[name] = answer
                if len(self._answers) == 2:
                    self._arrived()
            case Cancelled():
                pass
            case Failed(sentence=sentence):
                self.trouble = sentence
                self.end()
            case Died(reason=reason):
                self.trouble = f"They could not be compared ({reason}); close other programs and try again."
                self.end()
        self.changed.emit()

    def _arrived(self) -> None:
        """Both models have answered: what is to be seen is made in a thread."""
        target, region, answers = self._target, self._region, self._answers
        assert target is not None

        def then(masks: dict[str, Array]) -> None:
            if self._answers is answers:  # nobody has ended it meanwhile
                self._put_up(target, masks)

        self._engine.later(lambda: _pictures(target, region, answers), then, "edits")

    def _put_up(self, target: Target, masks: dict[str, Array]) -> None:
        self.running = None
        if target.layer not in self._viewer.layers:
            self.end()
            return
        self._hidden = [layer for layer in self._viewer.layers if isinstance(layer, Labels) and layer.visible]
        for layer in self._hidden:
            layer.visible = False
        names = target.model.task.names
        looks = {"known": {OBJECTS: target.objects, CLASSES: names}, **({} if target.objects else class_looks(names))}
        for name, title in TITLES.items():
            self._layers[name] = self._add(masks[name], title, 0.5, looks)
        marks = {"colormap": DirectLabelColormap(color_dict=COLOURS)}
        self._layers["marks"] = self._add(masks["marks"], MARKS, 0.9, marks)
        self._layers["marks"].contour = 1
        self._viewer.layers.selection.active = target.layer
        self._show("new")
        if not masks["marks"].any():
            say(self._viewer, "Both models make the same mask here.")

    def _add(self, labels: Array, name: str, opacity: float, looks: Mapping[str, Any]) -> Any:
        target = self._target
        assert target is not None
        return shown_over(self._viewer, target.layer, target.volume, labels, name, opacity=opacity, **looks)

    def _show(self, which: Literal["old", "new"]) -> None:
        self.which = which
        for name in ("old", "new"):
            self._layers[name].visible = name == which
        say(self._viewer, TITLES[which])
        self.changed.emit()

    def _removed(self, event: Any) -> None:
        if event.value in self._layers.values() or (self._target is not None and event.value is self._target.layer):
            self.end()


def _pictures(target: Target, region: Region | None, answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Array]:
    """In a thread: both masks of the whole image, and the marks where they differ."""
    masks = {name: _shown(answer["labels"], answer["axes"]) for name, answer in answers.items()}
    if region is not None:
        where = box_of(region, target)
        masks = {name: pasted(blank(target), part, where, objects=target.objects) for name, part in masks.items()}
    return {**masks, "marks": differing(masks["old"], masks["new"], objects=target.objects)}


def differing(old: Array, new: Array, *, objects: bool) -> Array:
    """Where two masks differ: ``LOST`` where it is only in the old one so, ``FOUND`` where it is only in the new one.

    Objects that are nearly the same in both are not marked; of classes every voxel is that has another one.
    """
    marks = np.zeros(new.shape, np.uint8)
    if objects:
        same_old, same_new = _alike(old, new)
        gone, come = (old > 0) & ~same_old[old], (new > 0) & ~same_new[new]
    else:
        gone, come = (old != new) & (old > 0), (old != new) & (new > 0)
    marks[gone] = LOST
    marks[come] = FOUND
    return marks


def _alike(old: Array, new: Array) -> tuple[Array, Array]:
    """For each number of either mask whether its object is the same in the other one."""
    both = old.astype(np.int64) * (int(new.max(initial=0)) + 1) + new
    pairs, shared = np.unique(both, return_counts=True)
    first, second = np.divmod(pairs, int(new.max(initial=0)) + 1)
    sizes_old, sizes_new = np.bincount(old.ravel()), np.bincount(new.ravel())
    joined = sizes_old[first] + sizes_new[second] - shared
    same = (first > 0) & (second > 0) & (shared >= ALIKE * joined)
    of_old, of_new = np.zeros(len(sizes_old), bool), np.zeros(len(sizes_new), bool)
    of_old[first[same]], of_new[second[same]] = True, True
    return of_old, of_new


def _shown(labels: Array, axes: str) -> Array:
    """Labels as one layer shows them: of classes that may overlap the last one that lies there."""
    if "C" not in axes:
        return labels
    planes = np.moveaxis(labels, axes.index("C"), 0)
    shown = np.zeros(planes.shape[1:], np.uint8)
    for number, plane in enumerate(planes, 1):
        shown[plane > 0] = number
    return shown
