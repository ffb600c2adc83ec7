"""Files that readers of a page have: predictions, tables, runs and reports of their own."""

import csv
from pathlib import Path

import numpy as np

from tests.docs.pages import blocks
from tests.ensembles import mixed_ensemble
from tests.processes import TINY

SAMPLES = 240


def predictions(*names, labels=True, samples=SAMPLES):
    """Writes the same members on samples of their own for each name, such as `mine.npz`."""
    logits, target = mixed_ensemble(members=6, samples=samples * len(names))
    for k, name in enumerate(names):
        rows = slice(k * samples, (k + 1) * samples)
        arrays = {"labels": target[rows]} if labels else {}
        np.savez(name, logits=logits[:, rows], **arrays)


def report(bvalign):
    """Writes predictions and their report."""
    predictions("predictions.npz")
    bvalign("analyze", "predictions.npz", "--out", "out")


def with_groups(name, groups):
    """Writes predictions, and a table with a column of two sites."""
    predictions(name)
    _table(groups, ["index", "site"], ([n, "ab"[n % 2]] for n in range(SAMPLES)))


def shifted():
    """Writes labelled sets, and one without labels."""
    predictions("test.npz", "shifted-1.npz", "shifted-2.npz")
    predictions("target.npz", labels=False)


def tables():
    """Writes a table whose columns have names of their own, and one with a column per member."""
    logits, target = (values.numpy() for values in mixed_ensemble(members=4, samples=60))
    rows = ([m, n, target[n], *logits[m, n]] for m in range(4) for n in range(60))
    _table("oof.csv", ["fold", "case", "truth", "out_0", "out_1", "out_2"], rows)
    votes = logits.argmax(axis=-1).T
    columns = ["id", "label", *(f"model_{m}" for m in range(4))]
    _table("wide.csv", columns, ([n, target[n], *votes[n]] for n in range(60)))


def runs(bvalign, *names):
    """Trains a tiny ensemble for each name, and writes predictions with families of questions."""
    predictions("predictions.npz")
    _table("families.csv", ["index", "cluster"], ([n, n // 4] for n in range(SAMPLES)))
    for k, name in enumerate(names):
        own = [f"--trainer.default_root_dir=runs/{name}", f"--model.lr=0.{k + 1}"]
        bvalign("fit", *TINY, "--trainer.logger=false", "--model.members=3", *own)


def evaluations(bvalign):
    """Writes a log of Inspect, and the reports of two models on the same questions."""
    script = next(b.code for b in blocks("docs/language-models.md") if "capitals.json" in b.code)
    exec(compile(script, "page", "exec"), {})
    Path("logs").mkdir()
    Path("capitals.json").rename("logs/capitals.json")
    for model in "AB":
        votes = mixed_ensemble(seed="AB".index(model))[0].argmax(dim=-1)
        np.savez(f"{model}.npz", votes=votes, labels=mixed_ensemble()[1])
        bvalign("analyze", f"{model}.npz", "--out", f"report{model}")


def _table(name, columns, rows):
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
