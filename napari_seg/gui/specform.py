"""A form for any spec: a row for each setting, with the words and the widget that its type asks for."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QSpinBox, QWidget

from napari_seg.spec import Spec


class SpecForm(QWidget):
    """Emits ``changed(name, value)`` when a person changes a setting."""

    changed = Signal(str, object)

    def __init__(self, nothing: str = "any", values: Mapping[Any, str] | None = None) -> None:
        """``nothing``: how a setting reads that has no value. ``values``: how others read."""
        super().__init__()
        self._nothing, self._values = nothing, values or {}
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._shown: tuple[type[Spec] | None, set[str]] = (None, set())
        self.widgets: dict[str, QWidget] = {}

    def render(self, spec: Spec | None, words: Mapping[str, str], unit: str, without: set[str]) -> None:
        """Show the settings of ``spec`` but those ``without``; ``words`` are their titles, ``unit`` that of lengths."""
        wanted = (None if spec is None else type(spec)), without
        if wanted != self._shown:
            self._shown = wanted
            self._build(spec, words, unit)
        if spec is None:
            return
        for name, widget in self.widgets.items():
            _set(widget, getattr(spec, name))

    def _build(self, spec: Spec | None, words: Mapping[str, str], unit: str) -> None:
        while self._rows.rowCount():
            self._rows.removeRow(0)
        self.widgets = {}
        for name, field in type(spec).model_fields.items() if spec is not None else ():
            if name in self._shown[1]:
                continue
            widget = self._widget(name, field, unit)
            title = words.get(name, name.replace("_", " ").capitalize())
            widget.setAccessibleName(title)
            self._rows.addRow(title, widget)
            self.widgets[name] = widget

    def _widget(self, name: str, field: FieldInfo, unit: str) -> QWidget:
        kind: Any = field.annotation
        optional = get_origin(kind) in (Union, types.UnionType)
        if optional:
            kind = next(part for part in get_args(kind) if part is not type(None))
        if get_origin(kind) is Literal:
            combo = QComboBox()
            for value in get_args(kind):
                combo.addItem(self._values.get(value, str(value).capitalize()), value)
            combo.activated.connect(lambda _: self.changed.emit(name, combo.currentData()))
            return combo
        if kind is bool:
            check = QCheckBox()
            check.toggled.connect(lambda value: self.changed.emit(name, value))
            return check
        box: QSpinBox | QDoubleSpinBox = QSpinBox() if kind is int else QDoubleSpinBox()
        known = ((what, part) for part in field.metadata for what in ("ge", "gt", "le") if hasattr(part, what))
        limits = {what: getattr(part, what) for what, part in known}
        lowest = limits.get("ge", limits.get("gt", 0))
        least = lowest - 1 if "ge" in limits else lowest if "gt" in limits else -(10**6)  # which stands for no value
        box.setRange(least if optional else lowest, limits.get("le", 10**6))
        box.setKeyboardTracking(False)
        if isinstance(box, QDoubleSpinBox):
            box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
            if isinstance(field.default, float) and 0 < field.default < 0.01:
                box.setDecimals(5)
            if name in ("radius", "smooth", "distance"):
                box.setSuffix(f" {unit}")
        if optional:
            box.setSpecialValueText(self._nothing)
        box.valueChanged.connect(lambda value: self.changed.emit(name, None if _is_any(box) else value))
        return box


def _is_any(box: QSpinBox | QDoubleSpinBox) -> bool:
    return bool(box.specialValueText()) and box.value() == box.minimum()


def _set(widget: QWidget, value: Any) -> None:
    with QSignalBlocker(widget):
        if isinstance(widget, QComboBox):
            widget.setCurrentIndex(widget.findData(value))
        elif isinstance(widget, QCheckBox):
            widget.setChecked(bool(value))
        elif isinstance(widget, QSpinBox | QDoubleSpinBox):
            widget.setValue(widget.minimum() if value is None else value)
