"""`bvalign figures`: files of figures, captions, numbers and tables."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from bvalign import analyze
from bvalign.analysis.intervals import Estimate
from bvalign.decisions import Chart, Curve
from bvalign.show.figures import Panel, Plot, alignment_scatter
from bvalign.show.figures.charts import chart
from bvalign.show.figures.points import MOST_VECTORS
from bvalign.show.report import figure_files
from bvalign.show.report.figure_files import write_figures
from bvalign.show.report.main_numbers import MainNumber, as_csv, as_tex
from bvalign.show.rounding import rounded
from tests.ensembles import aligned_ensemble, save_npz


def rows_of(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def saved():
    logits, target = aligned_ensemble(members=6, samples=60)
    save_npz(Path("p.npz"), logits.float(), target)


def test_the_command_writes_chosen_figures_with_captions_numbers_and_tables(bvalign, saved, capsys):
    bvalign(
        "figures", "p.npz", "--only", "alignment_log,rel", "--out", "out", "--format", "pdf,svg"
    )
    assert {path.name for path in Path("out").iterdir()} == {
        *(f"alignment_log.{suffix}" for suffix in ("pdf", "svg", "txt", "csv")),
        *(f"reliability.{suffix}" for suffix in ("pdf", "svg", "txt", "csv")),
        "table.tex",
        "main_numbers.csv",
    }
    assert "alignment_log.pdf" in capsys.readouterr().out
    result = analyze("p.npz")
    rows = rows_of("out/alignment_log.csv")
    assert [int(row["correct"]) for row in rows] == result["correct"].tolist()
    for name in ("bias_sq", "variance_unbiased"):
        np.testing.assert_allclose([float(row[name]) for row in rows], result[name], rtol=1e-9)
    assert Path("out/alignment_log.txt").read_text().endswith("M = 6 members.\n")
    numbers = {row["key"]: row for row in rows_of("out/main_numbers.csv")}
    assert numbers["accuracy"]["quantity"] == "accuracy of the ensemble"
    assert float(numbers["risk"]["value"]) == pytest.approx(result.means["risk"].value, rel=0.1)
    pdf = Path("out/alignment_log.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert b"/Subtype /Image" not in pdf


def test_a_figure_that_there_is_not_is_one_line_with_those_that_there_are(bvalign, saved):
    with pytest.raises(SystemExit, match="no figure ratios of these .* ratio, disagreement"):
        bvalign("figures", "p.npz", "--only", "ratios")
    assert not Path("figures").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--width", "1"], "1 inches; a figure is 2 to 60 inches wide"),
        (["--format", "jpg"], "jpg is none of pdf, png, svg"),
        (["--style", "arxiv"], "invalid choice: 'arxiv'"),
        (["--pdf"], "unrecognized arguments: --pdf"),
    ],
)
def test_wrong_options_are_one_line(bvalign, capsys, options, said):
    with pytest.raises(SystemExit):
        bvalign("figures", "p.npz", *options)
    assert said in capsys.readouterr().err


def test_several_reports_give_the_figures_of_their_comparison(bvalign, saved, without_figures):
    for name in ("one", "two"):
        bvalign("analyze", "p.npz", "--out", name)
    bvalign("figures", "one", "two", "--only", "slopes", "--format", "png")
    assert {path.name for path in Path("figures").iterdir()} == {
        "slopes.png", "slopes.csv", "slopes.txt"
    }  # fmt: skip
    assert {row["run"] for row in rows_of("figures/slopes.csv")} == {"one", "two"}


def test_pdfs_of_the_same_numbers_are_the_same_with_a_picture_of_many_points(tmp_path):
    panel = Panel("plug-in", *np.random.default_rng(0).uniform(size=(2, MOST_VECTORS + 1)))
    right = np.full(MOST_VECTORS + 1, True)
    plot = Plot(lambda: alignment_scatter([panel], right, num_members=4, num_classes=5), "", "", {})
    for name in ("a", "b"):
        write_figures({"cloud": plot}, tmp_path / name, width=3.25)
    pdf = (tmp_path / "a" / "cloud.pdf").read_bytes()
    assert pdf == (tmp_path / "b" / "cloud.pdf").read_bytes()
    assert b"/Subtype /Image" in pdf
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf).group(1))
    assert width == pytest.approx(72 * 3.25)


def test_texts_are_escaped_where_tex_sets_them(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "matplotlibrc").write_text("text.usetex: True\n")
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "home" / "matplotlibrc"))
    curve = Curve("95% of all", (0.1, 0.2), (0, 1), style="points")
    data = Chart((curve,), "error_rate", "", ticks=("class_1", "R&D"))
    plot = Plot(lambda: chart(data), "", "", {})
    monkeypatch.setattr(figure_files.shutil, "which", lambda _: None)
    with pytest.raises(ValueError, match="text.usetex of your matplotlibrc needs LaTeX"):
        write_figures({"a": plot}, tmp_path)
    drawn = []
    monkeypatch.setattr(figure_files.shutil, "which", lambda _: "/bin/latex")
    monkeypatch.setattr(figure_files, "_saved", lambda figure, _: drawn.append(figure) or b"")
    write_figures({"a": plot}, tmp_path)
    (axes,) = drawn[0].axes
    assert axes.get_xlabel() == r"error\_rate"
    assert axes.yaxis.get_major_formatter().format_ticks([0, 1]) == [r"class\_1", r"R\&D"]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == [r"95\% of all"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (Estimate(0.98712, (0.96233, 1.0114)), ["0.987", "0.962", "1.011"]),
        (Estimate(12345.6, (11345.6, 13345.6)), ["12300", "11300", "13300"]),
        (Estimate(3.21e-9, (3.11e-9, 3.31e-9)), ["3.21e-09", "3.11e-09", "3.31e-09"]),
        (Estimate(0.5, None, (0.4, 0.6)), ["0.50", "0.40", "0.60"]),
        (Estimate(0.123456), ["0.1235"]),
        (Estimate(1.0, (1.0, 1.0)), ["1", "1", "1"]),
        (Estimate(2.0, (0.5, float("inf"))), ["2", "0.5", "inf"]),
        (Estimate(2.0, (0.5, 1e304)), ["2", "0.5", "1e+304"]),
        (Estimate(None, reason="few"), []),
    ],
)
def test_numbers_are_rounded_to_what_their_interval_supports(number, expected):
    assert rounded(number) == expected


def test_tables_say_what_their_intervals_are_over_and_escape_for_tex():
    rows = [
        MainNumber("accuracy", Estimate(0.912, (0.9, 0.924))),
        MainNumber("slope", Estimate(-0.5, None, (-0.6, -0.4)), "do not quote: heavy_tails & 5%"),
    ]
    tex = as_tex(rows, {"N": 1200, "M": 8})
    assert tex.splitlines()[0] == "% N = 1,200, M = 8"
    assert r"Accuracy of the ensemble & $0.912$ & $0.900$ to $0.924$ \\" in tex
    assert r"Population slope$^a$$^b$ & $-0.50$ & $-0.60$ to $-0.40$ \\" in tex
    assert r"$^a$ do not quote: heavy\_tails \& 5\%" in tex
    assert r"$^b$ samples alone" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 1
    for line in tex.splitlines()[4:]:
        if line.endswith(r"\\") and "multicolumn" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == 2
    found = list(csv.DictReader(as_csv(rows).splitlines()))
    assert [row["over"] for row in found] == ["samples and members", "samples alone"]
    assert (found[1]["value"], found[1]["low"]) == ("-0.50", "-0.60")
