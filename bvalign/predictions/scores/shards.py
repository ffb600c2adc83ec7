"""Scores in several `.safetensors` by range of samples and by member, read as one array.

A file holds `logits`, `probs` or `votes` (members, samples of its range, classes), without the
first axis if it is of one member. Headers are checked when the predictions are opened. The
checksum is checked when a file is first read, so that who reads a part of all checks a part.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from bvalign.predictions.scores.held import HeldTensor
from bvalign.predictions.scores.manifest import MANIFEST, Manifest, Part
from bvalign.predictions.scores.mapped import Rows
from bvalign.predictions.scores.names import KINDS, shorten
from bvalign.predictions.scores.safetensors import FileTensor, file_tensors


class Shard(NamedTuple):
    """A range of samples of some members, in one file."""

    tensor: FileTensor
    members: tuple[int, ...]  # positions among all
    start: int  # its first sample, and the one after its last
    stop: int
    axis: int = 0  # of the samples; 1 after one of members
    sha256: str | None = None  # of the file; None is not checked

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.tensor.shape[self.axis + 1 :]

    def read(self, rows: Rows) -> Num[Tensor, "members rows ..."]:
        """Reads rows, counted from the first one of the file.

        Raises:
            ValueError: the file is not the one that the manifest names.
        """
        if self.sha256 is not None:
            path = self.tensor.path
            try:
                state = path.stat()
                _check_content(path, self.sha256, state.st_size, state.st_mtime_ns)
            except OSError as error:
                raise ValueError(f"{path}: vanished or was cut short ({error})") from error
        values = self.tensor.take(rows, self.axis)
        return values if self.axis else values[None]


@dataclass(frozen=True)
class Sharded:
    """An array (members, samples, ...) of one number type in files.

    Attributes:
        num_members: M.
        num_samples: N.
        shards: in which each member has each sample once.
    """

    num_members: int
    num_samples: int
    shards: Sequence[Shard]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.num_members, self.num_samples, *self.shards[0].sample_shape)

    @property
    def dtype_name(self) -> str:
        return self.shards[0].tensor.dtype_name

    def take(self, rows: Rows, axis: int = 1) -> Num[Tensor, "members rows ..."]:
        """Reads rows along the axis of samples."""
        if isinstance(rows, slice):
            low, high, _ = rows.indices(self.num_samples)
            length = max(high - low, 0)
        else:
            low, high, length = rows.min(initial=0), rows.max(initial=-1) + 1, len(rows)
        shape, dtype = (self.num_members, length, *self.shape[2:]), self.shards[0].tensor.dtype
        values = torch.empty(shape, dtype=dtype)
        starts, stops = self._bounds
        for number in np.flatnonzero((starts < high) & (stops > low)).tolist():
            shard = self.shards[number]
            if isinstance(rows, slice):
                first, last = max(low, shard.start), min(high, shard.stop)
                at = slice(first - low, last - low)
                inside = slice(first - shard.start, last - shard.start)
            else:
                at = np.flatnonzero((rows >= shard.start) & (rows < shard.stop))
                inside = rows[at] - shard.start
            for member, read in zip(shard.members, shard.read(inside), strict=True):
                values[member, at] = read
        return values

    def load(self) -> np.ndarray:
        return HeldTensor(self.take(slice(None))).load()

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """First samples of the shards, and those after their last."""
        bounds = np.array([(shard.start, shard.stop) for shard in self.shards])
        return bounds[:, 0], bounds[:, 1]


def open_shards(manifest: Manifest) -> tuple[str, Sharded]:
    """Opens the files of a manifest; gives the name of their scores, too.

    Raises:
        ValueError: a file is missing, damaged, or not what the manifest says, files differ in
            classes or number type, or a file is not named.
    """
    folder, shards, name = manifest.path.parent, [], None
    place = {member: number for number, member in enumerate(manifest.members)}
    for part in manifest.files:
        path = folder / part.file
        if not path.is_file():
            raise ValueError(
                f"{path}: is missing, {MANIFEST} names it; copy it here, or write it again"
            )
        tensors = file_tensors(path)
        name = name or next((key for key in KINDS if key in tensors), None)
        if name is None:
            raise ValueError(f"{path}: needs 'logits', 'probs' or 'votes', has {shorten(tensors)}")
        if name not in tensors:
            raise ValueError(
                f"{path}: must have '{name}' as {manifest.files[0].file} has, got "
                f"{shorten(tensors)}"
            )
        positions = tuple(place[member] for member in part.members)
        shards.append(_shard(name, tensors[name], positions, part))
        _check_alike(shards[0], shards[-1])
    _refuse_unnamed(manifest)
    return name, Sharded(len(place), manifest.samples, shards)


def _shard(name: str, tensor: FileTensor, members: tuple[int, ...], part: Part) -> Shard:
    """Checks the shape of a file against its entry in the manifest."""
    start, stop = part.range
    expected = (len(members), stop - start)
    votes = KINDS.get(name) == "votes"
    axis = len(tensor.shape) - (1 if votes else 2)
    fits = {0: len(members) == 1 and tensor.shape[:1] == expected[1:]}
    fits[1] = tensor.shape[:2] == expected
    if not fits.get(axis):
        wanted = ", ".join(map(str, (*expected, *(() if votes else ("classes",)))))
        raise ValueError(
            f"{tensor.path}: '{name}' must be ({wanted}) by {MANIFEST}, got {tensor.shape}"
        )
    return Shard(tensor, members, start, stop, axis, part.sha256)


def _check_alike(first: Shard, other: Shard) -> None:
    """Raises if two files differ in classes or number type."""
    where = first.tensor.path.name
    if other.sample_shape != first.sample_shape:
        raise ValueError(
            f"{other.tensor.path}: all files must have the same classes, got "
            f"{other.sample_shape[0]}, and {first.sample_shape[0]} in {where}"
        )
    if other.tensor.dtype != first.tensor.dtype:
        raise ValueError(
            f"{other.tensor.path}: all files must have the same number type, got "
            f"{other.tensor.dtype_name}, and {first.tensor.dtype_name} in {where}"
        )


def _refuse_unnamed(manifest: Manifest) -> None:
    """Raises if a file beside those of the manifest may belong to them."""
    folder = manifest.path.parent
    named = {folder / part.file for part in manifest.files}
    for place in {path.parent for path in named}:
        for path in sorted(place.glob("*.safetensors")):
            if path not in named and not path.name.startswith((".", "_")):
                raise ValueError(
                    f"{path}: {MANIFEST} does not name it; name it there, or move it elsewhere"
                )


@cache
def _check_content(path: Path, sha256: str, size: int, changed: int) -> None:
    """Checks a file once in this process, unless its size or time of change is another.

    Raises:
        ValueError: it has another checksum.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path}: its checksum is {found[:12]}..., but {MANIFEST} says {sha256[:12]}...; copy "
            "it again, or write it and the manifest again"
        )
