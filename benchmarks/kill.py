"""Is anything lost when the program is killed? A real process paints and is ended by SIGKILL at random moments.

    python benchmarks/kill.py session --kills 200
    python benchmarks/kill.py window --kills 200

``session``: each kill has a session of its own: brush strokes, changes of a whole volume, undo and redo, the session
closed and opened again in between. Kills fall anywhere, in a change of everything, in the first opening, in closing, in
opening again. Then the session is opened and every voxel and row is compared with what there was after as many
operations as it holds; all of it is undone, and nothing may be left. Lost is an operation that was reported as kept, or
that ended more than a second before the kill, and is not there. ``tests/session/painting.py`` is what paints.

``window``: a real napari window with the panel, in which the mouse strokes with napari's tools and with ours, between
undo and redo, rows of the table, other arrays, saved files. Five windows are killed one after the other on one session;
each goes on where the one before was killed. What is there is looked at in another window after each kill: every voxel
and row is as the window showed it at some moment, not before what had ended a second before the kill; undo of all leads
to the mask as it was opened; the file that was saved is whole. The window is ``tests/gui/stroking.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "session"), str(TESTS / "gui")]

ROUNDS = 5
"""So many windows are killed on one session."""


def table(outcomes: Sequence[Any], columns: dict[str, str]) -> None:
    """Print sums by moment. ``columns``: titles by the fields of an outcome."""
    print(f"| killed in | kills | {' | '.join(columns.values())} | other faults | slowest reopening |")
    print("|---" * (len(columns) + 4) + "|")
    for moment in [*dict.fromkeys(outcome.moment for outcome in outcomes), ""]:
        here = [outcome for outcome in outcomes if moment in (outcome.moment, "")]
        sums = [str(sum(getattr(outcome, name) for outcome in here)) for name in columns]
        faults, slowest = sum(bool(one.fault) for one in here), max(one.reopening for one in here)
        print(f"| {moment or '**all**'} | {len(here)} | {' | '.join(sums)} | {faults} | {slowest:.2f} s |")


def sessions(kills: int, seed: int, folder: Path, program: Path | None) -> Iterator[Any]:
    from killing import MOMENTS, PAINTER, Painter, kill_once

    draw = random.Random(seed)

    def painter(number: int) -> Painter:
        return Painter(folder / str(number), seed + number, program or PAINTER)

    ready = painter(0)
    for number in range(kills):
        current, ready = ready, painter(number + 1)  # one gets ready while another paints
        yield kill_once(current, MOMENTS[number % len(MOMENTS)], draw)
    ready.end()


def windows(kills: int, seed: int, folder: Path) -> Iterator[Any]:
    os.environ["NAPARI_CONFIG"] = str(folder / "napari.yaml")
    from killing_window import Chain, Window
    from stroking import MOMENTS

    draw, ready = random.Random(seed), Window()
    moments = [*MOMENTS] * (kills // len(MOMENTS) + 1)
    draw.shuffle(moments)
    for number in range(kills):
        if number % ROUNDS == 0:
            chain = Chain(folder / str(number), seed + number)
        current, ready = ready, Window()  # one gets ready while another paints
        yield chain.kill_once(current, moments[number], draw)
    ready.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("session", "window"))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program", type=Path, help="session: another program that paints, and tells the same")
    options = parser.parse_args()
    began, outcomes = time.monotonic(), list[Any]()
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "session":
            kills = sessions(options.kills, options.seed, Path(folder), options.program)
            columns = {"began": "operations begun", "found": "there", "kept": "reported kept", "lost": "lost"}
        else:
            kills = windows(options.kills, options.seed, Path(folder))
            columns = {"ended": "done by the person", "due": "had to be there", "lost": "lost"}
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl+C prints what has been found until then
            for outcome in kills:
                outcomes.append(outcome)
                if outcome.fault or outcome.lost:
                    print(f"kill {len(outcomes)}: {outcome}", flush=True)
                if len(outcomes) % 10 == 0:
                    print(f"{len(outcomes)} kills after {time.monotonic() - began:.0f} s", flush=True)
    load = os.getloadavg()[0]
    print(f"\n{len(outcomes)} kills in {time.monotonic() - began:.0f} s, {os.cpu_count()} cores, load {load:.1f}\n")
    table(outcomes, columns)
    if any(outcome.fault or outcome.lost for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
