import numpy as np
import pytest

from bvalign.randomness import SOURCES, Randomness, Streams

TORCH_SEED, ORDER = 670097377, [5, 2, 4, 0, 3, 1]


def test_streams_are_pure_functions_of_their_name():
    draw = Streams(3).generator("order", 7, 2).random(4)
    assert np.array_equal(draw, Streams(3).generator("order", 7, 2).random(4))


@pytest.mark.parametrize(
    "other", [(4, "order", 7, 2), (3, "augmentation", 7, 2), (3, "order", 8, 2), (3, "order", 7, 3)]
)
def test_another_name_is_another_stream(other):
    draw = Streams(3).generator("order", 7, 2).random(4)
    seed, *name = other
    assert not np.array_equal(draw, Streams(seed).generator(*name).random(4))


@pytest.mark.parametrize("source", SOURCES)
def test_a_shared_source_is_the_same_for_all_members_and_leaves_the_others(source):
    streams = Streams(0, Randomness(bootstrap="member"))
    shared = Streams(0, Randomness(**{"bootstrap": "member", source: "shared"}))
    for other in SOURCES:
        first, second = (shared.generator(other, member).random() for member in (0, 1))
        assert (first == second) == (other == source)
        assert (shared.torch_seed(other, 0) == shared.torch_seed(other, 1)) == (other == source)
        if other != source:
            assert first == streams.generator(other, 0).random()


def test_known_values_pin_the_streams_down():
    """Runs made before must stay reproducible: these numbers may never change."""
    assert Streams(0).torch_seed("init", 0) == TORCH_SEED
    assert Streams(0).generator("order", 0).permutation(6).tolist() == ORDER


def left_out(streams, member, num=23):
    return set(range(num)) - set(streams.samples(member, num).tolist())


def test_as_many_members_as_folds_leave_out_each_sample_once():
    streams = Streams(0, Randomness(bootstrap="kfold", folds=4))
    rounds = [[left_out(streams, 4 * number + fold) for fold in range(4)] for number in range(3)]
    for folds in rounds:
        assert sorted(map(len, folds)) == [5, 6, 6, 6]
        assert set.union(*folds) == set(range(23))  # 23 in all: no sample is left out twice
    assert rounds[0] != rounds[1] != rounds[2]
    assert all(len(streams.samples(m, 23)) - streams.samples_per_epoch(23) <= 1 for m in range(12))


def test_folds_know_no_attempts_and_are_part_of_the_identity_where_used():
    kfold = Randomness(bootstrap="kfold", folds=3)
    retried = Streams(7, kfold, attempts={1: 2})
    assert left_out(Streams(7, kfold), 1) == left_out(retried, 1)
    assert left_out(Streams(8, kfold), 1) != left_out(retried, 1)
    assert kfold.identity()["folds"] == 3
    assert "folds" not in Randomness(bootstrap="member", folds=3).identity()
    with pytest.raises(ValueError, match=r"model.randomness.folds must be at least 2, got 1"):
        Randomness(folds=1)
    with pytest.raises(ValueError, match="must be at most the 2 training samples, got 3"):
        Streams(0, kfold).samples_per_epoch(2)
