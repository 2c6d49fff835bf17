"""Several models as one, in one file: the scores of its networks are averaged, then decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from napari_seg.errors import SegError
from napari_seg.models.model import Model
from napari_seg.models.spec import FORMAT, IMAGES, Event, ModelSpec
from napari_seg.models.zoo import refuse_unloaded
from napari_seg.networks import Ensemble, Network

SEEN = ("channels", "spacing", "unit", "normalisation", "diameter")
"""What of the input of all members must be the same: they are shown the same pixels."""


def ensemble(models: Sequence[Model]) -> Model:
    """The mean of models, with the name, the decoding settings, the card and the history of the first.

    Networks may differ, task and input may not. It knows mirror images along the axes along which all of its members
    learned them. Raises ``SegError`` naming what differs, for an empty list and for what is no list of models.
    """
    if not isinstance(models, list | tuple):
        raise SegError("An ensemble is made of a list of models; put those to join between [ and ].")
    for model in models:
        refuse_unloaded(model)
    if not models:
        raise SegError("An ensemble of no models cannot be made; give one at least.")
    first = models[0].spec
    for model in models[1:]:
        differing = _differing(first, model.spec)
        if differing:
            raise SegError(
                f"{first.name} and {model.spec.name} differ in {differing}, so their scores cannot be averaged; join "
                "models of the same task that were trained on the same kind of images."
            )
    members = tuple(spec for model in models for spec in model.spec.networks)
    networks = [network for model in models for network in _networks(model)]
    told = {"members": members, "format": FORMAT, "history": _joined(first, models)}
    return Model(first.model_copy(update=told), Ensemble(networks).eval())


def first_of(model: Model) -> Model:
    """The model itself, or the first member of an ensemble as a model of its own: what a training can go on from."""
    if not model.spec.members:
        return model
    spec = model.spec.model_copy(update={"members": (), "format": 1})
    return replace(model, spec=spec, network=_networks(model)[0])


def _joined(first: ModelSpec, models: Sequence[Model]) -> tuple[Event, ...]:
    """The history of the first member, and where the others learned otherwise: of mirror images what all learned, of
    images what any has seen."""
    common = sorted(set.intersection(*(set(model.spec.mirrors) for model in models)))
    more = sorted(set.union(*(set(model.spec.seen) for model in models)) - first.seen)
    details: dict[str, Any] = {IMAGES: more} if more else {}
    if common != [*first.mirrors]:
        details["augmentation"] = {**first.augmentation, "flips": common}
    if not details:
        return first.history
    return (*first.history, Event(what="joined", when=datetime.now(UTC).isoformat(timespec="seconds"), details=details))


def _networks(model: Model) -> list[Network]:
    return list(model.network.members) if isinstance(model.network, Ensemble) else [model.network]  # type: ignore[arg-type]


def _differing(one: ModelSpec, other: ModelSpec) -> str:
    """In what two models differ, in a word, or nothing."""
    if (one.task.kind, one.task.names, one.task.planes) != (other.task.kind, other.task.names, other.task.planes):
        return "the task or its classes"
    if (one.network.ndim, one.network.in_channels) != (other.network.ndim, other.network.in_channels):
        return "the dimensions or channels of the images"
    return next(
        (f"the {name} of the input" for name in SEEN if getattr(one.input, name) != getattr(other.input, name)), ""
    )
