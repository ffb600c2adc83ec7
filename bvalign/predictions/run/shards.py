"""What one member predicts on a split: one file, or a folder of several where they are large.

    members/0007/logits.safetensors           up to LARGE bytes
    members/0007/logits/00000000.safetensors  of more: samples 0, 1, ...
    members/0007/logits/00016384.safetensors  samples 16384, 16385, ..., and so on
    members/0007/logits/manifest.json         as in `manifest.py`

The manifest comes last: without it none of the files beside it counts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bvalign.predictions.run.fence import Fence
from bvalign.predictions.scores.manifest import MANIFEST, Manifest, Part, read_manifest
from bvalign.predictions.scores.safetensors import file_tensors
from bvalign.predictions.scores.shards import Shard, Sharded, open_shards
from bvalign.predictions.scores.top_k import TOP, TOP_LOGITS, TopScores, open_top
from bvalign.top_k import TopK

LARGE = 2 * 10**9
"""Bytes of logits above which they are written in several files."""

SHARD_BYTES = 2**28
"""Bytes of logits of one such file, which is put together in memory."""


def tensors_of(logits: Float[Tensor, "samples classes"] | TopK) -> dict[str, Tensor]:
    """The tensors of a file with logits of one member, float32."""
    if isinstance(logits, Tensor):
        return {"logits": logits.float()}
    values, indices, rest = (tensor[0] for tensor in logits[:3])
    number = torch.tensor(logits.num_classes)
    return dict(zip(TOP, (values.float(), indices, rest, number), strict=True))


class MemberLogits:
    """The files with the logits of one member on one split.

    Args:
        folder: of the member.
        name: `logits` or `train`.
        metadata: of each file; those of other members or runs do not count.
        keys: names of the tensors, sorted; each has a row for each sample.
        fence: what files are changed through.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        metadata: Mapping[str, str],
        keys: Sequence[str],
        fence: Fence,
    ) -> None:
        self.file, self.folder = folder / f"{name}.safetensors", folder / name
        self._manifest = self.folder / MANIFEST
        self._metadata, self._keys, self._member = metadata, keys, int(metadata["member"])
        self._fence = fence

    def exist(self) -> bool:
        """Returns whether all files were written."""
        return self._manifest.exists() or self.file.exists()

    def place(self) -> Path:
        """The file or folder that holds them."""
        return self.folder if self._manifest.exists() else self.file

    def problem(self) -> str | None:
        """Says why existing files cannot be used; None if they can."""
        if not self._manifest.exists():
            problem = problem_of(self.file, self._metadata, self._keys)
            return f"{self.file} {problem}" if problem else None
        try:
            manifest = read_manifest(self._manifest)
            open_shards(manifest)
        except ValueError as error:
            return str(error)
        for path in (self.folder / part.file for part in manifest.files):
            if problem := problem_of(path, self._metadata, self._keys):
                return f"{path} {problem}"
        return None

    def write(self, tensors: Mapping[str, Tensor]) -> None:
        """Replaces the files; they exist once all are complete.

        Args:
            tensors: by name, each (samples, ...) but for the number of classes of top-k logits.
        """
        self._fence.remove(self._manifest)
        logits = tensors.get("logits")
        if logits is None or logits.nbytes <= LARGE:  # top-k logits are one file
            self._fence.write(self.file, self._content(tensors))
            self._fence.remove(self.folder)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = max(1, SHARD_BYTES // logits[0].nbytes)
        parts = [
            self._write_part(start, {key: v[start : start + rows] for key, v in tensors.items()})
            for start in range(0, len(logits), rows)
        ]
        for path in {*self.folder.glob("*.safetensors")} - {self.folder / p.file for p in parts}:
            self._fence.remove(path)  # of before, when there were more
        manifest = Manifest(self._manifest, (self._member,), len(logits), tuple(parts))
        self._fence.write(self._manifest, manifest.content())
        self._fence.remove(self.file)

    def _write_part(self, start: int, tensors: Mapping[str, Tensor]) -> Part:
        name, content = f"{start:08d}.safetensors", self._content(tensors)
        self._fence.write(self.folder / name, content)
        checksum = hashlib.sha256(content).hexdigest()
        return Part(name, (self._member,), (start, start + len(tensors["logits"])), checksum)

    def remove(self) -> None:
        """Removes all files."""
        self._fence.remove(self._manifest)
        self._fence.remove(self.file)
        self._fence.remove(self.folder)

    def open(self) -> Sharded | TopScores:
        """Opens existing logits as (1, samples, classes), of which rows can be read.

        Raises:
            ValueError: a file is missing or damaged.
        """
        if self._manifest.exists():
            return open_shards(read_manifest(self._manifest))[1]
        tensors = file_tensors(self.file)
        if TOP_LOGITS in tensors:
            return open_top(self.file, tensors)
        tensor = tensors["logits"]
        return Sharded(1, tensor.shape[0], (Shard(tensor, (0,), 0, tensor.shape[0]),))

    def whole(self, key: str) -> Tensor:
        """Reads a tensor of existing files beside the logits (samples)."""
        files = [self.file]
        if self._manifest.exists():
            files = [self.folder / part.file for part in read_manifest(self._manifest).files]
        return torch.from_numpy(np.concatenate([file_tensors(path)[key].load() for path in files]))

    def _content(self, tensors: Mapping[str, Tensor]) -> bytes:
        return content_of(tensors, self._metadata)


def content_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Bytes of a safetensors file, the same for the same tensors.

    The library puts the metadata in an order that it draws; here they are sorted, in as many bytes.

    Args:
        tensors: by name, on any device.
        metadata: of the file.
    """
    on_cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = save(on_cpu, dict(metadata))
    start = 8 + int.from_bytes(content[:8], "little")  # the header comes after its length
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return b"".join([content[:8], text.ljust(start - 8), memoryview(content)[start:]])


def problem_of(
    path: Path, metadata: Mapping[str, str], keys: Sequence[str] | None = None
) -> str | None:
    """Says why a file cannot be used; None if it can."""
    if not path.is_file():
        return "is no file"
    try:
        with safe_open(path, framework="pt") as file:
            stored, names = file.metadata() or {}, list(file.keys())
    except (SafetensorError, OSError) as error:
        return f"is damaged ({error})"
    if stored.get("identity") != metadata["identity"] or (keys and keys != sorted(names)):
        return "belongs to another run"
    if stored.get("member") != metadata["member"]:
        return f"belongs to member {stored.get('member')}"
    return None
