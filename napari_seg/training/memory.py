"""A small selection of what a model learned from, stored beside it, so that a later training does not forget.

Most of each batch of a retraining is drawn from ``learn``; ``check`` are images that the model did not learn from,
on which the old and the new model are compared before the new one is taken. One ``.safetensors`` file,
``NAME.samples.safetensors`` beside ``NAME.safetensors``; nothing in it is executed. Images are kept in 256 grey levels
of their own range, which is less than their noise, and everything is compressed without loss after that.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from napari_seg.errors import SegError
from napari_seg.files import exists, reason, written
from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.file import SAMPLES_SUFFIX, SUFFIX
from napari_seg.models.spec import ModelSpec
from napari_seg.spec import Spec
from napari_seg.training.division import NOTHING, Division, known_as
from napari_seg.training.sample import Sample

KEY = "napari_seg_samples"
FORMAT = 1
SIZE = 1_500_000
"""Bytes that a selection may take."""

_MOST_VOXELS = 1 << 31


@dataclass(frozen=True, eq=False)
class Memory:
    """``learn``: samples that the model learned from. ``check``: samples that it did not. ``about``: where they come
    from, among it ``licence`` and ``attribution``. ``division``: all that was ever learned from, and held out."""

    learn: tuple[Sample, ...] = ()
    check: tuple[Sample, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    division: Division = NOTHING

    def without(self, groups: Iterable[str]) -> Memory:
        """Without the samples of these groups."""
        groups = {*groups}
        return replace(self, learn=without(self.learn, groups), check=without(self.check, groups))


def beside(model: str | Path) -> Path:
    """The name of the file of samples of a model file, whether there is one or not."""
    model = Path(model)
    return model.with_name(model.name.removesuffix(SUFFIX) + SAMPLES_SUFFIX)


def choose(
    learned: Sequence[Sample],
    held_out: Sequence[Sample],
    *,
    size: int = SIZE,
    patch: Sequence[int] = (),
    about: Mapping[str, str] | None = None,
) -> Memory:
    """A selection of at most about ``size`` bytes in the file, half of it to learn from and half to check on.

    Groups take turns, in an order by the hash of their names, so that the same samples are chosen in every round and
    many small groups are not outvoted by a large one. What is much larger than ``patch`` is cut down to a part of it
    in which labels count.
    """
    learn, check = (tuple(packed.sample for packed in _fitting(part, size / 2, patch)) for part in (learned, held_out))
    return Memory(learn, check, dict(about or {}))


@job
def remember(
    model: str | Path,
    learned: Sequence[Sample],
    held_out: Sequence[Sample],
    *,
    before: Memory | None = None,
    patch: Sequence[int] = (),
    size: int = SIZE,
) -> Steps[Path]:
    """Save a selection of what a training used beside the model file that it writes, and return its path.

    Half of the room goes to what was remembered ``before`` and half to what is new; so a chain of retrainings keeps
    some of every one of them. Names of images may be those of patients: the file knows them by their hashes alone.
    Nothing of ``before`` may be of the images that are new (:meth:`Memory.without`). Closing the generator leaves what
    lay there. ``Progress.detail`` holds ``phase`` ("keep").
    """
    before = before or Memory()
    room = (size // 2 if before.learn or before.check else size) / 2
    parts: dict[Part, list[_Packed]] = {"learn": [], "check": []}
    of_part: dict[Part, tuple[Sequence[Sample], Sequence[Sample]]] = {
        "learn": (before.learn, learned),
        "check": (before.check, held_out),
    }
    for part, (old, new) in of_part.items():
        for packed in chain(_fitting(old, room, patch), map(_Packed.unnamed, _fitting(new, room, patch))):
            parts[part].append(packed)
            yield Progress(0, 1, "keeping a selection for the next time", {"phase": "keep"})
    return _write(parts, before, beside(model))


def forget(model: str | Path) -> None:
    """Remove the samples beside a model file that another model has taken the place of. Raises ``SegError``."""
    try:
        if exists(beside(model)):
            beside(model).unlink()
    except OSError as error:
        raise SegError(
            f"The samples {beside(model)} of another model could not be removed ({error}); delete the file."
        ) from None


def without(samples: Iterable[Sample], groups: Iterable[str]) -> tuple[Sample, ...]:
    """The stored samples that are of none of these groups, or patients (:attr:`Sample.whole`)."""
    known = {name for group in groups for name in (group, known_as(group))}
    return tuple(sample for sample in samples if known.isdisjoint((sample.unit[0], sample.patient)))


def check_fits(memory: Memory, model: ModelSpec) -> None:
    """Raises ``SegError`` for samples that the model cannot take."""
    for sample in (*memory.learn, *memory.check):
        if sample.image.ndim != 1 + model.network.ndim or len(sample.image) != model.network.in_channels:
            raise SegError(
                f"The stored samples have {len(sample.image)} channels and {sample.image.ndim - 1} dimensions, "
                f"{model.name} takes {model.network.in_channels} and {model.network.ndim}; take the samples of this "
                "very model."
            )


# the file -----------------------------------------------------------------------------------------------------------


Part = Literal["learn", "check"]


class _Stored(Spec):
    part: Part
    name: str = ""
    group: str = ""
    patient: str = ""
    image: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=2, max_length=5)
    low: float
    high: float
    labels: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, max_length=5)
    dtype: Literal["uint8", "uint16", "uint32", "int64"]
    masked: bool = False


class _Contents(Spec):
    format: int
    about: dict[str, str] = Field(default_factory=dict)
    samples: tuple[_Stored, ...] = ()
    learned: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()


def save(memory: Memory, path: str | Path) -> Path:
    """Write the samples in one step; a file of that name stays whole until then."""
    return _write({"learn": map(_packed, memory.learn), "check": map(_packed, memory.check)}, memory, Path(path))


def _write(parts: Mapping[Part, Iterable[_Packed]], kept: Memory, path: Path) -> Path:
    """The samples of ``parts``, with all else that is ``kept``."""
    tensors: dict[str, NDArray[np.uint8]] = {}
    stored: list[_Stored] = []
    for part, members in parts.items():
        for packed in members:
            tensors |= {f"{len(stored)}/{name}": np.frombuffer(data, np.uint8) for name, data in packed.data.items()}
            stored.append(packed.told(part))
    contents = _Contents(
        format=FORMAT,
        about=dict(kept.about),
        samples=tuple(stored),
        learned=tuple(sorted(kept.division.learned)),
        held_out=tuple(sorted(kept.division.held_out)),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as aside:
            aside.write_bytes(to_bytes(tensors, {KEY: contents.to_json()}))
    except OSError as error:
        words = reason(error, "choose another folder")
        raise SegError(f"The samples {path} could not be written {words}") from None
    return path


def load(path: str | Path) -> Memory:
    """Read a file of samples. Raises ``SegError`` for one that is foreign, damaged or of a newer version."""
    from safetensors import safe_open

    path = Path(path)
    try:
        with safe_open(path, "np") as file:
            text = (file.metadata() or {})[KEY]
        number = json.loads(text)["format"]
        tensors = load_file(path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        raise _damaged(path) from None
    if not isinstance(number, int) or number > FORMAT:
        raise SegError(f"{path.name} was written by a newer napari-seg (format {number}); update napari-seg to use it.")
    try:
        contents = _Contents.from_file(text)
        parts: dict[str, list[Sample]] = {"learn": [], "check": []}
        for k, about in enumerate(contents.samples):
            packed = {
                name: tensors[f"{k}/{name}"].tobytes() for name in ("image", "labels", "mask")[: 2 + about.masked]
            }
            parts[about.part].append(_unpacked(about, packed))
    except (SegError, KeyError, ValueError, lzma.LZMAError, EOFError):
        raise _damaged(path) from None
    learn, check = tuple(parts["learn"]), tuple(parts["check"])
    division = Division(frozenset(contents.learned), frozenset(contents.held_out))
    return Memory(learn, check, contents.about, division if division != NOTHING else _division(learn, check))


def division_of(model: str | Path) -> Division:
    """What is kept beside a model of all that was learned from and held out; nothing where no samples are."""
    path = beside(model)
    return load(path).division if path.exists() else NOTHING


def _division(learn: Iterable[Sample], check: Iterable[Sample]) -> Division:
    """As the samples themselves say it: of a file in which it is not kept, as of the models that are shipped."""
    learned, held_out = (
        [name for sample in part for name in (sample.unit[0], known_as(sample.unit[0]))] for part in (learn, check)
    )
    return Division(frozenset(learned), frozenset(held_out) - frozenset(learned))


def _damaged(path: Path) -> SegError:
    return SegError(
        f"{path.name} does not hold the samples of a model or is damaged; copy it again or move it away to train "
        "without samples."
    )


@dataclass(frozen=True, eq=False)
class _Packed:
    """A sample, and its arrays as they are in the file."""

    sample: Sample
    data: Mapping[str, bytes]
    dtype: Literal["uint8", "uint16", "uint32", "int64"]

    @property
    def size(self) -> int:
        return sum(map(len, self.data.values()))

    def unnamed(self) -> _Packed:
        """Known by hashes of its names."""
        sample = self.sample
        patient = known_as(sample.whole) if sample.patient else ""
        known = replace(sample, name=known_as(sample.name), group=known_as(sample.unit[0]), patient=patient)
        return replace(self, sample=known)

    def told(self, part: Part) -> _Stored:
        sample = self.sample
        return _Stored(
            part=part,
            name=sample.name,
            group=sample.group,
            patient=sample.patient,
            image=sample.image.shape,
            low=float(sample.image.min()),
            high=float(sample.image.max()),
            labels=sample.labels.shape,
            dtype=self.dtype,
            masked=sample.mask is not None,
        )


def _packed(sample: Sample) -> _Packed:
    low, high = float(sample.image.min()), float(sample.image.max())
    grey = np.rint((sample.image - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    top = int(sample.labels.max(initial=0))
    dtype: Any = next((kind for kind in ("uint8", "uint16", "uint32") if top <= np.iinfo(kind).max), "int64")
    data = {"image": _pressed(_steps(grey)), "labels": _pressed(sample.labels.astype(dtype))}
    if sample.mask is not None:
        data["mask"] = _pressed(np.packbits(sample.mask))
    return _Packed(sample, data, dtype)


def _unpacked(about: _Stored, packed: Mapping[str, bytes]) -> Sample:
    grid = about.image[1:]
    if math.prod(about.image) > _MOST_VOXELS or about.labels[-len(grid) :] != grid:
        raise ValueError("shapes that cannot be")
    grey = np.frombuffer(_opened(packed["image"], math.prod(about.image)), np.uint8).reshape(about.image)
    grey = np.cumsum(grey, -1, dtype=np.uint8)
    image = grey.astype(np.float32) * np.float32((about.high - about.low) / 255) + np.float32(about.low)
    kind = np.dtype(about.dtype)
    labels = np.frombuffer(_opened(packed["labels"], math.prod(about.labels) * kind.itemsize), kind)
    mask = None
    if about.masked:
        voxels = math.prod(grid)
        bits = np.frombuffer(_opened(packed["mask"], -(-voxels // 8)), np.uint8)
        mask = np.unpackbits(bits, count=voxels).reshape(grid).astype(bool)
    return Sample(image, labels.reshape(about.labels).astype(np.int64), mask, about.name, about.group, about.patient)


def _steps(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The differences along the last axis: neighbours are alike, so that they are smaller in the file."""
    return np.diff(grey, axis=-1, prepend=np.zeros((*grey.shape[:-1], 1), np.uint8))


