"""A CT-like upper abdomen after contrast, lying on its back: liver on the right, spleen and stomach on the left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from physics import band_noise, smooth_noise, tomography
from shapes import Field, Space, union

SPACING = (4.0, 1.75, 1.75)
CLASSES = ("liver", "spleen", "right kidney", "left kidney", "stomach", "aorta", "spine")
_SHAPE = (50, 168, 216)
_FAT, _AIR, _MUSCLE = -102.0, -1000.0, 58.0


def abdomen(seed: int = 5) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Image in Hounsfield units and labels, axes z, y, x towards S, P and L; made on half the voxel size."""
    rng = np.random.default_rng(seed)
    fine = (2 * _SHAPE[0], 2 * _SHAPE[1], 2 * _SHAPE[2])
    space = Space.of(fine, (SPACING[0] / 2, SPACING[1] / 2, SPACING[2] / 2), (0, 0, 0))
    values, labels = _organs(rng, space)
    coarse = values.reshape(_SHAPE[0], 2, _SHAPE[1], 2, _SHAPE[2], 2).mean((1, 3, 5), dtype=np.float32)
    return tomography(rng, coarse, noise=13.0), np.ascontiguousarray(labels[::2, ::2, ::2])


def _organs(rng: np.random.Generator, straight: Space) -> tuple[Field, NDArray[np.uint8]]:
    shape = straight.x.shape
    space = straight.warped(rng, 2.5, (9, 22, 22))
    x, y, z = space.x, space.y, space.z
    values = np.full(shape, _AIR, np.float32)
    labels = np.zeros(shape, np.uint8)
    grain = smooth_noise(rng, shape, (0.8, 1.6, 1.6))

    def paint(body: Field, value: float | Field, label: int | None = None) -> None:
        inside = body < 0
        values[inside] = value[inside] if isinstance(value, np.ndarray) else value
        if label is not None:
            labels[inside] = label

    table = straight.y + 132 - 0.0011 * straight.x**2  # a carbon shell over foam
    paint(np.maximum(table, -straight.y - 148), -930.0)
    paint(np.maximum(np.abs(table) - 2.2, np.abs(straight.x) - 200), 60.0)
    waist = 1 + 0.00055 * (z - 10)
    body = (np.hypot(np.abs(x) / (166 * waist), np.abs(y + 4) / 113) - 1) * 113
    body = np.maximum(body, -y - 112 - 0.06 * np.abs(x))
    paint(body, 10.0)  # skin
    fat = _FAT + 7 * grain + 18 * (band_noise(rng, shape, (2, 5, 3)) > 1.7)
    paint(body + 2.2, fat)
    depth = 17 + 7 * np.clip(-y / 100, -0.3, 1) - 5 * np.clip(z / 100, -1, 1)
    wall = body + depth
    streak = _MUSCLE + 8 * grain - 45 * (np.abs(band_noise(rng, shape, (3, 4, 4))) < 0.06)
    paint(wall, streak)
    cavity = wall + 11 + 2 * smooth_noise(rng, shape, (8, 20, 20))
    cavity = np.maximum(cavity, -(y + 58 - 0.0035 * x**2 + 6 * np.cos(x / 17)))
    paint(cavity, fat)

    dome = 80 - 0.009 * (np.abs(np.abs(x) - 62) ** 2) - 0.009 * (y - 12) ** 2 + 8 * (x > 0)
    lung = np.maximum(cavity - 6, dome - z)
    paint(np.maximum(cavity - 2, dome - z - 3), _MUSCLE + 6 * grain)  # the diaphragm
    vessels = np.abs(band_noise(rng, shape, (1.6, 3.2, 3.2))) < 0.05
    paint(lung, (-860 + 22 * grain + 620 * vessels).astype(np.float32))
    heart = space.ellipsoid((-22, 48, 118), (56, 40, 45))
    paint(heart - 3, fat)
    paint(heart, 120 + 6 * grain)

    _bones(rng, space, paint, grain, wall)
    _bowel(rng, space, cavity, dome, paint, grain)
    inner = np.maximum(cavity + 2.5, z - dome + 2)
    _large_organs(rng, space, inner, paint, grain)
    return values, labels


