"""Where the run of a configuration lies: the directory that is given, or one of its own."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bvalign.predictions import RunDirectory
from bvalign.predictions.run import Samples, one_at_a_time, own_directory, remove_run
from bvalign.predictions.run.identity import difference, flatten

OVERWRITE = (
    "remove the run of this configuration, or any that is in the given directory, and train all "
    "members anew; refused while another process works there"
)
"""Of an option of `fit`."""


@dataclass(frozen=True)
class Place:
    """Finds the run directory of a configuration.

    Attributes:
        root: the directory that is given, or the plain name of a data set and a network.
        given: whether it is given; then no other directory will do.
    """

    root: Path
    given: bool

    def find(self, identity: Mapping[str, object]) -> Path:
        """The directory of the run, which need not exist.

        Args:
            identity: of the run.
        """
        return self.root if self.given else own_directory(self.root, identity)

    def open(
        self,
        identity: Mapping[str, object],
        num_members: int,
        pack_size: int,
        provenance: Mapping[str, object],
    ) -> RunDirectory:
        """Creates or joins the run; arguments are those of `RunDirectory.open`.

        Raises:
            ValueError: the given directory has a run of another identity.
        """
        arguments = (identity, num_members, pack_size, provenance)
        root = self.find(identity)
        try:
            run = RunDirectory.open(root, *arguments)
        except ValueError:
            if self.find(identity) == root:
                raise
            run = RunDirectory.open(self.find(identity), *arguments)  # another one came first
        if run.root != self.root:
            print(f"{run.root}: {self._another(run.identity)}", file=sys.stderr)
        return run

    def existing(self, identity: Mapping[str, object]) -> RunDirectory:
        """The run, which must exist.

        Raises:
            FileNotFoundError: there is none.
            ValueError: there is one of another identity in the place of one that is not given.
        """
        root = self.find(identity)
        if root != self.root and not (root / "run.json").exists():
            raise ValueError(
                f"no run of this configuration: {self._another(flatten(identity))}; train it with "
                "`bvalign fit`, or name a run with --trainer.default_root_dir"
            )
        return RunDirectory(root)

    def clear(self, identity: Mapping[str, object]) -> None:
        """Removes the run that is there, and says what was removed.

        Raises:
            ValueError: another process works there.
        """
        root = self.find(identity)
        if removed := remove_run(root):
            print(f"{root}: --overwrite has removed {removed}", file=sys.stderr)

    def _another(self, identity: Mapping[str, object]) -> str:
        if not (self.root / "run.json").exists():
            return f"{self.root} is free"
        differ = difference(RunDirectory(self.root).identity, identity)
        return f"{self.root} has another configuration ({differ})"


def describe(run: RunDirectory, samples: Samples, config: dict[str, Any]) -> list[int]:
    """Writes samples and configuration of an opened run, and says what readers must know.

    Args:
        run: the run directory.
        samples: of the test split.
        config: the whole configuration, which is given the directory.

    Returns:
        The finished members.
    """
    done, problems = run.finished()
    for member in done:  # of a process that was killed before it did so
        run.member(member).remove_checkpoints()
    run.save_samples(samples)
    for line in (*(f"{problem}: trained again" for problem in problems), *samples.notes):
        print(line, file=sys.stderr)
    config["trainer"]["default_root_dir"] = str(run.root)
    config.pop("overwrite")  # a copy of the file must not remove anything
    with one_at_a_time(run.root) as fence:
        fence.write(run.root / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())
    return done
