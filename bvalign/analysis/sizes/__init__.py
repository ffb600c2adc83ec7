"""Numbers of ensembles of any size: from some of the members, and beyond all of them."""

from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor

from bvalign.analysis.groups import MemberGroups
from bvalign.analysis.sizes.calibration import set_errors
from bvalign.analysis.sizes.risk_curve import RiskCurve, risk_curve
from bvalign.analysis.sizes.set_losses import SetLosses, set_losses
from bvalign.analysis.sizes.size_curve import Drawn, OfSets, SizeCurve, curve_of_sets
from bvalign.analysis.sizes.unions import Unions, of_several, unions

__all__ = [
    "Drawn",
    "OfSets",
    "RiskCurve",
    "SetLosses",
    "SizeCurve",
    "SizeCurves",
    "Unions",
    "curve_of_sets",
    "risk_curve",
    "set_losses",
    "size_curves",
    "unions",
]


class SizeCurves(NamedTuple):
    """Curves of the mean of m members over m, beside that of its risk."""

    error: SizeCurve  # fraction that is wrong
    cross_entropy: SizeCurve  # nats
    calibration: SizeCurve  # squared calibration error of confidence
    num_samples: int  # drawn ones


def size_curves(
    losses: SetLosses,
    groups: MemberGroups,
    correct: Bool[Tensor, " samples"],
    drawn: Drawn,
) -> SizeCurves:
    """Makes all curves.

    Args:
        losses: of the drawn samples.
        groups: of the members.
        correct: whether the mean of all members is right, of all samples.
        drawn: which samples are behind the losses.
    """
    sets, wrong = unions(groups), (~correct).double()
    several = losses.confidence[sets.single :], losses.excess[sets.single :]
    errors, influence = set_errors(*several)
    return SizeCurves(
        curve_of_sets(OfSets(losses.error, "proportion", 2, whole=wrong), sets, drawn),
        curve_of_sets(OfSets(losses.cross_entropy, "positive"), sets, drawn),
        curve_of_sets(OfSets(influence, totals=errors), of_several(sets), drawn),
        len(drawn.positions),
    )
