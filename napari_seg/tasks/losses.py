"""Losses that count only where labels are known.

``logits`` and ``target`` have the shape ``(batch, channels, *grid)``, ``mask`` ``(batch, 1, *grid)`` with 0 where
nobody has said what is right; those pixels contribute neither to the value nor to the gradient.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def average(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over all channels of the pixels that count; 0 where none does."""
    weights = mask.expand_as(values)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def cross_entropy(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of a softmax over the channels; ``target`` is one-hot."""
    return average(-(target * functional.log_softmax(logits, 1)).sum(1, keepdim=True), mask)


def binary(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of a sigmoid in each channel; ``target`` may lie anywhere in 0..1."""
    return average(functional.binary_cross_entropy_with_logits(logits, target, reduction="none"), mask)


def dice(scores: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - Dice of each channel over the whole batch, averaged (Milletari et al., 3DV 2016, eq. 2, with |p| + |t|)."""
    across = [0, *range(2, scores.ndim)]
    overlap = (scores * target * mask).sum(across)
    total = ((scores + target) * mask).sum(across)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
