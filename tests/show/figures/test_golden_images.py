"""Figures as they were looked at, in print.

`pytest FILE --mpl-generate-path=$PWD/tests/show/figures/baseline` remakes them; look again.
"""

import numpy as np
import pytest

from bvalign import analyze
from bvalign.analysis.intervals import Estimate
from bvalign.show.figures import Panel, styled
from bvalign.show.figures.lines import summary_lines
from bvalign.show.figures.plots import scatters_plot, slopes_of_runs_plot, unlabelled_plots
from bvalign.show.figures.runs import RunScatter, RunSlopes
from bvalign.show.report.decide import charts
from bvalign.show.report.labelled import plot
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, predictions_of

LABELLED = (
    *("alignment_log", "alignment_linear", "slope_over_members", "ratio", "disagreement"),
    *("collapse", "reliability", "decide_members", "decide_systematic"),
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("golden images")]


def compared(test):
    """Drawn in print at 70 dots per inch, which shows what moves and takes few bytes."""
    look = {"style": "default", "savefig_kwargs": {"dpi": 70}, "tolerance": 5}
    return pytest.mark.mpl_image_compare(baseline_dir="baseline", **look)(test)


@pytest.fixture(scope="module")
def plots():
    logits, target = aligned_ensemble(members=12, samples=300, sigma=3.0)
    target[:25] = (target[:25] + 1) % 5
    found = analyze(predictions_of(logits, target, index=np.arange(300)))
    return plot(found) | charts(found.decisions, 300, 12)


@pytest.fixture(scope="module")
def unlabelled():
    return unlabelled_plots(analysed(aligned_ensemble(members=12, samples=300, sigma=3.0)[0], None))


def in_print(found, width=5.5):
    with styled("iclr", width):
        return found.draw()


@compared
@pytest.mark.parametrize("name", LABELLED)
def test_labelled(plots, name):
    return in_print(plots[name])


@compared
@pytest.mark.parametrize("name", ["variance", "disagreement"])
def test_unlabelled(unlabelled, name):
    return in_print(unlabelled[name])


def ten_runs():
    rng = np.random.default_rng(0)
    names = [f"arch=resnet, width={2**i}" for i in range(4, 9)] + [f"mlp {i}" for i in range(5)]
    fit = {"slope": {"value": 0.9, "interval": [0.8, 1.0]}, "intercept": -1.0}
    lines = summary_lines({"alignment": {"ols": fit}}, ("ols",))
    for name in names:
        x = 10 ** rng.uniform(-8, 0, size=150)
        y = np.minimum(x**0.9 * np.exp(rng.normal(-1, 1, size=150)), 3 * x)
        yield name, RunScatter(Panel("plug-in", x, y, lines), x < 0.3, 8, 10)


@compared
def test_scatters_of_runs():
    return in_print(scatters_plot(dict(ten_runs())))


@compared
def test_slopes_of_runs():
    runs = {
        name: RunSlopes(
            Estimate(0.8 + i / 40, (0.7 + i / 40, 0.9 + i / 40)),
            Estimate(-1 + i / 10, (-1.3 + i / 10, -0.8 + i / 10)),
            Estimate(0.9, None, (0.85, 0.95)),
            flagged=i == 3,
        )
        for i, (name, _) in enumerate(ten_runs())
    }
    return in_print(slopes_of_runs_plot(runs))
