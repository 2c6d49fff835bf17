"""What the Train page says, in words for somebody who knows nothing about training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from napari_seg.gui.classes import is_given
from napari_seg.gui.state import Finding
from napari_seg.gui.training_state import Beginning, Curve, Judgement
from napari_seg.gui.words import shortened
from napari_seg.jobs import Progress
from napari_seg.models.spec import ModelSpec
from napari_seg.session.heard import Heard
from napari_seg.wording import listed

FEW = 5
"""Objects below which little can be learned."""

POINTS = 400
"""Points of the curve, at the most: neighbours become one."""

_PHASES = {
    "keep": "Setting some of your examples aside for later",
    "timing": "Finding out how much it can learn in the time",
    "train": "Learning",
    "score": "Testing itself on what it has not learned from",
    "tune": "Trying out how it does best",
    "compare": "Comparing the new model with the old one",
}

POOR = 0.1
"""A model from nothing with a lower score has learned too little to be of use."""

ROUGH = {True: 0.3, False: 0.5}
"""By whether it finds objects (mean AP; 0.3 goes with about 0.5 at an IoU of 0.5) or classes (Dice): with a lower score
more is wrong or missing than is right."""

GAIN = 0.01
"""A score that rose by less in the last third of a training had levelled off."""

FALLING = 0.95
"""An error that is lower by this in the last third of a training than in the third before had not levelled off."""

_DECIDED = {
    "better": "The new model is better",
    "worse": "The new model is not better",
    "undecided": "Compare both masks, then choose one",
}


def name_of_new(names: Sequence[str]) -> str:
    """What a model from nothing is called: after the first two classes that a person has named. The name of an image
    could be that of a patient."""
    given = [name for name in names if is_given(name)]
    more = f"_and_{len(given) - 2}_more" if len(given) > 2 else ""
    return "_".join(name[:24].rstrip() for name in given[:2]) + more or "my model"


def start_words(spec: ModelSpec | None, title: str, names: Sequence[str]) -> str:
    """What will become of the model to begin with."""
    if spec is None:
        return "It begins from nothing and knows only what you show it; it takes longer, and more examples."
    new = names[len(spec.task.names) :] if spec.task.kind == "semantic" else ()
    added = f" and learns the new class {listed(new)}" if len(new) == 1 else ""
    added = f" and learns the new classes {listed(new)}" if len(new) > 1 else added
    return f"It keeps what it knows{added}. {title} itself stays as it is: a new model is made."


def findings_of(
    spec: ModelSpec | None, objects: bool, names: Sequence[str], heard: Sequence[Heard], track: Any
) -> tuple[Finding, ...]:
    """What forbids a training, and what to know before it."""
    if not heard:
        return (Finding("note", "Paint, correct or accept something first: that is what it learns from."),)
    if spec is not None and (spec.task.kind == "instance") != objects:
        has, wanted = ("single objects", "classes") if objects else ("classes", "single objects")
        return (
            Finding("refusal", f"This mask has {has}, the model finds {wanted}. Choose another model to begin with."),
        )
    if spec is not None and spec.task.kind == "semantic" and not spec.task.taught_by(names):
        how = "one of these names" if spec.task.overlapping else "the same names, in the same order"
        words = f"The classes of the model are {listed(spec.task.names)}, those of this mask {listed(names)}."
        return (Finding("refusal", f"{words} Give it {how}, or choose another model."),)
    if spec is not None and spec.task.planes:
        return _of_planes(spec.task.planes, heard)
    if spec is not None and track is not None and spec.network.ndim > len(track.row.grid):
        return (Finding("refusal", "The model works on volumes, this is a picture. Choose a model for 2D."),)
    slices = track is not None and len(track.row.grid) > 2
    return (*_of_few(objects, heard), *(_of_background(heard, slices) if spec is None else ()))


def _of_few(objects: bool, heard: Sequence[Heard]) -> tuple[Finding, ...]:
    shown = sum(one.objects for one in heard)
    whole = any(one.slices or one.boxes or one.case for one in heard)
    if objects and not whole and shown < FEW:
        if not shown:
            return (Finding("warning", "Only background was erased. Correct or accept some objects too, ten or more."),)
        few = "One object is" if shown == 1 else f"{shown} objects are"
        return (Finding("warning", f"{few} little to learn from; ten or more are better."),)
    return ()


def _of_background(heard: Sequence[Heard], slices: bool) -> tuple[Finding, ...]:
    """For a model from nothing. Of the background it knows what was erased and the rings around what was drawn
    (:mod:`napari_seg.editing.spoken`); the rest may look like anything to it."""
    if any(one.slices or one.boxes or one.case or one.marked for one in heard):
        return ()
    place, key = ("a slice", "Slice finished") if slices else ("an image", "Case finished")
    seen = "what you erased and " if any(one.erased for one in heard) else ""
    why = f"Of the background it sees only {seen}a thin rim around what you drew: it may find things where nothing is."
    return (Finding("warning", f"{why} Where everything in {place} is drawn, press {key} on page Correct."),)


def _of_planes(planes: Sequence[str], heard: Sequence[Heard]) -> tuple[Finding, ...]:
    """For a model whose classes overlap, each in a mask of its own."""
    spoken = {h.plane.classes[0] for h in heard if h.plane.classes}
    silent = [name for name in planes if name not in spoken]
    if silent:
        words = "The classes overlap: a place counts only if you corrected or finished it in the masks of all of them."
        return (Finding("warning", f"{words} Correct or finish something in {listed(silent)}, too."),)
    return ()


def left_out(others: Sequence[Heard], names: Sequence[str]) -> tuple[Finding, ...]:
    """Of ``others`` nothing is learned, as their classes have other names than those of the mask in hand, ``names``: a
    finding for each name that differs first."""
    images: dict[tuple[int, str], list[str]] = {}
    for one in others:
        pairs = enumerate(zip(one.plane.classes, names, strict=False), 1)
        number, name = next(((k, their) for k, (their, own) in pairs if their != own), (0, ""))
        if number:
            images.setdefault((number, name), []).append(one.name)
    return tuple(
        Finding(
            "warning",
            f"{some_of(where)} {'is' if len(where) == 1 else 'are'} left out: class {number} is called {name} there, "
            f"and {names[number - 1]} here. Give it the same name on page Correct.",
        )
        for (number, name), where in images.items()
    )


def some_of(images: Sequence[str]) -> str:
    """Up to three of them by name, and how many more."""
    return listed([*map(shortened, images[:3]), *([f"{len(images) - 3} more"] if len(images) > 3 else [])])


def reasons_of(chosen: Beginning) -> tuple[str, ...]:
    """Why the choices for a model from nothing are as they are, a sentence each."""
    objects = chosen.task == "instance"
    task = (
        "Single objects, because each object of your mask has a number of its own."
        if objects
        else "Classes, because the numbers in your mask are classes."
    )
    depth = (
        "2D, because your images are pictures."
        if chosen.ndim == 2
        else "3D, because your images are volumes: what lies above and below helps."
    )
    network = {
        "unet": "U-Net, because it learns most from few examples and is the quickest.",
        "vnet": "V-Net: made for volumes; larger, and slower to learn than U-Net.",
        "segnet": "SegNet: the smallest memory; its outlines are a little coarser than those of U-Net.",
    }[chosen.network]
    return task, depth, network, "Everything else is chosen from your images and this machine when it starts."


def headline_of(judgement: Judgement | None, from_nothing: bool, curve: Curve, objects: bool) -> str:
    if judgement is not None:
        return _DECIDED[judgement.decision]
    if not from_nothing:
        return "A new model is ready; it was not compared"
    if not is_rough(curve, objects):
        return "Your new model is ready"
    return "Your new model finds next to nothing yet" if best_of(curve) < POOR else "Your new model is still rough"


def first_words(made: str, curve: Curve, objects: bool) -> str:
    """What is said of a model that was begun from nothing."""
    called, look = f"It is called {made}.", "Segment an image with it and look whether it finds what you showed it."
    if not curve.scores:
        cure = "Look at the mask of an image that you did not draw on."
        return f"{called} It was not tested on anything that it has not learned from. {cure}"
    reached = f"It reaches {best_of(curve):.2f} of 1 on what it has not learned from"
    if not is_rough(curve, objects):
        return f"{called} {reached}. {look}"
    return f"{called} {reached}, so its masks will be rough. {_more_words(curve)}"


def _more_words(curve: Curve) -> str:
    if not wants_time(curve):
        return "It got no better at the end: draw more, on other images too, then teach it more."
    why = "It was still getting better" if _rose(curve) else "It had little time"
    return f"{why}: teach it longer, or draw more."


def best_of(curve: Curve) -> float:
    return max(score for _, score in curve.scores)


def is_rough(curve: Curve, objects: bool) -> bool:
    """Whether a model from nothing finds more that is wrong than right in what was held out."""
    return bool(curve.scores) and best_of(curve) < ROUGH[objects]


def wants_time(curve: Curve) -> bool:
    """Whether a training ended too early: its score still rose, or there was time for a single test, or its error still
    fell while the score did not."""
    scores = [score for _, score in curve.scores]
    return len(scores) == 1 or _rose(curve) or (_fell(curve) and scores[-1:] > [max(scores, default=0) - 2 * GAIN])


def _rose(curve: Curve) -> bool:
    """Whether the score rose in the last third."""
    scores = [score for _, score in curve.scores]
    last = max(1, len(scores) // 3)
    return len(scores) > 1 and max(scores[-last:]) > max(scores[:-last]) + GAIN


def _fell(curve: Curve) -> bool:
    """Whether the error fell in the last third."""
    losses = [loss for _, loss in curve.losses]
    third = len(losses) // 3
    return third > 0 and sum(losses[-third:]) < FALLING * sum(losses[-2 * third : -third])


def progress_words(progress: Progress, verb: str) -> str:
    """What a training is doing now."""
    if verb == "compare":
        return _PHASES["compare"]
    phase = progress.detail.get("phase")
    if phase in _PHASES:
        return _PHASES[phase]
    words = progress.message.partition(",")[0]
    if words.startswith("loss "):
        return _PHASES["train"]
    return f"{words[:1].upper()}{words[1:]}"


def curve_with(curve: Curve, progress: Progress) -> Curve:
    """A curve with what a training says now."""
    at, detail = progress.fraction, progress.detail
    if isinstance(detail.get("before"), (int, float)):
        curve = replace(curve, before=float(detail["before"]))
    if isinstance(detail.get("loss"), (int, float)) and (not curve.losses or at > curve.losses[-1][0]):
        curve = replace(curve, losses=_thinned((*curve.losses, (at, float(detail["loss"])))))
    if isinstance(detail.get("score"), (int, float)) and (not curve.scores or at > curve.scores[-1][0]):
        curve = replace(curve, scores=(*curve.scores, (at, float(detail["score"]))))
    return curve


def _thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Where there are too many, two neighbours become one."""
    if len(points) < POINTS:
        return points
    pairs = zip(points[::2], points[1::2], strict=False)
    return tuple(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in pairs)
