"""What Python holds: one line where it cannot be predictions, and what is true of any reader."""

import re
from collections import namedtuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from bvalign import analyze, open_predictions
from bvalign.predictions import Names
from tests.ensembles import random_ensemble

LOGITS, TARGET = (x.numpy() for x in random_ensemble(members=3, samples=5, classes=4))
MEMBER = {"logits": LOGITS[0], "labels": TARGET}
TABLE = pd.DataFrame(LOGITS[0], columns=[f"logit{k}" for k in range(4)])

REFUSED = {
    "array: 'labels' must be (5 samples), got (4,) for scores (3, 5, 4)": (LOGITS, TARGET[:4]),
    "array: 'scores' (5, 4) may be one member (samples, classes) or the single": (LOGITS[0], None),
    "array: the labels beside it: needs numbers or strings, got object": (LOGITS, [None] * 5),
    "array: the labels beside it: has masked entries; fill them, labels by -1": (
        LOGITS,
        np.ma.array(TARGET, mask=TARGET[0] == TARGET),
    ),
    "array: 'scores' needs numbers or strings, got object; convert it, as with .astype": (
        LOGITS.astype(object),
        None,
    ),
    "list/0: arrays of shapes (5, 4), (5,) are neither batches": (
        [(LOGITS[0], TARGET), (LOGITS[1], TARGET)],
        None,
    ),
    "DataFrame: column 'p0' must hold numbers (Failed to parse string: '?'": (
        pd.DataFrame({"p0": ["?"] * 5, "p1": [0.5] * 5}),
        None,
    ),
    "array: labels must be class ids, but 1 are no whole numbers, the first is nan": (
        LOGITS,
        pd.Series([0, 1, 2, 3, None], dtype="Int64"),
    ),
    "list: all members must have the same samples and classes, but 1 is (5, 4) and 0 (4, 4)": (
        [LOGITS[0, :4], LOGITS[1]],
        TARGET,
    ),
    "dict: needs an array 'logits' or 'probs' (members, samples, classes) or 'votes' (members, "
    "samples), has knn, forest, labels; np.stack([...]) joins arrays of members, which here have "
    "shapes (3, 4), (5, 4)": (
        {"knn": LOGITS[0], "forest": LOGITS[1, :3]},
        TARGET,
    ),
    "list: 2 dicts of arrays may be members or batches; name members, as in": ([MEMBER] * 2, None),
    "list: labels of rows belong in their dicts, as 'label'": ([{"p0": 0.5, "p1": 0.5}], [1]),
    "dict: has labels inside (y_true), and others are given beside it; leave out one": (
        {"logits": LOGITS, "y_true": TARGET},
        TARGET,
    ),
    "dict: has labels inside (a, b), and others are given": ({"a": MEMBER, "b": MEMBER}, TARGET),
    "DataFrame: has labels inside (Target), and others are given": (
        TABLE.assign(Target=TARGET),
        TARGET,
    ),
    "DataFrame: needs a label for each of its 5 rows, got (3,)": (TABLE, TARGET[:3]),
    "DataFrame: needs columns member, sample, and logit0": (TABLE.add_prefix("a_"), TARGET),
    "DataFrame: is no table that Arrow takes": (pd.DataFrame({"p0": [0.5, "?"]}), None),
    "list/1: needs columns member": ([TABLE, TABLE.add_prefix("a_")], TARGET),
    "LazyFrame: is no table that Arrow takes": (pl.LazyFrame({"p0": [0.5]}), None),
    "generator: needs an array, a tensor, a DataFrame, a dict of arrays, a list of members, or the "
    "path of a file, got generator": ((member for member in LOGITS), TARGET),
    "NoneType: needs an array": (None, None),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_predictions_is_refused_in_one_line(message):
    source, labels = REFUSED[message]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as raised:
        analyze(source, labels)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("array: labels are given, and label='y' names others; choose one", {"label": "y"}),
        (
            "array: holds arrays, not columns, so there is nothing for --member seed",
            {"member": "seed"},
        ),
        ("array: holds arrays, not columns, so there is nothing for --sample id", {"sample": "id"}),
        ("array: --scores p is not there, has scores, labels", {"scores": "p"}),
        ("--scores p and --votes v choose two kinds; give one", {"scores": "p", "votes": "v"}),
        ("array: --task 1 needs labels (samples, tasks)", {"task": "1"}),
    ],
)
def test_names_that_choose_nothing_are_refused(message, options):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        analyze(LOGITS, TARGET, **options)


