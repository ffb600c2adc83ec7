"""Bounds hold for soft labels, whose classes need not all be kept."""

import numpy as np
import pytest
import torch

from bvalign.analysis.block_values import Plan, block_values
from bvalign.analysis.collect import Range
from bvalign.analysis.groups import member_groups
from bvalign.analysis.top_k import LABELLED, WEIGHTED
from bvalign.top_k import dense
from tests.analysis.top_k.ensembles import kept, outside

MEMBERS, SAMPLES, CLASSES, NUMBER = 4, 10, 9, 4


def values_of(logits, labels, answers, top=None):
    none = torch.arange(0)
    rows = (torch.arange(MEMBERS), none, none, none)
    plan = Plan(member_groups(MEMBERS), *rows, None, [1.0, 2.0, 3.0, 4.0])
    return block_values(Range(0, logits, labels.argmax(dim=1), labels, answers, top), plan)


def columns(values):
    found = {f"weighted_{name}": value for name, value in values.weighted._asdict().items()}
    for part in (values.decomposition, values.cross_entropy, values.gap):
        found |= part._asdict()
    errors = values.log_errors
    found |= {"log_bias_sq_error": errors.bias_sq.sqrt()}
    return found | {"log_variance_error": errors.variance.sqrt()}


@pytest.mark.parametrize("kind", ["answers", "dense", "few"])
def test_true_values_lie_within_their_bounds(kind):
    random, answers = np.random.default_rng(2), None
    logits = random.normal(size=(1, SAMPLES, CLASSES)) * 3
    logits = torch.from_numpy(logits + random.normal(size=(MEMBERS, SAMPLES, CLASSES))).float()
    labels = random.dirichlet(np.full(CLASSES, 0.3), size=SAMPLES)
    if kind == "answers":
        labels = random.multinomial(5, np.full(CLASSES, 1 / CLASSES), size=SAMPLES) / 5
        answers = torch.full((SAMPLES,), 5)
    elif kind == "few":
        labels[:, 3:] = 0
        labels /= labels.sum(axis=1, keepdims=True)
    labels = torch.from_numpy(labels)
    top = kept(logits, NUMBER, labels.argmax(dim=1))
    found = values_of(dense(top), labels, answers, top)
    ends = zip(LABELLED + WEIGHTED, found.bounds.low, found.bounds.high, strict=True)
    bounds = {name: (low, high) for name, low, high in ends}
    assert outside(columns(found), bounds) == []
    assert outside(columns(values_of(logits, labels, answers)), bounds) == []
