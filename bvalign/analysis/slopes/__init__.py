"""Slopes of log variance on log squared bias: of the population, and of these members."""

from bvalign.analysis.slopes.alignment import Alignment, check, curve
from bvalign.analysis.slopes.drawn import DrawnBlock, read_drawn
from bvalign.analysis.slopes.flags import FLAGS
from bvalign.analysis.slopes.lines import LineSums, has_logs, line_sums, log_log_line
from bvalign.analysis.slopes.logit_block import LogitBlock, logit_block
from bvalign.analysis.slopes.logit_fit import FirstPass
from bvalign.analysis.slopes.logit_slope import LogitSlope, fit_logit_slope, no_logit_slope
from bvalign.analysis.slopes.logit_values import LogErrors
from bvalign.analysis.slopes.noise_pooling import SHAPE_MEMBERS, PooledNoise, pool_noise
from bvalign.analysis.slopes.ols import ols
from bvalign.analysis.slopes.wrong_logits import Skewness, wrong_logit_skewness

__all__ = [
    "FLAGS",
    "SHAPE_MEMBERS",
    "Alignment",
    "DrawnBlock",
    "FirstPass",
    "LineSums",
    "LogErrors",
    "LogitBlock",
    "LogitSlope",
    "PooledNoise",
    "Skewness",
    "check",
    "curve",
    "fit_logit_slope",
    "has_logs",
    "line_sums",
    "log_log_line",
    "logit_block",
    "no_logit_slope",
    "ols",
    "pool_noise",
    "read_drawn",
    "wrong_logit_skewness",
]
