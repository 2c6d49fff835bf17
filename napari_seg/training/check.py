"""Looks at images and labels before a training: what is wrong, in plain words, and mended where that is possible.

The general pattern is: 1. each case is read once and what must be known of it is noted (:class:`Looked`), 2. each rule
of :data:`RULES` looks at all notes and tells its findings, 3. a finding names the entry of
:data:`~napari_seg.training.mending.FIXES` by which the cases can be mended on their way into the training.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import cc3d
import numpy as np
from numpy.typing import NDArray

from napari_seg.choices import TaskKind
from napari_seg.data.align import apart, as_its_image, in_one_space, one_is_placed, onto_grid
from napari_seg.data.units import in_unit, shared_unit
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.inference.channels import names_of, places, unnamed
from napari_seg.jobs import Progress, Steps, job
from napari_seg.tasks.semantic import MOST_CLASSES
from napari_seg.training.cases import Labelled, Named
from napari_seg.wording import count_of

NEARLY = 1e-3
"""Numbers this near to whole ones were whole ones once."""

FEW_VOXELS = 50
"""A class of fewer voxels in all is hardly learned."""

FEW_CASES = 3
"""A class that occurs in fewer images is learned from too little."""

MANY = 20
"""More numbers than this are rarely those of classes."""

SEVERAL, SMALL = 4, 0.03
"""So many numbers or more, each of one piece and of at most this share of the image, are rarely those of classes."""

SPACING_RATIO = 2.0
"""A spacing that differs from the usual one by more than this factor is an outlier."""

MOST_VALUES = 1000
"""Of labels with more values than this, only some are noted."""

NAMED = 5
"""A finding names at most so many images."""


Fractions = Literal["none", "rounding", "shares", "many"]
"""How far labels are from whole numbers: ``shares`` lie in 0..1, as probabilities do."""


Lies = Literal["here", "elsewhere", "nowhere", "unknown"]
"""Where labels lie: on the grid of their image; on another one, of which the files say how it lies on that; nowhere on
it, as the files say; or nothing says it."""


class Readable(Named, Protocol):
    """A case whose files may not fit. ``read`` refuses nothing but what cannot be read; ``labelled`` makes of what was
    read, and perhaps mended, what training takes."""

    def read(self) -> tuple[Volume, Volume]: ...

    def labelled(self, image: Volume, labels: Volume) -> Labelled: ...


@dataclass(frozen=True)
class Finding:
    """``sentence``: what is wrong and what to do. ``stops``: no training can begin before it is mended. ``fix``: the
    entry of :data:`~napari_seg.training.mending.FIXES` that mends it; empty where only a person can.
    ``values``: the labels that are to be numbered anew."""

    sentence: str
    cases: tuple[str, ...]
    stops: bool
    fix: str = ""
    values: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Looked:
    """What the rules know of a case. ``labels_spacing`` is in the ``unit`` of the image. ``sizes``: voxels by value of
    the labels, by number of the plane where there are planes. ``voxels``: the hash of the image. ``pieces``: connected
    parts of labels of one value, or of few that are all small. ``one_sided``: only the image or only the labels say
    where they lie."""

    name: str
    group: str
    split: str
    grid: tuple[int, ...] = ()
    channels: tuple[str, ...] = ("intensity",)
    spacing: tuple[float, ...] | None = None
    unit: str = "pixel"
    finite: bool = True
    flat: bool = False
    voxels: str = ""
    labels_grid: tuple[int, ...] = ()
    labels_spacing: tuple[float, ...] | None = None
    colour: bool = False
    fractions: Fractions = "none"
    negative: bool = False
    planes: int = 0
    sizes: Mapping[int, int] | None = None
    pieces: int = 0
    lies: Lies = "here"
    one_sided: bool = False
    unreadable: str = ""

    @property
    def values(self) -> tuple[int, ...]:
        """The labels that occur, without 0."""
        return tuple(sorted(value for value in self.sizes or () if value))

    @classmethod
    def at(cls, case: Readable) -> Looked:
        """Read a case and note what must be known of it."""
        try:
            image, labels = case.read()
        except SegError as error:
            return cls(case.name, case.group, case.split, unreadable=str(error))
        one_sided, labels = one_is_placed(labels, image), as_its_image(labels, image)
        pixels, numbers = np.asarray(image.data), np.asarray(labels.data)
        finite = pixels.dtype.kind != "f" or bool(np.isfinite(pixels).all())
        whole = numbers.dtype.kind != "f"
        rounded = numbers if whole else np.rint(np.nan_to_num(numbers))
        apart = 0.0 if whole else float(np.abs(np.nan_to_num(numbers, nan=0.5) - rounded).max(initial=0))
        planes = labels.size("C") if "C" in labels.axes else 0
        sizes = _sizes(rounded, labels, planes)
        few = planes == 0 and (len({*sizes} - {0}) == 1 or (len(sizes) <= MANY + 1 and _are_small(sizes)))
        return cls(
            case.name,
            case.group,
            case.split,
            grid=image.grid,
            channels=names_of(image),
            spacing=image.spacing,
            unit=image.unit,
            finite=finite,
            flat=bool(pixels.size) and bool((pixels == pixels.flat[0]).all()),
            voxels=hashlib.blake2b(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest(),
            labels_grid=labels.grid,
            labels_spacing=in_unit(labels.spacing, labels.unit, image.unit),
            colour="S" in labels.axes,
            fractions=_fractions(np.nan_to_num(numbers), apart),
            negative=bool(numbers.size) and bool(numbers.min() < 0),
            planes=planes,
            sizes=sizes,
            pieces=_pieces(rounded) if few and rounded.ndim in (2, 3) else 0,
            lies=_lies(labels, image),
            one_sided=one_sided,
        )


def _lies(labels: Volume, image: Volume) -> Lies:
    placed = in_one_space(labels, image) is not None
    spacing = in_unit(labels.spacing, labels.unit, image.unit)
    if labels.grid == image.grid and not (placed and (apart(labels, image) or _other(image.spacing, spacing))):
        return "here"
    if labels.size("T") != image.size("T"):
        return "unknown"
    try:
        onto_grid(labels, image)
    except SegError:
        return "nowhere" if placed else "unknown"
    return "elsewhere"


def _other(spacing: tuple[float, ...] | None, than: tuple[float, ...] | None) -> bool:
    """Whether both spacings are known, and differ by more than files round."""
    return spacing is not None and than is not None and not np.allclose(spacing, than, rtol=0.01)


def _sizes(numbers: NDArray[Any], labels: Volume, planes: int) -> dict[int, int]:
    if planes:
        others = tuple(k for k, axis in enumerate(labels.axes) if axis != "C")
        inside = np.count_nonzero(numbers, axis=others)
        return {k: int(n) for k, n in enumerate(np.atleast_1d(inside), 1) if n}
    values, counts = np.unique(numbers, return_counts=True)
    return dict(zip(values[:MOST_VALUES].astype(int).tolist(), counts[:MOST_VALUES].tolist(), strict=True))


def _fractions(numbers: NDArray[Any], apart: float) -> Fractions:
    if apart <= NEARLY:
        return "rounding" if apart else "none"
    return "shares" if numbers.min() >= 0 and numbers.max() <= 1 else "many"


def _are_small(sizes: Mapping[int, int]) -> bool:
    """Whether every number is on a small part of an image."""
    return max((count for value, count in sizes.items() if value), default=0) <= SMALL * sum(sizes.values())


def _pieces(numbers: NDArray[Any]) -> int:
    ways = 4 if numbers.ndim == 2 else 6
    return int(cc3d.connected_components(np.maximum(numbers, 0).astype(np.uint32), connectivity=ways).max(initial=0))


# rules


class Wanted(NamedTuple):
    """What is to be learned. ``classes``: how many are named; 0 where the labels decide. ``channels``: of the model to
    go on from."""

    task: TaskKind
    classes: int = 0
    channels: tuple[str, ...] = ()


Rule = Callable[[Sequence[Looked], Wanted], Iterator[Finding]]
"""Looks at all cases that could be read."""


def _grids(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    lying = defaultdict[Lies, list[Looked]](list)
    for case in cases:
        if not case.colour:
            lying[case.lies].append(case)
    scaled = [case for case in lying["unknown"] if _is_scaled(case)]
    turned = [case for case in lying["unknown"] if case.labels_grid == case.grid[::-1]]
    rest = [case for case in lying["unknown"] if case not in scaled and case not in turned]
    words = "The labels of {} have another grid than the image, but the files say how they lie on it."
    yield from _told(words, lying["elsewhere"], True, "lay")
    yield from _told("The labels of {} are another size than the image.", scaled, True, "resize")
    yield from _told(
        "The labels of {} lie turned or mirrored, and nothing tells which; look at them, and export them anew as "
        "the image lies.",
        turned,
        True,
        "leave out",
    )
    yield from _told(
        "The labels of {} lie in another place than the image, and nothing of them is on it; see that both are of "
        "the same patient and scan.",
        lying["nowhere"],
        True,
        "leave out",
    )
    yield from _told(
        "The labels of {} have another shape than the image and cannot be made to fit; export them anew.",
        rest,
        True,
        "leave out",
    )


def _is_scaled(case: Looked) -> bool:
    """Whether the labels are the image's grid made finer or coarser alike along all axes, all but rounding, and no file
    says that they are not."""
    said = case.one_sided or (case.spacing is not None and case.labels_spacing is not None)
    if said or len(case.labels_grid) != len(case.grid) or not all((*case.grid, *case.labels_grid)):
        return False
    ratios = np.array(case.labels_grid) / np.array(case.grid)
    return bool(ratios.max() / ratios.min() - 1 < 0.02)


def _spacings(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    """Of labels that do not say where they lie, only how large they are."""
    other = [case for case in cases if case.lies == "here" and _other(case.spacing, case.labels_spacing)]
    yield from _told("The labels of {} say another spacing than the image.", other, True, "respace")


def _places(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    unsaid = [case for case in cases if case.one_sided and case.lies in ("here", "elsewhere")]
    yield from _told(
        "Of {} only the image or only the labels say where they lie, so they were laid on each other voxel by "
        "voxel; look whether they lie right, or save both with their place, for example as NIfTI.",
        unsaid,
        False,
    )


def _numbers(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    colour = [case for case in cases if case.colour]
    yield from _told("The labels of {} are colour pictures; save them as whole numbers.", colour, True, "leave out")
    rounding = [case for case in cases if case.fractions == "rounding"]
    yield from _told("The labels of {} are off whole numbers by rounding.", rounding, True, "round")
    shares = [case for case in cases if case.fractions == "shares"]
    yield from _told("The labels of {} hold fractions, as probabilities do.", shares, True, "threshold")
    many = [case for case in cases if case.fractions == "many"]
    yield from _told("The labels of {} hold fractions; save them as whole numbers.", many, True, "leave out")
    below = [case for case in cases if case.negative]
    yield from _told("The labels of {} hold numbers below 0, which mean nothing.", below, True, "no negatives")


def _classes(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    """Masks that are not numbered 1, 2, ..., and classes with too little."""
    found = sorted({value for case in cases for value in case.values})
    if wanted.task == "instance" or not found:
        return
    named = 0 < found[-1] <= wanted.classes
    gaps = found != list(range(1, len(found) + 1)) and not named
    objects = not named and _are_of_objects(cases, found)
    if objects:
        words = (
            f"The labels of {{}} hold {len(found)} numbers, which look like those of objects and not of classes; if "
        )
        stops = len(found) > MANY and (gaps or found[-1] > MOST_CLASSES)
        yield _finding(f"{words}they are, learn single objects (task instance).", cases, stops)
    if gaps and len(found) == 1:
        words = f"The labels of {{}} are 0 and {found[0]}, where a class is 1."
        yield replace(_finding(words, cases, True, "renumber"), values=tuple(found))
        return
    if gaps and len(found) <= MANY:
        shown = ", ".join(map(str, found[:6]))
        words = f"The classes are numbered {shown}, with gaps."
        yield replace(_finding(words, cases, True, "renumber"), values=tuple(found))
    for value in found if len(found) <= MANY and not objects else ():
        holders = [case for case in cases if (case.sizes or {}).get(value)]
        voxels = sum((case.sizes or {})[value] for case in holders)
        if _only_validated(holders, cases):
            words = (
                f"Class {value} is in images for validation alone ({{}}), so it would not be learned; mark one with "
            )
            yield _finding(f"{words}train in the split.", holders, value > wanted.classes, "one side")
        elif voxels < FEW_VOXELS:
            yield _finding(f"Class {value} has {count_of(voxels, 'voxel')} in all; label more of it.", holders, False)
        elif len(holders) < min(FEW_CASES, len(cases)):
            yield _finding(f"Class {value} occurs in {{}} alone; label it in more images.", holders, False)


def _are_of_objects(cases: Sequence[Looked], found: Sequence[int]) -> bool:
    """Whether labels seem to have a number for each object: many numbers, or small ones of one piece each, not as many
    in each image."""
    if any(case.planes for case in cases):
        return False
    counts = {len(case.values) for case in cases}
    alike = len(cases) > 1 and len(counts) == 1
    single = all(case.pieces == len(case.values) and _are_small(case.sizes or {}) for case in cases)
    return len(found) > MANY or (max(counts) >= SEVERAL and single and not alike)


def _only_validated(holders: Sequence[Looked], cases: Sequence[Looked]) -> bool:
    """Whether what these cases hold is in nothing that is learned from, though there is something."""
    return {case.split for case in holders} == {"val"} and any(case.split == "train" for case in cases)


def _objects(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    """Masks without a number for each object, where objects are asked for."""
    if wanted.task != "instance":
        return
    holders = [case for case in cases if case.values]
    if _only_validated(holders, cases):
        words = (
            "Objects are in images for validation alone ({}), so none would be learned; mark some with train in the "
        )
        yield _finding(f"{words}split.", holders, True, "one side")
    alike = [case for case in cases if len(case.values) == 1 and case.pieces > 1]
    yield from _told("In {} all objects have the same number.", alike, True, "split")


def _empty(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    empty = [case for case in cases if not case.values and case.fractions in ("none", "rounding") and not case.colour]
    if len(empty) == len(cases):
        yield _finding("The labels of all images are empty; label something first.", empty, True)
    elif empty:
        yield _finding(
            "The labels of {} are empty, so the model learns that nothing is there; leave them out if that is wrong.",
            empty,
            False,
            "leave out",
        )


def _images(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    broken = [case for case in cases if not case.finite]
    yield from _told("The images of {} hold values that are not numbers.", broken, True, "fill")
    flat = [case for case in cases if case.flat]
    yield from _told("The images of {} have one value everywhere.", flat, False, "leave out")
    dims = {len(case.grid) for case in cases}
    if len(dims) > 1:
        few = min(dims, key=lambda n: sum(len(case.grid) == n for case in cases))
        odd = [case for case in cases if len(case.grid) == few]
        yield _finding(f"The images of {{}} are {few}D, the others not; train on one kind.", odd, True, "leave out")
    counts = defaultdict[int, list[Looked]](list)
    for case in cases:
        counts[len(case.channels)].append(case)
    if len(counts) > 1:
        odd = min(counts.values(), key=len)
        words = f"The images of {{}} have {len(odd[0].channels)} channels, the others not; train on one kind."
        yield _finding(words, odd, True, "leave out")


def _channels(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    """Channels of other names. Another order is none of it: they are put in order when they are read."""
    named = [case for case in cases if not unnamed(case.channels)]
    learned = () if unnamed(wanted.channels) else wanted.channels
    if not named:
        return
    mute = [case for case in cases if len(case.channels) > 1 and unnamed(case.channels)]
    words = "The channels of {} have no names, so they are taken as they lie; see that their order is the others'."
    yield from _told(words, mute, False)
    usual = learned or Counter(case.channels for case in named).most_common(1)[0][0]
    odd = [case for case in named if case.channels != usual and not places(case.channels, usual)]
    odd = [case for case in odd if len(case.channels) == len(usual)]  # else their number is the matter
    if not odd:
        return
    own, others = ", ".join(odd[0].channels), ", ".join(usual)
    if learned:
        words = f"The channels of {{}} are named {own}, the model learned {others}; see that they show the same."
        yield _finding(words, odd, False)
    else:
        words = f"The channels of {{}} are named {own}, of the others {others}; train on images of the same channels."
        yield _finding(words, odd, True, "leave out")


def _outliers(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    known = [case for case in cases if case.spacing is not None]
    unknown = [case for case in cases if case.spacing is None]
    if known and unknown:
        yield _finding(
            "The files of {} do not say how large a voxel is, others do, so no size is learned; enter it in all.",
            unknown,
            False,
        )
    kinds = {len(case.grid) for case in known}
    if len(known) < 3 or len(kinds) != 1:
        return
    usual = np.median([case.spacing for case in known], 0)
    odd = [c for c in known if (np.maximum(np.array(c.spacing) / usual, usual / c.spacing) > SPACING_RATIO).any()]
    sizes = " x ".join(f"{size:g}" for size in usual)
    words = f"The voxels of {{}} are far from the usual {sizes} {known[0].unit}; see whether their headers are right."
    yield from _told(words, odd, False, "leave out")


def _twins(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    """The same image twice, and a patient on both sides of the split."""
    alike = defaultdict[str, list[Looked]](list)
    for case in cases:
        alike[case.voxels].append(case)
    for twins in alike.values():
        if len(twins) > 1:
            both = len({case.split for case in twins}) > 1
            words = "{} are the same image" + (", for training and for validation" if both else "")
            yield _finding(f"{words}; keep one of them.", twins, both, "keep one")
    sides = defaultdict[str, set[str]](set)
    for case in cases:
        sides[case.group].add(case.split)
    for group, split in sides.items():
        if len(split) > 1:
            there = [case for case in cases if case.group == group]
            words = f"{group} is on both sides of the split ({{}}), so the validation promises too much"
            yield _finding(f"{words}; put all of it on one side.", there, True, "one side")


def _alone(cases: Sequence[Looked], wanted: Wanted) -> Iterator[Finding]:
    if len(cases) == 1:
        words = "There is a single image ({}), so nothing tells how others will fare; label a second one."
        yield _finding(words, cases, False)


RULES: tuple[Rule, ...] = (
    _grids,
    _spacings,
    _places,
    _numbers,
    _classes,
    _objects,
    _empty,
    _images,
    _channels,
    _outliers,
    _twins,
    _alone,
)


def _finding(words: str, cases: Sequence[Looked], stops: bool, fix: str = "") -> Finding:
    names = tuple(case.name for case in cases)
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return Finding(words.replace("{}", shown), names, stops, fix)


def _told(words: str, cases: Sequence[Looked], stops: bool, fix: str = "") -> Iterator[Finding]:
    """Nothing for no cases."""
    if cases:
        yield _finding(words, cases, stops, fix)


@job
def check(cases: Sequence[Readable], wanted: Wanted) -> Steps[tuple[Finding, ...]]:
    """What is wrong with cases, what stops a training first."""
    looked = []
    for number, case in enumerate(cases):
        yield Progress(number, len(cases), f"looking at {case.name}")
        looked.append(Looked.at(case))
    return findings(looked, wanted)


def findings(looked: Sequence[Looked], wanted: Wanted) -> tuple[Finding, ...]:
    """What is wrong with cases that were looked at, what stops a training first."""
    found = [Finding(case.unreadable, (case.name,), True, "leave out") for case in looked if case.unreadable]
    whole = _in_one_unit([case for case in looked if not case.unreadable])
    if not looked:
        found.append(Finding("There is no image to learn from; add one with its labels.", (), True))
    for rule in RULES if whole else ():
        found += rule(whole, wanted)
    return tuple(sorted(found, key=lambda finding: not finding.stops))


def _in_one_unit(cases: Sequence[Looked]) -> list[Looked]:
    """The cases with the size of voxels in a unit that all share; unknown where it is in pixels, of others a length."""
    unit = shared_unit(case.unit for case in cases if case.spacing)
    of_case = (
        (case, in_unit(case.spacing, case.unit, unit), in_unit(case.labels_spacing, case.unit, unit)) for case in cases
    )
    return [replace(case, spacing=own, labels_spacing=of_labels, unit=unit) for case, own, of_labels in of_case]
