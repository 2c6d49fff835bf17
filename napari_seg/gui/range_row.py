"""The range of intensities of a brush: two handles on one line, and where the range comes from."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QDoubleRangeSlider

from napari_seg.editing.painting import Painting
from napari_seg.gui.parts import text
from napari_seg.gui.ranges import is_open

_WAITS = "Click where it should paint: the range is taken from there. Or take that of the label."


class RangeRow(QWidget):
    """``changed`` carries the lowest and the highest intensity while a handle moves; ``from_label`` and ``anew`` are
    buttons that whoever shows it listens to."""

    changed = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self.words = text(_WAITS)
        self.slider = QDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Lowest and highest intensity")
        self.slider.setToolTip("What lies between the handles is painted; what would be is tinted around the mouse")
        self.low, self.high = _box("Lowest intensity"), _box("Highest intensity")
        self.from_label, self.anew = QPushButton(), QPushButton("From a click")
        self.from_label.setToolTip("Take the range of what has the label in hand in this slice, without its extremes")
        self.anew.setToolTip("Forget the range: the next click gives it, from what lies under it")
        self.ends = QWidget()
        self.ends.setObjectName("bare")
        ends = QHBoxLayout(self.ends)
        ends.setContentsMargins(0, 0, 0, 0)
        ends.setSpacing(4)
        for part in (self.low, QLabel("to"), self.high):
            ends.addWidget(part, 0 if isinstance(part, QLabel) else 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.from_label, self.anew):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        for part in (self.words, self.slider, self.ends):
            layout.addWidget(part)
        layout.addLayout(buttons)
        self.slider.valueChanged.connect(lambda ends: self.changed.emit(*map(float, ends)))
        for box in (self.low, self.high):
            box.valueChanged.connect(lambda _: self.changed.emit(self.low.value(), self.high.value()))

    def render(self, options: Any, limits: tuple[float, float], label: int) -> None:
        """Show the range of a tool that paints in one; ``limits``: the lowest and the highest intensity there is."""
        shown = isinstance(options, Painting) and options.mode == "range"
        self.setVisible(shown)
        if not shown:
            return
        low, high = options.low, options.high
        ends = limits[0] if low is None else low, limits[1] if high is None else high
        with QSignalBlocker(self.slider):
            self.slider.setRange(min(limits[0], *ends), max(limits[1], *ends))
            self.slider.setValue((min(ends), max(ends)))
        for box, end in zip((self.low, self.high), ends, strict=True):
            with QSignalBlocker(box):
                box.setValue(end)
        waits = is_open(options)
        self.words.setVisible(waits)
        self.slider.setVisible(not waits)
        self.ends.setVisible(not waits)
        self.from_label.setText(f"From label {label}")
        self.anew.setEnabled(not waits)


def _box(name: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(-1e9, 1e9)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    box.setKeyboardTracking(False)
    box.setAccessibleName(name)
    return box


def intensities_of(image: Any) -> tuple[float, float]:
    """Between which intensities an image layer lies, as far as it is known without looking at all of it."""
    found = getattr(image, "contrast_limits_range", None) or (0, 255)
    return float(found[0]), float(found[1])
