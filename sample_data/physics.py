"""How an ideal object becomes a measured image: blur, noise and unevenness of microscope, MR and CT scanner.

Every function takes a ``numpy.random.Generator``, so that the samples can be made again exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: tuple[float, ...]) -> Field:
    """Gaussian noise of mean 0 and deviation 1, smooth over ``scale`` voxels along each axis."""
    coarse = [max(int(sigma / 2.5), 1) for sigma in scale]  # what is smooth is made on a coarser grid
    small = tuple(-(-n // step) + 2 for n, step in zip(shape, coarse, strict=True))
    sigma = tuple(s / step for s, step in zip(scale, coarse, strict=True))
    noise = ndimage.gaussian_filter(rng.standard_normal(small, dtype=np.float32), sigma, mode="reflect", truncate=3)
    noise = (noise - noise.mean()) / noise.std()
    for axis, (n, step) in enumerate(zip(shape, coarse, strict=True)):
        if step > 1:
            at = np.arange(n, dtype=np.float32) / step
            below = at.astype(int)
            part = (at - below.astype(np.float32)).reshape([-1 if k == axis else 1 for k in range(len(shape))])
            noise = np.take(noise, below, axis) * (1 - part) + np.take(noise, below + 1, axis) * part
        else:
            noise = np.take(noise, range(n), axis)
    return noise


def band_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: tuple[float, ...]) -> Field:
    """Noise of one typical wavelength (about 6 times ``scale``); its zero level is a labyrinth, like sulci."""
    white = rng.standard_normal(shape, dtype=np.float32)
    narrow = ndimage.gaussian_filter(white, scale, truncate=3)
    rest = tuple(np.sqrt(1.6**2 - 1) * s for s in scale)
    band = narrow - ndimage.gaussian_filter(narrow, rest, truncate=3)
    return band / band.std()


def microscope(
    rng: np.random.Generator,
    photons: Field,
    *,
    blur: tuple[float, ...],
    haze: float,
    background: float,
    offset: float = 100.0,
    read_noise: float = 1.6,
    gain: float = 2.2,
) -> NDArray[np.uint16]:
    """A fluorescence image from the expected photons per pixel.

    The point spread function is a Gaussian core of ``blur`` pixels (the usual approximation of the Airy disc, longer
    along z) with a share ``haze`` of light from out of focus, ten times as wide. Photons arrive by a Poisson law; the
    camera adds read noise (in electrons), multiplies by its gain and adds its offset.
    """
    core = ndimage.gaussian_filter(photons, blur)
    halo = ndimage.gaussian_filter(photons, tuple(10 * sigma for sigma in blur))
    expected = (1 - haze) * core + haze * halo + background
    electrons = rng.poisson(np.maximum(expected, 0)) + rng.normal(0, read_noise, photons.shape)
    return np.clip(np.rint(offset + gain * electrons), 0, 65535).astype(np.uint16)


def magnetic_resonance(
    rng: np.random.Generator, signal: Field, *, noise: float, bias: float, spacing: float
) -> NDArray[np.int16]:
    """A magnitude image: signal times a smooth bias field of the coil, with Rician noise (Gudbjartsson 1995)."""
    field = np.exp(bias * smooth_noise(rng, signal.shape, (60 / spacing,) * 3))
    real = signal * field + rng.normal(0, noise, signal.shape)
    imaginary = rng.normal(0, noise, signal.shape)
    return np.rint(np.hypot(real, imaginary)).astype(np.int16)


def tomography(rng: np.random.Generator, hounsfield: Field, *, noise: float) -> NDArray[np.int16]:
    """A CT image: noise with the spectrum of filtered back-projection (rising with frequency, then cut off by the
    kernel), correlated within each slice and stronger where the body absorbs most; values clipped as scanners do."""
    rows, columns = hounsfield.shape[1:]
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    kernel = np.sqrt(radius) * np.exp(-((radius / 0.22) ** 2))
    white = rng.standard_normal(hounsfield.shape, dtype=np.float32)
    texture = np.fft.irfft2(np.fft.rfft2(white, axes=(1, 2)) * kernel, s=(rows, columns), axes=(1, 2))
    absorbed = ndimage.gaussian_filter((hounsfield > -500).astype(np.float32), (1, rows / 9, columns / 9))
    level = noise * (0.35 + 0.9 * absorbed) / texture.std()
    return np.clip(np.rint(hounsfield + level * texture), -1024, 3071).astype(np.int16)
