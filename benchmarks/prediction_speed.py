"""How fast is the sliding window? Side by side with MONAI's, at the same weights, tile and overlap.

    python benchmarks/prediction_speed.py --rounds 5

needs MONAI (``pip install --no-deps monai==1.6.1``). The images are mosaics of real ones, 2D 2048 x 2048 and 3D
256 x 256 x 128. Both sides get the normalised array and give the mask; the rounds are interleaved and the medians
compared. MONAI runs with the faster of one and four tiles a batch. The last line of each table is all of ``predict``:
normalising, its own size of tiles, the scores kept, and the objects separated.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from napari_seg.data.formats import images_in, read
from napari_seg.data.volume import Volume
from napari_seg.inference.backend import Device, Runner, choose_device, slide
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec
from napari_seg.inference.tiling import tile_grid
from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.models.zoo import load_model
from napari_seg.tasks.semantic import Semantic

OVERLAP = 0.25
CASES = {
    "2D 2048 x 2048": ("nuclei2d", "nuclei2d", (2048, 2048), (256, 256)),
    "3D 256 x 256 x 128": ("hippocampus3d", "hippocampus_mr", (128, 256, 256), (64, 96, 96)),
}
Mask = np.ndarray


def mosaic(folder: Path, grid: tuple[int, ...]) -> np.ndarray:
    """Real images side by side, each stretched to 0..1, until the grid is full."""
    images = []
    for path in images_in(folder):
        volume = read(path)
        if volume.ndim == len(grid) and volume.axes == volume.spatial:
            data = np.asarray(volume.data, np.float32)
            images.append((data - data.min()) / max(float(np.ptp(data)), 1e-6))
        if sum(image.size for image in images) > np.prod(grid):
            break
    whole = np.zeros(grid, np.float32)
    cell = tuple(int(n) for n in np.min([image.shape for image in images], 0))
    for number, corner in enumerate(np.ndindex(*(-(-n // c) for n, c in zip(grid, cell, strict=True)))):
        place = tuple(slice(k * c, min((k + 1) * c, n)) for k, c, n in zip(corner, cell, grid, strict=True))
        image = images[number % len(images)]
        whole[place] = image[tuple(slice(0, s.stop - s.start) for s in place)]
    return whole


def untrained(ndim: int, patch: tuple[int, ...]) -> Model:
    network = NetworkSpec(ndim=ndim, width=32 if ndim == 2 else 24, depth=4 if ndim == 2 else 3)
    spec = ModelSpec(name="untrained", network=network, task=Semantic(), input=InputSpec(patch=patch))
    return Model.create(spec)


def ours(model: Model, image: torch.Tensor, tile: tuple[int, ...], device: Device) -> Callable[[], Mask]:
    array = image[0].numpy()
    axes = tile_grid(array.shape[1:], tile, OVERLAP, model.network.multiple)
    runner = Runner(model.network, model.spec.task, device, ndim=len(tile))

    def run() -> Mask:
        parts = [
            part.scores.argmax(0) if model.spec.task.pointwise else part.scores[0] > model.spec.task.threshold
            for part in slide(lambda a, b: array[:, a:b], axes, runner)
            if part is not None
        ]
        return np.concatenate(parts)

    return run


def monai(model: Model, image: torch.Tensor, tile: tuple[int, ...], precision: str, batch: int) -> Callable[[], Mask]:
    layout = torch.channels_last if len(tile) == 2 else torch.channels_last_3d
    network = model.network
    if precision == "bf16":
        image, network = image.to(memory_format=layout), model.network.to(memory_format=layout)

    def run() -> Mask:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = sliding_window_inference(image, tile, batch, network, overlap=OVERLAP, mode="gaussian").float()
        if model.spec.task.pointwise:
            return logits[0].argmax(0).numpy()
        return (logits[0, 0].sigmoid() > model.spec.task.threshold).numpy()

    return run


def dice(a: Mask, b: Mask) -> float:
    return float(2 * ((a > 0) & (b > 0) & (a == b)).sum() / max((a > 0).sum() + (b > 0).sum(), 1))


def compare(model: Model, raw: np.ndarray, tile: tuple[int, ...], rounds: int) -> dict[str, float]:
    limits = model.spec.input.normalisation.fit(raw)
    image = torch.from_numpy(model.spec.input.normalisation.apply(raw, limits))[None, None]
    default = choose_device()
    copies = [Model(model.spec, copy.deepcopy(model.network)) for _ in range(2)]
    runs: dict[str, Callable[[], Mask]] = {
        f"ours, default ({default.precision})": ours(model, image, tile, default),
        "ours, fp32": ours(model, image, tile, Device("cpu", "fp32", "")),
        "ours, bf16": ours(model, image, tile, Device("cpu", "bf16", "")),
    }
    for batch in (1, 4):
        runs[f"MONAI, fp32, batch {batch}"] = monai(copies[0], image, tile, "fp32", batch)
        runs[f"MONAI, bf16 channels_last, batch {batch}"] = monai(copies[1], image, tile, "bf16", batch)
    volume = Volume(raw, "YX" if raw.ndim == 2 else "ZYX", spacing=model.spec.input.spacing, unit=model.spec.input.unit)
    whole = model.spec.model_copy(update={"input": model.spec.input.model_copy(update={"extent": ()})})
    settings = PredictSpec(diameter=model.spec.input.diameter or None)
    runs["all of predict"] = lambda: np.asarray(predict(Model(whole, model.network), volume, settings).labels.data)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    masks = {}
    for number in range(rounds + 1):  # the first warms up
        for name, run in runs.items():
            began = time.perf_counter()
            masks[name] = run()
            if number:
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    monai_fp32 = min(value for name, value in medians.items() if name.startswith("MONAI, fp32"))
    monai_bf16 = min(value for name, value in medians.items() if name.startswith("MONAI, bf16"))
    first, fp32, bf16 = list(medians)[:3]
    figures = {
        "default / MONAI fp32 (at most 0.35)": medians[first] / monai_fp32,
        "fp32 / MONAI fp32 (at most 1)": medians[fp32] / monai_fp32,
        "bf16 / MONAI bf16 channels_last (at most 1)": medians[bf16] / monai_bf16,
        "Dice, default against fp32 (at least 0.998)": dice(masks[first], masks[fp32]),
        "Dice, fp32 against MONAI fp32": dice(masks[fp32], masks["MONAI, fp32, batch 1"]),
    }
    grid = " x ".join(map(str, raw.shape))
    print(f"\n{grid}, tile {' x '.join(map(str, tile))}, model {model.spec.name}, {torch.get_num_threads()} threads\n")
    print("| run | seconds, median | fastest | slowest |\n|---|---|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {medians[name]:.2f} | {min(values):.2f} | {max(values):.2f} |")
    print("\n| figure | |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:.4f} |")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "../shared/data")
    parser.add_argument("--untrained", action="store_true", help="fresh weights; the Dice then says nothing")
    parser.add_argument("--shrink", type=int, default=1, help="divide the lengths by this, to see that it runs")
    parser.add_argument("--only", choices=("2D", "3D"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    found = {}
    for title, (name, folder, grid, patch) in CASES.items():
        if options.only is None or title.startswith(options.only):
            model = untrained(len(grid), patch) if options.untrained else load_model(name)
            raw = mosaic(options.data / folder / "images", tuple(n // options.shrink for n in grid))
            found[title] = compare(model, raw, model.spec.input.patch, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
