"""What the plugin costs at the start of napari, and how long the panel takes until it can be used.

    xvfb-run -a python benchmarks/startup.py --pairs 15     (with a Python that has napari, but not napari-seg)

Builds the wheel, installs it aside, and starts napari with and without it on the path in turn, each time in a new
process with empty settings. Prints the median of the differences of the pairs. The limits: 0.2 s and 1.5 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
START = """
import importlib.metadata, json, sys, time
names = {found.name for found in importlib.metadata.distributions()}
assert ("napari-seg" in names) == (sys.argv[1] != "bare"), "run this with a Python that has napari but not napari-seg"
begin = time.perf_counter()
import napari
viewer = napari.Viewer()
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
times = {"start": time.perf_counter() - begin, "torch": "torch" in sys.modules}
if sys.argv[1] == "panel":
    begin = time.perf_counter()
    dock, panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    while not panel.pages.widget(0).start.isVisible():
        QApplication.processEvents()
    QApplication.processEvents()
    times["panel"] = time.perf_counter() - begin
    times["torch"] = "torch" in sys.modules
print(json.dumps(times), flush=True)
import os
os._exit(0)
"""


def start(plugin: Path | None, *, panel: bool = False) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"NAPARI_CONFIG": f"{home}/settings.yaml", "HOME": home}
        if plugin is not None:
            environment["PYTHONPATH"] = str(plugin)
        what = "bare" if plugin is None else "panel" if panel else "plugin"
        arguments = [sys.executable, "-c", START, what]
        run = subprocess.run(arguments, env=environment, cwd=home, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(run.stdout.strip().splitlines()[-1])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, str(ROOT)]
        subprocess.run(pip, check=True)
        start(None), start(Path(folder))  # the first of each fills the caches of the disk
        pairs = [(start(None)["start"], start(Path(folder))["start"]) for _ in range(options.pairs)]
        panels = [start(Path(folder), panel=True) for _ in range(5)]
    extra = statistics.median(plugin - bare for bare, plugin in pairs)
    print(f"| napari starts in | {statistics.median(bare for bare, _ in pairs):.2f} s |")
    print(f"| the plugin adds (median of {options.pairs} pairs) | {extra:+.2f} s | limit 0.20 s |")
    print(f"| the panel can be used after | {statistics.median(p['panel'] for p in panels):.2f} s | limit 1.50 s |")
    print(f"| torch imported by the window | {any(p['torch'] for p in panels)} |")


if __name__ == "__main__":
    main()
