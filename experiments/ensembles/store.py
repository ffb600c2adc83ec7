"""Keeps the test logits of trained members in the repository, and puts them into run directories.

    python experiments/ensembles/store.py keep cifar10-fast   # of runs/cifar10-fast, what is new
    python experiments/ensembles/store.py restore             # of all ensembles, what is missing

A restored member is a finished one without weights, so `fit` trains the others only. The folder of
an ensemble is also one that `bvalign analyze` reads:

    cifar10-fast/identity.json     identity of the run, and what each member was trained with
    cifar10-fast/labels.npy        of the test samples; index.npy: their rows in the data set
    cifar10-fast/7.safetensors     float32 logits of member 7
"""

import argparse
import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bvalign.atomic import atomic_path, write_atomic
from bvalign.predictions import FinishedMember, RunDirectory
from bvalign.predictions.run.identity import difference
from bvalign.predictions.run.samples import read_samples

PROVENANCE = ("device", "threads", "versions", "commit")


def keep(root: Path, folder: Path) -> list[int]:
    """Copies the finished members of a run that are not in the folder yet.

    Args:
        root: the run directory.
        folder: of the ensemble; created if there is none.

    Raises:
        ValueError: the folder holds members of another identity.
    """
    run = RunDirectory(root)
    described = _described(folder) or {"identity": run.identity, "members": {}}
    _refuse_other(described["identity"], folder, run)
    folder.mkdir(parents=True, exist_ok=True)
    samples = read_samples(root / "samples.npz")
    for name, key in (("labels", "target"), ("index", "index")):
        with atomic_path(folder / f"{name}.npy") as path, path.open("wb") as file:
            np.save(file, samples[key])
    new = [member for member in run.finished()[0] if not _file(folder, member).exists()]
    for member in new:
        content = (run.member(member).path / "logits.safetensors").read_bytes()
        write_atomic(_file(folder, member), content)
        plan = run.info.get("plans", [{}])[-1].get("plan")
        trained = {key: run.info.get(key) for key in PROVENANCE} | {"plan": plan}
        described["members"][str(member)] = trained
    write_atomic(folder / "identity.json", json.dumps(described, indent=1).encode())
    return new


def restore(folder: Path, root: Path) -> list[int]:
    """Puts members of the folder into a run as finished ones, where they are missing.

    Args:
        folder: of the ensemble.
        root: the run directory; created if there is none.

    Raises:
        ValueError: the run has another identity, or a file is damaged.
    """
    described = _described(folder)
    if described is None:
        raise ValueError(f"{folder}: no identity.json; `keep` makes such folders")
    identity, members = described["identity"], described["members"]
    if (root / "run.json").exists():
        _refuse_other(identity, folder, RunDirectory(root))
    first = next(number for number in count() if str(number) not in members)
    run = RunDirectory.open(root, identity, first, max(first, 1), {"restored": str(folder)})
    restored = []
    for member in sorted(map(int, members)):
        own = run.member(member)
        if own.is_finished():
            continue
        own.save(FinishedMember(_logits(_file(folder, member), identity), None, []))
        restored.append(member)
    return restored


def _described(folder: Path) -> dict[str, dict[str, object]] | None:
    path = folder / "identity.json"
    return json.loads(path.read_text()) if path.exists() else None


def _refuse_other(identity: Mapping[str, object], folder: Path, run: RunDirectory) -> None:
    differ = difference(identity, run.identity)
    if differ:
        raise ValueError(
            f"{folder} keeps members of another identity than the run {run.root} ({differ}, that "
            "is in the run); use another run directory"
        )


def _file(folder: Path, member: int) -> Path:
    return folder / f"{member}.safetensors"


def _logits(path: Path, identity: Mapping[str, object]) -> Float[Tensor, "samples classes"]:
    try:
        with safe_open(path, framework="pt") as file:
            stored, logits = file.metadata(), file.get_tensor("logits")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: damaged ({error}); take it from the repository again") from error
    if json.loads(stored["identity"]) != identity:
        raise ValueError(f"{path}: belongs to another run than identity.json says")
    return logits


def main() -> None:
    """Reads the command line; a wrong folder ends in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("direction", choices=["keep", "restore"])
    parser.add_argument("names", nargs="*", help="of ensembles; restore takes all by default")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs")
    here = Path(__file__).parent
    parser.add_argument("--ensembles", type=Path, default=here, help="folder of ensembles")
    given = parser.parse_args()
    if given.direction == "keep" and not given.names:
        parser.error("keep needs the names of ensembles, as in `keep cifar10-fast`")
    names = given.names or sorted(p.parent.name for p in given.ensembles.glob("*/identity.json"))
    for name in names:
        run, folder = given.runs / name, given.ensembles / name
        try:
            if given.direction == "keep":
                print(f"{folder}: members {_listed(keep(run, folder))} of {run} are new")
            else:
                print(f"{run}: members {_listed(restore(folder, run))} of {folder} are new")
        except (ValueError, OSError) as error:
            raise SystemExit(f"store.py: error: {error}") from None


def _listed(members: list[int]) -> str:
    return ", ".join(map(str, members)) or "(none)"


if __name__ == "__main__":
    main()
