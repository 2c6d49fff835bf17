"""Which of the masks that are open a person means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Image, Labels

from napari_seg.gui.arrivals import is_only_shown, same_image
from napari_seg.gui.track import Track
from napari_seg.session.records import LEARNING

TrackOf = Callable[[Any], Track | None]
"""How a layer is kept, if it is."""


def meant(viewer: Any, track_of: TrackOf) -> Track | None:
    """The mask that tools are for: the active one; of an image that is active, and where something else is, the topmost
    that is seen. None where the active one is not kept: nothing may go into another mask than it seems."""
    active = viewer.layers.selection.active
    track = track_of(active)
    if track is not None or unkept(viewer, track_of) is not None:
        return track
    seen = (track_of(layer) for layer in reversed(viewer.layers) if layer.visible)
    masks = (track for track in seen if track is not None and not track.plane.endswith(LEARNING))
    if isinstance(active, Image):  # a mask without an image may be one of it
        return next((track for track in masks if track.image is None or same_image(track.image, active)), None)
    return next(masks, None)


def unkept(viewer: Any, track_of: TrackOf) -> Any:
    """The active layer, if it is a mask of which nothing is kept."""
    active = viewer.layers.selection.active
    known = not isinstance(active, Labels) or is_only_shown(active) or track_of(active)
    return None if known else active
