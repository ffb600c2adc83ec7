"""`--clusters FILE` of `bvalign analyze` and `bvalign report`."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.ensembles import random_ensemble, save_npz

pytestmark = pytest.mark.usefixtures("without_figures")


def notes(out):
    return json.loads(Path(out, "summary.json").read_text())["notes"]


@pytest.mark.parametrize("labelled", [True, False])
def test_analyze_takes_the_clusters_of_a_file(bvalign, capsys, labelled):
    logits, target = random_ensemble(samples=40)
    save_npz(Path("predictions.npz"), logits, target)
    if not labelled:
        np.savez("predictions.npz", logits=logits.numpy())
    rows = [f"{index},family {index // 7}" for index in reversed(range(40))]
    Path("families.csv").write_text("\n".join(["index,cluster", *rows]))
    bvalign("analyze", "predictions.npz", "--out", "out/", "--clusters", "families.csv")
    told = "clusters: 40 samples in 6 clusters of families.csv (largest 7); intervals treat"
    assert any(told in note for note in notes("out"))
    assert "40 samples in 6 clusters of families.csv" in " ".join(capsys.readouterr().out.split())
    Path("families.csv").write_text("\n".join(["index,cluster", *rows[1:]]))
    with pytest.raises(SystemExit, match=r"^bvalign: error: families.csv: .*1 missing \(39\)$"):
        bvalign("analyze", "predictions.npz", "--out", "out/", "--clusters", "families.csv")


def test_report_takes_the_clusters_of_a_file(bvalign, fit):
    fit("--model.members=2")
    root = Path("runs/digits-mlp")
    np.save("people.npy", np.arange(57) // 10)
    bvalign("report", root, "--clusters", "people.npy")
    assert "57 samples in 6 clusters of people.npy (largest 10)" in notes(root)[-1]
    bvalign("analyze", root, "--out", "out", "--clusters", "people.npy")
    assert notes("out") == notes(root)
    with pytest.raises(SystemExit, match=r"^bvalign: error: none.npy: there is no such file"):
        bvalign("report", root, "--clusters", "none.npy")
