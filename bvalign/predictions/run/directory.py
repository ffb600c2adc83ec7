"""A run on disk: its identity, which members are finished, and their predictions.

    run.json          identity, packs, provenance
    samples.npz       index, target, class names, images
    members/0007/     checkpoints and results of one member, see `member.py`
    packs/003.lock    held by the process that trains the pack, see `claims.py`

Every file is written under a temporary name and renamed, so it is complete or absent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from bvalign.atomic import write_atomic
from bvalign.predictions.predictions import Predictions
from bvalign.predictions.run.claims import Offer, PackLock, Work, in_step, one_at_a_time
from bvalign.predictions.run.identity import difference, flatten
from bvalign.predictions.run.member import MemberFolder
from bvalign.predictions.run.samples import Samples, read_samples, write_samples

SCHEMA = 1
ATTEMPTS = 3
"""Attempts at training a member before it is given up, if divergence is retried."""


class RunDirectory:
    """The only reader and writer of a run directory.

    Args:
        root: the directory of an existing run; see `open` for a new one.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: run.json is damaged or has another schema.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.reload()
        self._report_before = self.info.get("report")

    def reload(self) -> None:
        """Reads run.json, which other processes may have changed."""
        path = self.root / "run.json"
        if not path.is_file():
            raise FileNotFoundError(f"{self.root}: no run.json; this is not a run of bvalign")
        try:
            self.info = json.loads(path.read_text())
            schema = self.info["schema"]
            missing = {"identity", "packs"} - set(self.info)
            if schema == SCHEMA and missing:
                raise ValueError(f"without {' and '.join(sorted(missing))}")
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
        """Creates a run, or joins the existing one.

        Args:
            root: the directory.
            identity: everything that determines a member's network weights and predictions.
            num_members: members wanted; a run that has fewer gets more packs.
            pack_size: members per new pack.
            provenance: versions, hardware and the like; those of the first start are kept.

        Raises:
            ValueError: the existing run has another identity; the message names the keys.
        """
        root = Path(root)
        identity = flatten(identity)
        with one_at_a_time(root):
            if (root / "run.json").exists():
                run = cls(root)
                differ = difference(run.identity, identity)
                if differ:
                    raise ValueError(
                        f"{root} contains a run with another identity ({differ}); choose another "
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
        """Ids of the members of each pack; never changed once written."""
        return self.info["packs"]

    @property
    def num_members(self) -> int:
        return sum(map(len, self.packs))

    def member(self, member: int) -> MemberFolder:
        """The files of one member."""
        path = self.root / "members" / f"{member:04d}"
        return MemberFolder(path, member, json.dumps(self.identity, sort_keys=True))

    def finished(self) -> tuple[list[int], list[str]]:
        """Lists the members with intact logits, and a line on each whose file is damaged."""
        folders = [self.member(member) for member in range(self.num_members)]
        problems = [problem for folder in folders if (problem := folder.problem())]
        return [folder.member for folder in folders if folder.is_finished()], problems

    def missing(self, *, retry: bool = False) -> list[int]:
        """Lists the members still to be trained.

        Args:
            retry: include those whose training diverged, unless it did so `ATTEMPTS` times.
        """
        return [member for member in range(self.num_members) if self._is_missing(member, retry)]

    @contextmanager
    def claim(self, seats: int = 1, *, retry: bool = False) -> Iterator[Work]:
        """Claims work for one process or for several in step; locks it until the block ends.

        Args:
            seats: packs to train side by side.
            retry: as in `missing`.
        """
        with ExitStack() as held:
            offers: dict[Offer, PackLock] = {}
            for number, pack in enumerate(self.packs):
                if len(offers) == seats or not any(self._is_missing(m, retry) for m in pack):
                    continue
                lock = PackLock(self.root / "packs" / f"{number:03d}.lock")
                if lock.acquire():
                    offer = self._offer([m for m in pack if self._is_missing(m, retry)])
                    if offer is None:
                        lock.release()
                    else:
                        offers[offer] = lock
            chosen, step = in_step(list(offers))
            for offer, lock in offers.items():
                if offer in chosen:
                    held.enter_context(lock)
                else:
                    lock.release()
            yield Work(tuple(offer.members for offer in chosen), step)

    @contextmanager
    def reporting(self) -> Iterator[bool]:
        """Yields whether this process is to write the report.

        False if another is writing it, or has written it of the same members since this one opened
        the run: two that finish their last members at once find both that none is left.
        """
        try:
            held = FileLock(self.root / "report.lock").acquire(blocking=False)
        except Timeout:
            yield False
            return
        with held:
            self.reload()
            last, members = self.info.get("report"), self.finished()[0]
            ours = last == self._report_before or last["members"] != members
            yield ours
            if ours:
                number = last["number"] + 1 if last else 1
                with one_at_a_time(self.root):
                    self.reload()
                    self.info["report"] = {"number": number, "members": members}
                    write_atomic(self.root / "run.json", json.dumps(self.info, indent=1).encode())

    def save_samples(self, samples: Samples) -> None:
        """Writes the test samples for the report, once."""
        with one_at_a_time(self.root):
            write_samples(self.root / "samples.npz", samples)

    def predictions(self) -> Predictions:
        """Opens the predictions of the finished members; notes name the others.

        Raises:
            ValueError: no member is finished.
        """
        members, problems = self.finished()
        if not members:
            raise ValueError(f"{self.root}: no member is finished yet")
        notes = [f"left out: {problem}" for problem in problems]
        notes += [note for m in range(self.num_members) if (note := self._divergence_note(m))]
        if missing := self.missing():
            notes.append(
                f"{len(missing)} of {self.num_members} members are not finished: {missing}"
            )
        if bare := [member for member in members if not self.member(member).has_weights()]:
            notes.append(f"only logits are kept, no weights, of members {bare}")
        stored = read_samples(self.root / "samples.npz")
        slices = [self.member(member).open_logits() for member in members]
        return Predictions(
            read=lambda start, stop: torch.stack([part[start:stop] for part in slices]),
            target=stored["target"],
            index=stored["index"],
            members=tuple(members),
            num_classes=slices[0].get_shape()[1],
            class_names=tuple(stored["class_names"].tolist()),
            images=stored.get("images"),
            notes=(*stored["notes"].tolist(), *notes),
            texts=tuple(stored["texts"].tolist()) if "texts" in stored else None,
        )

    def _is_missing(self, member: int, retry: bool) -> bool:
        folder = self.member(member)
        failed = len(folder.divergences())
        return not folder.is_finished() and failed < (ATTEMPTS if retry else 1)

    def _divergence_note(self, member: int) -> str | None:
        folder = self.member(member)
        epochs = ", ".join(map(str, folder.divergences()))
        if not epochs:
            return None
        outcome = "a later attempt is kept" if folder.is_finished() else "left out"
        return f"member {member}: training diverged in epoch {epochs}; {outcome}"

    def _offer(self, members: Sequence[int]) -> Offer | None:
        """Offers the members of a pack that can resume together; the others wait their turn."""
        for member in members:
            self.member(member).sweep()
        alone = [Offer((m,), self.member(m).checkpoint_steps()) for m in members]
        chosen, _ = in_step(alone)
        if not chosen:
            return None
        shared = frozenset.intersection(*(offer.steps for offer in chosen))
        return Offer(tuple(sorted(offer.members[0] for offer in chosen)), shared)
