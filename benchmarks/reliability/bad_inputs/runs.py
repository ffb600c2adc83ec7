"""Faults of what commands have written: run directories, members, reports and rules."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bad_inputs.any_file import FAULTS
from bad_inputs.formats import analyze, arrays, save_npz
from bad_inputs.kind import ENSEMBLE, Kind, Made

IDENTITY = {"model.arch": "mlp", "data.name": "made"}
MEMBER = "members/0001/logits.safetensors"


def write_run(root: Path) -> None:
    """A run of three finished members."""
    import torch

    from bvalign import RunDirectory
    from bvalign.predictions import FinishedMember
    from bvalign.predictions.run import Samples

    run = RunDirectory.open(root, IDENTITY, 3, 2, {"versions": {}})
    run.save_samples(Samples(ENSEMBLE.labels, ("a", "b", "c"), None))
    for member, logits in enumerate(ENSEMBLE.logits):
        history = [{"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.5}]
        finished = FinishedMember(torch.from_numpy(logits).float(), {}, history)
        run.member(member).save(finished)


def write_report(folder: Path, name: str = "one") -> Path:
    """A report of the ensemble, of whose files the comparison reads two."""
    from bvalign.commands.report import analyze_and_report

    save_npz(folder / f"{name}.npz", arrays())
    stdout = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    analyze_and_report(folder / f"{name}.npz", folder / name)
    os.dup2(stdout, 1)
    return folder / name


def of_run(name: str, damage: Callable[[Path], object], *command: str) -> Callable[[Path], Made]:
    """Damages a file of a run; then its report is written."""

    def make(folder: Path) -> Made:
        write_run(folder / "run")
        damage(folder / "run" / name)
        return [*command, folder / "run"] if command else analyze(folder / "run")

    return make


def of_report(name: str, damage: Callable[[Path], object]) -> Callable[[Path], Made]:
    """Damages a file of one of two reports; then they are compared."""

    def make(folder: Path) -> Made:
        one = write_report(folder)
        shutil.copytree(one, folder / "two")
        damage(folder / "two" / name)
        return ["compare", one, folder / "two", "--out", "out"]

    return make


def of_rule(damage: Callable[[Path], object]) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        save_npz(folder / "p.npz", arrays())
        (folder / "rule.json").write_text(json.dumps(RULE))
        damage(folder / "rule.json")
        return ["apply", folder / "rule.json", folder / "p.npz", "--out", "out/accepted.csv"]

    return make


RULE = {
    "kind": "calibrate",
    "num_classes": 3,
    "members": [0, 1, 2],
    "data": {"class_names": []},
    "method": "mean",
    "temperature": 1.5,
}

VALUES: dict[str, object] = {
    "null": None,
    "a list": [],
    "a string": "x",
    "a number": -7,
    "nan": float("nan"),
    "a huge number": 10**30,
    "an object": {"a": {"b": []}},
    "true": True,
}


def changed(key: str, value: object) -> Callable[[Path], None]:
    """Changes a value of a JSON object."""

    def damage(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    return damage


def without(key: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        found = json.loads(path.read_text())
        found.pop(key, None)
        path.write_text(json.dumps(found))

    return damage


def put(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


def samples(**changed: np.ndarray | None) -> Callable[[Path], None]:
    """Changes arrays of samples.npz."""

    def damage(path: Path) -> None:
        with np.load(path) as stored:
            values = dict(stored) | changed
        save_npz(path, {name: value for name, value in values.items() if value is not None})

    return damage


SAMPLES = {
    "fewer labels": samples(target=ENSEMBLE.labels[:5]),
    "no labels": samples(target=None),
    "no ids": samples(index=None),
    "no class names": samples(class_names=None),
    "labels of 99": samples(target=np.full(12, 99)),
    "negative labels": samples(target=np.full(12, -1)),
    "labels as floats": samples(target=np.full(12, 0.5)),
    "labels as objects": samples(target=np.array([None] * 12, dtype=object)),
    "too few class names": samples(class_names=np.array(["a"])),
    "too few texts": samples(texts=np.array(["a"])),
    "images of floats": samples(images=np.zeros((12, 3, 4, 4))),
    "too few images": samples(images=np.zeros((2, 3, 4, 4), dtype=np.uint8)),
}

PATHS = {"a path that leaves": "../../../../etc", "a path from the root": "/etc/passwd"}
DEEP = "[" * 10_000 + "]" * 10_000
TEXTS = {"deep lists": DEEP, "a list": "[]", "nothing": "{}", "a bomb of YAML": "&a [*a, *a]"}


def of_member(tensors: Callable[[], dict[str, object]], **metadata: str) -> Callable[[Path], None]:
    """Writes other logits, as of the same run."""

    def damage(path: Path) -> None:
        from safetensors import safe_open
        from safetensors.torch import save_file

        with safe_open(path, framework="pt") as file:
            said = file.metadata()
        save_file(tensors(), path, said | metadata)

    return damage


def _tensors(*shape: int, value: float = 0.0, dtype: str = "float32") -> Callable:
    def make() -> dict[str, object]:
        import torch

        return {"logits": torch.full(shape, value, dtype=getattr(torch, dtype))}

    return make


MEMBERS = {
    "fewer samples": of_member(_tensors(5, 3)),
    "more classes": of_member(_tensors(12, 4)),
    "one axis": of_member(_tensors(12)),
    "whole numbers": of_member(_tensors(12, 3, dtype="int64")),
    "nan": of_member(_tensors(12, 3, value=float("nan"))),
    "another member": of_member(_tensors(12, 3), member="2"),
    "another run": of_member(_tensors(12, 3), identity="{}"),
    "no samples": of_member(_tensors(0, 3)),
}


def kinds() -> Iterator[Kind]:
    """Files of runs, reports and rules with their faults."""

    def anything(folder: Path) -> None:
        """Whether a fault matters, the command decides."""

    for fault, (damage, _) in FAULTS.items():
        for name in ("run.json", "samples.npz", MEMBER):
            made = of_run(name, damage)
            names = ("run", "member 1")
            yield Kind(f"run, {Path(name).name}", fault, made, "either", names, anything)
        made = of_rule(damage)
        yield Kind("rule", fault, made, "either", ("rule.json",), anything)
        for name in ("summary.json", "samples.csv", "samples.parquet"):
            yield Kind(
                f"report, {name}", fault, of_report(name, damage), "either", ("two",), anything
            )
    for key in ("schema", "identity", "packs", "report"):
        for fault, value in VALUES.items():
            made = of_run("run.json", changed(key, value))
            yield Kind("run, run.json", f"'{key}' is {fault}", made, "either", ("run",), anything)
    for key in ("kind", "num_classes", "members", "data", "temperature"):
        for fault, value in VALUES.items():
            made = of_rule(changed(key, value))
            yield Kind("rule", f"'{key}' is {fault}", made, "either", ("rule",), anything)
        yield Kind("rule", f"no '{key}'", of_rule(without(key)), "either", ("rule",), anything)
    for key in ("schema", "labels", "alignment", "means", "num_members", "num_samples", "accuracy"):
        for fault, value in VALUES.items():
            made = of_report("summary.json", changed(key, value))
            name = f"'{key}' is {fault}"
            yield Kind("report, summary.json", name, made, "either", ("two",), anything)
    for fault, text in TEXTS.items():
        yield Kind("run, run.json", fault, of_run("run.json", put(text)), "refused", ("run.json",))
        yield Kind("rule", fault, of_rule(put(text)), "refused", ("rule.json",))
        made = of_report("summary.json", put(text))
        yield Kind("report, summary.json", fault, made, "refused", ("two",))
    for fault, damage in SAMPLES.items():
        made = of_run("samples.npz", damage)
        yield Kind("run, samples.npz", fault, made, "either", ("run",), anything)
    for fault, damage in MEMBERS.items():
        made = of_run(MEMBER, damage)
        yield Kind("run, logits", fault, made, "either", ("run",), anything)
    for fault, path in PATHS.items():
        made = of_run("run.json", changed("packs", [[path]]))
        yield Kind("run, run.json", fault, made, "refused", ("run",))
