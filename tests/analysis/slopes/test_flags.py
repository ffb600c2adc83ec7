"""Each reason not to quote the slope, at its threshold and beside it."""

import math

import numpy as np
import pytest

from bvalign.analysis.slopes.flags import (
    FLAGS,
    LEAST_KURTOSIS,
    LEAST_RELIABILITY,
    MOST_KURTOSIS,
    MOST_SHIFT,
    MOST_SKEWNESS,
    MOST_UNSEEN,
    Evidence,
    flags_of,
)
from bvalign.analysis.slopes.noise_pooling import ShapeChange
from bvalign.analysis.slopes.noise_shape import KStatistics, PooledShape
from bvalign.analysis.slopes.wrong_logits import Skewness

CALM = Evidence(
    half_widths=(0.1, 0.3),
    tail_shifts=(0.0, 0.0),
    change=None,
    unseen=0.0,
    reliability=1.0,
    skewness=Skewness(0.0, 0.01),
    saturated=0,
    samples=100,
)


def change(kurtosis, kurtosis_error):
    """A change of shape of which only the kurtosis is looked at."""
    ones, none = np.ones(20), np.zeros((3, 1, 2))
    shape = PooledShape(np.arange(20.0), KStatistics(ones, ones, ones, ones))
    return ShapeChange(
        shape,
        np.arange(4.0),
        np.zeros((4, 2)),
        none,
        np.zeros((3, 2, 20)),
        kurtosis,
        kurtosis_error,
    )


def test_calm_evidence_has_no_flags_and_every_flag_has_a_sentence():
    assert flags_of(CALM) == ()
    assert all(len(sentence.split()) > 8 for sentence in FLAGS.values())


@pytest.mark.parametrize(
    ("name", "field", "beside", "beyond"),
    [
        ("unseen_members", "unseen", MOST_UNSEEN, MOST_UNSEEN + 1e-9),
        ("alike_margins", "reliability", LEAST_RELIABILITY, LEAST_RELIABILITY - 1e-9),
        ("alike_margins", "reliability", LEAST_RELIABILITY, -3.0),
        ("saturated", "saturated", 5, 6),  # of 105 and 106 correct samples
        (
            "asymmetric_logits",
            "skewness",
            Skewness(MOST_SKEWNESS + 0.019, 0.01),
            Skewness(MOST_SKEWNESS + 0.021, 0.01),
        ),
        (
            "asymmetric_logits",
            "skewness",
            Skewness(math.nan, math.nan),
            Skewness(-MOST_SKEWNESS - 0.021, 0.01),
        ),
    ],
)
def test_a_flag_begins_beyond_its_threshold(name, field, beside, beyond):
    assert flags_of(CALM._replace(**{field: beside})) == ()
    assert flags_of(CALM._replace(**{field: beyond})) == (name,)


@pytest.mark.parametrize("place", [0, 1])
def test_tails_are_flagged_where_they_are_heavier_and_matter(place):
    shifts = [0.0, 0.0]
    shifts[place] = -(MOST_SHIFT + 0.01) * CALM.half_widths[place]
    moved = CALM._replace(tail_shifts=tuple(shifts))
    assert flags_of(moved) == ()  # a Gaussian shape is assumed
    assert flags_of(moved._replace(change=change(0.5, 0.2))) == ("tail_dependent",)
    assert flags_of(moved._replace(change=change(0.5, 0.3))) == ()  # not beyond doubt
    shifts[place] /= 2
    no_matter = moved._replace(tail_shifts=tuple(shifts), change=change(0.5, 0.2))
    assert flags_of(no_matter) == ()


def test_unknown_and_very_heavy_tails_are_flagged():
    unknown = CALM._replace(tail_shifts=(math.nan, 0.0), change=change(0.0, 1.0))
    assert flags_of(unknown) == ("tails_unknown",)
    heavy = CALM._replace(change=change(MOST_KURTOSIS + 0.1, 0.1))
    assert flags_of(heavy) == ("heavy_tails",)


def test_tails_that_are_surely_much_lighter_than_normal_are_flagged():
    beside, beyond = (CALM._replace(change=change(LEAST_KURTOSIS - d, 0.1)) for d in (0.19, 0.21))
    assert flags_of(beside) == ()
    assert flags_of(beyond) == ("light_tails",)


def test_flags_come_in_the_order_of_their_table():
    several = CALM._replace(
        unseen=1.0,
        reliability=0.0,
        saturated=100,
        skewness=Skewness(1.0, 0.1),
        change=change(9.0, 0.1),
        tail_shifts=(1.0, 1.0),
    )
    assert list(flags_of(several)) == [
        name for name in FLAGS if name not in ("tails_unknown", "light_tails")
    ]
