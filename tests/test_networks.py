"""The contract of every network: whoever adds one to the registry gets these tests."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from napari_seg.networks import NETWORKS, SegNet, UNet

CASES = [(kind, ndim) for kind in NETWORKS for ndim in (2, 3)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("kind", "ndim"), CASES)
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_logits_have_the_grid_of_the_input(kind: str, ndim: int, norm: str) -> None:
    network = NETWORKS[kind](ndim, 3, 5, width=4, depth=2, norm=norm)
    grid = tuple(2 * n for n in network.multiple)
    assert network(torch.rand(2, 3, *grid)).shape == (2, 5, *grid)


@pytest.mark.parametrize(("kind", "ndim"), CASES)
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
@pytest.mark.parametrize("training", [False, True])
def test_one_pixel_on_the_deepest_level_is_enough(kind: str, ndim: int, norm: str, training: bool) -> None:
    network = NETWORKS[kind](ndim, 1, 2, width=4, depth=1, norm=norm).train(training)
    logits = network(torch.rand(1, 1, *network.multiple))
    logits.sum().backward()
    assert logits.shape == (1, 2, *network.multiple)
    assert all(torch.isfinite(value).all() for value in (logits, *network.state_dict().values()))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_norms_of_more_than_one_pixel_are_those_of_torch(norm: str, batch: int, ndim: int) -> None:
    of_torch = {
        "batch": (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)[ndim - 2](8),
        "group": torch.nn.GroupNorm(8, 8),
        "instance": (torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d)[ndim - 2](8, affine=True),
    }[norm]
    ours = UNet(ndim, norm=norm).normalise(8)
    for _ in range(2):
        x = torch.rand(batch, 8, *(3, 2, 4)[:ndim])
        torch.testing.assert_close(ours(x), of_torch(x))
    assert ours.state_dict().keys() == of_torch.state_dict().keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, of_torch.state_dict()[name])


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("norm", ["group", "instance"])
def test_norms_hold_where_the_mean_is_far_larger_than_what_differs(norm: str, ndim: int) -> None:
    ours = UNet(ndim, norm=norm).normalise(16)
    layout: Any = (torch.channels_last, torch.channels_last_3d)[ndim - 2]
    x = torch.randn(2, 16, *(8, 24, 24)[-ndim:]) + 1000
    exact = torch.nn.functional.group_norm(x.double(), ours.num_groups)
    torch.testing.assert_close(ours(x.to(memory_format=layout)), exact.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("kind", "ndim"), CASES)
@pytest.mark.parametrize("residual", [False, True])
def test_a_gradient_reaches_every_weight(kind: str, ndim: int, residual: bool) -> None:
    network = NETWORKS[kind](ndim, 1, 2, width=4, depth=2, residual=residual)
    grid = tuple(4 * n for n in network.multiple)
    target = torch.randint(0, 2, (2, *grid))
    torch.nn.functional.cross_entropy(network(torch.rand(2, 1, *grid)), target).backward()
    silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent in ([], ["decoder.1.0.bias"]) or all(name.endswith("bias") for name in silent)


@pytest.mark.parametrize("kind", NETWORKS)
def test_flat_levels_leave_z_alone(kind: str) -> None:
    network = NETWORKS[kind](3, 1, 2, width=4, depth=3, flat_levels=2)
    assert network.multiple == (2, 8, 8)
    assert network(torch.rand(1, 1, 6, 16, 16)).shape == (1, 2, 6, 16, 16)


@pytest.mark.parametrize(("kind", "ndim"), CASES)
def test_the_width_doubles_up_to_six_times_the_first(kind: str, ndim: int) -> None:
    assert NETWORKS[kind](ndim, 1, 2, width=4, depth=4).widths == [4, 8, 16, 24, 24]


def test_segnet_puts_values_back_where_the_maximum_was() -> None:
    network = SegNet(2, 1, 1, width=4, depth=1)
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 1, 2] = 1.0
    pooled, indices = network.pools[0](image)
    assert torch.equal(network.unpools[0](pooled, indices, output_size=(4, 4)), image)
