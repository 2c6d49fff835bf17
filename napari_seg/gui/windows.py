"""Which intensities are black and which are white: windows for CT, percentiles for everything else, one key each.

As in a radiology viewer the middle mouse button changes the window by hand: to the right wider, down to higher
intensities. The right button does so too, with Control held. What is set on an image shows in all its views.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.gui.layers import KEY, between
from napari_seg.gui.nearing import covering, middle_of
from napari_seg.gui.notice import say
from napari_seg.gui.words import number


class Window(NamedTuple):
    """Shown from ``level - width / 2`` (black) to ``level + width / 2`` (white), in the image's own units."""

    name: str
    level: float
    width: float


class Share(NamedTuple):
    """Shown between two percentiles of the image."""

    name: str
    low: float
    high: float


Preset = Window | Share

CT = (
    Window("Lung", -600, 1500),
    Window("Mediastinum", 50, 350),
    Window("Soft tissue", 40, 400),
    Window("Liver", 60, 160),
    Window("Bone", 400, 1800),
    Window("Brain", 40, 80),
)
"""In Hounsfield units; what radiologists use, as in most textbooks and viewers."""

SHARES = tuple(Share(f"{low} to {high} %", low, high) for low, high in ((0.1, 99.9), (1, 99), (2, 98), (5, 95)))

KEYS_OF_PRESETS = ("F3", "F4", "F5", "F6", "F7", "F8")
"""For the presets of an image in their order."""

KEY_OF_FILE = "F9"
"""For the windows that a file brings along, one after the other, and then all intensities."""

EVERYTHING = Share("All intensities", 0, 100)

_AIR, _PART_OF_AIR = (-1100, -900), 0.05
"""An image of a patient that is this much air is CT, also where its file does not say so."""

_DOUBLES = 150.0
"""Pixels to the right after which a window is e times as wide; as many down move it by half its width."""

_SIDE = 64
"""Voxels along each axis that are looked at for percentiles."""


def presets(layer: Image) -> tuple[Preset, ...]:
    """What the keys choose for an image."""
    return CT if in_hounsfield(layer) else SHARES


def own_windows(layer: Image) -> tuple[Window, ...]:
    """The windows that stand in the file of an image, as DICOM has them."""
    volume = layer.metadata.get(KEY)
    if not isinstance(volume, Volume) or volume.source is None:
        return ()
    pairs = [(level, width) for level, width in volume.source.header.get("windows", ()) if width > 0]
    return tuple(Window(f"From the file, {k} of {len(pairs)}", *pair) for k, pair in enumerate(pairs, 1))


def in_hounsfield(layer: Image) -> bool:
    """Whether the values of an image are Hounsfield units: by its file, or by the air around a patient."""
    volume = layer.metadata.get(KEY)
    if not isinstance(volume, Volume) or volume.affine is None:
        return False
    if volume.source is not None and volume.source.modality:
        return volume.source.modality == "CT"
    values = some_of(layer)
    air = (values >= _AIR[0]) & (values <= _AIR[1])
    return bool(values.size) and float(np.mean(air)) >= _PART_OF_AIR


def limits(layer: Image, preset: Preset) -> tuple[float, float]:
    """Black and white of an image."""
    if isinstance(preset, Window):
        return preset.level - preset.width / 2, preset.level + preset.width / 2
    return between(some_of(layer), preset.low, preset.high)


