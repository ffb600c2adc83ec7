from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bvalign import BiasVariance
from bvalign.analysis.decompositions.member_batch import checked_batch, member_ids
from bvalign.analysis.decompositions.member_counts import check_counts
from bvalign.analysis.decompositions.metrics import CrossEntropyBiasVariance, ZeroOneBiasVariance
from bvalign.analysis.decompositions.other_losses import cross_entropy, vote_counts, zero_one
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from tests.ensembles import random_ensemble
from tests.reference import check_golden

FUNCTIONS = [
    (BiasVariance, lambda logits, target: decompose(moments(logits, target), target)),
    (CrossEntropyBiasVariance, cross_entropy),
    (
        ZeroOneBiasVariance,
        lambda logits, target: zero_one(vote_counts(logits.argmax(dim=-1), 4), target),
    ),
]
KINDS = [kind for kind, _ in FUNCTIONS]


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
    metric = BiasVariance(5, 4)
    metric.update(logits, TARGET, INDEX)
    assert torch.equal(metric.compute().bias_sq, torch.full((5,), 0.75, dtype=torch.float64))


LOGITS, TARGET = random_ensemble()
INDEX = torch.arange(5)


NAN = LOGITS.clone()
NAN[1, 2:, 3] = torch.nan
NO_CLASS = LOGITS.index_fill(1, INDEX[:1], -torch.inf)
PROBS = LOGITS.softmax(dim=-1)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (r"with 4 classes, .*got \(3, 5, 3\)", (LOGITS[..., :3], TARGET, INDEX)),
        (
            r"got \(3, 5, 4\), \(5, 4\) and .*; of one-hot labels pass target.argmax",
            (LOGITS, np.eye(4)[TARGET], INDEX),
        ),
        (r"got \(1, 1, 4\), \(\) and \(\)", (LOGITS[0, :1], TARGET[0], INDEX[0])),
        (r"labels must lie in 0\.\.3, got .*4", (LOGITS, TARGET.clamp(max=0) + 4, INDEX)),
        (r"labels must lie in 0\.\.3, got -100", (LOGITS, TARGET * 0 - 100, INDEX)),
        (r"target must be whole numbers, got 0\.5", (LOGITS, TARGET * 0 + 0.5, INDEX)),
        ("target must be whole numbers, got nan", (LOGITS, TARGET * torch.nan, INDEX)),
        ("target must be .* got an array of <U1", (LOGITS, np.array([*"abcde"]), INDEX)),
        (r"index must lie in 0\.\.4, got 1\.\.5", (LOGITS, TARGET, INDEX + 1)),
        ("index must be rows .* booleans", (LOGITS, TARGET, INDEX > -1)),
        ("sample 0 comes twice in one batch", (LOGITS, TARGET, INDEX // 2)),
        ("logits must be floating point, got torch.int64", (LOGITS.long(), TARGET, INDEX)),
        ("member 0 of this batch are NaN or inf for 5 of 5", (LOGITS * torch.nan, TARGET, INDEX)),
        ("member 1 of this batch are NaN or inf for 3 of 5", (NAN, TARGET, INDEX)),
        ("member 0 of this batch are NaN or inf for 1 of 5", (NO_CLASS, TARGET, INDEX)),
        ("member 0 .* probabilities: all 5 rows .* probs.log", (PROBS, TARGET, INDEX)),
        ("member 0 .* are probabilities", (PROBS.bfloat16(), TARGET, INDEX)),
        ("member 0 .* are probabilities", (np.eye(4)[TARGET], TARGET, INDEX)),
        ("member 1 .* are probabilities", (torch.stack([LOGITS[0], PROBS[1]]), TARGET, INDEX)),
        ("must name 3 different members", (LOGITS, TARGET, INDEX, torch.tensor([1, 1, 2]))),
        ("must name 1 different members", (LOGITS[0], TARGET, INDEX, torch.arange(3))),
        (r"member ids must lie in 0\.\.65535", (LOGITS, TARGET, INDEX, torch.tensor([-1, 0, 1]))),
        ("ids must be integers, got tensor", (LOGITS[0], TARGET, INDEX, TARGET[0] / 2)),
        (r"lie in 0\.\.65535, got 65536", (LOGITS[0], TARGET, INDEX, 65536)),
        ("member 9 was counted for sample 0 before", (LOGITS[0], TARGET, INDEX, 9)),
        ("sample 0 has label .* before", (LOGITS[0], (TARGET + 1) % 4, INDEX, 1)),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_updates_are_refused_and_change_nothing(kind, message, arguments):
    metric = kind(5, 4)
    metric.update(LOGITS[0], TARGET, INDEX, 9)
    before = deepcopy([*metric.metric_state.values(), *metric._seen.values()])
    with pytest.raises(ValueError, match=message) as error:
        metric.update(*arguments)
    assert "\n" not in str(error.value)
    after = [*metric.metric_state.values(), *metric._seen.values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("target must be a tensor or an array of numbers, got list", (LOGITS, [0, 1], INDEX)),
        ("index must be a tensor .* got NoneType", (LOGITS, TARGET, None)),
        ("logits must be a tensor .* got dict", ({"logits": LOGITS}, TARGET, INDEX)),
    ],
)
def test_what_is_no_array_is_refused(message, arguments):
    with pytest.raises(ValueError, match=message):
        checked_batch(*arguments, (5, 4), LOGITS.device)


@pytest.mark.parametrize("member", [1.0, "seed1", True, [True], None])
def test_ids_that_are_no_integers_are_refused(member):
    with pytest.raises(ValueError, match="member ids must be integers, got"):
        member_ids(member, 1)


def _values(kind, logits, target=TARGET, index=INDEX, member=(0, 1, 2)):
    metric = kind(5, 4)
    metric.update(logits, target, index, np.array(member))
    return torch.stack([value.double() for value in metric.compute()])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_rows_of_any_type_are_taken(kind):
    target = TARGET.clamp(max=1)
    expected = _values(kind, LOGITS, target)
    types = (torch.int8, torch.int16, torch.int32, torch.uint8, torch.bool, torch.float16)
    for dtype in types:
        for labels in (target.to(dtype), target.to(dtype).unsqueeze(1), target.to(dtype).numpy()):
            assert torch.equal(_values(kind, LOGITS, labels).nan_to_num(), expected.nan_to_num())
    for index in (INDEX.int(), INDEX.byte(), INDEX.unsqueeze(1), INDEX.numpy().astype(np.uint32)):
        assert torch.equal(_values(kind, LOGITS, target, index).nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_precision_are_taken(kind, dtype):
    logits = LOGITS.to(dtype)
    found, expected = _values(kind, logits), _values(kind, logits.float())
    torch.testing.assert_close(found, expected, equal_nan=True, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_of_another_type_does_not_round_the_states(kind):
    module = torch.nn.ModuleDict({"metric": kind(5, 4), "layer": torch.nn.Linear(2, 2)})
    before = [state.dtype for state in module["metric"].metric_state.values()]
    module.to(torch.bfloat16).half()
    module["metric"].set_dtype(torch.float16)
    assert module["layer"].weight.dtype == torch.float16
    assert [state.dtype for state in module["metric"].metric_state.values()] == before
    assert module.to("meta")["metric"].target.device.type == "meta"


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_taken_also_read_only_reversed_and_of_another_byte_order(kind):
    expected = _values(kind, LOGITS).nan_to_num()
    array = LOGITS.numpy().copy()
    array.flags.writeable = False
    for logits in (array, array.astype(">f4"), array[:, :, ::-1].copy()[:, :, ::-1]):
        assert torch.equal(_values(kind, logits).nan_to_num(), expected)


def masked(logits):
    """One class is masked for all, one for a member on some samples; the label's never is."""
    logits = logits.clone()
    logits[:, TARGET != 3, 3] = -torch.inf
    logits[1, TARGET == 3, 0] = -torch.inf
    return logits


@pytest.mark.parametrize(("kind", "function"), FUNCTIONS)
def test_masked_classes_count_as_in_the_functions(kind, function):
    logits = masked(LOGITS)
    metric = kind(5, 4)
    for member in range(3):
        metric.update(logits[member], TARGET, INDEX, member)
    expected = function(logits, TARGET)
    for name, found, value in zip(expected._fields, metric.compute(), expected, strict=True):
        if "jackknife" not in name:
            torch.testing.assert_close(found, value, rtol=1e-12, atol=0, equal_nan=True, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_logarithm_of_probabilities_gives_what_logits_give(kind):
    probs = LOGITS.double().softmax(dim=-1)
    found, expected = _values(kind, probs.log()), _values(kind, LOGITS.double())
    torch.testing.assert_close(found, expected, equal_nan=True, rtol=1e-9, atol=1e-12)


def test_logits_of_which_some_rows_sum_to_one_are_taken():
    logits = LOGITS[:1].clone()
    logits[:, :4] = PROBS[:1, :4]
    _values(BiasVariance, logits, member=[0])
    logits[0, :, 0] += 1 - logits[0].sum(dim=-1)  # all sum to one, and some are negative
    assert (logits < 0).any()
    _values(BiasVariance, logits, member=[0])


@pytest.mark.parametrize("kind", KINDS)
def test_calling_the_metric_says_to_call_update(kind):
    metric = kind(5, 4)
    with pytest.raises(ValueError, match=rf"call {kind.__name__}.update\(...\) instead"):
        metric(LOGITS, TARGET, INDEX)
    assert not metric.count.any()


def test_labels_that_change_between_members_are_refused():
    metric = BiasVariance(5, 4)
    metric.update(LOGITS[0], TARGET, INDEX)
    with pytest.raises(ValueError, match="do the members share one order"):
        metric.update(LOGITS[1], (TARGET + 1) % 4, INDEX)


def test_what_was_seen_by_some_members_only_is_named():
    metric = BiasVariance(5, 4)
    metric.update(LOGITS[0], TARGET, INDEX, 7)
    metric.update(LOGITS[1, :3], TARGET[:3], INDEX[:3], 8)
    with pytest.raises(ValueError, match="sample 3 was not seen by member 8; .* 2 of 5 were seen"):
        metric.compute()
    metric.update(LOGITS[1, 3:], TARGET[3:], INDEX[3:], 8)
    assert metric.compute().count.tolist() == [2] * 5
    metric.reset()
    metric.update(LOGITS[0], TARGET, INDEX)
    metric.update(LOGITS[1, :3], TARGET[:3], INDEX[:3])
    with pytest.raises(ValueError, match="sample 3 was not seen by 1 of 2 members; give update"):
        metric.compute()
    with pytest.raises(ValueError, match="needs num_samples >= 1"):
        BiasVariance(0, 4)


@pytest.mark.parametrize(
    ("message", "count", "appearances"),
    [
        ("none of 3 samples was seen", [0, 0, 0], [0, 0]),
        ("sample 0 was counted twice for member 1; the sampler", [4, 2, 2], [0, 4, 4]),
        ("sample 2 was counted twice for member 0; the sampler", [2, 2, 3], [4, 3]),
        ("sample 1 was counted 3 times for 2 members; the", [2, 3, 3], [4, 4]),
        ("sample 0 was counted twice for member 0; the sampler", [3, 1, 2], [4, 2]),
        ("member 1 was counted 4 times for 3 samples; the", [2, 2, 2], [2, 4]),
        ("sample 0 was counted 4 times and most samples 2; give update", [4, 2, 2], [0, 0]),
        ("sample 1 was not seen by 1 of the members that lack samples: 1, 2", [3, 2, 2], [3, 2, 2]),
        ("sample 2 was not seen by 1 of 2 members; give update", [2, 2, 1], [0, 3]),
    ],
)
def test_repeats_are_looked_for_before_counts(message, count, appearances):
    with pytest.raises(ValueError, match=message):
        check_counts(torch.tensor(count), torch.tensor(appearances), None)


@pytest.mark.parametrize(("metric", "function"), FUNCTIONS[1:])
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


CASES = ("members", "samples", "one rank", "padded", "short", "twice")


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
    elif case == "short":
        stop = 10 if rank else 11
        metric.update(logits[rank, :stop], target[:stop], every[:stop], rank)
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
        for case in ("padded", "twice"):
            assert "sample 0 was counted twice for member 0; the sampler of" in results[case]
        assert (
            "sample 10 was not seen by 1 of the members that lack samples: 1;" in results["short"]
        )
