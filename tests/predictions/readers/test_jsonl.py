"""Lines of JSON, the plain form for questions with different numbers of options."""

import gzip
import json
import random

import numpy as np
import pytest
import torch

from bvalign import open_predictions

OPTIONS = [3, 5, 2, 4]
LABEL = [2, 4, 0, 1]


def scores(member, sample):
    rng = random.Random(f"{member} {sample}")
    return [rng.gauss(0, 2) for _ in range(OPTIONS[sample])]


def lines(members=("b", "a"), **change):
    return [
        {"member": m, "sample": f"q{n}", "label": LABEL[n], "logits": scores(m, n)}
        | {name: make(m, n) for name, make in change.items()}
        for m in members
        for n in (2, 0, 3, 1)
    ]


def write(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read(path):
    predictions, _ = open_predictions(path)
    return predictions, torch.cat([r[0] for r in predictions.ranges()], dim=1).softmax(-1).numpy()


def probs(member, sample):
    weights = np.exp(scores(member, sample))
    return (weights / weights.sum()).tolist()


def expected(members=("a", "b")):
    padded = [[probs(m, n) + [0.0] * (5 - OPTIONS[n]) for n in range(4)] for m in members]
    return np.array(padded)


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.ndjson"])
@pytest.mark.parametrize("batch", [3, 4096])
def test_options_that_a_sample_lacks_have_probability_zero(tmp_path, monkeypatch, name, batch):
    monkeypatch.setattr("bvalign.predictions.tables.jsonl.LINES_PER_BATCH", batch)
    rows = lines(text=lambda _, n: f"Q{n}?", cluster=lambda _, n: f"family {n // 2}")
    predictions, found = read(write(tmp_path / name, rows))
    np.testing.assert_allclose(found, expected(), rtol=1e-12)
    assert (found[:, [0, 2, 3], 4] == 0).all()
    assert predictions.members == ("a", "b")
    assert predictions.target.tolist() == LABEL
    assert predictions.texts == ("Q0?", "Q1?", "Q2?", "Q3?")
    assert predictions.clusters.tolist() == [0, 0, 1, 1]


def test_probabilities_and_log_probabilities(tmp_path):
    of_probs = [{k: v for k, v in row.items() if k != "logits"} for row in lines(probs=probs)]
    np.testing.assert_allclose(read(write(tmp_path / "p.jsonl", of_probs))[1], expected(), 1e-12)
    for row in of_probs:
        row["logprobs"] = np.log(row.pop("probs")).tolist()
    np.testing.assert_allclose(read(write(tmp_path / "l.jsonl", of_probs))[1], expected(), 1e-12)


def test_a_file_for_each_member(tmp_path):
    for member in "ab":
        rows = [{k: v for k, v in row.items() if k != "member"} for row in lines((member,))]
        write(tmp_path / f"{member}.jsonl", rows)
    predictions, found = read(tmp_path)
    np.testing.assert_allclose(found, expected(), rtol=1e-12)
    assert predictions.members == ("a", "b")
    assert predictions.target.tolist() == LABEL


def test_labels_may_be_letters_of_options(tmp_path):
    rows = lines(label=lambda _, n: "ABCDE"[LABEL[n]])
    predictions, _ = read(write(tmp_path / "p.jsonl", rows))
    assert predictions.target.tolist() == LABEL
    assert predictions.class_names == tuple("ABCDE")
    rows = lines(label=lambda _, n: "ABCDF"[LABEL[n]])
    with pytest.raises(ValueError, match="labels are 4 names .*for 5 classes"):
        read(write(tmp_path / "p.jsonl", rows))


@pytest.mark.parametrize("names", [[0, 1, 2, 3, 4], "ABCDE", ["no", "yes", "maybe", "x", "y"]])
def test_votes(tmp_path, names):
    rows = [
        {"seed": m, "id": n, "target": names[LABEL[n]], "vote": names[(n + m) % 5]}
        for m in range(2)
        for n in range(4)
    ]
    predictions, found = read(write(tmp_path / "p.jsonl", rows))
    voted = [[names[(n + m) % 5] for n in range(4)] for m in range(2)]
    classes = predictions.class_names or tuple(range(5))
    assert [[classes[k] for k in row] for row in found.argmax(-1)] == voted
    assert [classes[k] for k in predictions.target] == [names[k] for k in LABEL]
    assert "columns: member is 'seed', sample is 'id', label is 'target'" in predictions.notes[0]


def test_members_that_differ_are_told(tmp_path):
    rows = lines()
    with pytest.raises(ValueError, match="member b lacks 1 of 4; .* member b lacks is sample q2"):
        read(write(tmp_path / "p.jsonl", rows[1:]))
    rows[0]["logits"] = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="same options of a sample, but 1 samples have other num"):
        read(write(tmp_path / "p.jsonl", rows))
    path = write(tmp_path / "p.jsonl", lines())
    path.write_text(path.read_text() + '{"member": "a", "sam')
    with pytest.raises(ValueError, match="line 9 is no JSON .*; is the file complete?"):
        read(path)
    path.write_text("[1, 2]\n")
    with pytest.raises(ValueError, match="line 1 must be a JSON object"):
        read(path)
