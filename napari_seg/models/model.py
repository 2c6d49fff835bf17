"""A model: its spec and its network, or the networks of an ensemble, in one file."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from napari_seg.errors import SegError
from napari_seg.files import at_home, reason, written
from napari_seg.models.file import KEY, damaged_weights, read_spec, refuse_other
from napari_seg.models.spec import ModelSpec, NetworkSpec
from napari_seg.networks import NETWORKS, Ensemble, Network

_DRAWING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Model:
    """``spec`` says what it is, ``network`` (on the CPU, in evaluation mode) computes."""

    spec: ModelSpec
    network: Network | Ensemble

    @classmethod
    def create(cls, spec: ModelSpec, *, seed: int = 0) -> Model:
        """A model with fresh weights, the same for the same seed."""
        return cls(spec, build(spec.network, seed=seed).eval())

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a model file. Raises ``SegError`` for a foreign, truncated or hostile one; nothing in it is executed."""
        path = at_home(path)
        spec = read_spec(path)
        try:
            weights = load_file(path)
        except (SafetensorError, OSError):
            raise damaged_weights(path) from None
        with torch.device("meta"):  # nothing is allocated before the file has proved to hold these very weights
            network = Ensemble(map(build, spec.members)) if spec.members else build(spec.network)
        wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
        found = {name: tensor.shape for name, tensor in weights.items()}
        if wanted != found:
            raise SegError(f"The weights in {path.name} do not fit its description; train or download the model again.")
        if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
            raise SegError(f"Some weights in {path.name} are no numbers; train or download the model again.")
        float32 = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        network.load_state_dict(float32, assign=True)
        return cls(spec, network.eval().requires_grad_(False))

    @property
    def digest(self) -> str:
        """By which its weights are known again, in whatever file."""
        known = hashlib.blake2b(digest_size=16)
        for name, tensor in self.network.state_dict().items():
            known.update(f"{name}\0".encode() + tensor.cpu().contiguous().numpy().tobytes())
        return known.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write the model file in one step; a model of that name stays whole until then, and anything else of that name
        is never replaced.

        Kernels are stored in half precision (they are used in bfloat16 or were trained in it), everything else as it
        is.
        """
        path = at_home(path)
        weights = {
            name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous()
            for name, tensor in self.network.state_dict().items()
        }
        try:
            refuse_other(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written(path) as aside:
                aside.write_bytes(save(weights, {KEY: self.spec.to_json()}))
        except OSError as error:
            words = reason(error, "choose another folder")
            raise SegError(f"The model {path} could not be written {words}") from None
        return path


def build(spec: NetworkSpec, *, seed: int = 0) -> Network:
    """The network of a spec with fresh weights, the same for the same seed.

    Torch draws them from the one generator of the process: threads take turns, and leave it as it was.
    """
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return NETWORKS[spec.kind](
            spec.ndim,
            spec.in_channels,
            spec.out_channels,
            width=spec.width,
            depth=spec.depth,
            norm=spec.norm,
            residual=spec.residual,
            flat_levels=spec.flat_levels,
        )