def _bones(rng: np.random.Generator, space: Space, paint, grain: Field, wall: Field) -> None:  # type: ignore[no-untyped-def]
    y, z, x = space.y, space.z, space.x
    sponge = 190 + 45 * smooth_noise(rng, x.shape, (1.0, 1.4, 1.4))
    for side in (-1, 1):
        psoas = space.tube([(side * 30, -44, 20), (side * 38, -40, -50), (side * 46, -30, -110)], 8, 21)
        paint(psoas, _MUSCLE + 7 * grain)
        erector = space.ellipsoid((side * 34, -88, 0), (31, 21, 400), 2.6, turn=side * 12)
        paint(np.maximum(erector, wall + 1), _MUSCLE + 5 * grain)
        paint(np.abs(erector) - 1.4 + 8 * (wall > 0), _FAT)
        crus = space.tube([(side * 19, -34, -30), (side * 22, -36, 40), (side * 34, -44, 90)], 4.5)
        paint(crus, _MUSCLE + 6 * grain)
        for number in range(8):  # ribs run down and forward
            top = 128.0 - 25 * number
            angles = np.radians(np.linspace(-80, 55, 13))
            line = [
                (
                    float(side * 137 * np.cos(a) ** 0.75),
                    float(-4 + 88 * np.sin(a)),
                    float(top - 34 * (np.degrees(a) + 80) / 80),
                )
                for a in angles
            ]
            line = [p for p in line if p[2] > top - 70 + 6 * max(0, 4 - number)]
            if len(line) > 1:
                rib = space.tube(line, 5.4, 4.2)
                paint(rib, 560.0)
                paint(rib + 2.3, sponge)
    level = (z + 200) % 34.0 - 17
    disc = np.abs(level) > 12.6
    waist = 1.8 * (1 - np.abs(level) / 17)
    vertebra = (np.hypot(x / 25, np.clip(y + 58, -99, 99) / 18.5) - 1) * 18.5 + waist
    vertebra = np.maximum(vertebra, -(y + 73))
    paint(np.maximum(vertebra, np.where(disc, 50, -50)), 480.0, 7)
    paint(np.maximum(vertebra + 2.0, np.abs(level) - 10.9), sponge, 7)
    paint(np.maximum(vertebra - 0.5, np.where(disc, -50, 50)), 82 + 5 * grain)
    canal = (np.hypot(x / 11, (y + 83) / 9) - 1) * 9
    arch = np.maximum(canal - 4.5, np.abs(level + 2) - 11)
    spine = np.maximum(space.ellipsoid((0, -92, 0), (4.2, 13, 900)), np.abs(level + 5) - 9)
    cross = np.maximum(np.hypot((y + 82 + 0.10 * np.abs(x)) / 1.0, level) - 5.2, np.abs(x) - 42)
    paint(union(arch, spine, cross, soft=4), 430.0, 7)
    paint(union(arch, spine, cross, soft=4) + 2.2, sponge, 7)
    paint(canal, 22 + 4 * grain, 0)
    paint((np.hypot(x / 6.5, (y + 83) / 5.5) - 1) * 5.5, 42 + 4 * grain, 0)


