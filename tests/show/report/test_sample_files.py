"""samples.parquet: the values of samples.csv to the last digit, and which of both is written."""

import csv
import tracemalloc
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
import pytest
import torch
from pyarrow import parquet

from bvalign import write_report
from bvalign.analysis.decompositions import Column, Unit
from bvalign.commands import report
from bvalign.show.quantities import QUANTITIES
from bvalign.show.report import sample_files, samples_parquet, write
from bvalign.show.report.sample_files import CSV, PARQUET, write_samples
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, mixed_ensemble, predictions_of, save_npz
from tests.show.report.test_samples_csv import columns_of

NAMES = ["plain", 'with "quotes"', "a, comma", "β", "two\nlines", "#7", ""]
SELECT = "SELECT count(*), sum(bias_sq), bool_and(correct) FROM 'samples.parquet' WHERE index > 9"


def values_of_csv(path):
    """Columns of a CSV, those of floats as Python reads `repr`."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("number", [1, 7, 8, 9, 17])
def test_both_files_have_the_same_values(monkeypatch, number):
    monkeypatch.setattr(samples_parquet, "ROWS_PER_GROUP", 8)
    names = (NAMES * 3)[:number]
    columns = columns_of(number)
    for name in (CSV, PARQUET):
        write_samples(Path(name), columns, names)
    table, text = parquet.read_table(PARQUET), values_of_csv(Path(CSV))
    assert table.column_names == list(text)
    assert [str(field.type) for field in table.schema] == [
        "int64",
        "string",
        "bool",
        *["double"] * 2,
    ]
    assert table["sample"].to_pylist() == text["sample"] == names
    assert [str(int(value)) for value in table["correct"].to_pylist()] == text["correct"]
    assert [str(value) for value in table["index"].to_pylist()] == text["index"]
    for name in ("tiny", "odd"):
        found = table[name].to_numpy()
        assert found.tobytes() == columns[name].values.numpy().tobytes()
        np.testing.assert_array_equal(found, [float(cell) for cell in text[name]])
    groups = parquet.ParquetFile(PARQUET).metadata
    assert groups.num_row_groups == -(-number // 8)
    assert groups.row_group(0).column(0).statistics.max == min(number, 8) - 1


def test_fields_say_what_they_are():
    analysis = analysed(*mixed_ensemble(members=3, samples=30))
    write_samples(Path(PARQUET), analysis.columns())
    schema = parquet.read_schema(PARQUET)
    assert schema.names == list(analysis.columns())
    for name, column in analysis.columns().items():
        said = {key.decode(): text.decode() for key, text in schema.field(name).metadata.items()}
        assert said["unit"] == column.unit.name
        assert (said["title"], said["description"]) == QUANTITIES[name][:2]


def test_other_programs_read_it():
    analysis = analysed(*mixed_ensemble(members=3, samples=30))
    write_samples(Path(PARQUET), analysis.columns())
    later = analysis["index"] > 9
    expected = (later.sum(), analysis["bias_sq"][later].sum(), analysis["correct"][later].all())
    of_polars = (
        polars.scan_parquet(PARQUET)
        .filter(polars.col("index") > 9)
        .select(polars.len(), polars.sum("bias_sq"), polars.col("correct").all())
    )
    for found in (duckdb.sql(SELECT).fetchall()[0], of_polars.collect().row(0)):
        assert found == (expected[0], pytest.approx(expected[1], rel=1e-14), expected[2])
    frame = pandas.read_parquet(PARQUET)
    assert frame.dtypes.astype(str).to_list() == [str(v.dtype) for v in analysis.samples.values()]
    np.testing.assert_array_equal(frame["risk"], analysis["risk"])


def test_columns_are_not_copied():
    number = 2 * samples_parquet.ROWS_PER_GROUP
    mapped = np.memmap("values", dtype=np.float64, mode="w+", shape=(4, number))
    columns = {str(n): Column(torch.from_numpy(row), Unit("")) for n, row in enumerate(mapped)}
    columns["every second"] = Column(torch.arange(2 * number)[::2], Unit(""))  # a group at a time
    tracemalloc.start()
    write_samples(Path(PARQUET), columns)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * 8 * number
    assert parquet.read_table(PARQUET)["every second"][-1].as_py() == 2 * number - 2


def test_a_failed_write_leaves_the_file_of_before():
    Path(PARQUET).write_text("before")
    columns = columns_of(5) | {"short": Column(torch.zeros(4), Unit(""))}
    with pytest.raises(ValueError, match="same length"):
        write_samples(Path(PARQUET), columns)
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [(PARQUET, "before")]


@pytest.mark.usefixtures("without_figures")
def test_files_that_are_not_asked_for_are_removed(tmp_path, monkeypatch):
    linked = []
    monkeypatch.setattr(write, "page", lambda *_, files, **__: linked.append(files) or b"")
    logits, target = aligned_ensemble(members=4, samples=60)
    source, analysis = predictions_of(logits, target), analysed(logits, target)
    for kind, files in (*sample_files.KINDS.items(), (None, (CSV, PARQUET))):
        write_report(analysis, source, {"source": "test"}, tmp_path, samples=kind)
        assert {path.name for path in tmp_path.glob("samples.*")} == set(files)
        assert linked[-1] == ["summary.json", *files]


@pytest.mark.usefixtures("without_figures")
def test_many_samples_are_in_the_parquet_alone(bvalign, capsys, monkeypatch):
    for module in (sample_files, report):
        monkeypatch.setattr(module, "MOST_ROWS_OF_CSV", 59)
    save_npz(Path("p.npz"), *aligned_ensemble(members=4, samples=60))
    bvalign("analyze", "p.npz", "--out", "out")
    assert [path.name for path in Path("out").glob("samples.*")] == [PARQUET]
    (said,) = (
        line for line in capsys.readouterr().out.splitlines() if line.startswith("samples: ")
    )
    assert said == (
        "samples: out/samples.parquet; of more than 59 samples samples.csv is written on request: "
        "--samples both"
    )
