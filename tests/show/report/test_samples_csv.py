"""samples.csv: every digit, in chunks, completely or not at all."""

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import Column, Unit
from bvalign.show.report import samples_csv
from bvalign.show.report.samples_csv import write_csv
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble


def columns_of(number):
    rng = np.random.default_rng(0)
    values = {
        "index": torch.arange(number),
        "correct": torch.from_numpy(rng.random(number) < 0.5),
        "tiny": torch.from_numpy(rng.random(number) * 10.0 ** rng.uniform(-300, 0, number)),
        "odd": torch.tensor([0.1, torch.nan, torch.inf, -torch.inf, 0.0]).double().repeat(number),
    }
    values["odd"] = values["odd"][:number]
    return {name: Column(column, Unit("")) for name, column in values.items()}


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("number", [1, 7, 8, 9])
def test_chunks_join_without_a_seam(monkeypatch, number):
    monkeypatch.setattr(samples_csv, "CHUNK", 4)
    columns = columns_of(number)
    write_csv(Path("samples.csv"), columns)
    rows = read(Path("samples.csv"))
    assert list(rows[0]) == list(columns)
    assert [row["index"] for row in rows] == [str(n) for n in range(number)]
    assert {row["correct"] for row in rows} <= {"0", "1"}
    for name in ("tiny", "odd"):
        found = np.array([float(row[name]) for row in rows])
        np.testing.assert_array_equal(found, columns[name].values.numpy())  # to the last digit


def test_names_of_samples_follow_the_index():
    names = ["plain", 'with "quotes"', "a, comma", "#7", "two\nlines"]
    write_csv(Path("samples.csv"), columns_of(5), names)
    rows = read(Path("samples.csv"))
    assert list(rows[0])[:3] == ["index", "sample", "correct"]
    assert [row["sample"] for row in rows] == names


def test_columns_of_other_lengths_are_a_bug():
    columns = columns_of(5) | {"short": Column(torch.zeros(4), Unit(""))}
    with pytest.raises(ValueError, match="shorter"):
        write_csv(Path("samples.csv"), columns)
    assert list(Path().iterdir()) == []


def test_memory_does_not_grow_with_the_samples():
    columns = columns_of(100_000)
    tracemalloc.start()
    write_csv(Path("samples.csv"), columns)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < Path("samples.csv").stat().st_size / 2 < 4e6


def test_a_killed_report_leaves_the_file_of_before(monkeypatch):
    Path("samples.csv").write_text("before")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_csv(Path("samples.csv"), columns_of(5))
    assert Path("samples.csv").read_text() == "before"
    assert [path.name for path in Path().iterdir()] == ["samples.csv"]


@pytest.mark.parametrize("members", [1, 2, 3])
def test_every_sample_has_an_influence(members):
    analysis = analysed(*aligned_ensemble(members=members, samples=40))
    for name in ("slope_influence", "offset_influence"):
        assert analysis[name].shape == (40,)
        assert (analysis[name] == 0).all() == (members < 3)


def test_influences_are_a_part_of_the_variance_over_samples():
    """The rest is that of the shape of the noise."""
    analysis = analysed(*aligned_ensemble(members=10, samples=300))
    found = analysis.alignment.logit_slope
    for name in ("slope", "offset"):
        squares = np.square(analysis[f"{name}_influence"]).sum()
        number = getattr(found, name)
        assert 0 < squares / found.samples**2 < number.variances.samples
