"""Crowded nuclei, flat in a culture dish (2D) and packed in a tissue (3D)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from physics import Field, microscope, smooth_noise
from scipy import ndimage
from scipy.spatial import cKDTree

Sample = tuple[NDArray[np.uint16], NDArray[np.uint16]]


def settle(
    rng: np.random.Generator, points: NDArray[np.float64], radii: NDArray[np.float64], box: tuple[float, ...]
) -> NDArray[np.float64]:
    """Push balls apart until they hardly overlap any more, with centres in ``box`` or up to one radius outside it."""
    points = points.copy()
    for _ in range(300):
        tree = cKDTree(points)
        pairs = tree.query_pairs(2 * radii.max(), output_type="ndarray")
        apart = points[pairs[:, 0]] - points[pairs[:, 1]]
        distance = np.linalg.norm(apart, axis=1) + 1e-6
        overlap = np.maximum(radii[pairs].sum(1) - distance, 0)
        push = apart * (0.45 * overlap / distance)[:, None]
        np.add.at(points, pairs[:, 0], push)
        np.add.at(points, pairs[:, 1], -push)
        points = np.clip(points, -radii.max(), np.add(box, radii.max()))
    return points


def dish(seed: int = 7) -> Sample:
    """512 x 512 pixels of 0.325 um: a 20x air objective, stained DNA, colonies of cells that touch each other."""
    rng = np.random.default_rng(seed)
    shape, count = (512, 512), 215
    colonies = rng.uniform(0, 512, (9, 2))
    points = colonies[rng.integers(0, len(colonies), count)] + rng.normal(0, 52, (count, 2))
    loners = rng.random(count) < 0.25
    points[loners] = rng.uniform(0, 512, (int(loners.sum()), 2))
    sizes = rng.normal(14.5, 1.9, count).clip(9.5, 20)
    points = settle(rng, points, sizes * 0.97, (511.0, 511.0))
    labels, height, photons = np.zeros(shape, np.uint16), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    fine, coarse = smooth_noise(rng, shape, (1.1, 1.1)), smooth_noise(rng, shape, (3.2, 3.2))
    grid = np.stack(np.mgrid[: shape[0], : shape[1]], -1).astype(np.float32)
    for number, (centre, size) in enumerate(zip(points, sizes, strict=True), 1):
        part = tuple(slice(max(int(c - 3 * size), 0), max(int(c + 3 * size), 0)) for c in centre)
        here = grid[part]
        if here.size == 0:
            continue
        dividing = rng.random() < 0.025
        stretch = rng.uniform(1.0, 1.6) if not dividing else rng.uniform(1.7, 2.5)
        size = size if not dividing else size * 0.62
        radius = _outline(rng, here - centre, size, stretch, 0.14 if dividing else 0.075)
        profile = np.sqrt(np.clip(1 - radius**2, 0, None))
        body = profile ** (0.5 if not dividing else 0.8)
        texture = 1 + 0.13 * fine[part] + (0.35 if dividing else 0.15) * coarse[part]
        for _ in range(0 if dividing else rng.integers(1, 5)):  # nucleoli hold little DNA
            spot = centre + rng.normal(0, 0.33 * size, 2)
            away = ((here - spot) ** 2).sum(-1)
            texture = texture * (1 - rng.uniform(0.25, 0.5) * np.exp(-away / (2 * rng.uniform(1.3, 2.4) ** 2)))
        bright = rng.lognormal(np.log(150), 0.3) * (2.6 if dividing else 1)
        photons[part] += bright * body * np.clip(texture, 0.2, None)
        inside = (radius < 1) & (profile > height[part])
        labels[part][inside] = number
        height[part][inside] = profile[inside]
    light = 1 - 0.22 * (((grid / 511 - (0.45, 0.55)) ** 2).sum(-1) / 0.5)
    image = microscope(rng, (photons * light).astype(np.float32), blur=(1.0, 1.0), haze=0.12, background=9.0)
    return image, _clean(labels, 60)


def tissue(seed: int = 11) -> Sample:
    """40 x 176 x 176 voxels of 1.0 x 0.32 x 0.32 um: a confocal stack, dimmer and blurrier with depth."""
    rng = np.random.default_rng(seed)
    shape, step = (40, 176, 176), np.array([1.0, 0.32, 0.32])
    box = np.array(shape) * step
    count = 170
    sizes = rng.normal(4.1, 0.42, count).clip(3.0, 5.2)
    points = settle(rng, rng.uniform(0, 1, (count, 3)) * box, sizes * 0.94, tuple(box))
    labels, nearest = np.zeros(shape, np.uint16), np.ones(shape, np.float32)
    photons = np.zeros(shape, np.float32)
    fine = smooth_noise(rng, shape, (0.6, 1.5, 1.5))
    coarse = smooth_noise(rng, shape, (1.4, 4.0, 4.0))
    warp = np.stack([smooth_noise(rng, shape, (4.0, 12.0, 12.0)) for _ in range(3)], -1) * 0.35
    grid = np.stack(np.mgrid[: shape[0], : shape[1], : shape[2]], -1).astype(np.float32) * step + warp
    for number, (centre, size) in enumerate(zip(points, sizes, strict=True), 1):
        low = np.clip(np.floor((centre - 2 * size) / step).astype(int), 0, None)
        high = np.clip(np.ceil((centre + 2 * size) / step).astype(int) + 1, 0, None)
        part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        if any(s.stop <= s.start for s in part):
            continue
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        axes = size * rng.normal(1, 0.13, 3).clip(0.72, 1.35)
        radius = np.linalg.norm((grid[part] - centre) @ turn / axes, axis=-1)
        body = 1 / (1 + np.exp((radius - 1) * size / 0.16))
        texture = 1 + 0.22 * fine[part] + 0.2 * coarse[part]
        for _ in range(rng.integers(1, 3)):
            away = ((grid[part] - centre - rng.normal(0, 0.35 * size, 3)) ** 2).sum(-1)
            texture = texture * (1 - 0.6 * np.exp(-away / (2 * rng.uniform(0.55, 0.9) ** 2)))
        photons[part] += rng.lognormal(np.log(48), 0.25) * body * np.clip(texture, 0.15, None)
        inside = (radius < 1) & (radius < nearest[part])
        labels[part][inside] = number
        nearest[part][inside] = radius[inside]
    depth = np.exp(-np.arange(shape[0]) * step[0] / 55)[:, None, None]
    sharp = ndimage.gaussian_filter(photons, (0.45, 0.6, 0.6))
    dull = ndimage.gaussian_filter(photons, (0.9, 1.5, 1.5))
    deep = np.linspace(0, 1, shape[0])[:, None, None]
    light = ((1 - deep) * sharp + deep * dull) * depth
    image = microscope(rng, light.astype(np.float32), blur=(0.55, 0.6, 0.6), haze=0.1, background=2.0, gain=1.4)
    return image, _clean(labels, 150)


def _outline(rng: np.random.Generator, away: Field, size: float, stretch: float, rough: float) -> Field:
    """The distance from a nucleus' centre as a part of its radius in that direction; an ellipse with soft bumps."""
    turn = rng.uniform(0, np.pi)
    along = away @ np.array([np.cos(turn), np.sin(turn)], np.float32)
    across = away @ np.array([-np.sin(turn), np.cos(turn)], np.float32)
    along, across = along / np.sqrt(stretch), across * np.sqrt(stretch)
    angle = np.arctan2(across, along)
    bumps = 1 + sum(rng.normal(0, rough / (k - 1)) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 4))
    return np.hypot(along, across) / (size * bumps)


def _clean(labels: NDArray[np.uint16], smallest: int) -> NDArray[np.uint16]:
    """Number the nuclei from 1 without gaps, each one piece, without slivers."""
    result = np.zeros_like(labels)
    count = 0
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        pieces, found = ndimage.label(labels[box] == number)
        if found == 0:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.max() >= smallest:
            count += 1
            result[box][pieces == sizes.argmax() + 1] = count
    return result