def test_what_is_given_beside_a_path_or_opened_predictions_is_refused(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, logits=LOGITS)
    with pytest.raises(ValueError, match=r"p\.npz: labels belong in the file, or in labels\.npy"):
        analyze(path, TARGET)
    with pytest.raises(ValueError, match="^labels, task must be given where predictions are open"):
        analyze(open_predictions(path)[0], TARGET, task="0")
    (tmp_path / "run.json").touch()
    with pytest.raises(ValueError, match="a run directory has no columns or arrays to choose"):
        open_predictions(tmp_path, names=Names(label="y"))


def test_arrays_are_read_where_they_lie():
    logits = LOGITS.copy()
    predictions, _ = open_predictions(list(logits), TARGET)
    logits[1, 2] = 7
    assert predictions.read(2, 3)[1].tolist() == [[7] * 4]


@pytest.mark.parametrize("values", [LOGITS.astype("<f2"), torch.from_numpy(LOGITS).bfloat16()])
def test_a_type_of_sixteen_bits_is_noted(values):
    predictions, _ = open_predictions(values, TARGET)
    assert any("16 costs digits" in note for note in predictions.notes)
    assert predictions.read(0, 5).dtype == torch.as_tensor(values).dtype


def in_a_folder(folder, members, labels):
    for number, votes in enumerate(members):
        np.save(folder / f"{number}.npy", votes)
    np.save(folder / "labels.npy", labels)
    return folder


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_names_of_classes_mean_the_same_in_every_member(tmp_path, place):
    """Also where a member never says one of them."""
    members = [np.array(["bee", "cat", "cat"]), np.array(["ant", "bee", "cat"])]
    labels = np.array(["ant", "bee", "cat"])
    source = (members, labels)
    if place == "folder":
        source = (in_a_folder(tmp_path, *source),)
    predictions, _ = open_predictions(*source)
    assert predictions.class_names == ("ant", "bee", "cat")
    assert predictions.read(0, 3).argmax(dim=-1).tolist() == [[1, 2, 2], [0, 1, 2]]
    assert predictions.target.tolist() == [0, 1, 2]
    same = [np.array(["bee", "ant", "ant"]), np.array(["ant", "bee", "bee"])]
    predictions, _ = open_predictions(same, [0, 1, 1])
    assert "labels are numbers: classes 0, 1, ... are ant, bee" in predictions.notes


def test_class_names_of_a_folder_give_the_order_of_votes(tmp_path):
    members, labels = [np.array(["bee", "ant"]), np.array(["ant", "ant"])], np.array(["bee", "cat"])
    np.save(tmp_path / "class_names.npy", np.array(["cat", "bee", "ant"]))
    predictions, _ = open_predictions(in_a_folder(tmp_path, members, labels))
    assert predictions.read(0, 2).argmax(dim=-1).tolist() == [[1, 2], [2, 2]]
    assert predictions.target.tolist() == [1, 0]


def test_members_whose_columns_are_other_classes_are_refused():
    tables = [pd.DataFrame(LOGITS[0, :, :2], columns=[f"p_{n}" for n in "ab"]) for _ in range(2)]
    tables[1].columns = ["p_b", "p_a"]
    with pytest.raises(ValueError, match=r"^list: all members must have the same classes in one "):
        analyze(tables, [0, 1, 0, 1, 0])


def test_what_trainers_return_as_named_tuples_are_dicts_of_arrays():
    output = namedtuple("PredictionOutput", "predictions label_ids metrics")
    one, _ = open_predictions(output(LOGITS[0], TARGET, {"loss": 0.5}))
    assert np.array_equal(one.read(0, 5), LOGITS[:1])
    three = {f"seed{m}": output(LOGITS[m], TARGET, None) for m in range(3)}
    predictions, _ = open_predictions(three)
    assert predictions.members == ("seed0", "seed1", "seed2")
    assert predictions.target.tolist() == one.target.tolist() == TARGET.tolist()
