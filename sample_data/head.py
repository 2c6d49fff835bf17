"""An MR-like head: T1-weighted, with folded cortex, and a small tumour on the right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from physics import band_noise, magnetic_resonance, smooth_noise
from shapes import Field, Space, union

SPACING = (1.5, 1.5, 1.5)
CLASSES = ("grey matter", "white matter", "ventricles", "cerebellum", "brain stem", "tumour")
_SHAPE = (124, 150, 110)


def head(seed: int = 3) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Image and labels, axes z, y, x towards S, P and L; computed on half the voxel size for partial volume."""
    rng = np.random.default_rng(seed)
    fine = (2 * _SHAPE[0], 2 * _SHAPE[1], 2 * _SHAPE[2])
    straight = Space.of(fine, (0.75, 0.75, 0.75), (0, 4, -2))
    signal, labels = _tissues(rng, straight)
    coarse = signal.reshape(_SHAPE[0], 2, _SHAPE[1], 2, _SHAPE[2], 2).mean((1, 3, 5), dtype=np.float32)
    image = magnetic_resonance(rng, coarse, noise=5.0, bias=0.12, spacing=SPACING[0])
    return image, np.ascontiguousarray(labels[::2, ::2, ::2])


def _tissues(rng: np.random.Generator, straight: Space) -> tuple[Field, NDArray[np.uint8]]:
    space = straight.warped(rng, 1.6, (22, 22, 22))
    shape = space.x.shape
    signal = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.uint8)

    def paint(body: Field, value: float | Field, label: int | None = None) -> None:
        inside = body < 0
        signal[inside] = value[inside] if isinstance(value, np.ndarray) else value
        if label is not None:
            labels[inside] = label

    grain = smooth_noise(rng, shape, (1.6, 1.6, 1.6))
    skull = union(space.ellipsoid((0, -4, 10), (71, 91, 72)), space.ellipsoid((0, 20, -30), (58, 66, 60)), soft=25)
    face = union(
        space.ellipsoid((0, 42, -62), (52, 48, 44)),
        space.tube([(0, 86, -22), (0, 101, -44)], 7, 11),
        space.ellipsoid((0, -2, -92), (58, 56, 60), 2.4),
        soft=18,
    )
    skin = union(skull - 8, face, soft=14)
    for side in (-1, 1):
        skin = union(skin, space.ellipsoid((side * 80, -8, -26), (8, 14, 25)), soft=5)
    brain = union(space.ellipsoid((0, -4, 12), (62.5, 82.5, 60)), space.ellipsoid((0, 6, -16), (56, 58, 26)), soft=14)
    temporal = [space.ellipsoid((side * 43, 12, -20), (21, 40, 20), turn=side * 8) for side in (-1, 1)]
    base = space.z + 20 - 0.2 * np.clip(-space.y, 0, None) + 0.004 * (space.x**2)  # the skull base and the tentorium
    cerebrum = np.maximum(union(np.maximum(brain, -base), *temporal, soft=6), skull + 7.5)
    hollow = np.maximum(space.ellipsoid((0, -44, -40), (54, 38, 24)), skull + 5.5)  # of the cerebellum
    cavity = np.maximum(
        union(cerebrum - 1.6, hollow, space.ellipsoid((0, -14, -32), (22, 20, 20)), soft=6), skull + 5.2
    )

    muscle = 112 + 16 * band_noise(rng, shape, (4.0, 2.2, 2.2))
    paint(skin, 165 + 10 * grain)
    paint(skin + 1.8, 265 + 12 * grain)  # fat under the skin
    soft = np.where(band_noise(rng, shape, (9.0, 5.0, 5.0)) > 1.1, 235 + 12 * grain, muscle).astype(np.float32)
    paint(union(skin + 6.5, face + 10, soft=2), soft)
    _face(rng, space, paint, muscle)
    bone = np.maximum(cavity - 6.5, skull)
    paint(bone, 22.0)
    diploe = np.abs(cavity - 3.2) - 1.2 + 0.8 * smooth_noise(rng, shape, (10, 10, 10))
    paint(np.maximum(np.maximum(diploe, bone + 1), -10 - space.z), 150 + 15 * grain)
    paint(cavity, 42.0)  # fluid around the brain
    fissure = np.abs(space.x + 0.8 * smooth_noise(rng, shape, (14, 30, 14))) - 1.3
    callosum = _callosum(space)
    fissure = np.maximum(fissure, -(callosum - 1.5))
    sylvian = union(*(space.tube([(s * 60, 34, -8), (s * 50, 8, 2), (s * 58, -26, 14)], 3.2, 1.0) for s in (-1, 1)))
    folds = np.abs(band_noise(rng, shape, (6.0, 7.0, 6.0)) + 0.35 * band_noise(rng, shape, (3.6, 3.6, 3.6)))
    depth = np.clip(-cerebrum, 0, None)
    deep = np.clip((depth - 4) / 17, 0, 1)
    sulcus = folds - 0.27 * (1 - deep) ** 0.7 + 1.2 * (depth > 21)
    open_fluid = (sulcus < 0) | (fissure < 0) | (sylvian < 0)
    cortex = (folds < 0.27 * (1 - deep) ** 0.7 + 0.44 * (1 - deep**1.5)) & (depth < 19)
    cortex |= (depth < 3.0) | (fissure < 2.8) | (sylvian < 2.6)
    cortex &= ~((callosum < 0.5) & (depth > 8))
    inside = cerebrum < 0
    white, grey = 205 + 5 * grain, 146 + 6 * grain
    signal[inside] = np.where(cortex, grey, white)[inside]
    labels[inside] = np.where(cortex, 1, 2)[inside]
    fluid = inside & open_fluid
    signal[fluid], labels[fluid] = 44, 0
    paint(np.maximum(callosum, cerebrum), 212 + 4 * grain, 2)
    _deep(space, paint, grain)
    _hind(rng, space, hollow, paint, grain)

    tumour = space.ellipsoid((33, 38, 26), (10, 12, 11)) + 1.6 * smooth_noise(rng, shape, (5, 5, 5))
    swelling = tumour - 6 + 3 * smooth_noise(rng, shape, (8, 8, 8))
    oedema = (swelling < 0) & (labels == 2)
    signal[oedema] = 150 + 5 * grain[oedema]
    paint(tumour, 252 + 16 * grain, 6)
    paint(tumour + 5.5, 88 + 12 * grain, 6)
    return signal, labels


