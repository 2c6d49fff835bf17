"""What the panel shows while nothing is open: what to do first."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_seg.data.formats import FORMATS
from napari_seg.data.samples import SAMPLES
from napari_seg.gui.manifest import PLUGIN, open_paths
from napari_seg.gui.parts import text


class StartBox(QWidget):
    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.image = QPushButton("Open image...")
        self.image.setObjectName("main")
        self.folder = QPushButton("Open folder (DICOM, OME-Zarr)...")
        self.sample = QPushButton("Open sample")
        menu = QMenu(self.sample)
        for key, sample in SAMPLES.items():
            menu.addAction(sample.title).triggered.connect(lambda _=False, k=key: viewer.open_sample(PLUGIN, k))
        self.sample.setMenu(menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 12, 4, 4)
        layout.setSpacing(8)
        layout.addWidget(text("Open an image to begin", "headline"))
        layout.addWidget(text("Drop a file or a folder on the view, or choose one here."))
        for button in (self.image, self.folder, self.sample):
            layout.addWidget(button)
        self.image.clicked.connect(self._open_image)
        self.folder.clicked.connect(self._open_folder)

    def _open_image(self) -> None:
        patterns = " ".join(f"*{suffix}" for entry in FORMATS.values() for suffix in entry.suffixes)
        paths, _ = QFileDialog.getOpenFileNames(self, "Open images", "", f"Images ({patterns});;All files (*)")
        if paths:
            open_paths(self._viewer, paths)

    def _open_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder")
        if path:
            open_paths(self._viewer, [path])
