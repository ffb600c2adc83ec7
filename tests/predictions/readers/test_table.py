"""Predictions of a `.csv` or `.parquet` with one row per member and sample."""

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from tests.ensembles import random_ensemble

LOGITS, TARGET = (x.numpy() for x in random_ensemble(members=3, samples=5, classes=4))
PROBS = torch.softmax(torch.from_numpy(LOGITS).double(), -1).numpy()
INDEX = np.array([7, 3, 9, 1, 4])
KINDS = ["csv", "parquet"]


def read(path):
    predictions, _ = open_predictions(path)
    ranges = list(predictions.ranges())
    return predictions, torch.cat([r[0] for r in ranges], dim=1).numpy()


def table(scores=LOGITS, prefix="logit", members=(5, 2, 10)):
    """Columns of all rows, shuffled."""
    rows = [
        (member, INDEX[n], TARGET[n], *scores[m, n])
        for m, member in enumerate(members)
        for n in range(scores.shape[1])
    ]
    np.random.default_rng(0).shuffle(rows)
    names = ["member", "sample", "label", *(f"{prefix}{k}" for k in range(scores.shape[2]))]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def write(folder, columns, kind):
    path = folder / f"p.{kind}"
    if kind == "csv":
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(str(cell) for cell in row) for row in rows]
        path.write_text("\n".join([",".join(columns), *lines, ""]))
    else:
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.table(columns), path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [(5, 2, 10), ("b", "a2", "a10"), ("5", "2", "10")])
def test_rows_in_any_order(tmp_path, monkeypatch, kind, members):
    monkeypatch.setattr("bvalign.predictions.tables.csv.BLOCK_BYTES", 200)
    monkeypatch.setattr("bvalign.predictions.tables.parquet.ROWS_PER_BATCH", 4)
    monkeypatch.setattr("bvalign.predictions.predictions.RANGE_BYTES", 8 * 3 * 4 * 2)
    predictions, logits = read(write(tmp_path, table(members=members), kind))
    order = [2, 1, 0] if "b" in members else [1, 0, 2]
    assert predictions.members == (("a10", "a2", "b") if "b" in members else (2, 5, 10))
    assert predictions.index.tolist() == sorted(INDEX)
    assert predictions.target.tolist() == TARGET[np.argsort(INDEX)].tolist()
    assert np.array_equal(logits.astype(np.float32), LOGITS[order][:, np.argsort(INDEX)])


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities(tmp_path, kind):
    _, logits = read(write(tmp_path, table(PROBS, "p", (0, 1, 2)), kind))
    found = torch.softmax(torch.from_numpy(logits), -1).numpy()
    np.testing.assert_allclose(found, PROBS[:, np.argsort(INDEX)], rtol=1e-12)
    with pytest.raises(ValueError, match="sum to one .* 15 rows do not"):
        read(write(tmp_path, table(PROBS * 2, "p"), kind))
    missing = PROBS.copy()
    missing[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"'probs' are NaN: member 10 \(1 of 5 samples\)"):
        read(write(tmp_path, table(missing, "p"), kind))


def without(columns, row):
    return {name: column[:row] + column[row + 1 :] for name, column in columns.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_members_with_other_samples_are_named(tmp_path, kind):
    full = table()
    row = next(r for r in range(15) if (full["member"][r], full["sample"][r]) == (2, 9))
    message = "member 2 lacks 1 of 5; the first that member 2 lacks is sample 9"
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, without(full, row), kind))
    double = {name: [*column, column[row]] for name, column in full.items()}
    with pytest.raises(ValueError, match="1 rows are repeated; the first is member 2, sample 9"):
        read(write(tmp_path, double, kind))
    full["label"][row] = (full["label"][row] + 1) % 4
    with pytest.raises(ValueError, match=r"'labels' differs from member 2: member 5 \(1 of 5"):
        read(write(tmp_path, full, kind))


