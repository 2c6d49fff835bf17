"""The options of a run, folded away; each has its default written beside it, and the title says what is another."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QPushButton, QSizePolicy, QWidget

from napari_seg.gui.parts import Fold
from napari_seg.gui.state import Options, Segment

REGIONS = {
    "whole": "whole image (default)",
    "slice": "only the slice shown",
    "box": "only what is visible",
    "near": "around the middle of the view",
}
DEVICES = {"auto": "automatic (default)", "cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}
PRECISIONS = {"auto": "automatic (default)", "bf16": "fast (bf16)", "fp32": "exact (fp32)"}


class OptionsForm(Fold):
    """Emits ``changed(name, value)`` for each option of :class:`Options` a person changes."""

    changed = Signal(str, object)

    def __init__(self) -> None:
        super().__init__("Options")
        self.channel = _combo("Channel", "Which channel, or which stain of a colour image, the model gets.")
        self.diameter = QDoubleSpinBox()
        self.diameter.setRange(0, 10_000)
        self.diameter.setDecimals(1)
        self.diameter.setSuffix(" px")
        self.diameter.setSpecialValueText("estimated (default)")
        self.diameter.setKeyboardTracking(False)
        self.diameter.setMinimumWidth(120)
        _name(self.diameter, "Object size", "How wide the objects are in this image; the image is rescaled by it.")
        self.size = QPushButton()
        _name(self.size, "Voxel size", "How far apart the voxels are; change it where the file is wrong or lacks it.")
        self.region = _combo("Region", "How much of the image is segmented. The rest of the mask stays as it is.")
        self.device = _combo("Device", "What computes. Automatic takes a GPU where there is one.", DEVICES)
        self.precision = _combo("Precision", "bf16 is several times faster where the processor has it.", PRECISIONS)
        self.form = QFormLayout()
        for widget in (self.channel, self.diameter, self.size, self.region, self.device, self.precision):
            self.form.addRow(widget.accessibleName(), widget)
        self.rows.addLayout(self.form)
        for name in ("channel", "region", "device", "precision"):
            combo: QComboBox = getattr(self, name)
            combo.activated.connect(lambda _, n=name, c=combo: self.changed.emit(n, c.currentData()))
        self.diameter.valueChanged.connect(lambda value: self.changed.emit("diameter", value))

    def lead_to(self, option: str) -> None:
        """Unfold the form at an option that the person has to set."""
        self.unfold(True)
        combo: QComboBox = getattr(self, option)
        combo.setFocus()
        combo.showPopup()

    def render(self, state: Segment) -> None:
        options: Options = state.options
        channels = {"": "luminance (default)" if "luminance" in state.channels else "as shown (default)"}
        channels |= {name: name for name in state.channels if name != "luminance"}
        _fill(self.channel, channels, options.channel)
        _fill(self.region, {key: REGIONS[key] for key in state.regions}, options.region)
        for combo, value in ((self.device, options.device), (self.precision, options.precision)):
            combo.setCurrentIndex(combo.findData(value))
        with QSignalBlocker(self.diameter):
            self.diameter.setValue(options.diameter)
        self.form.setRowVisible(self.channel, bool(state.channels))
        self.form.setRowVisible(self.diameter, state.estimates_diameter)
        self.size.setText(f"{state.voxel_size}...")
        self.form.setRowVisible(self.size, bool(state.voxel_size))
        changed = _changed(state)
        self.rename(f"Options: {', '.join(changed)}" if changed else "Options")


def _changed(state: Segment) -> list[str]:
    """The options that are not as they are by default, of those that are shown."""
    options, default = state.options, Options()
    shown = {
        "channel": options.channel if state.channels else "",
        "diameter": f"objects of {options.diameter:g} px" if state.estimates_diameter else "",
        "region": REGIONS[options.region] if options.region in state.regions else "",
        "device": DEVICES[options.device],
        "precision": PRECISIONS[options.precision],
    }
    return [words for name, words in shown.items() if words and getattr(options, name) != getattr(default, name)]


def _combo(name: str, tip: str, items: dict[str, str] | None = None) -> QComboBox:
    combo = QComboBox()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(6)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    _name(combo, name, tip)
    _fill(combo, items or {}, "auto")
    return combo


def _name(widget: QWidget, name: str, tip: str) -> None:
    widget.setAccessibleName(name)
    widget.setToolTip(tip)


def _fill(combo: QComboBox, items: dict[str, str], chosen: str) -> None:
    if [combo.itemData(k) for k in range(combo.count())] != list(items):
        combo.clear()
        for key, title in items.items():
            combo.addItem(title, key)
    combo.setCurrentIndex(max(0, combo.findData(chosen)))
