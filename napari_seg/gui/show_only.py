"""Layers that show something over an image, and are neither kept nor painted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.gui.arrivals import IMAGE, show_only
from napari_seg.gui.gate import stay_closed
from napari_seg.gui.layers import beside
from napari_seg.gui.views import adding


def shown_over(
    viewer: Any,
    image: Any,
    volume: Volume,
    labels: NDArray[Any],
    name: str,
    known: Mapping[str, Any] | None = None,
    **looks: Any,
) -> Labels:
    """Add labels in the place of ``image``, a layer that shows ``volume``; the layer in hand stays the one in hand. A
    copy that somebody makes of it is a mask of that image, of which its metadata tells what is ``known``."""
    active = viewer.layers.selection.active
    about = {**(known or {}), **({IMAGE: str(image.unique_id)} if isinstance(image, Image) else {})}
    layer = Labels(labels, name=name, metadata=about, **beside(image, volume), **looks)
    show_only(layer)
    with adding(viewer):
        viewer.add_layer(layer)
    layer.editable = False
    layer.events.editable.connect(stay_closed)
    viewer.layers.selection.active = active
    return layer


def taken_away(viewer: Any, layers: Iterable[Any]) -> None:
    """Take away those of some layers that are still there."""
    for layer in layers:
        if layer in viewer.layers:
            with adding(viewer):
                viewer.layers.remove(layer)
