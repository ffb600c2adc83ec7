"""Doubts of predictions against loops, and from sums over sets of members."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import member_probs, vote_counts
from bvalign.analysis.groups import (
    doubt_sums,
    doubts,
    leave_one_out,
    member_groups,
    sums_of_all,
)
from tests.ensembles import random_ensemble


def loops(probs):
    """Doubts of one sample from probabilities (members, classes)."""
    probs = np.asarray(probs)
    mean = probs.mean(axis=0)
    second, largest = np.sort(mean)[-2:]

    def entropy(p):
        return -sum(x * np.log(x) for x in p if x > 0)

    return {
        "confidence": 1 - largest,
        "margin": 1 - (largest - second),
        "entropy": entropy(mean),
        "variance": np.mean([np.sum((p - mean) ** 2) for p in probs]),
        "mutual_information": np.mean(
            [sum(x * np.log(x / m) for x, m in zip(p, mean, strict=True) if x > 0) for p in probs]
        ),
        "votes": np.mean([p.argmax() != mean.argmax() for p in probs]),
    }


def of_all(logits):
    members = member_probs(logits)
    votes = vote_counts(members.votes, logits.shape[-1])
    return doubts(sums_of_all(members, members.probs.sum(dim=0), votes))


def test_doubts_are_those_of_loops_also_where_classes_are_missing():
    logits, _ = random_ensemble(members=5, samples=30, classes=4)
    logits[:, :10, 3] = -torch.inf
    found, probs = of_all(logits), logits.double().softmax(dim=-1)
    for sample in range(30):
        for name, value in loops(probs[:, sample]).items():
            ours = getattr(found, name)[sample].item()
            assert ours == pytest.approx(value, rel=1e-9, abs=1e-15), name
    assert torch.equal(found.prediction, probs.mean(dim=0).argmax(dim=-1))


def test_members_left_out_are_not_there():
    logits, _ = random_ensemble(members=20, samples=7, classes=3)
    groups = member_groups(20)
    found = doubts(leave_one_out(doubt_sums(member_probs(logits), groups)))
    for place, group in enumerate(groups.members):
        rest = [member for member in range(20) if member not in group]
        for name, values in of_all(logits[rest])._asdict().items():
            torch.testing.assert_close(getattr(found, name)[place], values, msg=name)


def test_members_that_agree_or_vote_have_no_spread_of_rounding():
    logits, _ = random_ensemble(members=1, samples=40, classes=5, scale=5.0)
    found = of_all(logits.expand(3, -1, -1))
    assert found.variance.max() == found.mutual_information.max() == found.votes.max() == 0
    votes = torch.full((3, 1, 4), -torch.inf)
    votes[0, 0, 1] = votes[1, 0, 1] = votes[2, 0, 2] = 0.0
    found = of_all(votes)
    assert found.confidence.item() == found.votes.item() == pytest.approx(1 / 3)
    assert found.mutual_information.item() == pytest.approx(found.entropy.item())


def test_certain_samples_keep_their_order():
    found = of_all(torch.tensor([[[60.0, 0.0], [61.0, 0.0]]]).double())
    assert found.confidence[1] < found.confidence[0] < 1e-25
