"""An estimator as one object: its function, its requirements and its description."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bvalign.analysis.slopes.lines import Numbers, ReplicateWeights
from bvalign.analysis.slopes.member_subsets import MemberSubset
from bvalign.analysis.slopes.subset_values import SubsetValues

Fit = Callable[[SubsetValues, MemberSubset, ReplicateWeights], Numbers]


@dataclass(frozen=True)
class Estimator:
    """Fit of log variance on log bias_sq over the correct samples of a set of members.

    Attributes:
        name: its key in summary.json.
        fit: computes the numbers of one set of members for each row of replicate weights: one call
            gives the estimate, whose weights are one, and its bootstrap replicates.
        numbers: names of the numbers that `fit` returns.
        sentence: its meaning in a few words, for the report.
        parts: the field of `MemberSubset` that it is fitted on.
        least_members: fewest members of the whole set, or of a cloud if it is fitted on clouds.
        least_members_as: the parts that these members form, for the reason of a missing number.
        least_samples: fewest correct samples with variance above zero.
        quoted: its slope is printed at the end of a command and logged to W&B.
        plotted: its slope is plotted over the number of members.
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
    plotted: bool = False

    def undefined(self, values: SubsetValues, subset: MemberSubset) -> str | None:
        """Reason why the numbers of this set of members are undefined, or None if they are not."""
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