def _bowel(rng: np.random.Generator, space: Space, cavity: Field, dome: Field, paint, grain: Field) -> None:  # type: ignore[no-untyped-def]
    inner = np.maximum(cavity + 4, space.z - dome + 30)
    stool = -40 + 90 * band_noise(rng, space.x.shape, (1.2, 2.4, 2.4)).clip(-4, 1)
    haustra = 3.2 * np.sin(space.z / 5.5) * (np.abs(space.x) > 80) + 3.2 * np.sin(space.x / 6.0) * (
        np.abs(space.x) <= 80
    )
    flank = 112.0
    colon = [
        ([(flank, -18, -120), (flank, -22, -70), (flank - 6, -8, -38), (82, 40, -30)], 19.0),
        ([(82, 40, -30), (40, 66, -46), (0, 72, -52), (-44, 66, -38), (-88, 30, 8)], 17.0),
        ([(-88, 30, 8), (-112, -20, 12), (-118, -34, -40), (-116, -30, -120)], 13.0),
    ]
    for points, radius in colon:
        tube = np.maximum(space.tube(points, radius) + 0.6 * haustra, inner - 2)
        paint(tube, 62 + 5 * grain)
        paint(tube + 2.4, stool)
        paint(np.maximum(tube + 2.8, points[1][1] + 4 - space.y), -985.0)  # gas rises to the front
    for _ in range(34):
        start = np.array([rng.uniform(-84, 70), rng.uniform(-16, 62), rng.uniform(-125, -38)])
        points = [tuple(float(v) for v in start)]
        for _ in range(4):
            start = start + rng.normal(0, 1, 3) * (17, 13, 10)
            points.append(tuple(float(v) for v in start.clip((-92, -22, -140), (84, 64, -30))))
        loop = np.maximum(space.tube(points, float(rng.uniform(8.5, 12))), inner)
        paint(loop, 92 + 6 * grain)
        paint(loop + 2.2, rng.uniform(12, 45) + 12 * grain)
        if rng.random() < 0.3:
            paint(np.maximum(loop + 2.8, start[1] - space.y), -960.0)


