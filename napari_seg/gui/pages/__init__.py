"""The pages of the panel, in the order of the work. A page that is not here has no button."""

from __future__ import annotations

from typing import Any

from napari_seg.gui.pages.correct import CorrectPage
from napari_seg.gui.pages.folder import FolderPage
from napari_seg.gui.pages.review import ReviewPage
from napari_seg.gui.pages.segment import SegmentPage
from napari_seg.gui.pages.train import TrainPage

PAGES: tuple[Any, ...] = (SegmentPage, CorrectPage, ReviewPage, TrainPage, FolderPage)
