"""U-Net, V-Net and SegNet, each in 2D and 3D in one class. This file imports torch alone, so that it can travel in an
export.

Every network takes a batch ``(batch, in_channels, *grid)`` and puts out logits ``(batch, out_channels, *grid)``. Each
axis of the grid must be a multiple of ``network.multiple``. The width doubles from level to level up to six times the
first;
``flat_levels`` counts the first levels that leave z as it is, for volumes of thick slices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

WIDEST = 6
"""Levels are at most this many times as wide as the first: deeper levels see far, they need not be wider."""


class Network(nn.Module):
    """What all networks share: the dimension-dependent layers, the widths and the steps of each level."""

    def __init__(
        self,
        ndim: int = 2,
        in_channels: int = 1,
        out_channels: int = 2,
        *,
        width: int = 32,
        depth: int = 4,
        norm: str = "batch",
        residual: bool = False,
        flat_levels: int = 0,
    ) -> None:
        super().__init__()
        self.ndim, self.norm, self.residual = ndim, norm, residual
        self.widths = [min(width * 2**level, width * WIDEST) for level in range(depth + 1)]
        self.steps = [(1, 2, 2) if ndim == 3 and level < flat_levels else (2,) * ndim for level in range(depth)]
        self.build(in_channels, out_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def multiple(self) -> tuple[int, ...]:
        """Each axis of the input must be a multiple of this many pixels."""
        products = [1] * self.ndim
        for step in self.steps:
            products = [product * factor for product, factor in zip(products, step, strict=True)]
        return tuple(products)

    def build(self, in_channels: int, out_channels: int) -> None:
        raise NotImplementedError

    def conv(self, inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True) -> nn.Module:
        kind = nn.Conv2d if self.ndim == 2 else nn.Conv3d
        return kind(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def down(self, inputs: int, outputs: int, step: tuple[int, ...]) -> nn.Module:
        kind: Any = nn.Conv2d if self.ndim == 2 else nn.Conv3d
        return nn.Sequential(
            kind(inputs, outputs, step, stride=step, bias=False), self.normalise(outputs), nn.ReLU(True)
        )

    def up(self, inputs: int, outputs: int, step: tuple[int, ...]) -> nn.Module:
        kind: Any = nn.ConvTranspose2d if self.ndim == 2 else nn.ConvTranspose3d
        return kind(inputs, outputs, step, stride=step)  # type: ignore[no-any-return]

    def pool(self, step: tuple[int, ...], *, indices: bool = False) -> nn.Module:
        kind: Any = nn.MaxPool2d if self.ndim == 2 else nn.MaxPool3d
        return kind(step, return_indices=indices)  # type: ignore[no-any-return]

    def normalise(self, channels: int) -> nn.Module:
        """Of those of torch the kind that takes a single value too, as which the deepest level sees a small image."""
        if self.norm == "batch":
            return (BatchNorm2d if self.ndim == 2 else BatchNorm3d)(channels)
        if self.norm == "instance":
            return GroupNorm(channels, channels)
        return GroupNorm(next(count for count in (8, 4, 2, 1) if channels % count == 0), channels)

    def convs(self, inputs: int, outputs: int, count: int, *, residual: bool | None = None) -> nn.Module:
        layers: list[nn.Module] = []
        for number in range(count):
            layers += [self.conv(inputs if number == 0 else outputs, outputs, bias=False), self.normalise(outputs)]
            layers.append(nn.ReLU(True))
        if not (self.residual if residual is None else residual):
            return nn.Sequential(*layers)
        across = nn.Identity() if inputs == outputs else self.conv(inputs, outputs, 1)
        return Residual(nn.Sequential(*layers[:-1]), across)


class _OfBatches:
    """A single value says nothing of how values differ: it is normalised like a batch in a prediction."""

    def forward(self: Any, x: Tensor) -> Tensor:
        if self.training and x[:, 0].numel() == 1:
            return torch.nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)  # type: ignore[no-any-return, misc]


class BatchNorm2d(_OfBatches, nn.BatchNorm2d): ...


class BatchNorm3d(_OfBatches, nn.BatchNorm3d): ...


class GroupNorm(nn.GroupNorm):
    """With a group for each channel it is instance norm, faster than torch's own on ``channels_last`` arrays of a CPU.

    Of such arrays torch takes the variance as a difference of two squares, which goes wrong where the mean is far
    larger than what differs: the mean is taken away first, and the result stays the same. A single value is its own
    mean: only the bias is left of it.
    """

    def forward(self, x: Tensor) -> Tensor:
        of_channels = x.detach().mean(dim=tuple(range(2, x.ndim))).view(len(x), self.num_groups, -1)
        mean = of_channels.mean(2, keepdim=True).expand_as(of_channels)
        x = x - mean.reshape(*x.shape[:2], *[1] * (x.ndim - 2))
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps, torch.backends.cudnn.enabled)


class Residual(nn.Module):
    """The layers see what is left to learn: ``relu(layers(x) + across(x))`` (He et al., CVPR 2016)."""

    def __init__(self, layers: nn.Module, across: nn.Module) -> None:
        super().__init__()
        self.layers, self.across = layers, across

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.across(x))


class UNet(Network):
    """Ronneberger et al., MICCAI 2015; in 3D Cicek et al., MICCAI 2016. Skips are concatenated."""

    def build(self, in_channels: int, out_channels: int) -> None:
        widths = self.widths
        self.encoder = nn.ModuleList([self.convs(in_channels, widths[0], 2)])
        self.downs, self.ups, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, step in enumerate(self.steps):
            self.downs.append(self.pool(step))
            self.encoder.append(self.convs(widths[level], widths[level + 1], 2))
            self.ups.append(self.up(widths[level + 1], widths[level], step))
            self.decoder.append(self.convs(2 * widths[level], widths[level], 2))
        self.head = self.conv(widths[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block, down in zip(self.encoder, self.downs, strict=False):
            x = block(x)
            skips.append(x)
            x = down(x)
        x = self.encoder[-1](x)
        for level in reversed(range(len(skips))):
            x = self.decoder[level](torch.cat([skips.pop(), self.ups[level](x)], 1))
        return self.head(x)  # type: ignore[no-any-return]


class VNet(Network):
    """Milletari et al., 3DV 2016: residual blocks of one to three convolutions, learned steps down and up.

    With kernels of 3 instead of 5 voxels, as most later work has it: a third of the weights for the same field of view
    per two layers.
    """

    def build(self, in_channels: int, out_channels: int) -> None:
        widths = self.widths
        self.encoder = nn.ModuleList([self.convs(in_channels, widths[0], 1, residual=True)])
        self.downs, self.ups, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, step in enumerate(self.steps):
            self.downs.append(self.down(widths[level], widths[level + 1], step))
            self.encoder.append(self.convs(widths[level + 1], widths[level + 1], min(level + 2, 3), residual=True))
            self.ups.append(self.up(widths[level + 1], widths[level], step))
            self.decoder.append(self.convs(2 * widths[level], widths[level], min(level + 1, 3), residual=True))
        self.head = self.conv(widths[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder[0](x)
        skips = []
        for down, block in zip(self.downs, self.encoder[1:], strict=True):
            skips.append(x)
            x = block(down(x))
        for level in reversed(range(len(skips))):
            x = self.decoder[level](torch.cat([skips.pop(), self.ups[level](x)], 1))
        return self.head(x)  # type: ignore[no-any-return]


class SegNet(Network):
    """Badrinarayanan et al., TPAMI 2017: no skips; the decoder puts each value back where the maximum was found."""

    def build(self, in_channels: int, out_channels: int) -> None:
        widths = self.widths
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.pools, self.unpools = nn.ModuleList(), nn.ModuleList()
        unpool: Any = nn.MaxUnpool2d if self.ndim == 2 else nn.MaxUnpool3d
        for level, step in enumerate(self.steps):
            inputs = in_channels if level == 0 else widths[level - 1]
            self.encoder.append(self.convs(inputs, widths[level], min(level + 2, 3)))
            self.pools.append(self.pool(step, indices=True))
            self.unpools.append(unpool(step))
            self.decoder.append(self.convs(widths[level], widths[max(level - 1, 0)], min(level + 2, 3)))
        self.head = self.conv(widths[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        places = []
        for block, pool in zip(self.encoder, self.pools, strict=True):
            x = block(x)
            size = x.shape
            x, indices = pool(x)
            places.append((indices, size))
        for level in reversed(range(len(places))):
            indices, size = places.pop()
            x = self.decoder[level](self.unpools[level](x, indices, output_size=size[2:]))
        return self.head(x)  # type: ignore[no-any-return]


class Ensemble(nn.Module):
    """Networks for the same input and output. ``forward`` gives the logits of each: ``(members, batch, channels,
    *grid)``; what is averaged are the scores that a task makes of them."""

    def __init__(self, members: Iterable[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def multiple(self) -> tuple[int, ...]:
        """Each axis of the input must be a multiple of this many pixels, which suits every member."""
        multiples: Any = (member.multiple for member in self.members)
        return tuple(math.lcm(*axis) for axis in zip(*multiples, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([member(x) for member in self.members])


NETWORKS: dict[str, type[Network]] = {"unet": UNet, "vnet": VNet, "segnet": SegNet}
"""Every network by the name that specs and the command line use."""
