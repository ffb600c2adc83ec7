"""Groups of samples that predictions contain, or that are given beside them."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import bvalign
from bvalign import open_predictions
from tests.predictions.readers.test_clusters import (
    INDEX,
    LOGITS,
    NAMES,
    TARGET,
    folder,
    npz,
    run_directory,
    table,
)

SITES = ("a", "b", "c")
NUMBERS = [2, 0, 0, 1, 1]
"""By hand: sorted by index the names are c (1), a (3), a (4), b (7), b (9)."""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def with_column(kind):
    """A table whose column of clusters is one of groups."""
    path = table("csv", NAMES)
    path.write_text(path.read_text().replace("cluster", "group_site", 1))
    if kind == "csv":
        return path
    arrow_csv = pytest.importorskip("pyarrow.csv")
    from pyarrow import parquet

    parquet.write_table(arrow_csv.read_csv(path), "p.parquet")
    return Path("p.parquet")


SOURCES = {
    "npz": lambda: npz(group_site=NAMES),
    "folder": lambda: folder(group_site=NAMES),
    "csv": partial(with_column, "csv"),
    "parquet": partial(with_column, "parquet"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_groups_inside_predictions_are_in_the_order_of_their_names(kind):
    found, _ = open_predictions(SOURCES[kind]())
    assert found.groups["site"].names == SITES
    assert found.groups["site"].numbers.tolist() == NUMBERS
    assert found.clusters is None
    assert found.notes[-1] == "groups of the 5 samples: 3 groups by site (1 to 2 each)"


def frame():
    return pytest.importorskip("pandas").DataFrame({"sample": INDEX[::-1], "site": NAMES[::-1]})


GIVEN = {
    "csv": lambda: "g.csv",
    "array": lambda: NAMES,
    "list": NAMES.tolist,
    "dict": lambda: {"site": NAMES},
    "frame with samples": frame,
    "series": lambda: frame()["site"][::-1],
}


@pytest.mark.parametrize("kind", GIVEN)
def test_groups_beside_predictions_of_any_kind(kind):
    rows = "".join(f"{i},{name}\n" for i, name in zip(INDEX, NAMES, strict=True))
    Path("g.csv").write_text(f"index,site\n{rows}")
    given = GIVEN[kind]()
    found, _ = open_predictions(npz(), groups=given)
    ((column, groups),) = found.groups.items()
    assert column == ("site" if kind in ("csv", "dict", "frame with samples") else "group")
    assert (groups.names, groups.numbers.tolist()) == (SITES, NUMBERS)
    result = bvalign.analyze(LOGITS, TARGET, groups={"site": NAMES})
    assert {g.name for g in result.decisions["systematic"].groups if g.column == "site"} == {*SITES}


def test_a_run_takes_groups_of_a_file():
    Path("g.csv").write_text("sample,site,age\n4,x,7\n0,y,7\n2,x,7\n1,x,8\n3,y,8\n")
    found, _ = open_predictions(run_directory(), groups="g.csv")
    assert found.groups["site"].numbers.tolist() == [1, 0, 0, 1, 0]
    assert found.groups["age"].names == ("7", "8")


def test_named_samples_are_found_by_name():
    path = table("csv")
    text = path.read_text()
    for i in INDEX:
        text = text.replace(f",{i},", f",img_{i}.png,")
    path.write_text(text)
    Path("g.csv").write_text("sample,site\n" + "".join(f"img_{i}.png,{i > 3}\n" for i in INDEX))
    found, _ = open_predictions(path, groups="g.csv")
    assert found.texts == tuple(f"img_{i}.png" for i in (1, 3, 4, 7, 9))
    assert found.groups["site"].numbers.tolist() == [0, 0, 1, 1, 1]


def test_samples_without_labels_are_left_out_of_groups_and_clusters_too():
    labels = TARGET.numpy().copy()
    labels[1] = -1  # index 3
    np.savez("p.npz", logits=LOGITS.numpy(), labels=labels, index=INDEX)
    Path("g.csv").write_text("index,site\n1,c\n3,a\n4,a\n7,b\n9,b\n")
    Path("c.csv").write_text("index,cluster\n1,c\n3,a\n4,a\n7,b\n9,b\n")
    found, _ = open_predictions("p.npz", groups="g.csv", clusters="c.csv")
    assert found.groups["site"].numbers.tolist() == [2, 0, 1, 1]
    assert found.clusters.tolist() == [0, 1, 2, 2]


def test_empty_cells_are_a_group_and_numbers_become_ranges():
    values = np.linspace(0, 1, 41) ** 2 + 0.001
    values[7] = np.nan
    logits, labels = np.zeros((2, 41, 3)), np.arange(41) % 3
    sites = np.array(["", "b10", "b9"])[np.arange(41) % 3]
    ids = np.array([10, 9])[np.arange(41) % 2]
    logits[0, :, 0] = 1  # no copies
    given = {"value": values, "site": sites, "ids": ids, "one": np.zeros(41, int)}
    found, _ = open_predictions({"logits": logits, "labels": labels}, groups=given)
    assert found.groups["ids"].names == ("9", "10")
    assert found.groups["site"].names == ("(empty)", "b10", "b9")
    ranges = found.groups["value"]
    assert len(ranges.names) == 6
    assert ranges.names[0].startswith("0.001 to 0.0")
    assert ranges.names[-1] == "(empty)"
    assert np.bincount(ranges.numbers).tolist() == [8, 8, 8, 8, 8, 1]
    assert "one" not in found.groups
    assert "one is 0 for all, which leaves nothing to compare" in found.notes[-1]


@pytest.mark.parametrize(
    ("message", "given"),
    [
        (r"groups 'site' must be 5 numbers or names, one per sample, got <U1 \(4,\)",
         {"site": NAMES[:4]}),
        (r"exactly once, but by their index 1 missing \(9\); 1 not in the predictions \(8\)",
         {"index": [7, 3, 8, 1, 4], "site": NAMES}),
        ("'class' are the groups that the labels make; rename", {"class": NAMES}),
        ("contains groups 'own', and groups has a column of that name", {"own": NAMES}),
        ("groups must be a .npy or a .csv, got '.json'", Path("g.json")),
        ("needs one column 'index' or 'sample' and others of different names, has site, age",
         Path("g.csv")),
    ],
)  # fmt: skip
def test_groups_that_do_not_fit_are_told(message, given):
    Path("g.json").write_text("{}")
    Path("g.csv").write_text("site,age\na,1\n")
    with pytest.raises(ValueError, match=message):
        open_predictions(npz(group_own=NAMES), groups=given)


def test_more_groups_than_can_be_compared_are_refused():
    logits = np.random.default_rng(0).normal(size=(2, 1001, 2))
    with pytest.raises(ValueError, match="'id' has 1,001 different values for 1,001 samples, more"):
        open_predictions(logits, np.arange(1001) % 2, groups={"id": np.arange(1001)})


def test_rows_of_one_sample_in_several_groups_are_told():
    path = with_column("csv")
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    path.write_text("\n".join([lines[0], ",".join([*cells[:2], "other", *cells[3:]]), *lines[2:]]))
    with pytest.raises(ValueError, match="same 'group_site', but 1 of 5 samples have several"):
        open_predictions(path)
