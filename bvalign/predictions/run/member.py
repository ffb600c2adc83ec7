"""The files of one member in a run directory: checkpoints while it trains, then its results.

    members/0007/checkpoint-000120.safetensors   the last two, until the member is finished
    members/0007/diverged.json                   attempts that ended in a non-finite loss
    members/0007/weights.safetensors             final network weights, unless trained elsewhere
    members/0007/history.csv                     training loss and accuracy per epoch
    members/0007/logits.safetensors              float32 logits on the test set
    members/0007/train.safetensors               the same on the training set, and what it has seen
    members/0007/logits/, train/                 in their place where they are large: `shards.py`

With top-k logits, those are the arrays of `scores/top_k.py` in place of all logits.

Files are complete or absent, and logits come last: a member is finished when they are there.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Bool, Float, Float32, Int
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from bvalign.atomic import remove_temporaries
from bvalign.predictions.run.fence import Fence
from bvalign.predictions.run.samples import Split
from bvalign.predictions.run.shards import MemberLogits, content_of, problem_of, tensors_of
from bvalign.predictions.scores.shards import Sharded
from bvalign.predictions.scores.top_k import TOP, TopScores
from bvalign.top_k import TopK, keep_top

CHECKPOINTS_KEPT = 2
"""One stays intact if the process is killed while it writes the other."""

ATTEMPTS = 3
"""Attempts at training a member before it is given up, if divergence is retried."""

PLAIN = Fence()
"""For who alone knows of the folder."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.safetensors")


