"""Groups of the members: sums over them, and what they say about subsets of the members."""

from bvalign.analysis.groups.doubts import (
    Doubts,
    DoubtSums,
    doubt_sums,
    doubts,
    sums_of_all,
)
from bvalign.analysis.groups.left_out import (
    OF_GROUPS,
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
    LossSums,
    MemberSums,
    Residuals,
    SetValues,
    leave_one_out,
    loss_sums,
    member_sums,
    of_samples,
    of_sets,
    residuals,
    set_values,
    unite,
)

__all__ = [
    "NUM_GROUPS",
    "OF_GROUPS",
    "DoubtSums",
    "Doubts",
    "LeftOut",
    "LossSums",
    "MemberGroups",
    "MemberPart",
    "MemberSums",
    "Residuals",
    "SetValues",
    "Sets",
    "Statistics",
    "doubt_sums",
    "doubts",
    "leave_one_out",
    "left_out",
    "left_out_sums",
    "left_out_variance",
    "loss_sums",
    "member_groups",
    "member_sums",
    "of_samples",
    "of_sets",
    "residuals",
    "set_values",
    "sums_of_all",
    "unite",
]
