"""`bvalign.analyze` of what Python holds: numbers as of the same data in a file, and the result."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from matplotlib.figure import Figure

import bvalign
from tests.ensembles import mixed_ensemble
from tests.processes import run_process

LOGITS, TARGET = (tensor.numpy() for tensor in mixed_ensemble(members=4, samples=30))
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
VOTES = LOGITS.argmax(axis=-1)
NAMES = np.array(["ant", "bee", "cat"])
BFLOAT = torch.from_numpy(LOGITS).bfloat16()
ONE = [pd.DataFrame(probs, columns=["p0", "p1", "p2"]) for probs in PROBS]
HALVES = [[part[:17], part[17:]] for part in torch.from_numpy(LOGITS)]
LONG = pd.DataFrame(
    {
        "member": np.repeat(np.arange(4), 30),
        "sample": np.tile(np.arange(30), 4),
        "label": np.tile(TARGET, 4),
        **{f"logit{k}": LOGITS[..., k].ravel() for k in range(3)},
    }
)
SHUFFLED = LONG.sample(frac=1, random_state=0)
LISTS = pl.DataFrame(LONG[["member", "sample", "label"]]).with_columns(
    pl.Series("logits", LOGITS.reshape(-1, 3).tolist())
)
WIDE = pd.DataFrame(VOTES.T, columns=["model0", "model1", "model2", "model3"])

SOURCES = {
    "logits": {
        "array": (LOGITS, TARGET),
        "array in Fortran's order": (np.asfortranarray(LOGITS), TARGET.tolist()),
        "big-endian array": (LOGITS.astype(">f8"), pd.Series(TARGET, index=TARGET)),
        "tensor with gradients": (torch.tensor(LOGITS, requires_grad=True), torch.tensor(TARGET)),
        "list of arrays": (list(LOGITS), pl.Series(TARGET)),
        "tuple of tensors": (tuple(torch.from_numpy(LOGITS)), pd.Series(TARGET, dtype="Int64")),
        "list of batches": (HALVES, TARGET),
        "nested lists": (LOGITS.tolist(), TARGET),
        "dict of arrays": ({"logits": LOGITS, "y_true": TARGET}, None),
        "dict of members": ({name: LOGITS[m] for m, name in enumerate("abcd")}, TARGET),
        "dict of dicts": (
            {f"seed{m}": {"logits": LOGITS[m], "labels": TARGET} for m in range(4)},
            None,
        ),
        "long table of pandas": (SHUFFLED, None),
        "long table of polars": (pl.DataFrame(SHUFFLED), None),
        "table with an index": (LONG.set_index(["member", "sample"]), None),
        "labels beside a table": (SHUFFLED.drop(columns="label"), SHUFFLED["label"]),
        "column of lists": (LISTS, None),
        "rows": (LONG.to_dict("records"), None),
        "names of labels": (LOGITS, NAMES[TARGET].tolist()),
    },
    "probs": {
        "array": (PROBS, TARGET),
        "list of predict_proba": ([probs.copy() for probs in PROBS], pd.Series(NAMES[TARGET])),
        "list of tables": (ONE, TARGET),
        "list of tables of arrays": ([pd.DataFrame(p).assign(y=TARGET) for p in PROBS], None),
        "dict of tables": ({f"seed{m}": pl.DataFrame(ONE[m]) for m in range(4)}, TARGET),
    },
    "votes": {
        "array": (VOTES, TARGET),
        "list of predict": (list(VOTES), TARGET),
        "list of names": ([NAMES[votes] for votes in VOTES], NAMES[TARGET]),
        "wide table": (WIDE, pl.Series(TARGET)),
        "wide table of names": (pl.DataFrame(NAMES[VOTES.T], list(WIDE)), NAMES[TARGET]),
    },
    "bfloat16": {"tensor": (BFLOAT, TARGET)},
    "binary": {
        "array (members, samples)": (PROBS[..., 0], TARGET == 0),
        "array (members, samples, 1)": (PROBS[..., :1], TARGET == 0),
        "list of predict_proba[:, 1]": (list(PROBS[..., 0]), (TARGET == 0).tolist()),
        "list of columns": (list(torch.from_numpy(PROBS[..., :1])), TARGET == 0),
    },
}
SAVED = {
    "logits": {"logits": LOGITS},
    "probs": {"probs": PROBS},
    "votes": {"votes": VOTES},
    "bfloat16": {"logits": BFLOAT.float().numpy()},
    "binary": {"probs": np.stack([1 - PROBS[..., 0], PROBS[..., 0]], axis=-1)},
}


def same(found, expected):
    """All columns and means are the same to the last digit."""
    columns = found.samples
    assert list(columns) == list(expected.samples)
    for name, values in expected.samples.items():
        np.testing.assert_array_equal(columns[name], values, err_msg=name)
    assert found.means == expected.means


@pytest.fixture(scope="module")
def of_file(tmp_path_factory):
    """The analysis of the same data in a file, by kind."""
    folder, found = tmp_path_factory.mktemp("saved"), {}

    def analysed(kind):
        if kind not in found:
            labels = TARGET == 0 if kind == "binary" else TARGET
            np.savez(folder / f"{kind}.npz", labels=labels.astype(int), **SAVED[kind])
            found[kind] = bvalign.analyze(folder / f"{kind}.npz")
        return found[kind]

    return analysed


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, sources in SOURCES.items() for name in sources]
)
def test_the_numbers_are_those_of_a_file(of_file, kind, name):
    source, labels = SOURCES[kind][name]
    same(bvalign.analyze(source, labels), of_file(kind))


def test_columns_are_chosen_by_name(of_file):
    renamed = SHUFFLED.rename(columns={"member": "who", "sample": "which", "label": "answer"})
    renamed.columns = [name.replace("logit", "score_of_") for name in renamed]
    found = bvalign.analyze(
        renamed, member="who", sample="which", label="answer", scores="score_of_*"
    )
    same(found, of_file("logits"))
    arrays = {"a": LOGITS, "b": LOGITS[:, :7], "answer": TARGET, "other": TARGET[:5]}
    same(bvalign.analyze(arrays, scores="a", label="answer"), of_file("logits"))


def test_one_of_several_labels_is_analysed():
    several = np.stack([TARGET == 0, TARGET != 1, TARGET < 3], axis=-1).astype(int)
    found = bvalign.analyze({"probs": PROBS, "labels": several}, task="1")
    assert found.samples["label"].tolist() == several[:, 1].tolist()
    with pytest.raises(ValueError, match="^array: samples have several labels; .* --task"):
        bvalign.analyze(PROBS, several)


def test_without_labels():
    found = bvalign.analyze(list(LOGITS))
    assert "4 members on 30 samples without labels" in repr(found)
    same(bvalign.analyze({"logits": torch.from_numpy(LOGITS)}), found)
    assert found.plot().axes[0].get_ylabel().startswith("variance")


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("labels", [TARGET, None])
def test_the_report_is_that_of_the_command_line(bvalign, labels):
    from bvalign import analyze

    np.savez("p.npz", logits=LOGITS, **({} if labels is None else {"labels": labels}))
    bvalign("analyze", "p.npz", "--out", "theirs")
    result = analyze({"logits": LOGITS}, labels)
    assert result.report("ours/deep") == Path("ours/deep/report.html")
    files = {file.name for file in Path("ours/deep").iterdir()}
    assert files == {file.name for file in Path("theirs").iterdir()}
    assert Path("ours/deep/samples.csv").read_bytes() == Path("theirs/samples.csv").read_bytes()
    ours, theirs = (
        json.loads(Path(out, "summary.json").read_text()) for out in ("ours/deep", "theirs")
    )
    assert ours["provenance"]["source"] == ours["data"]["name"] == "dict"
    assert "4 members, 30 samples, 3 classes" in ours["provenance"]["read"]
    for summary in (ours, theirs):
        summary.pop("provenance"), summary["data"].pop("name")
    assert ours == theirs
    result.report("ours/deep", samples="parquet")
    assert [f.name for f in Path("ours/deep").glob("samples.*")] == ["samples.parquet"]
    with pytest.raises(ValueError, match="one of both, csv, parquet, none, got 'all'"):
        result.report("ours/deep", samples="all")


def test_the_plot_is_the_scatter_of_the_report():
    result = bvalign.analyze(LOGITS, TARGET)
    assert len(result.plot().axes) == 2
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert result.plot(ax=right) is figure
    assert "variance" in right.get_ylabel()
    assert not left.has_data()
    unlabelled = bvalign.analyze(LOGITS)
    assert unlabelled.plot(left) is figure
    assert left.has_data()
    with pytest.raises(ValueError, match=r"^one member has no variance; a plot needs two members"):
        bvalign.analyze(LOGITS[:1]).plot()


def test_notebooks_show_the_table_of_the_terminal():
    html = bvalign.analyze(LOGITS, TARGET)._repr_html_()
    assert html.startswith("<pre>")
    for words in ("4 members on 30 samples", "95% interval", "note: scores are read as logits"):
        assert words in html


def test_tables_take_all_columns():
    result = bvalign.analyze(LOGITS, TARGET)
    for frame in (pd.DataFrame(result.samples), pl.DataFrame(result.samples)):
        assert list(frame.columns) == list(result.columns())
        assert frame["variance"].to_list() == result["variance"].tolist()


def test_a_result_can_be_stored_and_keeps_no_logits():
    result = bvalign.analyze(LOGITS, TARGET)
    same(pickle.loads(pickle.dumps(result)), result)
    with pytest.raises(ValueError, match=r"^a result does not keep the logits"):
        result.predictions.read(0, 1)


def test_an_analysis_does_not_import_what_draws():
    code = (
        "import sys, numpy, bvalign\n"
        "bvalign.analyze(numpy.random.default_rng(0).normal(size=(2, 9, 3)), [0, 1, 2] * 3)\n"
        "print({'matplotlib', 'plotly', 'polars', 'lightning'} & set(sys.modules))"
    )
    assert run_process([sys.executable, "-c", code]).stdout == "set()\n"
