"""`bvalign apply RULE PREDICTIONS --out FILE.csv`, and the options that make rules."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from tests.ensembles import mixed_ensemble, save_npz

pytestmark = pytest.mark.usefixtures("without_figures")


def rows(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def report(bvalign, capsys):
    logits, target = mixed_ensemble(members=4, samples=300)
    save_npz(Path("old.npz"), logits, target)
    bvalign("analyze", "old.npz", "--out", "out", "--max-error", "0.2", "--confidence", "0.9")
    told = " ".join(capsys.readouterr().out.split())
    assert "When to abstain? Accept" in told
    assert "with 90% confidence, at most 20% of them are wrong" in told
    return Path("out")


def test_a_rule_is_written_and_applied(bvalign, report, capsys):
    rule = json.loads((report / "abstain.json").read_text())
    assert (rule["kind"], rule["max_error"], rule["confidence"]) == ("abstain", 0.2, 0.9)
    assert rule["members"] == [0, 1, 2, 3]
    assert rule["provenance"]["source"] == "old.npz"
    bvalign("apply", report / "abstain.json", "old.npz", "--out", "new/accepted.csv")
    told = capsys.readouterr().out
    assert "accepted: " in told
    assert "wrong among them: " in told
    applied, table = rows("new/accepted.csv"), rows(report / "samples.csv")
    assert list(applied[0]) == ["index", "prediction", "doubt", "accepted", "label"]
    for name in ("index", "prediction", "accepted", "label"):
        assert [row[name] for row in applied] == [row[name] for row in table]
    assert {row["accepted"] for row in applied} == {"0", "1"}
    bvalign("apply", report / "abstain.json", "old.npz", "--out", "accepted.parquet")
    columns = parquet.read_table("accepted.parquet").to_pydict()
    assert list(columns) == list(applied[0])
    assert columns["doubt"] == [float(row["doubt"]) for row in applied]


def test_without_labels_the_fraction_accepted_is_all(bvalign, report, capsys):
    logits, _ = mixed_ensemble(members=4, samples=50, seed=1)
    np.savez("new.npz", logits=logits.numpy())
    bvalign("apply", report / "abstain.json", "new.npz", "--out", "accepted.csv")
    told = capsys.readouterr().out
    assert "accepted: " in told
    assert "wrong" not in told
    assert len(rows("accepted.csv")) == 50


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "rule.json: there is no such file"),
        ("no json", "rule.json is no JSON; a rule is a file such as abstain.json"),
        ('{"schema": 2}', "rule.json is no rule: its kind is None, which must be one of abstain"),
    ],
)
def test_what_is_no_rule_is_refused(bvalign, content, said):
    if content is not None:
        Path("rule.json").write_text(content)
    with pytest.raises(SystemExit, match=said):
        bvalign("apply", "rule.json", "old.npz", "--out", "accepted.csv")


def test_a_wish_outside_its_range_is_refused_before_the_predictions_are_read(bvalign):
    for option, name in (("--max-error", "max_error"), ("--confidence", "confidence")):
        with pytest.raises(SystemExit, match=f"error: {name} must be between 0 and 1, got 2.0"):
            bvalign("analyze", "missing.npz", "--out", "out", option, "2")
