"""A run on disk: its identity, which members are finished, and their predictions.

    run.json          identity, packs, provenance
    samples.npz       index, target, class names, images; samples-train.npz of training samples
    members/0007/     checkpoints and results of one member, see `member.py`
    packs/003.lock    held by the process that trains the pack, see `lease.py`
    locks/run.lock    held by the process that changes run.json; report.lock: that writes the report

Every file is written under a temporary name and renamed, so it is complete or absent. Members are
written by who holds their pack: one that was stopped, on another machine, while its pack was taken
over ends with one line before it changes a file.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bvalign.atomic import remove_left
from bvalign.predictions.predictions import Predictions
from bvalign.predictions.run.claims import Offer, Work, in_step, one_at_a_time
from bvalign.predictions.run.identity import check_types, difference, flatten
from bvalign.predictions.run.lease import Lease, acquired, tidy
from bvalign.predictions.run.member import MemberFolder
from bvalign.predictions.run.opened import of_test_samples, of_training_samples
from bvalign.predictions.run.samples import Samples, Split, write_samples

SCHEMA = 1


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
        self.work = Work((), 0)  # claimed by this process, or by rank zero for all
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
            if schema == SCHEMA:
                check_types(self.info)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{path}: damaged ({error}); restore it or use a new folder"
            ) from error
        if schema != SCHEMA:
            raise ValueError(f"{path}: schema {schema}, this version reads {SCHEMA}; use the other")

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
        with one_at_a_time(root) as fence:
            for folder in (root, root / "wandb"):
                remove_left(folder)
            tidy(root / "packs")
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
                fence.write(root / "run.json", json.dumps(info, indent=1).encode())
                run = cls(root)
            missing = range(sum(map(len, run.packs)), num_members)
            if missing:
                new = [list(missing[i : i + pack_size]) for i in range(0, len(missing), pack_size)]
                run.info["packs"] += new
                fence.write(root / "run.json", json.dumps(run.info, indent=1).encode())
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
        identity = json.dumps(self.identity, sort_keys=True)
        return MemberFolder(path, member, identity, self.work.fence(member))

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
        return [m for m in range(self.num_members) if self.member(m).is_missing(retry=retry)]

    @contextmanager
    def claim(
        self, seats: int = 1, *, retry: bool = False, predict: bool = False
    ) -> Iterator[Work]:
        """Claims work for one process or for several in step; locks it until the block ends.

        Args:
            seats: packs to train side by side.
            retry: as in `missing`.
            predict: finished members that have no logits on the training samples, in place of
                members that are still to be trained.
        """

        def wanted(member: int) -> bool:
            folder = self.member(member)
            return folder.lacks_train() if predict else folder.is_missing(retry=retry)

        wanting = (number for number, pack in enumerate(self.packs) if any(map(wanted, pack)))
        leases = (Lease(self.root / "packs" / f"{number:03d}.lock") for number in wanting)
        with ExitStack() as held:
            offers: dict[Offer, Lease] = {}
            for lease in acquired(leases):
                held.enter_context(lease)
                offer = self._offer(list(filter(wanted, self.packs[int(lease.path.stem)])))
                if offer is None:
                    lease.release()
                else:
                    offers[offer] = lease
                if len(offers) == seats:
                    break
            chosen, step = in_step(list(offers))
            for offer in offers.keys() - set(chosen):
                offers[offer].release()
            fences = tuple(offers[offer].fence for offer in chosen)
            self.work = Work(tuple(offer.members for offer in chosen), step, fences)
            held.callback(setattr, self, "work", Work((), 0))
            yield self.work

    @contextmanager
    def reporting(self) -> Iterator[bool]:
        """Yields whether this process is to write the report.

        False if another is writing it, or has written it of the same members since this one opened
        the run: two that finish their last members at once find both that none is left.
        """
        lease = Lease(self.root / "locks" / "report.lock")
        if not lease.acquire():
            yield False
            return
        with lease:
            self.reload()
            last, members = self.info.get("report"), self.finished()[0]
            ours = last == self._report_before or last["members"] != members
            yield ours
            if ours:
                number = last["number"] + 1 if last else 1
                with one_at_a_time(self.root) as fence:
                    self.reload()
                    self.info["report"] = {"number": number, "members": members}
                    fence.write(self.root / "run.json", json.dumps(self.info, indent=1).encode())

    def save_samples(self, samples: Samples, split: Split = "test") -> None:
        """Writes the samples of a split for the report, once."""
        with one_at_a_time(self.root):
            write_samples(self._samples(split), samples)

    def predictions(self, split: Split = "test") -> Predictions:
        """Opens the predictions of the finished members; notes name the others.

        Args:
            split: on `train`, of members that have not seen the sample, see `unseen.py`.

        Raises:
            ValueError: no member is finished, or none has predictions on the training samples, or
                all have seen all of these.
        """
        members, problems = self.finished()
        if not members:
            raise ValueError(f"{self.root}: no member is finished yet; `bvalign fit` trains them")
        notes = [f"left out: {problem}" for problem in problems]
        every = map(self.member, range(self.num_members))
        notes += [note for folder in every if (note := folder.divergence_note())]
        if missing := self.missing():
            notes.append(
                f"{len(missing)} of {self.num_members} members are not finished: {missing}"
            )
        if bare := [member for member in members if not self.member(member).has_weights()]:
            notes.append(f"only logits are kept, no weights, of members {bare}")
        folders = [self.member(member) for member in members]
        if split == "train":
            return of_training_samples(folders, self._samples(split), notes, self.identity)
        return of_test_samples(folders, self._samples(split), notes)

    def _samples(self, split: Split) -> Path:
        return self.root / ("samples-train.npz" if split == "train" else "samples.npz")

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
