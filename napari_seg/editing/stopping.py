"""When to stop a review that goes from the worst to the best.

If all were wrong with chance ``p`` or more, a run of ``n`` right ones would be rare. The bound is the largest ``p`` at
which such a run would still turn up in one of twenty reviews, somewhere among all that was looked at: who waits for a
run finds one sooner or later, so the chance of any such run counts and not that of the last ``n`` alone. When nothing
was wrong the two are the same, and the bound is that of Clopper and Pearson (1934), about ``3 / n``.

What is left was not looked at. The bound holds for it only if it is no worse than what the run was made of, as it
should be when the worst came first; a random check would need no such belief. The sentence says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 20
"""So many right in a row are worth stopping for."""

_RARE = 0.05

_HANDFUL = 5
"""So few are looked at sooner than a bound is read."""

_MANY = 200
"""From so many left on, a share says more than a count."""


@dataclass(frozen=True)
class Stop:
    """``run``: how many were right in a row, up to the last; ``share``: at most so much of what is left is wrong, and
    ``count``: at most so many, both with 95 % confidence; ``enough``: whether one may stop, and ``words`` to say it."""

    run: int
    share: float
    count: int
    enough: bool
    words: str


def stopping(verdicts: Sequence[bool], left: int) -> Stop:
    """From the verdicts in the order of the queue (true: accepted as it was; false: changed, rejected or left open) and
    how many are ``left`` unseen."""
    run = next((k for k, right in enumerate(reversed(verdicts)) if not right), len(verdicts))
    share = upper_bound(run, len(verdicts))
    count = min(left, _most(run, left, share))
    if left == 0:
        return Stop(run, 0.0, 0, bool(verdicts), "All were seen." if verdicts else "Nothing to review.")
    if run < ENOUGH:
        words = f"Only {left} left to look at." if run + left < ENOUGH else _not_yet(run)
        return Stop(run, share, count, False, words)
    if left <= _HANDFUL or count == left:
        return Stop(run, share, count, False, f"The last {run} were right. Only {left} left.")
    few = left < _MANY
    most = f"at most {count} of the {left} left" if few else f"at most {math.ceil(100 * count / left)} % of the rest"
    verb = "is" if few and count == 1 else "are"
    words = (
        f"The last {run} were right. If the rest is no worse, {most} {verb} wrong (95 % sure). Stop if that will do."
    )
    return Stop(run, share, count, True, words)


def upper_bound(run: int, seen: int) -> float:
    """The largest chance of being wrong at which a run of ``run`` right ones among ``seen`` is not rarer than 5 %."""
    if run == 0:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        p = (low + high) / 2
        low, high = (p, high) if _chance_of_run(run, seen, p) > _RARE else (low, p)
    return high


def _chance_of_run(run: int, seen: int, p: float) -> float:
    """How likely ``seen`` ones, each wrong with chance ``p``, hold ``run`` right ones in a row.

    ``none[k]`` is the chance of no such run in the first ``k``. The first run ends with the ``k``-th where a wrong one
    and ``run`` right ones follow on ``k - run - 1`` without a run.
    """
    ending = (1 - p) ** run
    none = [1.0] * run + [1 - ending]
    for k in range(run + 1, seen + 1):
        none.append(none[-1] - none[k - run - 1] * p * ending)
    return 1 - none[seen]


def _most(run: int, left: int, share: float) -> int:
    """How many of ``left`` can be wrong if ``run`` others, drawn from all of them alike, are right, with the confidence
    of ``share``. Drawn without replacement, so that it means something for a handful too (hypergeometric)."""
    if run == 0:
        return left
    log_rare = run * math.log1p(-share) if share < 1 else -math.inf
    wrong = 0
    while wrong < left:  # the chance that the wrong ones are all among the left: C(left, wrong) / C(run + left, wrong)
        k = wrong + 1
        if _log_choose(left, k) - _log_choose(run + left, k) < log_rare - 1e-12:
            break
        wrong = k
    return wrong


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _not_yet(run: int) -> str:
    if run == 0:
        return f"{ENOUGH} right in a row are a reason to stop."
    return f"{run} right in a row; {ENOUGH} are a reason to stop."