class FinishedMember(NamedTuple):
    """Results of one trained member."""

    logits: Float[Tensor, "samples classes"] | TopK  # stored as float32
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
        fence: lets files be changed only while their pack is held.
    """

    def __init__(self, path: Path, member: int, identity: str, fence: Fence = PLAIN) -> None:
        self.path, self.member, self._fence = path, member, fence
        self._metadata = {"member": str(member), "identity": identity}
        self._top_k = json.loads(identity).get("predictions.top_k")
        keys = ["logits"] if self._top_k is None else [*TOP]
        of_train = sorted([*keys, "seen"])
        self._logits = MemberLogits(path, "logits", self._metadata, sorted(keys), fence)
        self._train = MemberLogits(path, "train", self._metadata, of_train, fence)

    def is_finished(self) -> bool:
        """Checks that the logits are there and intact."""
        return self._logits.exist() and self.problem() is None

    def problem(self) -> str | None:
        """Describes the damage to the logits; None if they are intact or absent."""
        problem = self._logits.exist() and self._logits.problem()
        return f"member {self.member}: {problem}" if problem else None

    def kept(
        self, logits: Float[Tensor, "samples classes"], target: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples classes"] | TopK:
        """Logits in the form that the run stores: of all classes, or of the largest and the label.

        Args:
            logits: of all classes.
            target: class ids.
        """
        return logits if self._top_k is None else keep_top(logits, self._top_k, target)

    def save(self, finished: FinishedMember) -> None:
        """Writes the results, logits last, and deletes the checkpoints."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._train.remove()  # of other weights
        if finished.weights is None:
            self._fence.remove(self._weights)
        else:
            self._fence.write(self._weights, self._safetensors(finished.weights))
        columns = list(finished.history[0]) if finished.history else []
        rows = [",".join(str(row[c]) for c in columns) for row in finished.history]
        lines = "\n".join([",".join(columns), *rows, ""])
        self._fence.write(self.path / "history.csv", lines.encode())
        self._logits.write(tensors_of(finished.logits))
        self.remove_checkpoints()

    def remove_checkpoints(self) -> None:
        """Deletes the checkpoints, which a finished member does not need."""
        for path in self._checkpoints().values():
            self._fence.remove(path)

    def logits(self) -> Float32[Tensor, "samples classes"]:
        """Reads the logits of a finished member."""
        return self.open_logits().take(slice(None))[0]

    def open_logits(self, split: Split = "test") -> Sharded | TopScores:
        """Opens logits as (1, samples, classes), of which rows can be read."""
        return (self._train if split == "train" else self._logits).open()

    def weights(self) -> dict[str, Tensor]:
        """Reads the final network weights of a finished member, under the network's names.

        Raises:
            ValueError: the file is damaged, or the member has none.
        """
        problem = problem_of(self._weights, self._metadata)
        if not self.has_weights():
            problem = "is not there, only logits are kept of this member"
        if problem:
            raise ValueError(
                f"member {self.member}: {self._weights} {problem}; remove "
                f"{self._logits.place()} to train it again"
            )
        return load_file(self._weights)

    def has_weights(self) -> bool:
        """Returns whether there is a file of weights."""
        return self._weights.exists()

    def save_train(
        self, logits: Float[Tensor, "samples classes"] | TopK, seen: Bool[Tensor, " samples"]
    ) -> None:
        """Writes the logits of a finished member on the training samples.

        Args:
            logits: stored as float32.
            seen: whether the member was trained on each sample.
        """
        self._train.write({**tensors_of(logits), "seen": seen})

    def has_train(self) -> bool:
        """Checks that the logits on the training samples are there and intact."""
        return self._train.exist() and self._train.problem() is None

    def lacks_train(self) -> bool:
        """Returns whether those logits are missing and can be had from the network weights."""
        return self.is_finished() and self.has_weights() and not self.has_train()

    def seen(self) -> Bool[Tensor, " samples"]:
        """Reads whether the member was trained on each training sample."""
        return self._train.whole("seen")

    def checkpoint_steps(self) -> frozenset[int]:
        """Steps that training can resume from: those of intact checkpoints, and zero."""
        files = self._checkpoints()
        intact = {step for step, path in files.items() if not problem_of(path, self._metadata)}
        return frozenset({0, *intact})

    def save_checkpoint(self, step: int, state: MemberState) -> None:
        """Writes a checkpoint, then deletes those before the previous one."""
        self.path.mkdir(parents=True, exist_ok=True)
        content = self._safetensors(state.tensors, state=json.dumps(state.info))
        self._fence.write(self.path / f"checkpoint-{step:06d}.safetensors", content)
        files = self._checkpoints()
        for old in sorted(files)[:-CHECKPOINTS_KEPT]:
            self._fence.remove(files[old])

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

    def divergence_note(self) -> str | None:
        """Says which attempts failed and whether a later one is kept; None if none failed."""
        epochs = ", ".join(map(str, self.divergences()))
        if not epochs:
            return None
        outcome = "a later attempt is kept" if self.is_finished() else "left out"
        return f"member {self.member}: training diverged in epoch {epochs}; {outcome}"

    def is_missing(self, *, retry: bool) -> bool:
        """Returns whether the member is still to be trained.

        Args:
            retry: also if its training diverged, unless it did so `ATTEMPTS` times.
        """
        return not self.is_finished() and len(self.divergences()) < (ATTEMPTS if retry else 1)

    def mark_diverged(self, epoch: int) -> None:
        """Records that an attempt failed in `epoch`, and deletes its checkpoints."""
        self.path.mkdir(parents=True, exist_ok=True)
        epochs = [*self.divergences(), epoch]
        self._fence.write(self.path / "diverged.json", json.dumps(epochs).encode())
        self.remove_checkpoints()

    def sweep(self) -> None:
        """Removes half-written files of killed processes; needs the pack's lock."""
        for folder in (self.path, self._logits.folder, self._train.folder):
            remove_temporaries(folder)

    @property
    def _weights(self) -> Path:
        return self.path / "weights.safetensors"

    def _checkpoints(self) -> dict[int, Path]:
        if not self.path.is_dir():
            return {}
        files = ((_CHECKPOINT.fullmatch(path.name), path) for path in self.path.iterdir())
        return {int(match[1]): path for match, path in files if match}

    def _safetensors(self, tensors: Mapping[str, Tensor], **more: str) -> bytes:
        return content_of(tensors, self._metadata | more)
