"""The files of one member in a run directory: checkpoints while it trains, then its results.

    members/0007/checkpoint-000120.safetensors   the last two, until the member is finished
    members/0007/diverged.json                   attempts that ended in a non-finite loss
    members/0007/weights.safetensors             final network weights, unless trained elsewhere
    members/0007/history.csv                     training loss and accuracy per epoch
    members/0007/logits.safetensors              float32 logits on the test set

Files are complete or absent, and logits come last: a member is finished when they are there.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float, Float32
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bvalign.atomic import remove_temporaries, write_atomic

CHECKPOINTS_KEPT = 2
"""One stays intact if the process is killed while it writes the other."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.safetensors")


class FinishedMember(NamedTuple):
    """Results of one trained member."""

    logits: Float[Tensor, "samples classes"]  # stored as float32
    weights: Mapping[str, Tensor] | None  # network weights, by name; None: they are not at hand
    history: Sequence[Mapping[str, object]]  # one row per epoch


class MemberState(NamedTuple):
    """Everything needed to resume a member: network weights, optimizer state and progress."""

    tensors: Mapping[str, Tensor]
    info: Mapping[str, object]  # plain JSON


class MemberFolder:
    """The files of one member.

    Args:
        path: `members/0007`; created when something is saved.
        member: global id.
        identity: of the run, as JSON; files of another identity do not count.
    """

    def __init__(self, path: Path, member: int, identity: str) -> None:
        self.path, self.member = path, member
        self._metadata = {"member": str(member), "identity": identity}

    def is_finished(self) -> bool:
        """Checks that the logits are there and intact."""
        return self._logits.exists() and self.problem() is None

    def problem(self) -> str | None:
        """Describes the damage to the logits; None if they are intact or absent."""
        problem = self._logits.exists() and _problem(self._logits, self._metadata, ["logits"])
        return f"member {self.member}: {self._logits} {problem}" if problem else None

    def save(self, finished: FinishedMember) -> None:
        """Writes the results, logits last, and deletes the checkpoints."""
        self.path.mkdir(parents=True, exist_ok=True)
        if finished.weights is None:
            self._weights.unlink(missing_ok=True)
        else:
            write_atomic(self._weights, self._safetensors(finished.weights))
        columns = list(finished.history[0]) if finished.history else []
        rows = [",".join(str(row[c]) for c in columns) for row in finished.history]
        lines = "\n".join([",".join(columns), *rows, ""])
        write_atomic(self.path / "history.csv", lines.encode())
        write_atomic(self._logits, self._safetensors({"logits": finished.logits.float()}))
        for path in self._checkpoints().values():
            path.unlink(missing_ok=True)

    def logits(self) -> Float32[Tensor, "samples classes"]:
        """Reads the logits of a finished member."""
        return load_file(self._logits)["logits"]

    def open_logits(self) -> object:
        """Opens the same as a slice of the file, of which indexing reads a part."""
        return safe_open(self._logits, framework="pt").get_slice("logits")

    def weights(self) -> dict[str, Tensor]:
        """Reads the final network weights of a finished member, under the network's names.

        Raises:
            ValueError: the file is damaged, or the member has none.
        """
        problem = _problem(self._weights, self._metadata)
        if not self.has_weights():
            problem = "is not there, only logits are kept of this member"
        if problem:
            raise ValueError(
                f"member {self.member}: {self._weights} {problem}; remove {self._logits} to train "
                "it again"
            )
        return load_file(self._weights)

    def has_weights(self) -> bool:
        """Returns whether there is a file of weights."""
        return self._weights.exists()

    def checkpoint_steps(self) -> frozenset[int]:
        """Steps that training can resume from: those of intact checkpoints, and zero."""
        files = self._checkpoints()
        intact = {step for step, path in files.items() if not _problem(path, self._metadata)}
        return frozenset({0, *intact})

    def save_checkpoint(self, step: int, state: MemberState) -> None:
        """Writes a checkpoint, then deletes those before the previous one."""
        self.path.mkdir(parents=True, exist_ok=True)
        content = self._safetensors(state.tensors, state=json.dumps(state.info))
        write_atomic(self.path / f"checkpoint-{step:06d}.safetensors", content)
        files = self._checkpoints()
        for old in sorted(files)[:-CHECKPOINTS_KEPT]:
            files[old].unlink(missing_ok=True)

    def load_checkpoint(self, step: int) -> MemberState:
        """Reads the checkpoint of one of `checkpoint_steps` above zero."""
        path = self._checkpoints()[step]
        with safe_open(path, framework="pt") as file:
            return MemberState(load_file(path), json.loads(file.metadata()["state"]))

    def divergences(self) -> list[int]:
        """Epochs in which the failed attempts ended, in order.

        Raises:
            ValueError: the file is damaged.
        """
        path = self.path / "diverged.json"
        try:
            return [int(epoch) for epoch in json.loads(path.read_text())] if path.exists() else []
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path}: damaged ({error}); remove it to train the member again"
            ) from error

    def mark_diverged(self, epoch: int) -> None:
        """Records that an attempt failed in `epoch`, and deletes its checkpoints."""
        self.path.mkdir(parents=True, exist_ok=True)
        epochs = [*self.divergences(), epoch]
        write_atomic(self.path / "diverged.json", json.dumps(epochs).encode())
        for path in self._checkpoints().values():
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes half-written files of killed processes; needs the pack's lock."""
        remove_temporaries(self.path)

    @property
    def _weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def _logits(self) -> Path:
        return self.path / "logits.safetensors"

    def _checkpoints(self) -> dict[int, Path]:
        if not self.path.is_dir():
            return {}
        files = ((_CHECKPOINT.fullmatch(path.name), path) for path in self.path.iterdir())
        return {int(match[1]): path for match, path in files if match}

    def _safetensors(self, tensors: Mapping[str, Tensor], **more: str) -> bytes:
        on_cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        return save(on_cpu, self._metadata | more)


def _problem(
    path: Path, metadata: Mapping[str, str], keys: Sequence[str] | None = None
) -> str | None:
    """Says why a file cannot be used; None if it can."""
    try:
        with safe_open(path, framework="pt") as file:
            stored, names = file.metadata() or {}, list(file.keys())
    except (SafetensorError, OSError) as error:
        return f"is damaged ({error})"
    if stored.get("identity") != metadata["identity"] or keys not in (None, names):
        return "belongs to another run"
    if stored.get("member") != metadata["member"]:
        return f"belongs to member {stored.get('member')}"
    return None
