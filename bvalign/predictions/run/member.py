"""What a run directory keeps of one member: checkpoints while it trains, then its results.

    members/0007/checkpoint-000120.safetensors   the last two whole ones, until it is finished
    members/0007/diverged.json                   attempts that ended in a loss that is no number
    members/0007/weights.safetensors             final weights
    members/0007/history.csv                     training loss and accuracy per epoch
    members/0007/logits.safetensors              float32 logits on the test set: it is finished

Files are whole or absent, and logits come last: a member counts when they are there, never before.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bvalign.atomic import remove_temporaries, write_atomic

CHECKPOINTS_KEPT = 2
"""One is whole whenever the process is killed while it writes the other."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.safetensors")


class FinishedMember(NamedTuple):
    """What is kept of one trained member."""

    logits: Tensor  # float32 (samples, classes)
    weights: Mapping[str, Tensor]
    history: Sequence[Mapping[str, object]]  # one row per epoch


class MemberState(NamedTuple):
    """All that a member needs to go on: weights, optimizer state, and where it is."""

    tensors: Mapping[str, Tensor]
    info: Mapping[str, object]  # plain JSON


class MemberFolder:
    """The files of one member.

    Args:
        path: `members/0007`; made when something is saved.
        member: global id.
        identity: of the run, as JSON; files of another one do not count.
    """

    def __init__(self, path: Path, member: int, identity: str) -> None:
        self.path, self.member = path, member
        self._metadata = {"member": str(member), "identity": identity}

    def is_finished(self) -> bool:
        """Whether the logits are there and whole."""
        return self._logits.exists() and self.problem() is None

    def problem(self) -> str | None:
        """What is wrong with the logits; None if nothing is, or if there are none."""
        problem = self._logits.exists() and _problem(self._logits, self._metadata, ["logits"])
        return f"member {self.member}: {self._logits} {problem}" if problem else None

    def save(self, finished: FinishedMember) -> None:
        """Writes the results, logits last, and drops the checkpoints."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path / "weights.safetensors", self._safetensors(finished.weights))
        columns = list(finished.history[0]) if finished.history else []
        rows = [",".join(str(row[c]) for c in columns) for row in finished.history]
        lines = "\n".join([",".join(columns), *rows, ""])
        write_atomic(self.path / "history.csv", lines.encode())
        write_atomic(self._logits, self._safetensors({"logits": finished.logits.float()}))
        for path in self._checkpoints().values():
            path.unlink(missing_ok=True)

    def logits(self) -> Tensor:
        """Float32 logits (samples, classes) of a finished member."""
        return load_file(self._logits)["logits"]

    def open_logits(self) -> object:
        """The same as a slice of a file, (samples, classes), read where it is indexed."""
        return safe_open(self._logits, framework="pt").get_slice("logits")

    def weights(self) -> dict[str, Tensor]:
        """Final weights of a finished member, under its network's names.

        Raises:
            ValueError: the file is damaged.
        """
        path = self.path / "weights.safetensors"
        problem = _problem(path, self._metadata)
        if problem:
            raise ValueError(
                f"member {self.member}: {path} {problem}; remove {self._logits} to train it again"
            )
        return load_file(path)

    def checkpoint_steps(self) -> frozenset[int]:
        """Steps that training can go on from: those of whole checkpoints, and zero."""
        found = self._checkpoints()
        whole = {step for step, path in found.items() if not _problem(path, self._metadata)}
        return frozenset({0, *whole})

    def save_checkpoint(self, step: int, state: MemberState) -> None:
        """Writes one checkpoint, then drops those before the previous one."""
        self.path.mkdir(parents=True, exist_ok=True)
        content = self._safetensors(state.tensors, state=json.dumps(state.info))
        write_atomic(self.path / f"checkpoint-{step:06d}.safetensors", content)
        files = self._checkpoints()
        for old in sorted(files)[:-CHECKPOINTS_KEPT]:
            files[old].unlink(missing_ok=True)

    def load_checkpoint(self, step: int) -> MemberState:
        """Reads one of `checkpoint_steps` above zero."""
        path = self._checkpoints()[step]
        with safe_open(path, framework="pt") as file:
            return MemberState(load_file(path), json.loads(file.metadata()["state"]))

    def divergences(self) -> list[int]:
        """The epoch in which each failed attempt ended, in order.

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
        """Notes that an attempt ended in `epoch`, and drops its checkpoints."""
        self.path.mkdir(parents=True, exist_ok=True)
        epochs = [*self.divergences(), epoch]
        write_atomic(self.path / "diverged.json", json.dumps(epochs).encode())
        for path in self._checkpoints().values():
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what a killed process left half-written; only for who holds the pack's lock."""
        remove_temporaries(self.path)

    @property
    def _logits(self) -> Path:
        return self.path / "logits.safetensors"

    def _checkpoints(self) -> dict[int, Path]:
        if not self.path.is_dir():
            return {}
        found = ((_CHECKPOINT.fullmatch(path.name), path) for path in self.path.iterdir())
        return {int(match[1]): path for match, path in found if match}

    def _safetensors(self, tensors: Mapping[str, Tensor], **more: str) -> bytes:
        whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        return save(whole, self._metadata | more)


def _problem(
    path: Path, metadata: Mapping[str, str], keys: Sequence[str] | None = None
) -> str | None:
    """Why a file cannot be used; None if it can."""
    try:
        with safe_open(path, framework="pt") as file:
            found, names = file.metadata() or {}, list(file.keys())
    except (SafetensorError, OSError) as error:
        return f"is damaged ({error})"
    if found.get("identity") != metadata["identity"] or keys not in (None, names):
        return "belongs to another run"
    if found.get("member") != metadata["member"]:
        return f"belongs to member {found.get('member')}"
    return None
