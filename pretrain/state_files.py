"""Weights and moments on disk: each rank's fragments in safetensors files, read back at any layout.

One file for each rank and key, `weight-rank0000.safetensors`; a tensor in it is called
`<name>@<start>` and is a range of the flattened parameter. Nothing is pickled, so reading runs no
code.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from contracts import storage
from contracts.errors import CheckpointError
from pretrain.records import STATE_KEYS, Fragment

FileInfo = dict[str, int | str]
"""`bytes` and `sha256` of one file."""


def state_file(key: str, rank: int) -> str:
    """Name of the file in which a rank keeps the fragments of one key."""
    return f"{key}-rank{rank:04d}.safetensors"


def write_fragments(path: Path, fragments: Iterable[Fragment]) -> float:
    """Write one file, on disk when this returns; gives the sum of the squares of all values."""
    tensors = {}
    square_sum = 0.0
    for fragment in fragments:
        values = fragment.values.detach().to("cpu", dtype=torch.float32, copy=True).contiguous()
        tensors[f"{fragment.name}@{fragment.start}"] = values
        square_sum += float(values.double().square().sum().item())
    write_tensors(path, tensors)
    return square_sum


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file, on disk when this returns."""
    save_file(tensors, path)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def file_info(path: Path) -> FileInfo:
    """Size and checksum, as they stand in the commit file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(storage.BLOCK_BYTES):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def torn_file(folder: Path, files: dict[str, FileInfo]) -> str | None:
    """What is wrong with the first file that differs from its record; None when all are whole."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        size_bytes = path.stat().st_size
        if size_bytes != expected["bytes"]:
            return f"{name} has {size_bytes} bytes, {expected['bytes']} were committed"
        found = file_info(path)["sha256"]
        if found != expected["sha256"]:
            return f"{name} has sha256 {found}, {expected['sha256']} was committed"
    return None


@dataclass(frozen=True)
class _Place:
    start: int
    length: int
    file: Any
    tensor_name: str


class StateFiles:
    """A FragmentReader over all ranks' files of a checkpoint."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder
        self._places: dict[tuple[str, str], list[_Place]] = {}
        for file_name in sorted(names):
            key, separator, _ = file_name.partition("-rank")
            if separator and key in STATE_KEYS:
                self._index(key, folder / file_name)

    def _index(self, key: str, path: Path) -> None:
        file: Any = safe_open(path, framework="pt")
        for tensor_name in file.keys():  # noqa: SIM118 - not a dict: it has no iterator
            name, _, start = tensor_name.rpartition("@")
            length = file.get_slice(tensor_name).get_shape()[0]
            place = _Place(int(start), length, file, tensor_name)
            self._places.setdefault((name, key), []).append(place)

    def read(self, name: str, key: str, start: int, length: int) -> Tensor:
        """(length,) fp32: elements `start` to `start + length` of a flattened parameter or moment.

        Raises:
            CheckpointError: a part of the range is in no file.
        """
        values = torch.empty(length, dtype=torch.float32)
        filled = 0
        for place in self._places.get((name, key), []):
            low = max(start, place.start)
            high = min(start + length, place.start + place.length)
            if low < high:
                part = place.file.get_slice(place.tensor_name)[
                    low - place.start : high - place.start
                ]
                values[low - start : high - start] = part
                filled += high - low
        if filled != length:
            raise CheckpointError(
                f"{self._folder}: {key} of {name} has {filled} of the {length} elements from "
                f"{start}; the checkpoint is of another model"
            )
        return values
