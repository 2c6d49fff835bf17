"""Make the samples again: ``python sample_data/make.py [NAME ...]``, in a few minutes and exactly as they are.

Everything is computed from shapes, optics and noise (see ``physics.py``); no real image is in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import abdomen
import head
import nuclei
import numpy as np
from numpy.typing import NDArray

from napari_seg import Volume, write
from napari_seg.data.samples import SAMPLES
from napari_seg.data.volume import labels_dtype

MAKERS = {"nuclei2d": nuclei.dish, "nuclei3d": nuclei.tissue, "head_mr": head.head, "abdomen_ct": abdomen.abdomen}
MICROMETRES = {"nuclei2d": (0.325, 0.325), "nuclei3d": (1.0, 0.32, 0.32)}
MILLIMETRES = {"head_mr": head.SPACING, "abdomen_ct": abdomen.SPACING}


def volume(name: str, data: NDArray[np.generic]) -> Volume:
    """The array with its place in the world; the heads and bellies are centred at the origin."""
    if name in MICROMETRES:
        return Volume(data, "ZYX"[-data.ndim :], spacing=MICROMETRES[name], unit="um", name=name)
    spacing = np.array(MILLIMETRES[name])
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing[0], -spacing[1], -spacing[2]
    affine[:3, 3] = (affine[:3, :3] @ (1 - np.array(data.shape)) / 2).round(3)
    affine[3, 3] = 1
    return Volume(data, "ZYX", spacing=MILLIMETRES[name], unit="mm", affine=affine, name=name)


def make(name: str, folder: Path) -> None:
    image, labels = MAKERS[name]()
    write(volume(name, image), folder / SAMPLES[name].image)
    write(volume(name, labels.astype(labels_dtype(int(labels.max())))), folder / SAMPLES[name].labels)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or list(MAKERS):
        make(chosen, Path(__file__).resolve().parent)
        print(chosen)
