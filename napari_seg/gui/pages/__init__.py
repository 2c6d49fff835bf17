"""The pages of the panel, in the order of the work. A page that is not here has no button."""

from __future__ import annotations

from napari_seg.gui.pages.correct import CorrectPage
from napari_seg.gui.pages.segment import SegmentPage

PAGES = (SegmentPage, CorrectPage)