def _callosum(space: Space) -> Field:
    arch = [
        (0.0, 36.0, 2.0),
        (0.0, 39.0, 12.0),
        (0.0, 28.0, 22.0),
        (0.0, 6.0, 27.0),
        (0.0, -18.0, 25.0),
        (0.0, -36.0, 14.0),
    ]
    near = space.tube(arch, 4.2, 5.2)
    sides = [
        space.tube([(s * x, y, z + 0.012 * x * x) for x in (0.0, 12.0, 22.0)], 4.0, 6.0)
        for s in (-1, 1)
        for _, y, z in arch[1:]
    ]
    return union(near, *sides, soft=3)


def _face(rng: np.random.Generator, space: Space, paint, muscle: Field) -> None:  # type: ignore[no-untyped-def]
    for side in (-1, 1):
        orbit = space.ellipsoid((side * 32, 66, -24), (19, 24, 17))
        paint(orbit, 250.0)
        paint(space.tube([(side * 30, 52, -24), (side * 16, 28, -22)], 2.2), 140.0)
        paint(np.abs(space.tube([(side * 31, 72, -24), (side * 20, 36, -23)], 11, 5)) - 1.3, 120.0)
        paint(space.ellipsoid((side * 32, 76, -24), (12.3, 12.3, 12.3)), 130.0)
        paint(space.ellipsoid((side * 32, 76, -24), (11, 11, 11)), 48.0)
        paint(space.ellipsoid((side * 32, 84.5, -24), (4.5, 2.2, 4.5)), 110.0)
        paint(space.ellipsoid((side * 32, 52, -54), (14, 17, 15), 2.6), 6.0)  # maxillary sinus
        cells = space.ellipsoid((side * 9, 56, -26), (6, 22, 11), 3) + 1.5 * band_noise(rng, space.x.shape, (3, 3, 3))
        paint(cells, 10.0)
        paint(space.ellipsoid((side * 13, 80, 4), (11, 6, 9)), 6.0)  # frontal sinus
        paint(space.tube([(side * 7, 84, -50), (side * 6, 40, -48)], 4.0), 8.0)  # nose
        paint(space.tube([(side * 48, -2, -38), (side * 72, -6, -30)], 4, 3), 5.0)  # ear canal
        cells = space.ellipsoid((side * 56, -26, -40), (11, 13, 17)) + 4 * band_noise(rng, space.x.shape, (3, 3, 3))
        paint(cells, 14.0)
        paint(space.tube([(side * 50, 16, -62), (side * 44, 40, -96)], 5), 150.0)  # jaw
        paint(np.abs(space.tube([(side * 50, 16, -62), (side * 44, 40, -96)], 5)) - 1.4, 20.0)
    paint(space.ellipsoid((0, 20, -28), (10, 12, 9), 2.6), 8.0)  # sphenoid sinus
    paint(space.tube([(0, 14, -46), (0, 6, -84), (0, 8, -120)], 7, 9), 4.0)  # throat
    tongue = space.ellipsoid((0, 46, -84), (24, 32, 17))
    paint(tongue, muscle + 22)
    paint(space.tube([(0, 70, -66), (0, 24, -62)], 2.5), 20.0)  # palate
    for level in (-84.0, -103.0, -122.0):
        paint(space.ellipsoid((0, -14, level), (17, 10, 7.5), 3), 25.0)
        paint(space.ellipsoid((0, -14, level), (15, 8.5, 6), 3), 150.0)


