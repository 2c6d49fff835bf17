"""Is anything lost when the program is killed? A real process paints and is ended by SIGKILL at random moments.

    python benchmarks/kill.py --kills 200

Each kill has a session of its own: brush strokes, changes of a whole volume, undo and redo, the session closed and
opened again in between. Kills fall anywhere, in a change of everything, in the first opening, in closing, in opening
again. Then the session is opened and every voxel and row is compared with what there was after as many operations as it
holds; all of it is undone, and nothing may be left. Lost is an operation that was reported as kept, or that ended more
than a second before the kill, and is not there. The program that paints is ``tests/session/painting.py``.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "session"))

from killing import MOMENTS, PAINTER, Outcome, Painter, kill_once


def row(title: str, outcomes: list[Outcome]) -> str:
    slowest = max(outcome.reopening for outcome in outcomes)
    sums = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("began", "found", "kept", "lost"))
    faults = sum(bool(outcome.fault) for outcome in outcomes)
    return f"| {title} | {len(outcomes)} | {' | '.join(map(str, sums))} | {faults} | {slowest:.2f} s |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program", type=Path, default=PAINTER, help="another program that paints, and tells the same")
    options = parser.parse_args()
    draw, began, outcomes = random.Random(options.seed), time.monotonic(), list[Outcome]()
    with tempfile.TemporaryDirectory() as folder:

        def painter(number: int) -> Painter:
            return Painter(Path(folder) / str(number), options.seed + number, options.program)

        ready = painter(0)
        for number in range(options.kills):
            current, ready = ready, painter(number + 1)  # one gets ready while another paints
            outcomes.append(kill_once(current, MOMENTS[number % len(MOMENTS)], draw))
            if outcomes[-1].fault or outcomes[-1].lost:
                print(f"kill {number}, seed {options.seed + number}: {outcomes[-1]}", flush=True)
        ready.end()
    load = os.getloadavg()[0]
    print(f"\n{options.kills} kills in {time.monotonic() - began:.0f} s, {os.cpu_count()} cores, load {load:.1f}\n")
    print("| killed in | kills | operations begun | there | reported kept | lost | other faults | slowest reopening |")
    print("|---|---|---|---|---|---|---|---|")
    for moment in dict.fromkeys(MOMENTS):
        print(row(moment, [outcome for outcome in outcomes if outcome.moment == moment]))
    print(row("**all**", outcomes))
    if any(outcome.fault or outcome.lost for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