def test_an_id_of_another_name_is_that_of_the_samples(tmp_path):
    named = {k if k != "sample" else "customer_id": column for k, column in table().items()}
    named["customer_id"] = [f"C{n}" for n in named["customer_id"]]
    predictions, _ = read(write(tmp_path, named, "csv"))
    assert predictions.sample_names == tuple(sorted({*named["customer_id"]}))
    assert "sample is 'customer_id'" in predictions.notes[0]
    with pytest.raises(ValueError, match="choose it with --sample"):
        read(write(tmp_path, named | {"order_id": named["customer_id"]}, "csv"))


@pytest.mark.parametrize("kind", KINDS)
def test_bad_columns_are_told(tmp_path, kind):
    full = table()
    with pytest.raises(ValueError, match="needs one column 'logit1', has logit0"):
        read(write(tmp_path, {k: v for k, v in full.items() if k != "logit1"}, kind))
    with pytest.raises(ValueError, match="needs a column 'sample' .* choose it with --sample"):
        read(write(tmp_path, {k: v for k, v in full.items() if k != "sample"}, kind))
    with pytest.raises(ValueError, match="needs columns member, sample, and logit0"):
        read(write(tmp_path, {k: full[k] for k in ("member", "sample", "label")}, kind))
    with pytest.raises(ValueError, match="two classes"):
        read(write(tmp_path, table(LOGITS[..., :1]), kind))
    with pytest.raises(ValueError, match="has no rows"):
        read(write(tmp_path, {k: [] for k in full}, kind))
    full["label"][0] = 9
    with pytest.raises(ValueError, match="'labels' differs|labels must lie"):
        read(write(tmp_path, full, kind))


def test_whole_numbers_with_a_point_are_whole_numbers(tmp_path):
    """As pandas writes integers after a join with missing rows."""
    full = table()
    with_points = full | {k: [f"{v}.0" for v in full[k]] for k in ("sample", "label")}
    plain, _ = read(write(tmp_path, full, "csv"))
    found, _ = read(write(tmp_path, with_points, "csv"))
    assert np.array_equal(found.target, plain.target)
    assert np.array_equal(found.index, plain.index)


def test_bad_csv_is_told(tmp_path):
    path = write(tmp_path, table(), "csv")
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:7]) + "\n" + lines[7][:9])
    with pytest.raises(ValueError, match=r"line 8 has \d cells instead of 7; is the file complete"):
        read(path)
    path.write_text("\n".join([*lines[:3], "", "5,3,1,x,0,0,0"]))
    with pytest.raises(ValueError, match="line 5: column 'logit0' must hold numbers, got 'x'"):
        read(path)
    path.write_text("\n".join([*lines[:3], f"5,{10**20},1,0,0,0,0"]))
    with pytest.raises(ValueError, match="column 'sample' must hold names or whole numbers below"):
        read(path)
    for cell in ("cat", "1.5", "-", "1e2"):
        member, sample, _, *scores = lines[3].split(",")
        path.write_text(
            "\n".join([*lines[:3], ",".join([member, sample, cell, *scores]), *lines[4:]])
        )
        with pytest.raises(ValueError, match=rf"names \({cell}|the first is ({cell}|100)"):
            read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a complete .csv in UTF-8"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"needs columns .*, has none"):
        read(path)


def test_bad_parquet_is_told(tmp_path, monkeypatch):
    columns = table()
    path = write(tmp_path, columns, "parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a complete .parquet"):
        read(path)
    notes = read(write(tmp_path, columns | {"label": [None, *columns["label"][1:]]}, "parquet"))
    assert "label: 1 empty cells take the label" in notes[0].notes[0]
    scores = np.array(columns["logit0"], dtype=np.float16)
    notes = read(write(tmp_path, columns | {"logit0": scores}, "parquet"))[0].notes
    assert "float16 costs digits: the squared bias of" in notes[0]