def some_of(layer: Image) -> NDArray[Any]:
    """Finite values from all over an image; of one that is not in memory, the slice that is shown."""
    data = layer.data[-1] if layer.multiscale else layer.data
    if not isinstance(data, np.ndarray):
        data = data[_slice_shown(layer, data.shape)]
    values = np.asarray(data[tuple(slice(None, None, max(1, n // _SIDE)) for n in data.shape)])
    return values[np.isfinite(values)]


def _slice_shown(layer: Image, shape: tuple[int, ...]) -> tuple[Any, ...]:
    middle = np.mean(layer.corner_pixels, axis=0) / np.array((layer.data[0] if layer.multiscale else layer.data).shape)
    return (*(int(min(m, 1) * (n - 1)) for m, n in zip(middle[:-2], shape[:-2], strict=True)), ...)


def dragged(shown: tuple[float, float], right: float, down: float) -> tuple[float, float]:
    """Black and white after the mouse went this many pixels: to the right wider, down to higher intensities."""
    low, high = shown
    width = (high - low) * math.exp(right / _DOUBLES)
    level = (low + high) / 2 + (high - low) * down / (2 * _DOUBLES)
    return level - width / 2, level + width / 2


def images(viewer: Any) -> list[Image]:
    """The images that a key is for: the active layer if it is one, else all that are seen. Colour images have none."""
    grey = [layer for layer in viewer.layers if isinstance(layer, Image) and not layer.rgb]
    active = viewer.layers.selection.active
    return [active] if active in grey else [layer for layer in grey if layer.visible]


def choose(viewer: Any, place: int) -> None:
    """Give each image its preset at this place, and say which."""
    found = [(layer, presets(layer)) for layer in images(viewer)]
    fitting = [(layer, options[place]) for layer, options in found if place < len(options)]
    for layer, preset in fitting:
        layer.contrast_limits = limits(layer, preset)
    say(viewer, _words(viewer, *fitting[0]) if fitting else _nothing(viewer))


def choose_next_of_file(viewer: Any) -> None:
    """Give each image the next window of its file, and after the last all intensities."""
    chosen = [(layer, _next_of_file(layer)) for layer in images(viewer)]
    for layer, preset in chosen:
        layer.contrast_limits = limits(layer, preset)
    say(viewer, _words(viewer, *chosen[0]) if chosen else _nothing(viewer))


def _next_of_file(layer: Image) -> Preset:
    options: tuple[Preset, ...] = (*own_windows(layer), EVERYTHING)
    shown = [k for k, option in enumerate(options) if np.allclose(limits(layer, option), layer.contrast_limits)]
    return options[(shown[0] + 1) % len(options)] if shown else options[0]


def drag(viewer: Any, event: Any) -> Generator[None]:
    """Change the window of the topmost image, or of the active one, with the middle mouse button held."""
    found = images(viewer)
    if not found or not _is_for_windows(viewer, event):
        return
    layer = found[-1]
    words = words_for(layer)
    start, shown = np.asarray(event.pos, float), tuple(layer.contrast_limits)
    event.handled = True
    yield
    while event.type == "mouse_move":
        right, down = np.asarray(event.pos, float) - start
        layer.contrast_limits = dragged(shown, float(right), float(down))
        event.handled = True
        say(viewer, words(*layer.contrast_limits))
        yield
    event.handled = True


def _is_for_windows(viewer: Any, event: Any) -> bool:
    keys = [str(key) for key in event.modifiers]
    active = viewer.layers.selection.active
    painting = active is not None and str(active.mode) == "paint"  # the right button draws round things then
    return (event.button == 3 and not keys) or (event.button == 2 and keys == ["Control"] and not painting)


def words_for(layer: Image) -> Callable[[float, float], str]:
    """How the black and white of an image are said: for CT as radiologists do."""
    return _level_and_width if in_hounsfield(layer) else _from_to


def _level_and_width(low: float, high: float) -> str:
    return f"Level {(low + high) / 2:.0f}   Width {high - low:.0f}"


def _from_to(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def _words(viewer: Any, layer: Image, preset: Preset) -> str:
    """What was chosen; and for which image, where another one hides it."""
    words = f"{preset.name}   {words_for(layer)(*layer.contrast_limits)}"
    above = covering(viewer, layer, middle_of(viewer, layer))
    return words if above is None else f"{words}   of {layer.name}, which lies under {above.name}"


def _nothing(viewer: Any) -> str:
    return "No preset on this key" if images(viewer) else "No grey image is seen"


def keys(viewer: Any) -> list[tuple[str, str, str]]:
    """What the keys do now, for the list of shortcuts: group, key, words."""
    found = images(viewer)
    names = [preset.name for preset in presets(found[-1])] if found else []
    rows = [("View", key, f"Contrast: {name}") for key, name in zip(KEYS_OF_PRESETS, names, strict=False)]
    return [*rows, ("View", KEY_OF_FILE, "Contrast: from the file, then all intensities")]


def bind(viewer: Any) -> None:
    """Give the keys and the mouse to a viewer."""
    for place, key in enumerate(KEYS_OF_PRESETS):
        viewer.bind_key(key, _choosing(place), overwrite=True)
    viewer.bind_key(KEY_OF_FILE, choose_next_of_file, overwrite=True)
    if drag not in viewer.mouse_drag_callbacks:
        viewer.mouse_drag_callbacks.append(drag)


def _choosing(place: int) -> Callable[[Any], None]:
    return lambda viewer: choose(viewer, place)
