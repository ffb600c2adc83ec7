"""Parts of "When to abstain?": areas, the threshold with a guarantee, and the combined doubt."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from bvalign.analysis.groups import Doubts
from bvalign.decisions.abstain.combination import SMALLEST, combine, out_of_fold, rows_of
from bvalign.decisions.abstain.ranking import areas, places
from bvalign.decisions.abstain.threshold import Samples, find_threshold

OF_TORCH_UNCERTAINTY = {"aurc": 0.1962451203, "augrc": 0.1201923084}
"""Of `golden_samples`, by AURC and AUGRC of torch-uncertainty 0.13.0, in float32."""


def golden_samples():
    """Doubts without ties, and which of the 40 predictions are wrong: 11."""
    number = torch.arange(1, 41).double()
    wrong = (number * 7 % 5 == 0) | (number * 3 % 11 == 1)
    return 0.5 - 0.5 * (number * 0.6180339887498949 % 1), wrong.double()


def brute_force(doubt, wrong):
    """Means over all orders of equal doubts, by their definitions."""
    orders = [
        order
        for order in permutations(range(len(doubt)))
        if all(doubt[a] <= doubt[b] for a, b in pairwise(order))
    ]
    aurc, augrc = [], []
    for order in orders:
        errors = [wrong[i] for i in order]
        before = [np.mean(errors[:k]) for k in range(1, len(errors))]
        aurc.append(np.mean(before))
        pairs = [errors[a] for a in range(len(errors)) for b in range(len(errors)) if a != b]
        first = [e for a, e in enumerate(errors) for b in range(a + 1, len(errors))]
        augrc.append(sum(first) / len(pairs))
    return np.mean(aurc), np.mean(augrc)


def test_areas_are_those_of_the_definition_also_with_equal_doubts():
    doubt = torch.tensor([[3, 1, 2, 2, 1, 2], [1, 1, 1, 1, 1, 1], [6, 5, 4, 3, 2, 1]]).double()
    wrong = torch.tensor([[1, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0]]).double()
    found = areas(doubt, wrong)
    for row in range(3):
        aurc, augrc = brute_force(doubt[row].tolist(), wrong[row].tolist())
        assert found.aurc.value[row].item() == pytest.approx(aurc, abs=1e-12)
        assert found.augrc.value[row].item() == pytest.approx(augrc, abs=1e-12)


def test_areas_are_those_of_torch_uncertainty_but_for_its_ends():
    doubt, wrong = golden_samples()
    found = areas(doubt[None], wrong[None])
    first, last = wrong[doubt.argmin()].item(), wrong.mean().item()
    ends = {"aurc": (last - first) / 78, "augrc": (last - first / 40) / 78}
    for name, theirs in OF_TORCH_UNCERTAINTY.items():
        assert getattr(found, name).value.item() + ends[name] == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_influence_is_what_leaving_a_sample_out_changes(ties):
    doubt, wrong = torch.rand(1, 150).double(), (torch.rand(1, 150) < 0.3).double()
    doubt = (10 * doubt).round() if ties else doubt
    found = areas(doubt, wrong)
    for name in ("aurc", "augrc"):
        area = getattr(found, name)
        left = [torch.arange(150) != sample for sample in range(150)]
        without = torch.cat([getattr(areas(doubt[:, k], wrong[:, k]), name).value for k in left])
        pseudo = 150 * area.value - 149 * without
        assert area.influence.mean().item() == pytest.approx(area.value.item(), rel=1e-12)
        assert torch.corrcoef(torch.stack([pseudo, area.influence[0]]))[0, 1] > 0.995
        assert area.influence.var().item() == pytest.approx(pseudo.var().item(), rel=0.08)


def test_places_keep_the_order_of_equal_doubts():
    assert places(torch.tensor([[2.0, 1.0, 2.0, 0.0]])).tolist() == [[2, 1, 3, 0]]


def halves(doubt, wrong, clusters=None):
    """Samples in two halves, as `find_threshold` takes them."""
    half = len(doubt) // 2
    first, second = slice(None, half), slice(half, None)
    return tuple(
        Samples(doubt[part], wrong[part], None if clusters is None else clusters[part])
        for part in (first, second)
    )


def test_as_many_right_samples_as_the_binomial_asks_for_and_one_less():
    # 0.95^59 = 0.0485: with 59 right predictions an error of 5% is excluded, with 58 it is not
    for number, reached in ((59, True), (58, False)):
        doubt, wrong = torch.rand(2 * number).double(), torch.zeros(2 * number).double()
        found = find_threshold(*halves(doubt, wrong), 0.05, 0.95)
        assert (found.threshold is not None) == reached
        assert found.p_value == pytest.approx(0.95**number, rel=1e-9)
        if reached:
            assert found.threshold == math.inf
            assert (found.samples, found.accepted, found.wrong) == (59, 59, 0)


def test_all_wrong_has_no_threshold():
    doubt = torch.rand(200).double()
    assert find_threshold(*halves(doubt, torch.ones(200).double()), 0.5, 0.9).threshold is None


def test_clusters_count_once():
    # each bet of 0.99 / ((1 - 0.1) 2) wins 0.1 · 2 of every cluster of two right predictions
    doubt, wrong = torch.rand(120).double(), torch.zeros(120).double()
    clusters = torch.arange(120) // 2
    found = find_threshold(*halves(doubt, wrong, clusters), 0.1, 0.9)
    assert found.threshold == math.inf
    assert found.p_value == pytest.approx((1 + 0.99 * 0.1 / 0.9) ** -30, rel=1e-9)
    few = tuple(
        part._replace(clusters=part.clusters // 2) for part in halves(doubt, wrong, clusters)
    )
    assert find_threshold(*few, 0.1, 0.9).threshold is None  # 1.11^15 = 4.8, and not 10


@pytest.mark.parametrize(("copies", "broken_less"), [(1, True), (6, False)])
def test_the_error_is_as_promised_as_often_as_promised(copies, broken_less):
    # accepting doubts up to t has an error rate of t / 4; wanted is 0.1, so t <= 0.4
    broken, reached, draws = 0, 0, 400
    for _ in range(draws):
        doubt = torch.rand(1200).double()
        wrong = (torch.rand(1200) < doubt / 2).double()
        parts = halves(doubt.repeat_interleave(copies), wrong.repeat_interleave(copies))
        found = find_threshold(*parts, 0.1, 0.9)
        reached += found.threshold is not None
        broken += found.threshold is not None and min(found.threshold, 1.0) / 4 > 0.1
    assert reached > draws / 2
    # copies that count as independent samples break the promise
    assert (broken <= 0.1 * draws + 3 * math.sqrt(0.09 * draws)) == broken_less


def doubts_of(logits):
    """Doubts with made-up values for those that a combination does not need."""
    values = logits.softmax(dim=-1)
    prediction = values.argmax(dim=-1)
    confidence = 1 - values.amax(dim=-1)
    entropy = torch.special.entr(values).sum(dim=-1)
    rest = torch.rand(3, len(values)).double()
    return Doubts(prediction, confidence, 2 * confidence, entropy, *rest)


@pytest.mark.parametrize("num_classes", [4, 60])
def test_the_fit_has_the_least_penalised_loss(num_classes):
    found = doubts_of(2 * torch.randn(300, num_classes).double())
    wrong = (torch.rand(300) < 0.4).double()
    names = ("confidence", "entropy", "variance")
    fitted = combine(found, wrong, names, num_classes)
    x = torch.stack([getattr(found, name).clamp(min=SMALLEST).log() for name in names], dim=1)
    x = (x - x.mean(dim=0)) / x.std(dim=0)
    unknowns = [torch.tensor(fitted.intercept).double(), fitted.slopes, fitted.of_class]
    intercept, slopes, of_class = (value.clone().requires_grad_() for value in unknowns)
    p = torch.sigmoid(intercept + x @ slopes + of_class[found.prediction])
    torch.testing.assert_close(p.detach(), fitted.probability(found))
    loss = torch.nn.functional.binary_cross_entropy(p, wrong, reduction="sum")
    (loss + slopes.square().sum() / 2 + of_class.square().sum() / 2).backward()
    gradients = [intercept.grad, slopes.grad]
    gradients += [of_class.grad] if num_classes == 4 else []
    assert max(gradient.abs().max().item() for gradient in gradients) < 1e-5
    assert num_classes == 4 or fitted.of_class.abs().max() == 0


def test_a_fold_is_judged_without_its_own_errors():
    found, wrong = doubts_of(torch.randn(100, 3).double()), (torch.rand(100) < 0.4).double()
    first = out_of_fold(found, wrong, ("confidence",), 3)
    changed = wrong.clone()
    changed[:20] = 1 - changed[:20]
    second = out_of_fold(found, changed, ("confidence",), 3)
    assert torch.equal(first[:20], second[:20])
    assert not torch.isclose(first[20:], second[20:]).any()
    rest = combine(rows_of(found, slice(20, None)), wrong[20:], ("confidence",), 3)
    torch.testing.assert_close(first[:20], rest.probability(rows_of(found, slice(20))))
