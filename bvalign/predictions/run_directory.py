"""A run on disk: its identity, which members are finished, and their predictions.

    run.json                            identity, packs, provenance
    samples.npz                         index, target, class names, images
    members/0007/logits.safetensors     float32 logits on the test set: the member is finished
    members/0007/weights.safetensors    final weights
    members/0007/history.csv            training loss and accuracy per epoch
    packs/003.lock                      held by the process that trains the pack

Every file is written beside its place and renamed into it, so it is whole or absent; logits come
last, so a member counts when they are there and never before.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bvalign.predictions.atomic import atomic_path, write_atomic
from bvalign.predictions.identity import difference, flatten
from bvalign.predictions.table import Predictions

SCHEMA = 1


class FinishedMember(NamedTuple):
    """What is kept of one trained member."""

    logits: Tensor  # float32 (samples, classes)
    weights: Mapping[str, Tensor]
    history: Sequence[Mapping[str, object]]  # one row per epoch


class RunDirectory:
    """The only reader and writer of a run directory.

    Args:
        root: the directory of an existing run; see `open` for a new one.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: run.json is damaged or of another version.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        path = self.root / "run.json"
        if not path.is_file():
            raise FileNotFoundError(f"{self.root}: no run.json; this is not a run of bvalign")
        try:
            self.info = json.loads(path.read_text())
            schema = self.info["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: damaged ({error}); restore it or use a new folder"
            ) from error
        if schema != SCHEMA:
            raise ValueError(f"{path}: schema {schema}, this version reads {SCHEMA}")

    @classmethod
    def open(
        cls,
        root: Path | str,
        identity: Mapping[str, object],
        num_members: int,
        pack_size: int,
        provenance: Mapping[str, object],
    ) -> "RunDirectory":
        """Creates a run, or joins the one that is there.

        Args:
            root: the directory.
            identity: everything that decides a member's weights and predictions.
            num_members: members wanted; a run that has fewer gets more packs.
            pack_size: members per new pack.
            provenance: versions, hardware and the like; kept from the first start.

        Raises:
            ValueError: the run that is there has another identity; names the keys that differ.
        """
        root = Path(root)
        root.mkdir(parents=True, exist_ok=True)
        identity = flatten(identity)
        with FileLock(root / "run.lock"):
            if (root / "run.json").exists():
                run = cls(root)
                differ = difference(run.identity, identity)
                if differ:
                    raise ValueError(
                        f"{root} holds a run of another identity ({differ}); choose another "
                        "--trainer.default_root_dir"
                    )
            else:
                info = {"schema": SCHEMA, "identity": identity, "packs": [], **provenance}
                write_atomic(root / "run.json", json.dumps(info, indent=1).encode())
                run = cls(root)
            missing = range(sum(map(len, run.packs)), num_members)
            if missing:
                new = [list(missing[i : i + pack_size]) for i in range(0, len(missing), pack_size)]
                run.info["packs"] += new
                write_atomic(root / "run.json", json.dumps(run.info, indent=1).encode())
        return run

    @property
    def identity(self) -> dict[str, object]:
        return self.info["identity"]

    @property
    def packs(self) -> list[list[int]]:
        """Member ids by pack; fixed once written."""
        return self.info["packs"]

    @property
    def num_members(self) -> int:
        return sum(map(len, self.packs))

    def finished(self) -> tuple[list[int], list[str]]:
        """Members whose logits are whole, and a line on each whose file is damaged."""
        members, problems = [], []
        for member in range(self.num_members):
            path = self._member(member) / "logits.safetensors"
            if not path.exists():
                continue
            problem = self._problem(path)
            if problem:
                problems.append(f"member {member}: {path} {problem}")
            else:
                members.append(member)
        return members, problems

    @contextmanager
    def claim(self) -> Iterator[list[int]]:
        """Members to train now, locked against other processes; empty when none is free."""
        for number, pack in enumerate(self.packs):
            lock = FileLock(self.root / "packs" / f"{number:03d}.lock")
            (self.root / "packs").mkdir(exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            with lock:
                done, _ = self.finished()
                missing = sorted(set(pack) - set(done))
                if missing:
                    yield missing
                    return
        yield []

    def save_samples(
        self,
        target: np.ndarray,
        class_names: Sequence[str],
        images: np.ndarray | None,
        notes: Sequence[str],
        texts: Sequence[str] | None = None,
    ) -> None:
        """Writes what the report shows of the test samples, once."""
        path = self.root / "samples.npz"
        if path.exists():
            return
        strings = {"class_names": class_names, "notes": notes} | ({"texts": texts} if texts else {})
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                index=np.arange(len(target)),
                target=target,
                **({} if images is None else {"images": images}),
                **{key: np.array(list(lines), dtype=str) for key, lines in strings.items()},
            )

    def save_member(self, member: int, finished: FinishedMember) -> None:
        """Writes one member's files, logits last."""
        folder = self._member(member)
        folder.mkdir(parents=True, exist_ok=True)
        metadata = {"member": str(member), "identity": self._fingerprint()}
        weights = {k: v.detach().cpu().contiguous() for k, v in finished.weights.items()}
        write_atomic(folder / "weights.safetensors", save(weights, metadata))
        columns = list(finished.history[0]) if finished.history else []
        rows = [",".join(str(row[c]) for c in columns) for row in finished.history]
        write_atomic(folder / "history.csv", "\n".join([",".join(columns), *rows, ""]).encode())
        logits = {"logits": finished.logits.detach().cpu().float().contiguous()}
        write_atomic(folder / "logits.safetensors", save(logits, metadata))

    def logits(self, member: int) -> Tensor:
        """Float32 logits (samples, classes) of a finished member."""
        return load_file(self._member(member) / "logits.safetensors")["logits"]

    def weights(self, member: int) -> dict[str, Tensor]:
        """Final weights of a finished member, under its network's names."""
        return load_file(self._member(member) / "weights.safetensors")

    def predictions(self) -> Predictions:
        """Predictions of the finished members; notes name those that are not.

        Raises:
            ValueError: no member is finished.
        """
        members, problems = self.finished()
        if not members:
            raise ValueError(f"{self.root}: no member is finished yet")
        missing = sorted(set(range(self.num_members)) - set(members))
        notes = [f"left out: {problem}" for problem in problems]
        if missing:
            notes.append(
                f"{len(missing)} of {self.num_members} members are not finished: {missing}"
            )
        with np.load(self.root / "samples.npz", allow_pickle=False) as samples:
            stored = {key: samples[key] for key in samples.files}
        files = [
            safe_open(self._member(member) / "logits.safetensors", framework="pt")
            for member in members
        ]
        slices = [file.get_slice("logits") for file in files]
        return Predictions(
            read=lambda start, stop: torch.stack([part[start:stop] for part in slices]),
            target=stored["target"],
            index=stored["index"],
            members=tuple(members),
            num_classes=slices[0].get_shape()[1],
            class_names=tuple(stored["class_names"].tolist()),
            images=stored.get("images"),
            notes=(*stored["notes"].tolist(), *notes),
        )

    def _member(self, member: int) -> Path:
        return self.root / "members" / f"{member:04d}"

    def _fingerprint(self) -> str:
        return json.dumps(self.identity, sort_keys=True)

    def _problem(self, path: Path) -> str | None:
        try:
            with safe_open(path, framework="pt") as file:
                metadata, keys = file.metadata() or {}, list(file.keys())
        except (SafetensorError, OSError) as error:
            return f"is damaged ({error})"
        if keys != ["logits"] or metadata.get("identity") != self._fingerprint():
            return "belongs to another run"
        if int(metadata["member"]) != int(path.parent.name):
            return f"belongs to member {metadata['member']}"
        return None
