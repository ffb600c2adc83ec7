"""Judges of training samples: members that have not seen them."""

import numpy as np
import pytest

from bvalign.predictions.run.unseen import choose_judges
from bvalign.randomness import Randomness, Streams


def drawn(members, samples=200, **randomness):
    """What members have seen, by the streams themselves."""
    streams = Streams(3, Randomness(**randomness))
    seen = np.zeros((len(members), samples), dtype=bool)
    for row, member in zip(seen, members, strict=True):
        row[streams.samples(member, samples)] = True
    return seen


def check(judges, seen):
    """Each judge of a sample is another member, which has not seen it."""
    assert not seen[judges.members, judges.rows].any()
    assert all(len(set(column)) == len(column) for column in judges.members.T.tolist())
    assert np.array_equal(judges.num_unseen, (~seen).sum(axis=0)[judges.rows])


def test_of_folds_judge_j_is_of_round_j():
    ids = np.arange(12)
    seen = drawn(ids, bootstrap="kfold", folds=4)
    judges = choose_judges(seen, ids, "kfold", 4)
    check(judges, seen)
    assert judges.rows.tolist() == list(range(200))
    assert np.array_equal(judges.members // 4, np.arange(3)[:, None].repeat(200, axis=1))


@pytest.mark.parametrize(
    ("ids", "number", "kept"),
    [
        (range(4), 1, 200),  # one round
        (range(6), 1, 200),  # and a half: only half of the samples could have two
        (range(7), 2, 150),  # of two rounds one member is missing
        ([*range(5), *range(6, 12)], 2, 200),  # of three
        (range(10), 2, 200),  # the third round is not complete
    ],
)
def test_rounds_may_be_incomplete(ids, number, kept):
    ids = np.array(ids)
    seen = drawn(ids, bootstrap="kfold", folds=4)
    judges = choose_judges(seen, ids, "kfold", 4)
    check(judges, seen)
    assert judges.members.shape == (number, kept)


@pytest.mark.parametrize(("members", "number"), [(3, 1), (8, 2), (21, 3), (64, 9)])
def test_of_resamples_almost_all_samples_have_judges_of_separate_members(members, number):
    ids = np.arange(members)
    seen = drawn(ids, 2000, bootstrap="member")
    judges = choose_judges(seen, ids, "member")
    check(judges, seen)
    assert len(judges.members) == number
    assert len(judges.rows) == ((~seen).sum(axis=0) >= number).sum()
    own = judges.members * number // members == np.arange(number)[:, None]
    size = members / number
    assert own.mean() > 0.97 - (1 - 1 / np.e) ** np.floor(size)
    if members > 8:
        assert len(judges.rows) > 0.98 * 2000


def test_all_members_judge_what_a_shared_resample_leaves_out():
    ids = np.arange(5)
    seen = drawn(ids, bootstrap="shared")
    judges = choose_judges(seen, ids, "shared")
    assert np.array_equal(judges.rows, np.flatnonzero(~seen[0]))
    assert np.array_equal(judges.members, ids[:, None].repeat(len(judges.rows), axis=1))


def test_samples_that_all_have_seen_have_no_judge():
    with pytest.raises(ValueError, match=r"all 3 members .* all 7 training samples.*=kfold"):
        choose_judges(np.ones((3, 7), dtype=bool), np.arange(3))
    seen = np.ones((3, 7), dtype=bool)
    seen[:, 4] = False
    assert choose_judges(seen, np.arange(3)).rows.tolist() == [4]
