"""Clusters of samples that predictions contain or that stand in a file beside them."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import bvalign
from bvalign import RunDirectory, open_predictions
from bvalign.predictions import FinishedMember
from bvalign.predictions.run.samples import Samples
from tests.ensembles import random_ensemble, save_npz

LOGITS, TARGET = random_ensemble(members=3, samples=5, classes=4)
INDEX = np.array([7, 3, 9, 1, 4])
NAMES = np.array(["b", "a", "b", "c", "a"])
NUMBERS = [0, 1, 1, 2, 2]
"""By hand: sorted by index the names are c (1), a (3), a (4), b (7), b (9)."""


def note(source=""):
    return (
        f"clusters: 5 samples in 3 clusters{source} (largest 2); intervals treat clusters, not "
        "samples, as drawn at random"
    )


def npz(**arrays):
    return save_npz(Path("p.npz"), LOGITS, TARGET, index=INDEX, **arrays)


def folder(**arrays):
    path = Path("members")
    path.mkdir(exist_ok=True)
    for name, array in {"labels": TARGET.numpy(), "index": INDEX, **arrays}.items():
        np.save(path / f"{name}.npy", array)
    for member, scores in enumerate(LOGITS.numpy()):
        np.save(path / f"{member}.npy", scores)
    return path


def table(kind, clusters=None, arrow_type=None):
    """Rows of all members and samples, shuffled; clusters are given by sample or by row."""
    member, place = np.divmod(np.random.default_rng(0).permutation(15), 5)
    columns = {"member": member, "sample": INDEX[place]}
    if clusters is not None:
        clusters = np.asarray(clusters, dtype=object)
        columns["cluster"] = (clusters if len(clusters) == 15 else clusters[place]).tolist()
    columns |= {f"logit{k}": LOGITS[member, place, k].numpy() for k in range(4)}
    path = Path(f"p.{kind}")
    if kind == "csv":
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(str(cell) for cell in row) for row in (columns, *rows)]
        path.write_text("\n".join([*lines, ""]))
        return path
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    if arrow_type:
        columns["cluster"] = arrow.array(columns["cluster"]).cast(arrow_type(arrow))
    parquet.write_table(arrow.table(columns), path)
    return path


def run_directory():
    run = RunDirectory.open("run", {"arch": "mlp"}, 3, pack_size=3, provenance={})
    run.save_samples(Samples(TARGET.numpy(), tuple("abcd"), None))
    for member, logits in enumerate(LOGITS):
        run.member(member).save(FinishedMember(logits, {}, []))
    return run.root


SAVE = {
    "npz": npz,
    "folder": folder,
    "csv": partial(table, "csv"),
    "parquet": partial(table, "parquet"),
}


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize(
    "names", [NAMES, np.array([2**62, -3, 2**62, 0, -3]), np.array(["8", "10", "8", "x", "10"])]
)
def test_clusters_are_numbered_as_they_first_appear_by_index(kind, names):
    found, _ = open_predictions(SAVE[kind](clusters=names))
    assert found.index.tolist() == [1, 3, 4, 7, 9]
    assert found.clusters.tolist() == NUMBERS
    assert found.clusters.dtype == np.int64
    assert found.notes[-1] == note()
    assert len(found.members) == 3


@pytest.mark.parametrize("kind", SAVE)
def test_without_clusters_samples_are_independent(kind):
    found, _ = open_predictions(SAVE[kind]())
    assert found.clusters is None
    assert "clusters" not in " ".join(found.notes)


def test_the_note_counts_with_commas():
    rows = np.arange(1203)
    logits, target = random_ensemble(samples=1203)
    path = save_npz(Path("p.npz"), logits, target, clusters=np.where(rows < 1200, 0, rows))
    found, _ = open_predictions(path)
    assert found.notes[-1].startswith("clusters: 1,203 samples in 4 clusters (largest 1,200); ")


def test_copies_of_members_and_votes_keep_the_clusters():
    copied = np.stack([*LOGITS.numpy(), LOGITS[0].numpy()])
    path = save_npz(Path("c.npz"), copied, TARGET, index=INDEX, clusters=NAMES)
    found, _ = open_predictions(path)
    assert found.members == (0, 1, 2)
    assert found.clusters.tolist() == NUMBERS
    np.savez("v.npz", votes=LOGITS.argmax(-1).numpy(), index=INDEX, clusters=NAMES)
    assert open_predictions("v.npz")[0].clusters.tolist() == NUMBERS


@pytest.mark.parametrize("kind", ["npz", "folder", "npy"])
@pytest.mark.parametrize(
    ("message", "clusters"),
    [
        (r"must be 5 integers or strings, one per sample, got <U1 \(4,\)", NAMES[:4]),
        (r"one per sample, got <U1 \(3, 5\)", np.tile(NAMES, (3, 1))),
        (r"one per sample, got int64 \(\)", np.array(1)),
        (r"integers or strings, one per sample, got float64 \(5,\)", np.arange(5.0)),
        ("have a cluster, but 2 of 5 are empty", np.array(["", "a", "", "b", "c"])),
        ("must be at least two clusters, got one for all 5 samples", np.zeros(5, int)),
    ],
)  # fmt: skip
def test_bad_arrays_are_told(kind, message, clusters):
    np.save("c.npy", clusters)
    source, beside = (npz(), "c.npy") if kind == "npy" else (SAVE[kind](clusters=clusters), None)
    with pytest.raises(ValueError, match=message) as error:
        open_predictions(source, clusters=beside)
    assert str(error.value).startswith(beside or str(source))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_of_one_sample_in_several_clusters_are_told(kind):
    member, place = np.divmod(np.random.default_rng(0).permutation(15), 5)
    rows = NAMES[place].astype(object)
    rows[(member == 2) & (INDEX[place] == 9)] = "z"
    rows[(member == 0) & (INDEX[place] == 4)] = "y"
    message = r"but 2 of 5 samples have several; the first is sample 4 with a, y$"
    with pytest.raises(ValueError, match=message):
        open_predictions(table(kind, rows))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_bad_columns_are_told(kind):
    names = np.where(INDEX > 4, "", NAMES)
    with pytest.raises(ValueError, match="'cluster' is empty for 2 of 5 samples, the first is 7"):
        open_predictions(table(kind, names))
    with pytest.raises(ValueError, match="at least two clusters, got one for all 5 samples"):
        open_predictions(table(kind, ["a"] * 5))


def test_bad_columns_of_a_csv_are_told():
    path = table("csv", [" a", "a ", "a", "b", "b"])
    assert open_predictions(path)[0].clusters.tolist() == [0, 1, 0, 1, 1]
    path.write_text(path.read_text().replace("member,sample,cluster", "member,cluster,cluster"))
    with pytest.raises(ValueError, match="needs one column 'cluster', has member, cluster, clus"):
        open_predictions(path)


def test_types_of_a_parquet():
    for arrow_type in (
        lambda arrow: arrow.large_string(),
        lambda arrow: arrow.dictionary(arrow.int32(), arrow.string()),
    ):
        path = table("parquet", NAMES, arrow_type)
        assert open_predictions(path)[0].clusters.tolist() == NUMBERS
    with pytest.raises(ValueError, match="'cluster' is empty for 1 of 5 samples, the first is 3"):
        open_predictions(table("parquet", ["a", None, "b", "a", "b"]))


def test_a_npy_beside_predictions_has_the_order_of_their_rows():
    np.save("c.npy", NAMES)
    for kind in ("npz", "folder"):
        found, _ = open_predictions(SAVE[kind](), clusters="c.npy")
        assert found.clusters.tolist() == NUMBERS
        assert found.notes[-1] == note(" of c.npy")
    np.save("c.npy", NAMES[np.argsort(INDEX)])
    for source in (table("csv"), table("parquet"), run_directory()):
        found, _ = open_predictions(source, clusters=Path("c.npy"))
        assert found.clusters.tolist() == NUMBERS
        assert found.notes[-1] == note(" of c.npy")


@pytest.mark.parametrize("column", ["index", "sample"])
def test_a_csv_beside_predictions_may_have_any_order(column):
    text = f"\ufeff{column} ,age,cluster\n9,5, b\n1,6,c\n\n4,7,a\n7,8,b \n3,9,a\n"
    Path("c.csv").write_text(text, encoding="utf-8")
    for source in (npz(), folder(), table("csv"), table("parquet")):
        found, _ = open_predictions(source, clusters="c.csv")
        assert found.clusters.tolist() == NUMBERS
        assert found.notes[-1] == note(" of c.csv")
    Path("c.csv").write_text(f"{column},cluster\n4,x\n0,y\n2,x\n1,x\n3,y\n")
    found, _ = open_predictions(run_directory(), clusters="c.csv")
    assert found.clusters.tolist() == [0, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("message", "rows"),
    [
        (r"each of the 5 samples must occur exactly once, but by their index 2 missing \(1, 9\)$",
         "3,a\n4,a\n7,b"),
        (r"index 1 repeated \(3\)$", "1,c\n3,a\n3,a\n3,b\n4,a\n7,b\n9,b"),
        (r"index 1 missing \(1\); 1 repeated \(4\); 1 not in the predictions \(0\)$",
         "0,c\n3,a\n4,a\n4,a\n7,b\n9,b"),
        (r"index 5 missing \(1, 3, 4, 7, 9\); 6 not in the predictions \(10, 20, 30, 40, 50, \.\.",
         "10,a\n20,a\n30,a\n40,a\n50,a\n60,b"),
        (r"5 missing", ""),
        (r"line 3: invalid literal for int\(\) with base 10: '3.0'", "1,c\n3.0,a"),
        (r"line 2: .* too ", "99999999999999999999,a"),
        (r"line 2: the cell of 'cluster' is empty", "1, "),
        (r"line 2 has 1 cells instead of 2; is the file complete", "1"),
    ],
)  # fmt: skip
def test_bad_rows_of_a_csv_beside_predictions_are_told(message, rows):
    Path("c.csv").write_text(f"index,cluster\n{rows}\n")
    with pytest.raises(ValueError, match=f"^c.csv: .*{message}"):
        open_predictions(npz(), clusters="c.csv")


@pytest.mark.parametrize(
    ("message", "name", "content"),
    [
        ("needs one column 'index' or 'sample' and one 'cluster', has x", "c.csv", b"x"),
        ("needs one column .* has index, sample, cluster", "c.csv", b"index,sample,cluster\n"),
        ("needs one column .* has index, cluster, cluster", "c.csv", b"index,cluster,cluster\n"),
        ("needs one column .* has none", "c.csv", b""),
        ("not a complete .csv in UTF-8", "c.csv", b"index,cluster\n\xff\xfe"),
        ("not a complete .npy of numbers", "c.npy", b"index"),
        ("clusters must be a .npy or a .csv, got '.json'", "c.json", b"{}"),
    ],
)  # fmt: skip
def test_files_beside_predictions_that_cannot_be_read_are_told(message, name, content):
    Path(name).write_bytes(content)
    for source in (npz(), run_directory()):
        with pytest.raises(ValueError, match=f"^{name}: {message}"):
            open_predictions(source, clusters=name)
    with pytest.raises(FileNotFoundError, match="^none.npy: there is no such file"):
        open_predictions(source, clusters="none.npy")


@pytest.mark.parametrize("kind", SAVE)
def test_clusters_from_two_places_are_refused(kind):
    np.save("c.npy", NAMES)
    source = SAVE[kind](clusters=NAMES)
    message = f"^{source} contains clusters, and c.npy was given beside them; choose one: leave out"
    with pytest.raises(ValueError, match=message):
        open_predictions(source, clusters="c.npy")


def test_analyze_of_python_takes_a_file_beside_a_path():
    np.save("c.npy", NAMES)
    assert bvalign.analyze(npz(), clusters="c.npy").notes[-1].startswith("clusters: 5 samples")
    opened = open_predictions(npz())[0]
    with pytest.raises(
        ValueError, match="^clusters must be given where predictions are opened, got opened ones"
    ):
        bvalign.analyze(opened, clusters="c.npy")
    assert bvalign.analyze(npz(clusters=NAMES)).notes[-1].startswith("clusters: 5 samples in 3")