def _large_organs(rng: np.random.Generator, space: Space, inner: Field, paint, grain: Field) -> None:  # type: ignore[no-untyped-def]
    shape = space.x.shape
    bent = space.warped(rng, 4.0, (8, 20, 20))
    right = bent.ellipsoid((72, 2, 24), (70, 82, 82), 2.3)
    left = bent.ellipsoid((2, 44, 44), (72, 34, 36), 2.2, turn=-12)
    liver = np.maximum(union(right, left, soft=22), inner)
    liver = np.maximum(liver, np.minimum(-(bent.z + 62), 400) * 0.9)
    liver = np.maximum(liver, -(bent.y + 66 - 0.0012 * bent.x**2))
    hilum = bent.tube([(30, -14, 2), (18, 4, 6), (12, 40, 0)], 15, 6)
    liver = np.maximum(liver, -hilum)
    liver = np.maximum(liver, -(bent.ellipsoid((-4, -30, 20), (40, 38, 200)) - 2))
    paint(liver, 108 + 6 * grain, 1)
    veins = [
        [(18.0, -20.0, 66.0), (44.0, 0.0, 58.0), (84.0, 8.0, 36.0)],
        [(18.0, -20.0, 66.0), (34.0, 26.0, 52.0), (50.0, 54.0, 30.0)],
        [(18.0, -20.0, 66.0), (4.0, 22.0, 58.0), (-28.0, 46.0, 50.0)],
        [(20.0, -10.0, 4.0), (44.0, -8.0, 12.0), (78.0, -30.0, 10.0), (100.0, -44.0, 14.0)],
        [(44.0, -8.0, 12.0), (74.0, 24.0, 4.0), (96.0, 34.0, -8.0)],
        [(22.0, -4.0, 6.0), (10.0, 30.0, 22.0), (-24.0, 42.0, 34.0)],
    ]
    for line in veins:
        paint(np.maximum(bent.tube(line, 5.2, 2.0), liver + 1), 152 + 5 * grain)
    for centre, radius in (((92, 26, 40), 9.0), ((58, -36, -6), 6.0)):
        paint(np.maximum(bent.ellipsoid(centre, (radius,) * 3), liver), 8.0, 1)  # cysts belong to the liver
    gall = bent.tube([(44, 44, -34), (46, 34, -16), (36, 20, -2)], 15, 5)
    paint(gall, 70.0, 0)
    paint(gall + 1.8, 9 + 3 * grain, 0)

    spleen = np.maximum(bent.ellipsoid((-97, -36, 32), (33, 54, 52), 2.1, turn=-20), inner)
    spleen = np.maximum(spleen, -bent.ellipsoid((-56, 2, 30), (30, 42, 75)))
    paint(spleen, 126 + 6 * grain, 2)

    stomach = np.maximum(
        union(
            bent.ellipsoid((-62, 22, 46), (38, 42, 40)),
            bent.tube([(-62, 34, 20), (-46, 56, -12), (4, 54, -18), (24, 34, -10)], 26, 11),
            soft=14,
        ),
        inner + 1,
    )
    stomach = np.maximum(stomach, -(liver - 2))
    stomach = np.maximum(stomach, -(spleen - 2))
    paint(stomach, 74 + 5 * grain, 5)
    rugae = 1.4 * band_noise(rng, shape, (2, 4, 4)).clip(0, 3)
    paint(stomach + 4.0 - rugae, 22 + 12 * grain, 5)
    paint(np.maximum(stomach + 4.4 - rugae, 40 - space.y), -985.0, 5)  # a level of fluid under air

    for side, label, height in ((1, 3, -34.0), (-1, 4, -22.0)):
        centre = (side * 62.0, -46.0, height)
        kidney = bent.ellipsoid(centre, (28, 29, 54), 2.2, turn=side * 35)
        sinus = bent.ellipsoid((side * 47, -36, height), (17, 9, 24), turn=side * 35)
        around = bent.ellipsoid(centre, (37, 38, 66), turn=side * 35)
        if side < 0:
            paint(np.maximum(around, -(spleen - 1)), _FAT + 6 * grain, 0)
        else:
            paint(np.maximum(kidney - 4, liver - 3), _FAT + 6 * grain, 0)
        paint(kidney, 186 + 7 * grain, label)
        pyramids = band_noise(rng, shape, (2.6, 4.2, 4.2)) > 0.25
        paint(np.maximum(np.maximum(kidney + 7, 2.0 - sinus), np.where(pyramids, -9, 9)), 128 + 6 * grain, label)
        paint(sinus, _FAT + 5 * grain, 0)
        paint(sinus + 6, 14.0, 0)
        paint(bent.tube([(side * 44, -36, height), (side * 10, -30, height + 12)], 4.5), 160.0, 0)
        paint(bent.tube([(side * 26, -28, height + 66), (side * 34, -40, height + 58)], 4, 2.5), 70.0, 0)
        paint(bent.tube([(side * 26, -28, height + 66), (side * 24, -42, height + 56)], 3, 2.5), 70.0, 0)

    paint(
        bent.tube([(32, 8, -34), (20, 6, -8), (-14, 14, 0), (-52, -6, 14), (-84, -24, 22)], 14, 8)
        + 1.6 * band_noise(rng, shape, (2, 3, 3)),
        92 + 8 * grain,
        0,
    )
    paint(
        bent.tube([(-86, -26, 20), (-50, -14, 12), (4, -2, 2), (20, -8, 4)], 4.5, 6.0), 168 + 4 * grain, 0
    )  # splenic and portal vein
    paint(bent.tube([(2, -2, 0), (4, 10, -40), (0, 14, -120)], 5.5), 165 + 4 * grain, 0)
    paint(
        bent.tube([(20, -20, 100), (22, -24, 40), (20, -27, -20), (18, -28, -130)], 11.5, 10), 146 + 5 * grain, 0
    )  # vena cava
    aorta = bent.tube([(-12, -31, 120), (-9, -26, 40), (-5, -25, -40), (-3, -26, -130)], 11.5, 9)
    paint(aorta, 205 + 5 * grain, 6)
    paint(bent.tube([(-8, -16, 26), (-4, -4, 20), (-4, 4, -30), (-2, 12, -120)], 4.0, 3.2), 190.0, 0)
    paint(np.abs(aorta + 1) - 1.2 + 6 * (band_noise(rng, shape, (2.5, 3, 3)) < 1.9), 480.0, 6)  # calcified plaques
