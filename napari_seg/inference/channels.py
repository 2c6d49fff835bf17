"""Which intensities of an image a model gets: its channels in the order in which it learned them, one of them, or one
number for each RGB pixel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from napari_seg.data.volume import Volume
from napari_seg.errors import Choice, ChoiceNeeded, SegError

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Shares of red, green and blue in the luminance (ITU-R BT.709)."""

COLOURS = {"red": 0, "green": 1, "blue": 2}
STAINS = {"hematoxylin": 0, "eosin": 1}
OF_RGB = ("luminance", *COLOURS, *STAINS)
"""What a model of one channel may be given of an RGB image; the first is the default."""


def _as_text(value: object) -> object:
    return value if isinstance(value, bool) or not isinstance(value, Integral) else str(value)


ChannelChoice = Annotated[str | None, BeforeValidator(_as_text)]
"""A channel as a person chooses it: by its name, or by its number from 0, which is kept as text."""

_NUMBERED = re.compile(r"(intensity|((channel|ch|c)?[\s_:.-]*\d+([:.-]\d+)*)?)", re.IGNORECASE)
"""Names that say nothing of what a channel shows, such as ``channel 2`` and ``Channel:0:1``."""


@dataclass(frozen=True, eq=False)
class Channels:
    """Reads boxes of ``volume``. ``index`` chooses along ``C``, ``colour`` says what becomes of RGB, ``order`` which of
    several channels come in which order (empty: all as they lie). ``note`` says what is done, ``warning`` why the
    result may be poor; both are sentences or empty.
    """

    volume: Volume
    count: int
    index: int | None = None
    colour: str = ""
    note: str = ""
    order: tuple[int, ...] = ()
    warning: str = ""

    def box(self, time: int, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[np.float32]:
        """The voxels from ``start`` to ``stop`` along the spatial axes: ``(count, *box)``. Only they are read."""
        spatial = iter(zip(start, stop, strict=True))
        index: list[int | slice] = []
        for axis in self.volume.axes:
            if axis == "T":
                index.append(time)
            elif axis == "C":
                index.append(slice(None) if self.index is None else self.index)
            elif axis == "S":
                index.append(slice(0, 3))
            else:
                index.append(slice(*next(spatial)))
        array = np.asarray(self.volume.data[tuple(index)])
        if "S" in self.volume.axes:
            array = self._samples(array)
        ndim = self.volume.ndim
        array = array.reshape(-1, *array.shape[array.ndim - ndim :])
        return (array[list(self.order)] if self.order else array).astype(np.float32)

    def _samples(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """RGB samples, the last axis, as channels, the first axis after ``C``."""
        if self.colour in STAINS:
            from skimage.color import rgb2hed

            return np.asarray(rgb2hed(array)[..., STAINS[self.colour]])
        if self.colour in COLOURS:
            return np.asarray(array[..., COLOURS[self.colour]])
        if self.colour:
            return array @ np.asarray(LUMINANCE, np.float32)
        return np.moveaxis(array, -1, -1 - self.volume.ndim)


def channel_names(volume: Volume) -> tuple[str, ...]:
    """What a model of one channel may be given of an image; none where there is nothing to choose."""
    if "S" in volume.axes:
        return OF_RGB
    if "C" in volume.axes:
        return volume.channels or tuple(str(k) for k in range(volume.size("C")))
    return ()


def names_of(volume: Volume) -> tuple[str, ...]:
    """What the channels of an image are called, by its file or, where that does not say, by their numbers."""
    if "S" in volume.axes and volume.size("C") == 1:
        return (*COLOURS,)[: volume.size("S")]
    count = volume.size("C") * volume.size("S")
    if count == 1:
        return ("intensity",)
    return volume.channels if len(volume.channels) == count else tuple(f"channel {k + 1}" for k in range(count))


def unnamed(names: Sequence[str]) -> bool:
    """Whether no name of channels says what they show."""
    return all(_NUMBERED.fullmatch(name.strip()) for name in names)


def places(names: Sequence[str], learned: Sequence[str]) -> tuple[int, ...]:
    """Where each channel that a model learned lies among ``names``; empty where the names do not tell that."""
    there, wanted = ([name.strip().casefold() for name in some] for some in (names, learned))
    known = len({*wanted}) == len(wanted) and all(there.count(name) == 1 for name in wanted)
    return tuple(there.index(name) for name in wanted) if known else ()


def choose_channels(volume: Volume, wanted: int, setting: str | None, learned: Sequence[str] = ()) -> Channels:
    """What a model of ``wanted`` channels, called ``learned``, gets of ``volume``; ``setting`` is a person's choice.

    Raises ``SegError`` where the channels do not fit, ``ChoiceNeeded`` where a choice is missing or does not exist.
    """
    planes, samples = volume.size("C"), 3 if "S" in volume.axes else 0
    if samples and volume.size("S") not in (3, 4):
        words = f"The image has {volume.size('S')} samples per pixel, RGB has 3"
        raise SegError(f"{words}; save it as grey or as RGB, or as channels (C) before its rows.")
    there = planes * max(samples, 1)
    named = () if unnamed(learned) else learned
    if wanted > 1:
        if setting is not None:
            raise SegError(f"The model takes all {wanted} channels; leave the choice of a channel empty.")
        return _several(volume, wanted, there, named)
    if samples:
        index = 0 if planes == 1 else _plane(volume, None)
        return _of_rgb(volume, index if "C" in volume.axes else None, setting or "luminance")
    if planes == 1:
        if setting not in (None, "0", *volume.channels):
            raise SegError(f"The image has a single channel and no {setting!r}; leave the choice of a channel out.")
        return Channels(volume, 1)
    known = places(volume.channels, named) if setting is None else ()
    index = known[0] if known else _plane(volume, setting)
    name = volume.channels[index] if index < len(volume.channels) else str(index)
    return Channels(volume, 1, index, note=f"Channel {name} of {planes} is used.")


def _several(volume: Volume, wanted: int, there: int, learned: Sequence[str]) -> Channels:
    """All channels that a model takes: by their names where these tell, else all there are as they lie."""
    names = names_of(volume)
    order = places(names, learned) if len(names) == there else ()
    if order:
        as_they_lie = order == tuple(range(there))
        note = "" if as_they_lie else f"Its channels are taken by their names: {', '.join(learned)}."
        return Channels(volume, wanted, note=note, order=() if as_they_lie else order)
    if there != wanted:
        words = f"The model expects {wanted} channels, the image has {there}"
        raise SegError(f"{words}; choose a model trained on {there}.")
    if not learned or unnamed(names) or names == tuple(learned):
        return Channels(volume, wanted)
    warning = (
        f"The model learned the channels {', '.join(learned)}, this image has {', '.join(names)}; they are taken in "
        "this order, so check that they show the same."
    )
    return Channels(volume, wanted, warning=warning)


def _of_rgb(volume: Volume, index: int | None, colour: str) -> Channels:
    if colour not in OF_RGB:
        raise SegError(f"An RGB image has no channel {colour!r}; choose one of {', '.join(OF_RGB)}.")
    words = {"luminance": "its luminance", **{s: f"its {s} stain by colour deconvolution" for s in STAINS}}
    note = f"The model takes one channel: of the RGB image {words.get(colour, f'the {colour} channel')} is used."
    return Channels(volume, 1, index, colour, note)


def _plane(volume: Volume, setting: str | None) -> int:
    planes = volume.size("C")
    names = list(volume.channels) or [str(k) for k in range(planes)]
    if setting in names:
        return names.index(setting)
    if setting is not None and setting.isdecimal() and int(setting) < planes:
        return int(setting)
    problem = "The model expects 1 channel" if setting is None else f"There is no channel {setting!r}"
    raise ChoiceNeeded(
        f"{problem}, the image has {planes}: {', '.join(names)}; choose one of them.",
        "channel",
        tuple(Choice(name, f"channel {k}") for k, name in enumerate(names)),
    )
