"""The model file: one ``.safetensors`` whose header holds the whole spec as JSON under the key ``napari_seg``.

Layout (https://github.com/huggingface/safetensors): eight bytes with the length of the header, the header as JSON, the
weights. Nothing in it is executed, and the description is read without reading the weights; but the file must be as
long as its header says, so that one that was cut off is found out at once.
"""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from napari_seg.errors import SegError
from napari_seg.files import cause_of, exists
from napari_seg.models.spec import FORMAT, ModelSpec

SUFFIX = ".safetensors"
SAMPLES_SUFFIX = ".samples.safetensors"
"""Of the file beside a model that holds some of what it learned from; it is no model."""

KEY = "napari_seg"
_LONGEST_HEADER = 16_000_000

_BYTES = {"BOOL": 1, "I8": 1, "U8": 1, "I16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8}
"""The size of a number of each kind that a model is made of."""

_HIDDEN = ("Cc", "Cs", "Zl", "Zp")
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They change the direction of the text around them."""


class _Tensor(BaseModel):
    """What the header says of one array of weights."""

    dtype: str
    shape: tuple[Annotated[int, Field(ge=0)], ...] = Field(max_length=8)
    data_offsets: tuple[int, int]


_TENSORS = TypeAdapter(dict[str, _Tensor])


def read_spec(path: str | Path) -> ModelSpec:
    """The description of a model, without its weights.

    Raises ``SegError`` for a file that is not a model of ours, or that is not as long as its header says. In its texts,
    characters that hide or rewrite what a terminal or a window shows are replaced.
    """
    path = Path(path)
    if path.is_dir():
        raise SegError(f"{path} is a folder, not a model; name the {SUFFIX} file itself.")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if 0 < length <= _LONGEST_HEADER else b""
            weights = file.seek(0, 2) - 8 - length
    except OSError as error:
        reason = cause_of(error)
        raise SegError(f"The model {path} cannot be read ({reason}); check the name and the folder.") from None
    if not header or len(header) < length:
        raise SegError(
            f"{path.name} is not a model file or is cut off; choose a .safetensors file written by napari-seg."
        )
    try:
        tensors = json.loads(header)
        described = shown(json.loads(tensors.pop("__metadata__")[KEY]))
        number = described["format"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SegError(
            f"{path.name} does not describe a napari-seg model; choose a file written by napari-seg."
        ) from None
    if not isinstance(number, int) or number > FORMAT:
        raise SegError(
            f"{path.name} was written by a newer napari-seg (format {number}); update napari-seg to open it."
        )
    if not _fills(tensors, weights):
        raise damaged_weights(path)
    try:
        return ModelSpec.from_file(json.dumps(described))
    except SegError as error:
        reason = str(error).partition(";")[0]
        raise SegError(f"The description in {path.name} is damaged ({reason}); get the model again.") from None


def refuse_other(path: Path) -> None:
    """Raises ``SegError`` where a model of this name would take the place of anything but a model."""
    if path.is_dir():
        raise SegError(f"{path} is a folder; choose another name for the model.")
    try:
        if exists(path):
            read_spec(path)
    except SegError:
        words = f"{path} exists and is no model that can be read, so it was left as it is"
        raise SegError(f"{words}; choose another name for the model.") from None


def file_hash(path: str | Path) -> str:
    """SHA-256 of a model file, by which a mask, a session and a model that came from it know it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged_weights(path: Path) -> SegError:
    """What is said of a file whose weights are not whole."""
    return SegError(f"The weights in {path.name} are damaged; copy the file again or choose another model.")


def _fills(tensors: Any, size: int) -> bool:
    """Whether the tensors of a header lie one behind the other and fill ``size`` bytes, as the format demands."""
    try:
        found = _TENSORS.validate_python(tensors)
    except ValidationError:
        return False
    end = 0
    for tensor in sorted(found.values(), key=lambda tensor: tensor.data_offsets):
        start, stop = tensor.data_offsets
        if start != end or stop - start != _BYTES.get(tensor.dtype, -1) * math.prod(tensor.shape):
            return False
        end = stop
    return end == size


def shown(value: Any) -> Any:
    """A JSON value whose texts hold nothing that moves the cursor, colours, hides or turns around what is shown."""
    if isinstance(value, dict):
        return {shown(key): shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, str):
        return "".join(" " if c in "\t\n\r" else "\ufffd" if _misleads(c) else c for c in value)
    return value


def _misleads(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _HIDDEN
