"""The model of neural collapse: logit noise, its predictions, and the measures NC1 to NC4.

NC1 to NC4 are in `neural_collapse.py` and the expected values in `noise_model.py`. Each of these
has a function of its own name, which is imported from there.
"""

from bvalign.analysis.collapse.noise_distributions import draw_noise
from bvalign.analysis.collapse.noise_fit import EDGES, LogitNoise, fit_logit_noise
from bvalign.analysis.collapse.noise_model import (
    bias_sq_wrong,
    kl_noise_model,
    simulate_finite_members,
)
from bvalign.analysis.collapse.summary import Collapse, fit_collapse

__all__ = [
    "EDGES",
    "Collapse",
    "LogitNoise",
    "bias_sq_wrong",
    "draw_noise",
    "fit_collapse",
    "fit_logit_noise",
    "kl_noise_model",
    "simulate_finite_members",
]
