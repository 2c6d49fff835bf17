"""Nuclei in images that are coarser than those that the model learned: how many are found, and how well.

    python benchmarks/coarser.py

The sample is averaged over blocks of 1 to 7 pixels, without a size of the pixels. ``estimated``: the size of the nuclei
is found by the model itself, as ever where nothing is said; ``given``: it is said (``--diameter``), where that may be.
"""

from __future__ import annotations

import numpy as np

from napari_seg import evaluate, load_model, predict, read
from napari_seg.data.samples import labels_of, path_of
from napari_seg.data.volume import Volume
from napari_seg.inference.fit import diameters
from napari_seg.inference.prediction import PredictSpec


def main() -> None:
    model = load_model("nuclei2d")
    image = np.asarray(read(path_of("nuclei2d")).data, np.float32)
    labels = np.asarray(read(labels_of("nuclei2d")).data)
    areas = np.bincount(labels.ravel())[1:]
    width = 2 * (np.median(areas[areas > 0]) / np.pi) ** 0.5
    print("coarser by | nuclei | wide, px | found, estimated | AP 0.5 | found, given | AP 0.5")
    for factor in range(1, 8):
        rows, columns = (n // factor * factor for n in image.shape)
        blocks = image[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor)
        coarse = Volume(blocks.mean((1, 3)), "YX")
        truth = labels[factor // 2 : rows : factor, factor // 2 : columns : factor]
        told = [str(factor), str(len(np.unique(truth)) - 1), f"{width / factor:.1f}"]
        for diameter in (None, width / factor):
            if diameter is not None and diameter < diameters(model.spec)[0]:
                told += ["too small", ""]
                continue
            found = predict(model, coarse, PredictSpec(diameter=diameter))
            report = evaluate(truth, found.labels, task="instance")
            told += [str(found.labels.data.max()), f"{report.ap['0.50']:.3f}"]
        print(" | ".join(told), flush=True)


if __name__ == "__main__":
    main()
