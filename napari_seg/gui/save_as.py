"""Asking where something is to be saved, and saving a table there."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_seg.data.formats import suffix_of
from napari_seg.errors import SegError
from napari_seg.files import cause_of, written


def ask_where(parent: QWidget, title: str, start: Path, suffix: str, kinds: str) -> Path | None:
    """Where to save, ``None`` if nowhere. A name without a suffix gets this one *before* the dialog looks whether there
    is such a file, and asks whether it is to be replaced. ``kinds``: what the dialog lists, as a filter of Qt."""
    dialog = QFileDialog(parent, title, str(start.parent), kinds)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix)
    dialog.selectFile(start.name)
    try:
        return Path(dialog.selectedFiles()[0]) if dialog.exec() else None
    finally:
        dialog.deleteLater()


def ask_for_mask(parent: QWidget, start: Path) -> Path | None:
    kinds = "Masks (*.nii.gz *.nii *.ome.tif *.tif *.png *.nrrd *.ome.zarr)"
    return ask_where(parent, "Save the mask", start, suffix_of(start).lstrip("."), kinds)


def ask_for_csv(parent: QWidget, title: str, name: str) -> Path | None:
    return ask_where(parent, title, Path(name), "csv", "Table (*.csv)")


def save_csv(text: str, path: Path) -> None:
    """With the mark by which spreadsheets know UTF-8. Raises ``SegError`` where it cannot be written."""
    try:
        with written(path) as aside:
            aside.write_text(text, encoding="utf-8-sig", newline="")
    except OSError as error:
        reason = cause_of(error)
        raise SegError(f"{path.name} could not be written ({reason}); choose another folder.") from None
