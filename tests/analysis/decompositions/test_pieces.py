"""Statistics in pieces of samples are those of all samples at once."""

import pytest
import torch

from bvalign.analysis.calibration import uncertainty_sum
from bvalign.analysis.decompositions import (
    cross_entropy,
    in_pieces,
    moments,
    weighted_decompose,
)
from bvalign.analysis.decompositions.log_statistics import jackknife_shift, log_moments
from tests.ensembles import random_ensemble


def all_statistics(logits, target):
    yield "moments", moments(logits, target)
    yield "log_moments", log_moments(logits)
    yield "cross_entropy", cross_entropy(logits, target)
    yield "uncertainty_sum", (uncertainty_sum(logits),)
    yield "jackknife_shift", (jackknife_shift(logits, log_moments(logits)),)
    if len(logits):
        weights = torch.arange(1, len(logits) + 1)
        yield "weighted", weighted_decompose(logits, target, weights)


@pytest.mark.parametrize(
    "shape", [(3, 5, 4), (1, 7, 2), (0, 5, 4), (5, 1, 3), (7, 0, 3), (4, 9, 1), (20, 33, 10)]
)
@pytest.mark.parametrize("piece", [1, 60, 400])
def test_pieces_change_nothing(monkeypatch, shape, piece):
    logits, target = random_ensemble(*shape)
    at_once = dict(all_statistics(logits, target))
    monkeypatch.setattr("bvalign.analysis.decompositions.pieces.PIECE", piece)
    for name, values in all_statistics(logits, target):
        for found, expected in zip(values, at_once[name], strict=True):
            # the order in which torch adds up members depends on the place of a sample
            torch.testing.assert_close(
                found, expected, rtol=1e-12, atol=0, equal_nan=True, msg=name
            )


def test_threads_change_nothing():
    logits, target = random_ensemble(20, 6000, 10)
    number, found = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(dict(all_statistics(logits, target)))
    torch.set_num_threads(number)
    for name, values in found[0].items():
        assert all(map(torch.equal, values, found[1][name])), name


def sizes(logits, target):
    """Samples of each piece, and whether its columns have as many."""
    seen = []

    def compute(piece, column):
        seen.append((piece.shape[1], len(column)))
        return column

    in_pieces(compute, logits, target)
    return seen


def test_a_piece_has_the_given_number_of_logits_or_one_sample(monkeypatch):
    monkeypatch.setattr("bvalign.analysis.decompositions.pieces.PIECE", 30)
    assert sizes(*random_ensemble(3, 5, 4)) == [(2, 2), (2, 2), (1, 1)]
    assert sizes(*random_ensemble(7, 2, 5)) == [(1, 1), (1, 1)]
    assert sizes(*random_ensemble(3, 2, 4)) == [(2, 2)]


def test_other_devices_take_all_samples_at_once(monkeypatch):
    monkeypatch.setattr("bvalign.analysis.decompositions.pieces.PIECE", 1)
    logits, target = (values.to("meta") for values in random_ensemble(3, 5, 4))
    assert sizes(logits, target) == [(5, 5)]
