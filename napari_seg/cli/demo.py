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
    output: Annotated[Path, typer.Option(help="The folder for image, mask, overlay and timings.")] = Path(
        "demo_output"
    ),
) -> None:
    """Segment crowded nuclei with the shipped model, write the result into a folder and show it in napari."""
    from napari_seg.doctor import has_display

    written = _segment(output)
    say(f"Image, mask, overlay and timings are in {output.resolve()}.")
    if headless:
        return
    if importlib.util.find_spec("napari") is None:
        say('napari is not installed, so no window opens; `pip install "napari-seg[gui]"` adds it.')
    elif not has_display():
        say("There is no display, so no window opens; look at overlay.png.")
    else:
        _show(*written)


def _segment(output: Path) -> tuple[Path, Path]:
    """Do it and write everything; the paths of the image and the mask."""
    from napari_seg.data.formats import read, write
    from napari_seg.data.samples import SAMPLES
    from napari_seg.evaluation.evaluate import evaluate
    from napari_seg.inference.predict import predict
    from napari_seg.models.zoo import load_model

    started = time.perf_counter()
    sample = SAMPLES[SAMPLE]
    volume = read(sample.image)
    read_after = time.perf_counter()
    model = load_model(MODEL)
    loaded_after = time.perf_counter()
    prediction = watch(predict.steps(model, volume), "Segmenting")
    report = evaluate(read(sample.labels), prediction.labels, model.spec.task.kind)
    image = write(volume, output / sample.image.name)
    mask = write(prediction.labels, output / sample.image.name.replace(".", "_mask.", 1))
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
    return image, mask


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


def _show(image: Path, mask: Path) -> None:
    """Open napari in a process of its own: the command line itself knows no window."""
    say("Opening napari; close its window to end.")
    ended = subprocess.run([sys.executable, "-m", "napari_seg.gui.demo", str(image), str(mask)], check=False)
    if ended.returncode:
        raise SegError("napari could not open its window; `napari-seg doctor` says what is missing.")
