"""The groups of the members: who is in them, and which unions of them serve as ensembles."""

import numpy as np
import pytest
import torch

from bvalign.analysis.groups import NUM_GROUPS, member_groups

NUMBERS = [1, 2, 3, 5, 6, 15, 16, 17, 40, 100]


@pytest.mark.parametrize("members", NUMBERS)
def test_every_member_is_in_one_group_and_groups_are_alike_in_size(members):
    groups = member_groups(members)
    assert sorted(m for group in groups.members for m in group) == list(range(members))
    assert len(groups.sizes) == min(NUM_GROUPS, members)
    assert max(groups.sizes) - min(groups.sizes) <= 1


@pytest.mark.parametrize("members", NUMBERS)
def test_smaller_ensembles_of_a_size_share_no_group(members):
    groups = member_groups(members)
    number, sizes = len(groups.members), groups.smaller.sum(dim=1)
    expected = {2**k for k in range(number) if 2**k < number}
    if members <= NUM_GROUPS:
        expected -= {1}  # a single member has no variance
    assert set(sizes.tolist()) == expected
    for size in expected:
        rows = groups.smaller[sizes == size]
        assert len(rows) == number // size
        assert rows.sum(dim=0).max() == 1


@pytest.mark.parametrize("members", NUMBERS)
def test_thirds_are_three_separate_parts_of_two_members_and_more(members):
    groups = member_groups(members)
    assert len(groups.thirds) == (4 if members >= 6 else 0)
    for split in groups.thirds:
        assert split.sum(dim=0).max() == 1
        assert split.sum(dim=1).tolist() == [len(groups.members) // 3] * 3
        assert (split.long() @ torch.tensor(groups.sizes) >= 2).all()
    assert len({split.numpy().tobytes() for split in groups.thirds}) >= len(groups.thirds) / 2


def test_groups_are_the_same_for_a_seed_and_others_for_another():
    first, again, other = member_groups(40), member_groups(40), member_groups(40, seed=1)
    assert first.members == again.members != other.members
    assert torch.equal(first.thirds, again.thirds)
    assert not torch.equal(first.thirds, other.thirds)
    # those of the reference of the population slope
    order = np.array_split(np.random.default_rng(0).permutation(40), 16)
    assert first.members == tuple(tuple(part.tolist()) for part in order)
