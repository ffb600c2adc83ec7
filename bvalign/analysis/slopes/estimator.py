"""An estimator as one object: its function, what it needs, and what there is to say of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bvalign.analysis.slopes.lines import Numbers, ReplicateWeights
from bvalign.analysis.slopes.member_subsets import MemberSubset
from bvalign.analysis.slopes.subset_values import SubsetValues

Fit = Callable[[SubsetValues, MemberSubset, ReplicateWeights], Numbers]


@dataclass(frozen=True)
class Estimator:
    """A fit of log variance on log bias_sq over the correct samples of a set of members.

    Attributes:
        name: its key in summary.json.
        fit: the numbers of one set of members, for each row of weights (replicate): the estimate,
            whose weights are one, and its bootstrap replicates are one call.
        numbers: names of the numbers that `fit` returns.
        sentence: its meaning in a few words, for the table of the report.
        parts: the field of `MemberSubset` that it is fitted on.
        least_members: of the whole set, or of a cloud if it is fitted on clouds.
        least_members_as: what so many members make up, for the reason of a missing number.
        least_samples: correct samples with variance above zero.
        quoted: its slope is printed at the end of a command and logged to W&B.
        drawn: its slope is drawn over the number of members.
    """

    name: str
    fit: Fit
    numbers: tuple[str, ...]
    sentence: str
    parts: Literal["clouds", "thirds", "halves"] = "clouds"
    least_members: int = 2
    least_members_as: str = ""
    least_samples: int = 3
    quoted: bool = False
    drawn: bool = False

    def undefined(self, values: SubsetValues, subset: MemberSubset) -> str | None:
        """The reason why there are no numbers for this set of members, or None if there are."""
        cloud, judge = subset.clouds[0]
        num_members = int(values.size[cloud if self.parts == "clouds" else subset.whole])
        if values.size[cloud] < 2:
            return "needs two members, as one has no variance"
        if num_members < self.least_members:
            made_of = f", {self.least_members_as}" if self.least_members_as else ""
            return f"needs {self.least_members} members{made_of}; there are {num_members}"
        usable = int((values.correct[judge] & (values.variance_unbiased[cloud] > 0)).sum())
        if usable < self.least_samples:
            return (
                f"needs {self.least_samples} correct samples with variance above zero; there are "
                f"{usable}"
            )
        return None
