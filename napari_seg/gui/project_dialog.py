"""Where the images that are open become a project: asked for a name and a folder, with what would be made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_seg.data.formats import stem
from napari_seg.data.volume import Volume
from napari_seg.files import at_home
from napari_seg.gui.parts import row, say, text
from napari_seg.gui.words import breakable

Save = Callable[[str, Path, Sequence[Volume], Callable[[str], None]], None]
"""Makes a project of a name, a folder and images, and tells the last why that is not possible, or nothing."""

_LINES = 5


class ProjectDialog(QDialog):
    """Closes when the project is there; until then it says what is in the way."""

    def __init__(self, parent: QWidget | None, images: Sequence[Volume], save: Save) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save as project")
        self.setMinimumWidth(420)
        self._images, self._save = list(images), save
        name, folder = proposed(self._images)
        self.name, self.folder = QLineEdit(name), QLineEdit(str(folder))
        self.name.setAccessibleName("Name")
        self.folder.setAccessibleName("Folder")
        self.browse = QPushButton("Browse...")
        self.list = QListWidget()
        self.list.setAccessibleName("Images of the project")
        for image in self._images:
            item = QListWidgetItem(image.name or "image")
            item.setToolTip("" if image.path is None else str(image.path))
            item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(Qt.CheckState.Checked)
            self.list.addItem(item)
        self.list.setFixedHeight(24 * max(1, min(len(self._images), _LINES)) + 8)
        self.where, self.trouble = text(name="quiet"), text(name="trouble")
        self.save, self.leave = QPushButton("Save"), QPushButton("Cancel")
        self.save.setObjectName("main")
        self.save.setDefault(True)
        form = QFormLayout()
        form.addRow("Name", self.name)
        form.addRow("Folder", row(self.folder, self.browse))
        form.addRow("Images", self.list)
        layout = QVBoxLayout(self)
        layout.addWidget(text("All masks of these images come along, with every step of their history."))
        layout.addLayout(form)
        layout.addWidget(self.where)
        layout.addWidget(self.trouble)
        layout.addLayout(row(self.save, self.leave))
        self.name.textChanged.connect(self._render)
        self.folder.textChanged.connect(self._render)
        self.list.itemChanged.connect(self._render)
        self.browse.clicked.connect(self._browse)
        self.save.clicked.connect(self._go)
        self.leave.clicked.connect(self.reject)
        self._render()
        self.name.selectAll()
        self.name.setFocus()

    @property
    def chosen(self) -> list[Volume]:
        states = [self.list.item(k).checkState() == Qt.CheckState.Checked for k in range(self.list.count())]
        return [image for image, checked in zip(self._images, states, strict=True) if checked]

    def _render(self) -> None:
        name, folder = self.name.text().strip(), self.folder.text().strip()
        whole = f"The project goes to {Path(folder) / name}. Your images stay where they are." if name else ""
        say(self.where, breakable(whole))
        self.where.setToolTip(whole)
        say(self.trouble, "")
        self.save.setEnabled(bool(name and folder and self.chosen))

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Where is the project to lie?", self.folder.text())
        if folder:
            self.folder.setText(folder)

    def _go(self) -> None:
        self.save.setEnabled(False)
        self.leave.setEnabled(False)
        self.save.setText("Saving...")
        self._save(self.name.text(), at_home(self.folder.text().strip()), self.chosen, self._done)

    def _done(self, why: str) -> None:
        self.save.setText("Save")
        self.save.setEnabled(True)
        self.leave.setEnabled(True)
        if why:
            say(self.trouble, why)
            self.name.setFocus()
        else:
            self.accept()


def proposed(images: Sequence[Volume]) -> tuple[str, Path]:
    """The name and the folder that are offered: of the only image, or of where several lie."""
    paths = [image.path for image in images if image.path is not None]
    folder = paths[0].absolute().parent if paths else Path.home()
    if len(images) == 1:
        return (stem(paths[0]) if paths else images[0].name), folder
    return folder.name, folder
