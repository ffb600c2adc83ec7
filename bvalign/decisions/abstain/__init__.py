"""When to abstain: doubts, how well they rank, a threshold with a guarantee, and a saved rule."""

from bvalign.decisions.abstain.answer import Abstention, check_asked, when_to_abstain
from bvalign.decisions.abstain.combination import Combination, combine
from bvalign.decisions.abstain.ranking import Area, Areas, areas
from bvalign.decisions.abstain.rule import apply_abstention
from bvalign.decisions.abstain.threshold import Samples, Threshold, find_threshold

__all__ = [
    "Abstention",
    "Area",
    "Areas",
    "Combination",
    "Samples",
    "Threshold",
    "apply_abstention",
    "areas",
    "check_asked",
    "combine",
    "find_threshold",
    "when_to_abstain",
]
