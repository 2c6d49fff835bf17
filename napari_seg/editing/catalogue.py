"""All tools. A module that registers tools is imported here; window, palette and contract tests read the registry from
here, so that it is full."""

from __future__ import annotations

from napari_seg.editing import assist, brush, finished, live_wire, mend, objects, regions, slices, split  # noqa: F401
from napari_seg.editing.tools import TOOLS

__all__ = ["TOOLS"]
