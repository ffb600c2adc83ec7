"""Risk without labels: error rates, risk and bias_sq of samples whose labels are not known.

`values.py` has what members say of a sample, `methods.py` the estimates, `posterior.py` and
`shift.py` what they rest on, `spread.py` how far they may be off, `choice.py` which to recommend,
`learn.py` joins them, `answer.py` is the answer
to the question.
"""

from bvalign.decisions.without_labels.answer import RiskWithoutLabels, risk_without_labels
from bvalign.decisions.without_labels.choice import Check
from bvalign.decisions.without_labels.learn import Source, recommend

__all__ = ["Check", "RiskWithoutLabels", "Source", "recommend", "risk_without_labels"]
