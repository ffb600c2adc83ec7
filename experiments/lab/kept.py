"""Ensembles that are expensive to train: their members' test logits are kept in the repository.

    python experiments/lab/kept.py                  # trains what is missing (make ensembles)
    python experiments/lab/kept.py digits-cnn       # of one ensemble
    python experiments/lab/kept.py --workers 0      # keeps the members that are finished

experiments/ensembles/ensembles.yaml names them, with the options of `bvalign fit`. A killed command
goes on when it is given again; what it had finished is kept first. Studies read the kept members,
and so does `bvalign analyze`:

    fashion-mnist/identity.json     identity of the run, and how each member was trained
    fashion-mnist/labels.npy        of the test samples; index.npy: their rows in the data set
    fashion-mnist/7.safetensors     float32 logits of member 7
"""

import argparse
import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from study_run import KEPT, QUIET, StudyRun, fit
from torch import Tensor

from bvalign.atomic import atomic_path, write_atomic
from bvalign.predictions import FinishedMember, RunDirectory
from bvalign.predictions.run.identity import difference
from bvalign.predictions.run.samples import Samples, read_samples, write_samples

LIST = "ensembles.yaml"
PROVENANCE = ("device", "threads", "versions", "commit")


def ensembles(folder: Path, root: Path) -> dict[str, StudyRun]:
    """The runs of all ensembles of a folder's ensembles.yaml by name, kept below `root`."""
    listed = yaml.safe_load((folder / LIST).read_text())
    return {
        name: StudyRun(name, "config", entry["config"], QUIET | entry.get("set", {}), root)
        for name, entry in listed.items()
    }


def keep(root: Path, folder: Path, cost: Mapping[str, object]) -> list[int]:
    """Copies the finished members of a run that are not in the folder yet.

    Args:
        root: the run directory.
        folder: of the ensemble; created if there is none.
        cost: of all of the run so far, see `StudyRun.cost`.

    Raises:
        ValueError: the folder holds members of another identity.
    """
    run = RunDirectory(root)
    described = _described(folder) or {"identity": run.identity, "members": {}}
    _refuse_other(described["identity"], folder, run)
    folder.mkdir(parents=True, exist_ok=True)
    samples = read_samples(root / "samples.npz")
    described |= {name: samples[name].tolist() for name in ("class_names", "notes")}
    for name, key in (("labels", "target"), ("index", "index")):
        with atomic_path(folder / f"{name}.npy") as path, path.open("wb") as file:
            np.save(file, samples[key])
    new = [member for member in run.finished()[0] if not _file(folder, member).exists()]
    for member in new:
        own = run.member(member).path
        write_atomic(_file(folder, member), (own / "logits.safetensors").read_bytes())
        plan = run.info.get("plans", [{}])[-1].get("plan")
        trained = {key: run.info.get(key) for key in PROVENANCE} | {"plan": plan}
        described["members"][str(member)] = trained | {"end": _end(own / "history.csv")}
    if new:
        described["costs"] = _with_cost(described.get("costs", []), run, cost)
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
        raise ValueError(f"no members of {folder.name} are kept yet; run: make ensembles")
    identity, members = described["identity"], sorted(map(int, described["members"]))
    if (root / "run.json").exists():
        _refuse_other(identity, folder, RunDirectory(root))
    run = RunDirectory.open(root, identity, max(members) + 1, 1, {"restored": folder.name})
    restored = []
    for member in members:
        own = run.member(member)
        if own.is_finished():
            continue
        own.save(FinishedMember(_logits(_file(folder, member), identity), None, []))
        restored.append(member)
    return restored


def restore_samples(folder: Path, root: Path) -> None:
    """Writes samples.npz of a run that is not trained further: labels and names, no images."""
    described = _described(folder)
    names, notes = (tuple(described.get(key, ())) for key in ("class_names", "notes"))
    write_samples(root / "samples.npz", Samples(np.load(folder / "labels.npy"), names, None, notes))


def train(run: StudyRun, folder: Path, workers: int) -> None:
    """Keeps what is finished, trains what is missing with some processes, and keeps that.

    Raises:
        ValueError: training failed, or the kept members have another identity.
    """
    if (run.path / "run.json").exists():
        print(f"{run.name}: kept {_listed(keep(run.path, folder, run.cost))}", flush=True)
    if not workers:
        return
    if _described(folder):
        print(f"{run.name}: known {_listed(restore(folder, run.path))}", flush=True)
    run.path.mkdir(parents=True, exist_ok=True)
    print(f"{run.name}: training, see {run.path / 'fit.log'}", flush=True)
    failed = fit(run, workers)
    print(f"{run.name}: kept {_listed(keep(run.path, folder, run.cost))}", flush=True)
    if failed:
        raise ValueError(f"{run.name}: {failed}")


def _described(folder: Path) -> dict[str, object] | None:
    path = folder / "identity.json"
    return json.loads(path.read_text()) if path.exists() else None


def _refuse_other(identity: Mapping[str, object], folder: Path, run: RunDirectory) -> None:
    differ = difference(identity, run.identity)
    if differ:
        raise ValueError(
            f"{folder} keeps members of another identity than the run {run.root} ({differ}, that "
            "is in the run)"
        )


def _with_cost(costs: list[dict], run: RunDirectory, cost: Mapping[str, object]) -> list[dict]:
    """The costs of all runs, with that of a run in place of what was known of it before."""
    finished = run.finished()[0]  # the history of those that were restored is empty
    own = [member for member in finished if _end(run.member(member).path / "history.csv")]
    others = [known for known in costs if not set(known["members"]) <= set(own)]
    return [*others, {"members": own, **cost}]


def _file(folder: Path, member: int) -> Path:
    return folder / f"{member}.safetensors"


def _end(history: Path) -> dict[str, float]:
    """The last epoch of a member's training that has an accuracy: epoch, loss and accuracy."""
    with history.open() as file:
        rows = [{key: float(v) for key, v in row.items() if v} for row in csv.DictReader(file)]
    return next((row for row in reversed(rows) if "val_accuracy" in row), rows[-1] if rows else {})


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
    """Reads the command line; what cannot be done ends in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of ensembles; all by default")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that train members side by side, with one thread each if there are "
        "several; 0 trains nothing",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/ensembles"), help="folder of runs")
    parser.add_argument("--folder", type=Path, default=KEPT, help="with ensembles.yaml")
    given = parser.parse_args()
    known, failed = ensembles(given.folder, given.runs), []
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"no ensemble {', '.join(unknown)}; there are {', '.join(known)}")
    for name in given.names or known:
        try:
            train(known[name], given.folder / name, given.workers)
        except (ValueError, OSError) as error:  # data of one may be missing
            failed.append(f"kept.py: error: {error}")
        except KeyboardInterrupt:
            raise SystemExit("\ninterrupted; the same command continues") from None
    if failed:
        raise SystemExit("\n".join(failed))


def _listed(members: list[int]) -> str:
    return f"members {', '.join(map(str, members))}" if members else "no new members"


if __name__ == "__main__":
    main()
