"""Lightning callbacks that follow members in training."""

from bvalign.show.callbacks.alignment_scatter import AlignmentScatter
from bvalign.show.callbacks.collect_logits import CollectLogits
from bvalign.show.callbacks.neural_collapse import NeuralCollapseMonitor
from bvalign.show.callbacks.progress import MembersProgress

__all__ = ["AlignmentScatter", "CollectLogits", "MembersProgress", "NeuralCollapseMonitor"]
