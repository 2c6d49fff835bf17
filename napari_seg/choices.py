"""What can be chosen by name, on the command line as in a spec; light, as ``--help`` needs it."""

from __future__ import annotations

from typing import Literal

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
"""Where it is computed."""

PrecisionName = Literal["auto", "fp32", "bf16"]
"""How precisely it is computed."""

TaskKind = Literal["semantic", "instance"]
"""Whether a model learns classes of pixels or single objects."""

NetworkKind = Literal["unet", "vnet", "segnet"]

LossKind = Literal["dice", "focal", "tversky"]
"""What a training makes small: cross-entropy and Dice; for ``focal`` the cross-entropy looks mostly at pixels that are
still wrong; for ``tversky`` what is missed costs more than what is found in excess, which helps small classes."""
