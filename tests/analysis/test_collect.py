"""Ranges joined in their order: the same bits for any number of threads and processes."""

from typing import NamedTuple

import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.collect import collect, draw_positions, one_thread_each, side_by_side
from tests.analysed import analysed, ranges_of
from tests.ensembles import random_ensemble

MEMBERS, SAMPLES, CLASSES = 3, 53, 4


class Inner(NamedTuple):
    """A NamedTuple within another."""

    mean: Float[Tensor, "samples classes"]
    total: Float[Tensor, ""]


class Values(NamedTuple):
    """One field of every kind."""

    largest: Float[Tensor, " samples"]
    of_members: Float[Tensor, "members samples"]
    label: Int[Tensor, " samples"]
    some: Bool[Tensor, "members drawn"]
    hits: Int[Tensor, " members"]
    sums: Float[Tensor, "members classes"]
    inner: Inner
    nothing: Inner | None


@pytest.fixture
def places():
    return {"samples": torch.arange(SAMPLES), "drawn": draw_positions(SAMPLES, 20, seed=3)}


@pytest.fixture
def compute(places):
    def compute(part):
        z = part.logits.double()
        inner = Inner(z.mean(dim=0), z.sin().sum())
        return Values(
            z.amax(dim=(0, 2)),
            z.logsumexp(dim=-1),
            part.target,
            z[:, part.rows(places["drawn"]), 0] > 0,
            (z.argmax(dim=-1) == part.target).sum(dim=1),
            z.exp().sum(dim=1),
            inner,
            None,
        )

    return compute


def collected(ranges, compute, places):
    return collect(side_by_side(compute, ranges), len(ranges), places)


def test_values_of_samples_go_to_their_places_and_others_add_up(compute, places):
    logits, target = random_ensemble(MEMBERS, SAMPLES, CLASSES)
    whole = compute(ranges_of(logits, target, SAMPLES)[0])
    for size in (1, 7, 20, SAMPLES):
        ranges = ranges_of(logits, target, size)
        found = collected(ranges, compute, places)
        assert found.nothing is None
        for name in ("largest", "of_members", "label", "some", "hits"):
            assert torch.equal(getattr(found, name), getattr(whole, name)), (size, name)
        assert torch.equal(found.inner.mean, whole.inner.mean)
        torch.testing.assert_close(found.sums, whole.sums, rtol=1e-13, atol=0)
        torch.testing.assert_close(found.inner.total, whole.inner.total, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("labelled", [True, False])
def test_threads_give_identical_bits(labelled):
    """Large enough that torch would cut operations into threads."""
    logits, target = random_ensemble(6, 2000, 40)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(analysed(logits, target if labelled else None, size=700))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for name, column in found[0].columns().items():
            values = other.columns()[name].values
            assert torch.equal(values.nan_to_num(), column.values.nan_to_num()), name
        assert other.means == found[0].means
        if labelled:
            assert other.calibration.errors == found[0].calibration.errors
            for name in ("ols", "cross_half", "curve"):
                assert getattr(other.alignment, name) == getattr(found[0].alignment, name)
            for a, b in zip(
                other.alignment.logit_slope, found[0].alignment.logit_slope, strict=True
            ):
                assert torch.equal(a, b) if isinstance(a, Tensor) else a == b


def test_one_thread_each_restores_the_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with one_thread_each() as number:
            assert (number, torch.get_num_threads()) == (3, 1)
        assert torch.get_num_threads() == 3
        with pytest.raises(ValueError, match="an error"), one_thread_each():
            raise ValueError("an error")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_range_is_raised(compute, places):
    logits, target = random_ensemble(MEMBERS, SAMPLES, CLASSES)
    ranges = ranges_of(logits, target, 7)

    def broken(part):
        if part.start == 21:
            raise ValueError(f"the range from {part.start} is broken")
        return compute(part)

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="the range from 21 is broken"):
        collected(ranges, broken, places)
    assert torch.get_num_threads() == before


def test_positions_are_drawn_once_in_order_and_the_same_for_a_seed():
    found = draw_positions(1000, 100)
    assert len(found.unique()) == 100
    assert (found.diff() > 0).all()
    assert 0 <= found[0] <= found[-1] < 1000
    assert torch.equal(found, draw_positions(1000, 100))
    assert not torch.equal(found, draw_positions(1000, 100, seed=1))
    assert torch.equal(draw_positions(30, 100), torch.arange(30))
    assert draw_positions(30, 0).tolist() == []
    # every sample is as likely as any other
    counts = torch.stack(
        [torch.bincount(draw_positions(20, 5, s), minlength=20) for s in range(400)]
    )
    assert abs(counts.sum(dim=0) - 100).max() < 5 * (400 * 0.25 * 0.75) ** 0.5


def test_rows_of_a_range_are_those_of_its_samples():
    logits, target = random_ensemble(MEMBERS, 10, CLASSES)
    positions = torch.tensor([0, 3, 4, 6, 9])
    rows = [part.rows(positions).tolist() for part in ranges_of(logits, target, 4)]
    assert rows == [[0, 3], [0, 2], [1]]
