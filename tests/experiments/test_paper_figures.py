"""The figures for papers: of results that there are, in one style, with their numbers."""

import csv
import json
import sys

import numpy as np
import pytest
from matplotlib.text import Text

from bvalign.show.figures import styled
from tests import ROOT

EXPERIMENTS = ROOT / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "lab"))

import paper_figures  # noqa: E402
from paper_panels import MECHANISM  # noqa: E402


def number(value, **more):
    return {"value": value, "interval": [value - 0.1, value + 0.1]} | more


def ensemble(slope, **more):
    parts = dict(zip(MECHANISM, (slope + 0.1, -0.1, 0.02, -0.02, 0.05), strict=True))
    return {
        "slope.logit_slope": number(slope, **more),
        "offset.logit_slope": number(-1.0, **more),
        "slope.ols": number(slope + 0.05, over="samples"),
    } | {f"budget.slope.{part}": number(value) for part, value in parts.items()}


def store(folder, study, **results):
    (folder / "studies" / study).mkdir(parents=True)
    content = {"runs": {}, "numbers": {}, "curves": {}} | results
    (folder / "studies" / study / "results-small.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Results of all figures: two ensembles, one of them flagged, and three shared starts."""
    ensembles = {"digits": ensemble(1.0), "mnli-bert": ensemble(1.3, flags=["rare"])}
    store(tmp_path, "alignment", numbers=ensembles)
    store(tmp_path, "mechanism", numbers=ensembles)
    offsets = {f"digits-forked-{n}": number(-n / 10) for n in (10, 0, 20)}
    offsets |= {"digits-warm": number(-1.0), "others-mnli-bert": number(-1.7)}
    store(
        tmp_path,
        "shared_start",
        runs={name: {"identity": {"trainer.max_epochs": 20}} for name in offsets},
        numbers={name: {"offset.logit_slope": offset} for name, offset in offsets.items()},
    )
    points = [{"x": m, "y": 1 + 1 / m, "error": 0.01, "draws": 2} for m in (4, 8, 16)]
    curves = {f"digits-members: {name} slope": points for name in ("ols", "logit_slope")}
    store(tmp_path, "sensitivity", curves=curves)
    monkeypatch.setattr(paper_figures, "SCATTERS", ("one",))
    rng = np.random.default_rng(0)
    target = rng.integers(0, 4, 200)
    margins = rng.uniform(1, 9, 200)[:, None] * np.eye(4)[target]
    (tmp_path / "ensembles/one").mkdir(parents=True)
    np.save(tmp_path / "ensembles/one/labels.npy", target)
    for member in range(8):
        logits = margins + rng.normal(size=margins.shape)
        np.save(tmp_path / f"ensembles/one/{member}.npy", logits)
    return tmp_path


def test_every_figure_is_one_for_a_paper(folder):
    found = {name: make() for name, make in paper_figures.plots(folder).items()}
    assert list(found) == ["alignment", "slopes", "mechanism", "sharing"]
    for plot in found.values():
        with styled("iclr"):
            figure = plot.draw()
        assert figure.get_figwidth() == pytest.approx(5.5)
        assert figure.get_suptitle() == ""
        texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
        assert min(text.get_fontsize() for text in texts) >= 7
    drawn = found["alignment"]
    assert f"one: slope {drawn.numbers['slope'][0]:.3f} (" in drawn.caption
    assert "2 ensembles" in found["slopes"].caption
    assert "1 of the 1 slopes to be quoted" in found["slopes"].caption
    assert "base: 1.10 to 1.40; growth: -0.10 to -0.10" in found["mechanism"].caption
    assert (
        "digits-forked: 0.00 [-0.10, 0.10] without sharing, -2.00 [-2.10, -1.90] where members "
        "share 100% of the epochs. Grey: ten BERTs fine-tuned by other people, -1.70 [-1.80, -1.6"
    ) in found["sharing"].caption
    assert "digits-members, population: 1.250 at M = 4, 1.062 at M = 16" in found["sharing"].caption


def test_what_is_not_measured_is_not_drawn(folder, monkeypatch, capsys):
    for study in ("alignment", "mechanism", "shared_start"):
        (folder / "studies" / study / "results-small.json").unlink()
    monkeypatch.setattr(paper_figures, "SCATTERS", ("one", "two"))
    monkeypatch.setattr(sys, "argv", ["paper_figures.py", "--folder", str(folder)])
    paper_figures.main()
    said = capsys.readouterr().err
    for name in ("alignment", "slopes", "mechanism", "sharing"):
        assert f"{name}: not measured yet, not drawn" in said
    assert not (folder / "figures").exists()


def test_a_figure_has_its_files(folder, monkeypatch, capsys):
    words = ["paper_figures.py", "--folder", str(folder), "--only", "slopes"]
    monkeypatch.setattr(sys, "argv", words)
    paper_figures.main()
    assert capsys.readouterr().out.splitlines() == [
        str(folder / f"figures/slopes.{suffix}") for suffix in ("pdf", "png")
    ]
    with (folder / "figures/slopes.csv").open() as file:
        first, *_ = csv.DictReader(file)
    assert first == {
        **{"ensemble": "digits", "number": "slope.logit_slope", "value": "1"},
        **{"low": "0.9", "high": "1.1", "flagged": "0"},
    }


def test_captions_of_the_committed_figures_are_those_of_the_results():
    for name, make in paper_figures.plots(EXPERIMENTS).items():
        if name != "alignment":  # of which the logits would be analysed
            caption = (EXPERIMENTS / f"figures/{name}.txt").read_text()
            assert caption == make().caption + "\n", f"run paper_figures.py --only {name}"
