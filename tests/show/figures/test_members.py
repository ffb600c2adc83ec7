"""Figures of members, also where there is little to draw."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bvalign.analysis.calibration.disagreement import pair_disagreement
from bvalign.show.figures.members import (
    Interval,
    curves_band,
    disagreement_over_error,
    over_size,
    shown_pairs,
)
from bvalign.show.figures.plots import disagreement_plot
from bvalign.show.report.labelled import plot
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, random_ensemble


def drawn(figure):
    """Draws for real, as only then warnings of empty legends and broken limits come."""
    FigureCanvasAgg(figure).draw()
    return figure


@pytest.mark.parametrize("sizes", [[8], [8, 16, 32]])
def test_over_size_has_units_and_numbers_in_words(sizes):
    mean = np.linspace(0.3, 0.1, len(sizes))
    interval = Interval(mean, mean - 0.01, mean + 0.01)
    unknown = Interval(mean, np.full(len(sizes), np.nan), np.full(len(sizes), np.nan))
    values = {"risk": interval, "bias_sq": interval, "variance": unknown, "error": interval}
    figure = drawn(over_size(sizes, values, size_name="width"))
    left, right = figure.axes
    assert "squared probability" in left.get_ylabel()
    assert "fraction of samples" in right.get_ylabel()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["risk", "squared bias", "variance", "error rate"]
    assert [text.get_text() for text in left.get_xticklabels()] == [str(size) for size in sizes]
    only = over_size(sizes, {"risk": interval}, size_name="width")
    assert len(drawn(only).axes) == 1


def test_disagreement_counts_pairs_by_hand():
    votes = torch.tensor([[0, 1, 2], [0, 1, 1], [1, 2, 0]])
    expected = [[0, 1, 3], [1, 0, 3], [3, 3, 0]]
    assert pair_disagreement(votes, 3).tolist() == expected


def test_disagreement_over_error_shows_every_pair():
    logits, target = random_ensemble(members=5, samples=40)
    found = analysed(logits, target)
    error = 1 - found.member_accuracy.numpy()
    figure = disagreement_over_error(found.pair_disagreement.numpy(), error)
    points = drawn(figure).axes[0].collections[0].get_offsets()
    assert points.shape == (10, 2)
    np.testing.assert_allclose(
        points[0], [(error[0] + error[1]) / 2, found.pair_disagreement[0, 1]]
    )
    # the mean of the pairs is what the equality of hard votes compares
    hard = found.calibration.hard_equality
    np.testing.assert_allclose(
        points.mean(axis=0), [hard[name].value for name in ("error", "disagreement")]
    )


def test_disagreement_of_many_pairs_draws_a_part_and_says_so():
    first, second = shown_pairs(200)
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 10_000
    figure = disagreement_over_error(np.full((200, 200), 0.1), np.linspace(0.1, 0.2, 200))
    assert len(figure.axes[0].collections[0].get_offsets()) == 10_000
    logits = torch.randn(150, 6, 3)
    plot = disagreement_plot(analysed(logits, torch.zeros(6, dtype=torch.int64)))
    assert "11,175 pairs, of which 10,000 drawn at random are shown" in plot.caption


def test_a_busy_machine_draws_without_a_warning(monkeypatch):
    """Looking for room for a legend takes longer than the second that matplotlib allows."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr("matplotlib.legend.time.perf_counter", lambda: next(clock))
    for found in plot(analysed(*aligned_ensemble(members=6, samples=100))).values():
        drawn(found.draw())


@pytest.mark.parametrize("right", [True, False], ids=["all correct", "all wrong"])
@pytest.mark.parametrize("members", [2, 3])
def test_degenerate_ensembles_are_drawn(right, members):
    """Members that agree with one another on everything have no disagreement and no variance."""
    target = torch.zeros(6, dtype=torch.int64)
    logits = torch.zeros(members, 6, 3)
    logits[:, :, 0 if right else 1] = 5
    drawn(disagreement_plot(analysed(logits, target)).draw())


@pytest.mark.parametrize("epochs", [1, 4])
def test_curves_skip_epochs_without_a_measurement(epochs):
    loss = np.random.default_rng(0).random((3, epochs))
    accuracy = np.where(np.arange(epochs) % 2, np.nan, loss)
    values = {"train_loss": loss, "val_accuracy": accuracy}
    figure = drawn(curves_band(np.arange(1, epochs + 1), values))
    left, right = figure.axes
    assert left.get_ylabel() == "training loss\n(nats)"
    assert len(right.lines[0].get_xdata()) == (epochs + 1) // 2
    assert "80% of 3 members" in [text.get_text() for text in figure.legends[0].get_texts()]
