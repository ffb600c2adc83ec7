"""Figures with what stands beside them: captions, alternative texts, numbers, and their look."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from bvalign import analyze
from bvalign.analysis.slopes import FLAGS
from bvalign.commands.arguments import VENUES
from bvalign.show.figures import STYLES, Panel, styled
from bvalign.show.figures.plots import alignment_plots, unlabelled_plots
from bvalign.show.figures.plots.words import warning
from bvalign.show.figures.points import MOST_VECTORS
from bvalign.show.figures.scatter import alignment_scatter
from bvalign.show.figures.style import PAGE
from bvalign.show.report.decide import charts
from bvalign.show.report.labelled import plot
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, predictions_of, random_ensemble


@pytest.fixture(scope="module")
def plots():
    """Every figure of labelled and unlabelled predictions, by name."""
    logits, target = aligned_ensemble(members=8, samples=200)
    found = analyze(predictions_of(logits, target, index=np.arange(200)))
    unlabelled = unlabelled_plots(analysed(logits, None))
    named = {f"{name} without labels": plot for name, plot in unlabelled.items()}
    return plot(found) | charts(found.decisions, 200, 8) | named


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def test_every_figure_is_described_and_has_its_numbers(plots):
    assert {"alignment_log", "collapse", "decide_members", "variance without labels"} <= set(plots)
    for name, found in plots.items():
        assert "N = 200" in found.caption, name
        assert "M = 8 members." in found.caption, name
        assert 40 < len(found.alt) < 900, name
        assert len({len(column) for column in found.numbers.values()}) == 1, name
        for text in (found.caption, found.alt):
            assert "bias_sq" not in text, name
            assert "  " not in text, name
            assert "nan" not in text.split(), name


def test_captions_have_the_numbers_with_their_intervals(plots):
    logits, target = aligned_ensemble(members=8, samples=200)
    slope = analysed(logits, target).alignment.ols["slope"]
    low, high = slope.interval
    decimals = 1 - int(np.floor(np.log10((high - low) / 2)))
    value, *ends = (f"{number:.{decimals}f}" for number in (slope.value, low, high))
    said = f"of the correct samples, has slope {value} (95% CI {ends[0]} to {ends[1]})"
    assert said in plots["alignment_log"].caption


def test_captions_count_what_is_off_the_axes_and_left_out():
    logits, target = random_ensemble(members=4, samples=60, classes=3, scale=2.0)
    logits[:, :5] = 0.0
    logits[:, :5, 0], target[:5] = 400.0, 0  # right with certainty: no logarithm
    found = alignment_plots(analysed(logits, target))["alignment_log"].caption
    assert "5 samples are off the axes of (a)" in found
    assert "Left out of the line of these members: 5 samples" in found
    assert FLAGS["saturated"] in warning(["saturated"])


def check_looks(plots, style, width):
    """No type below 7 points, nothing cut off, no title, legends outside the data."""
    for name, found in plots.items():
        with styled(style, width):
            figure = drawn(found.draw())
            renderer = figure.canvas.get_renderer()
            (left, bottom), (right, top) = figure.get_tightbbox(renderer).get_points()
            boxes = [legend.get_window_extent(renderer) for legend in figure.legends]
        texts = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
        assert min(text.get_fontsize() for text in texts) >= 7, (name, style)
        assert min(left, bottom) >= -0.01, (name, style, width)
        assert right <= figure.get_figwidth() + 0.01, (name, style, width)
        assert top <= figure.get_figheight() + 0.01, (name, style, width)
        assert figure.get_suptitle() == ""
        assert {axes.get_title() for axes in figure.axes} == {""}
        for box in boxes:
            assert not any(box.overlaps(axes.bbox) for axes in figure.axes), (name, style)


def test_figures_are_legible_at_the_width_of_a_paper(plots):
    names = ("alignment_log", "slope_over_members", "ratio", "decide_systematic")
    check_looks({name: plots[name] for name in names}, "iclr", 5.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("style", "width"),
    [
        ("iclr", 5.5),
        ("icml", 3.25),
        ("nature", 3.5),
        ("nature", None),
        ("poster", None),
        (PAGE, 4.4),
    ],
)
def test_every_figure_is_legible_in_every_style(plots, style, width):
    check_looks(plots, style, width)


def test_styles_are_those_that_the_command_offers():
    assert set(VENUES) == set(STYLES) - {PAGE}
    assert all(style.small >= 7 and style.labels >= 7 for style in STYLES.values())


def test_a_matplotlibrc_of_the_user_wins_over_the_style(tmp_path, monkeypatch):
    import matplotlib as mpl

    path = tmp_path / "home" / "matplotlibrc"
    path.parent.mkdir()
    path.write_text("font.family: DejaVu Serif\nxtick.labelsize: 9.5\nfigure.figsize: 1, 4\n")
    monkeypatch.setenv("MATPLOTLIBRC", str(path))
    mpl.use("agg")
    before = mpl.rcParams.copy()
    with styled("iclr", 3.0):
        assert mpl.rcParams["font.family"] == ["DejaVu Serif"]
        assert mpl.rcParams["xtick.labelsize"] == 9.5
        assert mpl.rcParams["ytick.labelsize"] == STYLES["iclr"].small
        assert mpl.rcParams["figure.figsize"][0] == 3.0
    assert mpl.rcParams == before
    monkeypatch.delenv("MATPLOTLIBRC")
    with styled("iclr"):
        assert mpl.rcParams["font.family"][0] == "STIXGeneral"


@pytest.mark.parametrize("more", [0, 1])
def test_clouds_are_vectors_up_to_the_stated_number(more):
    x = np.geomspace(1e-6, 1e-2, MOST_VECTORS + more)
    right = np.full(len(x), True)
    figure = alignment_scatter([Panel("plug-in", x, x)], right, num_members=8, num_classes=3)
    cloud = figure.axes[0].collections[0]
    assert len(cloud.get_offsets()) == len(x)
    assert bool(cloud.get_rasterized()) == bool(more)
    assert f"correct ({len(x):,})" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_lines_stay_where_samples_are_and_ensembles_can_be():
    from bvalign.show.figures.lines import Line
    from bvalign.show.figures.scatter import feasible_variance

    x = np.geomspace(1e-4, 1.0, 50)
    line = Line("ols", 1.0, 1.0)  # e times the squared bias, too much near one
    panel = Panel("plug-in", x, x / 2, [line])
    axes = alignment_scatter([panel], np.full(50, True), num_members=8, num_classes=3).axes[0]
    (found,) = (part for part in axes.lines if part.get_label().startswith("these members"))
    at, y = found.get_data()
    seen = np.isfinite(y)
    assert at[seen].min() >= x.min() * (1 - 1e-9)
    assert at[seen].max() < x.max()
    assert (y[seen] <= feasible_variance(at[seen], 8, 3)).all()
    assert found.zorder > max(cloud.zorder for cloud in axes.collections[:2])
