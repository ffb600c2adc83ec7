"""The model of neural collapse: logit noise, its predictions, and NC1 to NC4.

The measures NC1 to NC4 are in `neural_collapse.py`.
"""

from bvalign.analysis.collapse.noise_fit import EDGES
from bvalign.analysis.collapse.summary import Collapse, fit_collapse

__all__ = ["EDGES", "Collapse", "fit_collapse"]
