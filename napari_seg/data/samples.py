"""The samples that come with the program: small images of every kind with their labels, made by a script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sample:
    """An image and its labels, by the names of their files; ``classes`` name the labels 1, 2, ... (none: objects)."""

    title: str
    image: str
    labels: str
    classes: tuple[str, ...] = ()


SAMPLES = {
    "nuclei2d": Sample("Nuclei, 2D (fluorescence)", "nuclei2d.tif", "nuclei2d_labels.tif"),
    "nuclei3d": Sample("Nuclei, 3D (confocal stack)", "nuclei3d.tif", "nuclei3d_labels.tif"),
    "head_mr": Sample(
        "Head, 3D (MR-like)",
        "head_mr.nii.gz",
        "head_mr_labels.nii.gz",
        ("grey matter", "white matter", "ventricles", "cerebellum", "brain stem", "tumour"),
    ),
    "abdomen_ct": Sample(
        "Abdomen, 3D (CT-like)",
        "abdomen_ct.nii.gz",
        "abdomen_ct_labels.nii.gz",
        ("liver", "spleen", "right kidney", "left kidney", "stomach", "aorta", "spine"),
    ),
}
"""Every sample by name, in the order of the menu."""


def folder() -> Path:
    """Where the samples lie: inside an installed package, beside the package in a checkout."""
    inside = _PACKAGE / "sample_data"
    return inside if inside.is_dir() else _PACKAGE.parent / "sample_data"


def path_of(name: str) -> Path:
    """The image of a sample. Raises ``KeyError`` for an unknown name."""
    return folder() / SAMPLES[name].image


def labels_of(name: str) -> Path:
    """The labels of a sample. Raises ``KeyError`` for an unknown name."""
    return folder() / SAMPLES[name].labels
