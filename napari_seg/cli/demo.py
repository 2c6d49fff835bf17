"""``napari-seg demo``: the main job on a sample, on the screen or in a folder."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_seg.cli.console import say, watch
from napari_seg.cli.options import typed_path
from napari_seg.errors import SegError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_seg.data.volume import Volume

SAMPLE = "nuclei2d"
MODEL = "nuclei2d"


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Open no window, even where there is a display.")
    ] = False,
    output: Annotated[
        Path, typer.Option(parser=typed_path, help="The folder for what it writes without a window.")
    ] = Path("demo_output"),
) -> None:
    """Segment crowded nuclei with the shipped model: in napari, or without a display into a folder."""
    from napari_seg.doctor import has_display

    if headless or not has_display():
        _into_folder(output)
    elif importlib.util.find_spec("napari") is None:
        say('napari is not installed, so no window opens; `pip install "napari-seg[gui]"` adds it.')
        _into_folder(output)
    else:
        _on_screen()


def _on_screen() -> None:
    """Open napari in a process of its own: the command line itself knows no window."""
    say("Opening napari; close its window to end.")
    command = [sys.executable, "-m", "napari_seg.gui.demo", SAMPLE, MODEL]
    if subprocess.run(command, check=False).returncode:
        raise SegError("napari could not show the demo; `napari-seg doctor` says what is missing.")


def _into_folder(output: Path) -> None:
    """Write image, mask, overlay and timings, and say where."""
    from napari_seg.data.formats import read, write
    from napari_seg.data.samples import labels_of, path_of
    from napari_seg.evaluation.evaluate import evaluate
    from napari_seg.inference.predict import predict
    from napari_seg.models.zoo import load_model

    started = time.perf_counter()
    image = path_of(SAMPLE)
    volume = read(image)
    read_after = time.perf_counter()
    model = load_model(MODEL)
    loaded_after = time.perf_counter()
    prediction = watch(predict.steps(model, volume), "Segmenting")
    report = evaluate(read(labels_of(SAMPLE)), prediction.labels, model.spec.task.kind)
    write(volume, output / image.name)
    write(prediction.labels, output / image.name.replace(".", "_mask.", 1))
    import numpy as np
    from PIL import Image

    labels = np.asarray(prediction.labels.data)
    Image.fromarray(_overlay(volume, labels)).save(output / "overlay.png")
    timings: dict[str, Any] = {
        "sample": SAMPLE,
        "model": model.spec.name,
        "device": prediction.spec.device,
        "precision": prediction.spec.precision,
        "seconds": {
            "reading": round(read_after - started, 3),
            "loading the model": round(loaded_after - read_after, 3),
            "predicting": round(prediction.seconds, 3),
            "altogether": round(time.perf_counter() - started, 3),
        },
        "objects": len(np.unique(labels[labels > 0])),
        "score against the labels of the sample": report.score,
        "notes": list(prediction.notes),
    }
    (output / "timings.json").write_text(json.dumps(timings, indent=1) + "\n", encoding="utf-8")
    say(f"{timings['objects']} nuclei in {prediction.seconds:.1f} s on {prediction.spec.device}.")
    say(f"Image, mask, overlay and timings are in {output.resolve()}.")


def _overlay(volume: Volume, labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """The 2D image in grey with the outline of every object in yellow: ``(y, x, 3)``."""
    import numpy as np
    from skimage.segmentation import mark_boundaries

    grey = np.asarray(volume.data, np.float32)
    low, high = np.percentile(grey, (1, 99.8))
    marked = mark_boundaries(
        np.clip((grey - low) / max(high - low, 1e-6), 0, 1), labels, color=(1, 0.85, 0), mode="inner"
    )
    overlay: NDArray[np.uint8] = np.round(marked * 255).astype(np.uint8)
    return overlay
