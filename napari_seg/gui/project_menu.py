"""The button that is seen from every page: it makes a project of what is open, adds to it, or opens another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton, QWidget

from napari_seg.data.volume import Volume
from napari_seg.gui.controller import Controller
from napari_seg.gui.folder_state import Folder
from napari_seg.gui.project_dialog import ProjectDialog
from napari_seg.gui.words import shortened
from napari_seg.session.projects import recent

SAVE = "Save as project..."

_NAMED = 22
"""Letters of a project's name."""


class ProjectMenu(QToolButton):
    """A click saves what is open as a project, or shows the project that is open; the arrow has the rest."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._batch = controller, controller.batch
        self.dialog: ProjectDialog | None = None
        self.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.menu_of = QMenu(self)
        self.setMenu(self.menu_of)
        self.menu_of.aboutToShow.connect(self._fill)
        self.clicked.connect(self._click)
        self._batch.changed.connect(self.render)
        self.render(self._batch.state)

    def render(self, state: Folder) -> None:
        name = state.name if state.folder is not None else ""
        self.setText(shortened(name, _NAMED) if name else SAVE)
        self.setAccessibleName(f"Project {name}" if name else SAVE)
        self.setToolTip(
            f"Show the images of the project {name}" if name else "Keep the images that are open together, under a name"
        )

    def save_as(self) -> None:
        """Ask for a name and a folder, and make a project of the images that are open."""
        images = [image for image, _ in self._batch.open_images()]
        if not images:
            self._batch.tell("There is no image to make a project of; open one first.")
            self._controller.asked_for.emit("Project")
            return
        self.dialog = ProjectDialog(self, images, self._save)
        self.dialog.open()

    def open_project(self) -> None:
        """Ask for the folder of a project, and open it."""
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder of a project, or a folder of images")
        if folder:
            self._show(Path(folder))

    def _save(self, name: str, parent: Path, images: Sequence[Volume], then: Callable[[str], None]) -> None:
        def made(why: str) -> None:
            then(why)
            if not why:
                self._controller.asked_for.emit("Project")

        self._batch.save_as(name, parent, images, made)

    def _click(self) -> None:
        if self._batch.state.folder is None:
            self.save_as()
        else:
            self._controller.asked_for.emit("Project")

    def _show(self, folder: Path) -> None:
        self._batch.choose_folder(folder)
        self._controller.asked_for.emit("Project")

    def _fill(self) -> None:
        menu, state = self.menu_of, self._batch.state
        menu.clear()
        menu.addAction(SAVE, self.save_as).setEnabled(bool(self._batch.open_images()))
        if state.folder is not None and state.to_add:
            images = "the open image" if state.to_add == 1 else f"the {state.to_add} open images"
            menu.addAction(f"Add {images} to {shortened(state.name, _NAMED)}", self._batch.add_open)
        menu.addAction("Open a project...", self.open_project)
        others = [one for one in recent() if state.place != str(one.folder)]
        if others:
            menu.addSection("Worked on last")
            for one in others[:8]:
                action = menu.addAction(shortened(one.name), lambda folder=one.folder: self._show(folder))
                action.setToolTip(str(one.folder))
        menu.setToolTipsVisible(True)
