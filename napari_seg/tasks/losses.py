"""Losses that count only where labels are known.

``logits`` and ``target`` have the shape ``(batch, channels, *grid)``, ``mask`` ``(batch, 1, *grid)`` with 0 where
nobody has said what is right; those pixels contribute neither to the value nor to the gradient.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from napari_seg.choices import LossKind

FOCUS = 2
"""The exponent of the focal loss."""


def average(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over all channels of the pixels that count; 0 where none does."""
    weights = mask.expand_as(values)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def cross_entropy(logits: Tensor, target: Tensor, mask: Tensor, kind: LossKind = "dice") -> Tensor:
    """Cross-entropy of a softmax over the channels; ``target`` is one-hot."""
    return average(_focused((target * -functional.log_softmax(logits, 1)).sum(1, keepdim=True), kind), mask)


def binary(logits: Tensor, target: Tensor, mask: Tensor, kind: LossKind = "dice") -> Tensor:
    """Cross-entropy of a sigmoid in each channel; ``target`` may lie anywhere in 0..1."""
    return average(_focused(functional.binary_cross_entropy_with_logits(logits, target, reduction="none"), kind), mask)


def region(scores: Tensor, target: Tensor, mask: Tensor, kind: LossKind = "dice") -> Tensor:
    """How badly whole regions fit: the Dice loss, or the Tversky loss."""
    return tversky(scores, target, mask) if kind == "tversky" else dice(scores, target, mask)


def dice(scores: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - Dice of each channel over the whole batch, averaged (Milletari et al., 3DV 2016, eq. 2, with |p| + |t|)."""
    across = [0, *range(2, scores.ndim)]
    overlap = (scores * target * mask).sum(across)
    total = ((scores + target) * mask).sum(across)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def tversky(scores: Tensor, target: Tensor, mask: Tensor, missed: float = 0.7) -> Tensor:
    """1 - Tversky index of each channel over the whole batch, averaged (Salehi et al., MLMI 2017): what is missed
    counts ``missed``, what is found in excess ``1 - missed``. With 0.5 it is :func:`dice`."""
    across = [0, *range(2, scores.ndim)]
    overlap = (scores * target * mask).sum(across)
    absent, excess = (target * mask).sum(across) - overlap, (scores * mask).sum(across) - overlap
    return (1 - (overlap + 0.5) / (overlap + missed * absent + (1 - missed) * excess + 0.5)).mean()


def _focused(entropy: Tensor, kind: LossKind) -> Tensor:
    """The cross-entropy, for the focal loss weighed by how wrong a pixel is (Lin et al., ICCV 2017)."""
    return (1 - (-entropy).exp()) ** FOCUS * entropy if kind == "focal" else entropy