def _deep(space: Space, paint, grain: Field) -> None:  # type: ignore[no-untyped-def]
    for side in (-1, 1):
        paint(space.ellipsoid((side * 10.5, -10, 4), (8, 14, 9), turn=side * 18), 158 + 5 * grain, 1)  # thalamus
        paint(space.ellipsoid((side * 25, 6, 2), (6, 17, 10), turn=side * 12), 156 + 5 * grain, 1)  # lentiform nucleus
        paint(space.tube([(side * 12, 24, 6), (side * 13, 10, 17), (side * 18, -14, 21)], 6, 2.5), 152 + 5 * grain, 1)
        body = [
            (side * 8.0, 32.0, 10.0),
            (side * 7.0, 14.0, 19.0),
            (side * 9.0, -12.0, 21.0),
            (side * 16.0, -32.0, 15.0),
        ]
        horn = [
            (side * 17.0, -33.0, 14.0),
            (side * 24.0, -30.0, 1.0),
            (side * 31.0, -12.0, -13.0),
            (side * 30.0, 2.0, -16.0),
        ]
        back = [(side * 17.0, -34.0, 13.0), (side * 18.0, -54.0, 9.0)]
        lateral = union(
            space.tube(body, 5.4 if side > 0 else 6.2, 5.6), space.tube(horn, 5, 2), space.tube(back, 5, 2), soft=4
        )
        paint(lateral, 46.0, 3)
    paint(space.ellipsoid((0, -8, 0), (2.2, 13, 10), 2.6), 46.0, 3)


def _hind(rng: np.random.Generator, space: Space, hollow: Field, paint, grain: Field) -> None:  # type: ignore[no-untyped-def]
    shape = space.x.shape
    lobes = [space.ellipsoid((side * 24, -46, -40), (27, 31, 22), turn=side * 12) for side in (-1, 1)]
    cerebellum = np.maximum(union(*lobes, space.ellipsoid((0, -44, -38), (11, 25, 21)), soft=5), hollow + 1.5)
    leaf = np.sin(
        (0.55 * space.z + 0.30 * np.hypot(space.y + 30, 0.4 * space.x)) * 2.1
        + 0.8 * smooth_noise(rng, shape, (5, 5, 5))
    )
    depth = np.clip(-cerebellum, 0, 20)
    core = union(*(space.ellipsoid((side * 20, -42, -40), (15, 15, 7)) for side in (-1, 1)))
    tone = 150 + 6 * grain + 26 * np.clip(leaf, -1, 1) * (depth > 1.5) - 40 * (leaf < -0.86) * (depth < 12)
    paint(cerebellum, tone, 4)
    paint(np.maximum(core + 3 * leaf, cerebellum + 4), 200 + 5 * grain, 4)
    stem = union(
        space.ellipsoid((0, -14, -32), (15.5, 12.5, 14)),
        space.tube([(0, -10, -8), (0, -16, -30), (0, -22, -60)], 11, 6.5),
        space.tube([(0, -22, -58), (0, -28, -130)], 5.5),
        soft=6,
    )
    paint(space.tube([(0, -21, -50), (0, -28, -130)], 13), 60.0)  # the arches of the vertebrae
    paint(space.tube([(0, -21, -48), (0, -28, -130)], 9.5), 40.0)
    paint(np.maximum(stem - 2.5, space.z + 14), 42.0)
    paint(stem, 192 + 5 * grain, 5)
    paint(space.ellipsoid((0, -27.5, -34), (5.5, 3.2, 9)), 46.0, 3)  # fourth ventricle
