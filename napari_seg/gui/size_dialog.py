"""How large voxels are, asked of a person where the file does not say it, or says it wrong."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QDialog, QFormLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_seg.gui.parts import row, text
from napari_seg.gui.words import UNIT_SIGNS, spacing_words
from napari_seg.session.sizes import Size, lengths_from

_WORDS = (
    "How far apart are the voxels of {name}? The file {said}. Masks follow, and the size is remembered for this image; "
    "the file stays as it is."
)


class SizeDialog(QDialog):
    """A field for each spatial axis of ``axes``, in the order in which people say them: x, y, z.

    ``now``: the size that voxels have; ``file``: the one that the file says.
    """

    def __init__(self, parent: QWidget | None, name: str, axes: str, now: Size, file: Size) -> None:
        super().__init__(parent)
        self.setWindowTitle("Voxel size")
        self.setMinimumWidth(360)
        self.unit = QComboBox()
        self.unit.setAccessibleName("Unit")
        for unit, sign in UNIT_SIGNS.items():
            if unit != "pixel":
                self.unit.addItem(sign, unit)
        self.unit.setCurrentIndex(max(0, self.unit.findData(now.unit if now.spacing else "um")))
        self.fields = {axis: QLineEdit() for axis in axes}
        for axis, length in zip(axes, now.spacing, strict=False):
            self.fields[axis].setText(f"{length:.9g}")
        self.fine, self.leave = QPushButton("Use this size"), QPushButton("Cancel")
        self.fine.setObjectName("main")
        self.fine.setDefault(True)
        said = f"says {spacing_words(file.spacing, file.unit)}" if file.spacing else "does not say it"
        form = QFormLayout()
        for axis in reversed(axes):
            self.fields[axis].setAccessibleName(axis)
            self.fields[axis].textChanged.connect(self._render)
            form.addRow(axis, self.fields[axis])
        form.addRow("Unit", self.unit)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addWidget(text(_WORDS.format(name=name, said=said)))
        layout.addLayout(form)
        layout.addLayout(row(self.fine, self.leave))
        self.fine.clicked.connect(self.accept)
        self.leave.clicked.connect(self.reject)
        self.fields[axes[-1]].setFocus()
        self.fields[axes[-1]].selectAll()
        self._render()

    @property
    def size(self) -> Size | None:
        """What is typed; ``None`` where that is no size."""
        try:
            spacing = lengths_from(field.text().replace(",", ".") for field in self.fields.values())
        except ValueError:
            return None
        return Size(spacing, str(self.unit.currentData()))

    def answer(self) -> Size | None:
        """Show the question and wait: the size, or ``None``."""
        return self.size if self.exec() == QDialog.DialogCode.Accepted else None

    def _render(self) -> None:
        self.fine.setEnabled(self.size is not None)
