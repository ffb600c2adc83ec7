"""Curves over the number of members: disjoint smaller ensembles of the same members."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import decompose, moments, softmax
from bvalign.analysis.groups import member_groups
from tests import reference
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, mixed_ensemble

MEMBERS, SAMPLES = 20, 90


@pytest.fixture(scope="module")
def found():
    logits, target = mixed_ensemble(members=MEMBERS, samples=SAMPLES)
    return logits, target, analysed(logits, target, size=40).alignment


def rows_of(alignment, estimator, number):
    return [
        row for row in alignment.curve if (row["estimator"], row["number"]) == (estimator, number)
    ]


def ensembles():
    """Members of each smaller ensemble, by number of groups."""
    groups = member_groups(MEMBERS)
    for union in groups.smaller:
        rows = torch.nonzero(union).flatten().tolist()
        yield len(rows), [m for row in rows for m in groups.members[row]]


def test_rows_are_means_and_spreads_over_the_smaller_ensembles(found):
    logits, target, alignment = found
    by_size = {}
    for size, who in ensembles():
        values = reference.bias_variance(logits[who].numpy(), target.numpy())
        right = (softmax(logits[who]).mean(dim=0).argmax(dim=-1) == target).numpy()
        if len(who) > 1:
            keep = right & (values["variance"] > 0)
            line = reference.line(*(np.log(values[k][keep]) for k in ("bias_sq", "variance")))
        else:
            line = (np.nan,) * 3
        row = [values["bias_sq"].mean(), values["variance"].mean(), 1 - right.mean()]
        by_size.setdefault(size, []).append([*row, line[0], line[2], len(who)])
    for place, (estimator, number) in enumerate(
        [("mean", "bias_sq"), ("mean", "variance"), ("mean", "error"), ("ols", "slope"),
         ("ols", "r_squared")]
    ):  # fmt: skip
        rows = rows_of(alignment, estimator, number)
        assert len(rows) == len(by_size) + 1
        for row, (_, values) in zip(rows, sorted(by_size.items()), strict=False):
            values = np.array(values)
            kept = values[np.isfinite(values[:, place])]
            assert row["members"] == round(kept[:, 5].mean())
            assert row["draws"] == len(kept)
            assert row["mean"] == pytest.approx(kept[:, place].mean(), rel=1e-7)
            if len(kept) > 1:
                assert row["spread"] == pytest.approx(kept[:, place].std(ddof=1), rel=1e-7)


def test_curves_end_in_the_numbers_of_all_members(found):
    logits, target, alignment = found
    d = decompose(moments(logits, target), target)
    for estimator, number, value in (
        ("mean", "bias_sq", float(d.bias_sq.mean())),
        ("mean", "variance", float(d.variance.mean())),
        ("mean", "error", 1 - float(d.correct.double().mean())),
        ("ols", "slope", alignment.ols["slope"].value),
        ("ols", "r_squared", alignment.ols["r_squared"].value),
        ("logit_slope", "slope", alignment.logit_slope.slope.value),
        ("logit_slope", "offset", alignment.logit_slope.offset.value),
    ):
        last = rows_of(alignment, estimator, number)[-1]
        assert (last["members"], last["draws"], last["spread"]) == (MEMBERS, 1, None)
        assert last["mean"] == pytest.approx(value, rel=1e-7), (estimator, number)


def test_the_population_slope_of_smaller_ensembles_is_that_of_all():
    """Of 64 members, whose noise is Gaussian; the spread over ensembles says what to expect."""
    logits, target = aligned_ensemble(members=64, samples=300)
    alignment = analysed(logits, target).alignment
    for number in ("slope", "offset"):
        *smaller, whole = rows_of(alignment, "logit_slope", number)
        assert [row["members"] for row in smaller] == [8, 16, 32]
        for row in smaller:
            error = row["spread"] / row["draws"] ** 0.5
            assert row["mean"] == pytest.approx(whole["mean"], abs=3 * error + 0.02)
    variance = [row["mean"] for row in rows_of(alignment, "mean", "variance")]
    assert variance[0] < 0.8 * variance[-1]  # plug-in variance grows with M


@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_few_members_have_the_rows_that_there_are(members):
    logits, target = aligned_ensemble(members=members, samples=60)
    alignment = analysed(logits, target).alignment
    sizes = {row["members"] for row in rows_of(alignment, "mean", "bias_sq")}
    assert sizes == {1: {1}, 2: {2}, 3: {2, 3}, 4: {2, 4}}[members]
    expected = {members} if members >= 3 else set()
    assert {row["members"] for row in rows_of(alignment, "logit_slope", "slope")} == expected
