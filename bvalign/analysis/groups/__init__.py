"""Groups of the members: sums over them, and what they say about subsets of the members."""

from bvalign.analysis.groups.left_out import (
    LeftOut,
    Sets,
    Statistics,
    left_out,
    left_out_sums,
    left_out_variance,
)
from bvalign.analysis.groups.member_groups import NUM_GROUPS, MemberGroups, member_groups
from bvalign.analysis.groups.member_part import MemberPart
from bvalign.analysis.groups.member_sums import (
    MemberSums,
    OddsSums,
    Residuals,
    Sums,
    bias_and_variance,
    is_correct,
    join,
    leave_one_out,
    member_sums,
    odds_sums,
    of_samples,
    residuals,
    unite,
)

__all__ = [
    "NUM_GROUPS",
    "LeftOut",
    "MemberGroups",
    "MemberPart",
    "MemberSums",
    "OddsSums",
    "Residuals",
    "Sets",
    "Statistics",
    "Sums",
    "bias_and_variance",
    "is_correct",
    "join",
    "leave_one_out",
    "left_out",
    "left_out_sums",
    "left_out_variance",
    "member_groups",
    "member_sums",
    "odds_sums",
    "of_samples",
    "residuals",
    "unite",
]
