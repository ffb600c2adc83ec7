import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bvalign import BiasVariance
from bvalign.analysis.decompositions.metrics import CrossEntropyBiasVariance, ZeroOneBiasVariance
from bvalign.analysis.decompositions.other_losses import cross_entropy, vote_counts, zero_one
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from tests.ensembles import random_ensemble
from tests.reference import check_golden


def test_golden_ensembles_whatever_the_order(golden):
    for case in golden["ensembles"]:
        logits = torch.tensor(case["logits"]).unsqueeze(1)
        metric = BiasVariance(1, case["K"])
        for member in torch.randperm(len(logits), generator=torch.Generator().manual_seed(1)):
            metric.update(logits[member], torch.tensor([case["y"]]), torch.tensor([0]), member)
        values = metric.compute()
        assert values.bias_sq.shape == (1,)
        check_golden(values, case["expect"], case["id"])


def test_any_split_equals_the_function():
    logits, target = random_ensemble(members=4, samples=11)
    metric = BiasVariance(11, 4)
    for index in torch.randperm(11).split(3):
        for members in ([0], [3, 1], [2]):
            metric.update(logits[members][:, index], target[index], index, torch.tensor(members))
    expected = decompose(moments(logits, target), target)
    for name, found, value in zip(expected._fields, metric.compute(), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-12, atol=0, msg=name)


def test_reset_forgets_everything():
    logits, target = random_ensemble()
    metric = BiasVariance(5, 4)
    for _ in range(2):
        metric.update(logits, target, torch.arange(5), torch.arange(3))
        assert metric.compute().count.tolist() == [3] * 5
        metric.reset()


@pytest.mark.parametrize("index", [[0, 1, 2], [4, 5, 6], [6, 5, 4], [0, 2, 4], [3], []])
def test_rows_in_any_order_are_those_of_the_data_set(index):
    logits, target = random_ensemble(members=4, samples=7)
    metric, index = BiasVariance(7, 4), torch.tensor(index, dtype=torch.int64)
    rest = torch.tensor([row for row in range(7) if row not in index.tolist()])
    for rows in (index, rest):
        for member in range(4):
            metric.update(logits[member, rows], target[rows], rows, member)
    for found, value in zip(
        metric.compute(), decompose(moments(logits, target), target), strict=True
    ):
        torch.testing.assert_close(found, value, rtol=1e-12, atol=0)


def test_finite_logits_whose_sum_overflows_are_accepted():
    logits = torch.full((1, 5, 4), 1e308, dtype=torch.float64)
    BiasVariance(5, 4).update(logits, TARGET, INDEX)


LOGITS, TARGET = random_ensemble()
INDEX = torch.arange(5)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (r"with 4 classes, .*got \(3, 5, 3\)", (LOGITS[..., :3], TARGET, INDEX)),
        (r"labels must lie in 0\.\.3, got .*4", (LOGITS, TARGET.clamp(max=0) + 4, INDEX)),
        (r"index must lie in 0\.\.4, got 1\.\.5", (LOGITS, TARGET, INDEX + 1)),
        ("sample 0 comes twice in one batch", (LOGITS, TARGET, INDEX // 2)),
        ("member 0 of this batch are NaN or inf for 5 of 5", (LOGITS * torch.nan, TARGET, INDEX)),
        ("must name 3 different members", (LOGITS, TARGET, INDEX, torch.tensor([1, 1, 2]))),
        (r"member ids must lie in 0\.\.65535", (LOGITS, TARGET, INDEX, torch.tensor([-1, 0, 1]))),
    ],
)
def test_bad_updates_are_refused(message, arguments):
    with pytest.raises(ValueError, match=message):
        BiasVariance(5, 4).update(*arguments)


def test_a_repeated_member_is_refused_and_changes_nothing():
    metric = BiasVariance(5, 4)
    metric.update(LOGITS, TARGET, INDEX, torch.arange(3))
    before = metric.compute()
    with pytest.raises(ValueError, match="member 1 was counted for sample 0 before"):
        metric.update(LOGITS[1], TARGET, INDEX, 1)
    assert all(torch.equal(a, b) for a, b in zip(before, metric.compute(), strict=True))


def test_labels_that_change_between_members_are_refused():
    metric = BiasVariance(5, 4)
    metric.update(LOGITS[0], TARGET, INDEX)
    with pytest.raises(ValueError, match="do the members share one order"):
        metric.update(LOGITS[1], (TARGET + 1) % 4, INDEX)


def test_uneven_counts_are_named():
    metric = BiasVariance(5, 4)
    metric.update(LOGITS[0], TARGET, INDEX)
    metric.update(LOGITS[1, :3], TARGET[:3], INDEX[:3])
    with pytest.raises(ValueError, match=r"2 of 5 samples .* fewer than 2: 3 \(1\), 4 \(1\)"):
        metric.compute()
    with pytest.raises(ValueError, match="needs num_samples >= 1"):
        BiasVariance(0, 4)


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        (CrossEntropyBiasVariance, cross_entropy),
        (
            ZeroOneBiasVariance,
            lambda logits, target: zero_one(vote_counts(logits.argmax(dim=-1), 4), target),
        ),
    ],
)
def test_other_losses_equal_their_functions_however_split(metric, function):
    logits, target = random_ensemble(members=4, samples=11)
    found = metric(11, 4)
    for index in torch.randperm(11).split(3):
        for members in ([0], [3, 1], [2]):
            found.update(logits[members][:, index], target[index], index, torch.tensor(members))
    expected = function(logits, target)
    for name, a, b in zip(expected._fields, found.compute(), expected, strict=True):
        if "jackknife" in name:
            assert a.isnan().all()
        else:
            torch.testing.assert_close(a, b, rtol=1e-12, atol=0, msg=name)


CASES = ("members", "samples", "one rank", "padded", "twice")


def _update(metric, rank, case):
    logits, target = random_ensemble(members=4, samples=11)
    every = torch.arange(11)
    if case == "members":
        metric.update(logits[rank::2], target, every, torch.arange(4)[rank::2])
    elif case == "samples":  # odd: 6 on one rank, 5 on the other
        index = every[rank::2]
        metric.update(logits[:, index], target[index], index, torch.arange(4))
    elif case == "padded":  # what a DistributedSampler does with an odd number
        index = torch.arange(rank, 12, 2) % 11
        metric.update(logits[:, index], target[index], index, torch.arange(4))
    elif case == "twice" or rank == 0:
        metric.update(logits, target, every, torch.arange(4))


def _rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    results = {}
    for case in CASES:
        metric = BiasVariance(11, 4)
        _update(metric, rank, case)
        try:
            results[case] = tuple(metric.compute())
        except ValueError as error:
            results[case] = str(error)
    torch.save(results, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_ranks_equal_one_process(tmp_path):
    mp.spawn(_rank, (str(tmp_path),), nprocs=2)
    logits, target = random_ensemble(members=4, samples=11)
    expected = decompose(moments(logits, target), target)
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt")
        for case in ("members", "samples", "one rank"):
            for found, value in zip(results[case], expected, strict=True):
                torch.testing.assert_close(found, value, rtol=1e-12, atol=0, msg=case)
        assert "10 of 11 samples were seen by fewer than 8" in results["padded"]
        assert "member 0 was counted 22 times for 11 samples" in results["twice"]
