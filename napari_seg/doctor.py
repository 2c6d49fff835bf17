"""What this machine can do, each in one sentence: what computes, how precisely, how much fits, whether a window opens.

Nothing here needs a display, napari or Qt: whether they work is tried in a process of its own, as a missing system
library ends a process instead of raising.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from typing import Any

from napari_seg.spec import Spec

_SECONDS = 120
_LIBRARIES = "`make system` in the source installs them on Debian and Ubuntu, the README names them for others"
_CRASHING = ("PySide6 6.11.0", "PySide6 6.11.1", "PySide6 6.12.0")

_TRY_QT = """
import importlib.util
import json
import sys

if importlib.util.find_spec("PySide6"):
    import PySide6.QtWidgets  # says which system library is missing; qtpy would only say that there is no Qt
from qtpy import API_NAME, PYSIDE_VERSION, QT_VERSION
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext
from qtpy.QtWidgets import QApplication

application = QApplication(sys.argv[:1])
found = {"qt": f"{API_NAME} {PYSIDE_VERSION or QT_VERSION}", "renderer": ""}
surface, context = QOffscreenSurface(), QOpenGLContext()
surface.create()
if sys.argv[1] == "display" and context.create() and context.makeCurrent(surface):
    found["renderer"] = context.functions().glGetString(0x1F01) or "unnamed"
    context.doneCurrent()
print(json.dumps(found))
"""


class Finding(Spec):
    """One thing looked at: whether it is as good as it could be, in a sentence, and what would help (or nothing)."""

    name: str
    good: bool
    sentence: str
    cure: str = ""


def examine() -> tuple[Finding, ...]:
    """Look at device, precision, memory, Qt and OpenGL; the last finding says what would help."""
    findings = (*_processor(), _memory(), *_window())
    cures = [finding.cure for finding in findings if finding.cure]
    sentence = " ".join(cures) or "Nothing is missing."
    return (*findings, Finding(name="help", good=not cures, sentence=sentence))


def has_display() -> bool:
    """Whether a window could be shown (on Linux: whether the session names a display)."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _processor() -> tuple[Finding, Finding]:
    import torch

    from napari_seg.inference.backend import choose_device

    device = choose_device()
    cores = torch.get_num_threads()
    on = f"{device.name} ({cores} threads)" if device.name == "cpu" else device.name
    sentence = f"Networks run on {on}: {device.why}; torch {torch.__version__}."
    cure, unused = "", device.name == "cpu" and shutil.which("nvidia-smi") is not None
    if unused:
        cure = "There is an NVIDIA GPU that this torch cannot use: install torch's CUDA build as the README says."
    elif device.name == "cpu":
        cure = "An NVIDIA GPU or an Apple processor would be faster, above all for training."
    fast = device.precision == "bf16"
    precise = f"Networks run in {device.precision}" + (
        ", which the processor computes fast; --precision fp32 gives the last digit."
        if fast
        else "; the processor has no fast bfloat16, so this is the quickest way."
    )
    return (
        Finding(name="device", good=not unused, sentence=sentence, cure=cure),
        Finding(name="precision", good=fast, sentence=precise),
    )


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available / 1e9, memory.total / 1e9
    enough = free >= 4
    return Finding(
        name="memory",
        good=enough,
        sentence=f"{free:.1f} of {total:.1f} GB of memory are free.",
        cure=""
        if enough
        else "Close other programs: with less than 4 GB free, tiles get small and large volumes slow.",
    )


def _window() -> tuple[Finding, Finding]:
    if importlib.util.find_spec("napari") is None or importlib.util.find_spec("qtpy") is None:
        cure = '`pip install "napari-seg[gui]"` adds the window.'
        return (
            _bad("qt", "napari is not installed, so there is the command line but no window.", cure),
            _bad("opengl", "OpenGL was not tried, as there is no window to draw in."),
        )
    display = has_display()
    found, failure = _try_qt(display)
    if failure:
        return (
            _bad("qt", f"Qt cannot start: {failure}.", f"Qt lacks libraries: {_LIBRARIES}."),
            _bad("opengl", "OpenGL was not tried, as Qt cannot start."),
        )
    works = f"napari {version('napari')} works with {found['qt']}"
    if not display:
        cure = "Start napari in a desktop session, or with `xvfb-run` where nobody looks."
        return (
            _bad("qt", f"{works}, but there is no display to open a window on; the command line needs none.", cure),
            _bad("opengl", "OpenGL was not tried, as there is no display."),
        )
    return _qt(works, found["qt"]), _opengl(found["renderer"])


def _qt(works: str, qt: str) -> Finding:
    if sys.version_info < (3, 12) and any(crashing in qt for crashing in _CRASHING):
        cure = "PySide6 6.11.3 does not: `pip install PySide6==6.11.3`."
        return _bad("qt", f"{works}, but this PySide6 ends Python 3.11 after a while.", cure)
    return Finding(name="qt", good=True, sentence=f"{works}.")


def _opengl(renderer: str) -> Finding:
    if not renderer:
        return _bad("opengl", "OpenGL does not work, so napari cannot draw.", f"OpenGL is missing: {_LIBRARIES}.")
    if any(name in renderer.lower() for name in ("llvmpipe", "softpipe", "swrast")):
        cure = "A graphics driver would make 3D views smooth."
        return _bad("opengl", f"OpenGL works, but the processor draws, which is slow in 3D ({renderer}).", cure)
    return Finding(name="opengl", good=True, sentence=f"OpenGL works: the graphics card draws ({renderer}).")


def _bad(name: str, sentence: str, cure: str = "") -> Finding:
    return Finding(name=name, good=False, sentence=sentence, cure=cure)


def _try_qt(display: bool) -> tuple[dict[str, Any], str]:
    """What Qt says of itself, or why it does not start."""
    environment = dict(os.environ) if display else {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", _TRY_QT, "display" if display else "none"]
    try:
        tried = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {}, f"it did not answer within {_SECONDS} seconds"
    lines = tried.stdout.strip().splitlines()
    if tried.returncode == 0 and lines:
        found: dict[str, Any] = json.loads(lines[-1])
        return found, ""
    words = tried.stderr.strip().splitlines() or [f"it ended with code {tried.returncode}"]
    return {}, words[-1].removeprefix("ImportError: ").rstrip(".")