_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6}]


def _pressed(values: NDArray[Any]) -> bytes:
    return lzma.compress(np.ascontiguousarray(values).tobytes(), lzma.FORMAT_XZ, filters=_FILTERS)


def _opened(data: bytes, size: int) -> bytes:
    """The bytes, of which there must be ``size``: a small file cannot fill the memory."""
    opened = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, size + 1)
    if len(opened) != size:
        raise ValueError("another size than its shape says")
    return opened


# the selection ------------------------------------------------------------------------------------------------------


def _fitting(samples: Sequence[Sample], size: float, patch: Sequence[int]) -> Iterator[_Packed]:
    left = size
    for sample in _in_turns(samples):
        packed = _packed(_cut_down(sample, patch))
        if packed.size <= left:
            yield packed
            left -= packed.size
        elif left < size:
            return
        # else the first is so large that it would leave none


def _in_turns(samples: Sequence[Sample]) -> Iterable[Sample]:
    """One sample of each group, then the next of each, all in the order of hashes."""
    groups: dict[str, list[tuple[str, Sample]]] = {}
    for number, sample in enumerate(samples):
        if sample.mask is None or sample.mask.any():
            groups.setdefault(sample.unit[0], []).append((_hash(f"{sample.name} {number}"), sample))
    for members in groups.values():
        members.sort(key=lambda member: member[0])
    order = sorted(groups, key=_hash)
    for turn in range(max(map(len, groups.values()), default=0)):
        for name in order:
            if turn < len(groups[name]):
                yield groups[name][turn][1]


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _cut_down(sample: Sample, patch: Sequence[int]) -> Sample:
    """The sample, or where it is larger than twice the patch along an axis, a part around a place where labels
    count, with an object if there is one."""
    most = [2 * n for n in patch] or list(sample.grid)
    if all(have <= most[k] for k, have in enumerate(sample.grid)):
        return sample
    planes = sample.labels.reshape(-1, *sample.grid)
    counts = np.ones(sample.grid, bool) if sample.mask is None else sample.mask
    inside = (planes > 0).any(0) & counts
    places = np.argwhere(inside if inside.any() else counts)
    rng = np.random.default_rng(int(_hash(sample.name)[:8], 16))
    middle = places[int(rng.integers(len(places)))]
    box: list[slice] = []
    for have, want, at in zip(sample.grid, most, middle, strict=True):
        start = int(np.clip(at - want // 2, 0, max(0, have - want)))
        box.append(slice(start, start + want))
    part: Any = (..., *box)
    return replace(
        sample,
        image=sample.image[part],
        labels=sample.labels[part],
        mask=None if sample.mask is None else sample.mask[part],
    )
