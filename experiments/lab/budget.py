"""What makes slope and offset: a sum of parts, from the margins alone to these M members.

With the stages of `odds_models.py`, `budget.slope.<part>` and `budget.offset.<part>` are what each
part adds, and their sum is the OLS slope (the mean of log variance - log bias_sq) of these members:

    base         margins and one Gaussian noise of the log odds, infinitely many members
    growth       growth of the noise with the margin, without members' own scales
    temperature  members' own scales of the log odds
    shape        skewness and kurtosis of the noise
    classes      shares of the wrong classes
    own          noise of each sample beyond its margin; up to here the sum is `logit_slope`
    finite       M members in place of infinitely many

    rest            shape + classes + own: what the first three leave of the population's number
    finite_model    `finite` of ensembles that are drawn from the first four stages
    finite_left     finite - finite_model
    noise.sd        root mean variance of the log odds over members, nats
    noise.scale_sd  standard deviation over members of their scale of the log odds

The population's number is that of summary.json and that of these members comes from samples.csv, so
`own` also takes what `logit_slope` corrects beyond the formulas here; where it must not be quoted,
`own`, `rest` and `finite` carry its flags. Intervals are those of a jackknife over ten groups of
samples and the groups of members (`intervals.crossed`); those of the three reach further by as much
as that of the population's number, for members that nobody has seen, and that of `temperature` away
from zero, as the variance of few scales is skewed. `budget_coverage.py` measures how often they
hold what was put in.
"""

import math
from pathlib import Path

import numpy as np
import torch
from budget_sets import Sets, pooled, read_sets, tables
from finite import correct_logits
from intervals import crossed, exact, mean
from jaxtyping import Bool, Float, Int
from measures import Extra, read_samples
from odds_models import STAGES, drawn_lines, label_logs, line, margin_stages, split_noise
from rich.progress import track
from torch import Tensor
from verdicts import Number, Numbers

from bvalign.analysis.groups import MemberGroups, member_groups
from bvalign.analysis.intervals import Estimate, estimate, stored
from bvalign.analysis.slopes import SHAPE_MEMBERS, PooledNoise, has_logs
from bvalign.analysis.slopes.logit_values import LogErrors, OddsValues, errors
from bvalign.analysis.slopes.quadrature import NoiseTable

LEAST_SAMPLES = 300
SAMPLE_GROUPS, DRAWS = 10, 10
NUMBERS = ("slope", "offset")
MOST_LOG = 2.0
"""Half of the widest interval of a logarithm."""


def budget(runs: dict[str, Path], summaries: dict[str, dict]) -> Extra:
    """The budget of each run of five members and 300 correct samples or more."""
    rows = {}
    for name, path in track(runs.items(), "budget"):
        logits, target = correct_logits(path)
        population = summaries[name]["alignment"]["logit_slope"]
        known = None not in (population[number]["value"] for number in NUMBERS)
        if len(logits) < SHAPE_MEMBERS or len(target) < LEAST_SAMPLES or not known:
            continue
        sampled = read_samples(path)
        bias_sq, variance, correct = (
            torch.from_numpy(sampled[key]) for key in ("bias_sq", "variance", "correct")
        )
        keep = (correct == 1) & has_logs(bias_sq, variance)
        measured = line((bias_sq[keep].log(), variance[keep].log()))
        rows[name] = numbers_of(logits, target, population, measured)
        for key in rows[name]:
            if population["flags"] and key.rpartition(".")[2] in OF_POPULATION:
                rows[name][key]["flags"] = list(population["flags"])
    return Extra(rows, {})


OF_POPULATION = ("own", "rest", "finite", "finite_left")
"""Parts that hang on the population's number."""


def numbers_of(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    population: dict[str, dict],
    measured: tuple[float, float],
) -> Numbers:
    """The parts of both numbers, of samples that all members together get right.

    Args:
        logits: in float64.
        target: class ids.
        population: `logit_slope` of summary.json.
        measured: OLS slope and mean of log variance - log bias_sq of these members.
    """
    groups = member_groups(len(logits))
    sets = read_sets(logits, target, groups)
    noise = pooled(sets, groups, torch.ones_like(sets.values.usable[0]))
    found = crossed_stages(sets, groups, noise)
    drawn = drawn_lines(sets.odds, noise.table, DRAWS)
    numbers: Numbers = {}
    for place, number in enumerate(NUMBERS):
        parts = _parts(found[..., place], population[number], measured[place])
        finite, model = parts["finite"], drawn[:, place] - found[0, 0, STAGES.index("shape"), place]
        left, below = float(model.mean()), finite["interval"]
        parts["finite_left"] = finite | {
            "value": finite["value"] - left,
            "interval": below and [end - left for end in below],
        }
        parts["finite_model"] = mean(model, "simulated ensembles")
        numbers |= {f"budget.{number}.{key}": part for key, part in parts.items()}
    of_members = split_noise(sets.odds)
    return numbers | {
        "noise.sd": exact(float(of_members.variance.mean().sqrt())),
        "noise.scale_sd": exact(float(of_members.scale.std())),
    }


def _parts(
    stages: Float[Tensor, "sets parts stages"], population: dict, measured: float
) -> dict[str, Number]:
    """The parts of one number, with the population's and the measured one at their stages."""
    values = stages[0, 0].tolist()
    values[-2:] = population["value"], measured
    without = stages.diff(dim=-1, prepend=torch.zeros_like(stages[..., :1]))
    added = np.diff(values, prepend=0.0)
    parts = {stage: crossed(float(added[at]), without[..., at]) for at, stage in enumerate(STAGES)}
    rest = [STAGES.index(stage) for stage in ("shape", "classes", "own")]
    parts["rest"] = crossed(float(added[rest].sum()), without[..., rest].sum(dim=-1))
    parts["temperature"] = _skewed(parts["temperature"])
    below, above = _unseen(stored(population))
    for stage in ("own", "rest"):
        parts[stage] = _stretched(parts[stage], below, above)
    parts["finite"] = _stretched(parts["finite"], -above, -below)
    return parts


def _unseen(number: Estimate) -> tuple[float, float]:
    """How far the interval reaches beyond its variances, for what no member has shown."""
    if number.interval is None or number.variances is None:
        return 0.0, 0.0
    plain = estimate(number.value, number.variances).interval
    low, high = (end - of_plain for end, of_plain in zip(number.interval, plain, strict=True))
    return min(low, 0.0), max(high, 0.0)


def _skewed(number: Number) -> Number:
    """Lengthens the end away from zero to that of an interval of the logarithm.

    Members' scales make a part that is proportional to a variance of few values, which is skewed.
    """
    value, ends = number["value"], number["interval"]
    if not (value and ends):
        return number
    far = value * math.exp(min((ends[1] - ends[0]) / 2 / abs(value), MOST_LOG))
    return number | {"interval": [min(ends[0], far), max(ends[1], far)]}


def _stretched(number: Number, below: float, above: float) -> Number:
    if number["interval"] is None:
        return number
    low, high = number["interval"]
    return number | {"interval": [low + below, high + above]}


def crossed_stages(
    sets: Sets, groups: MemberGroups, noise: PooledNoise
) -> Float[Tensor, "sets parts stages 2"]:
    """Slope and offset of each stage, without each group of members and of samples.

    Args:
        sets: all members, and all without each group.
        groups: of the members.
        noise: shape of the noise on all samples.
    """
    num_samples = sets.odds.shape[1]
    part = torch.arange(num_samples) % SAMPLE_GROUPS
    of_all = OddsValues(
        *(type(v)(*(x[:1] for x in v)) for v in sets.values[:2]), *(v[:1] for v in sets.values[2:])
    )
    error = errors(of_all, noise.table, len(sets.odds))
    result = torch.empty(len(sets.members), SAMPLE_GROUPS + 1, len(STAGES), 2).double()
    for without in range(-1, SAMPLE_GROUPS):
        rows = part != without
        shapes = tables(pooled(sets, groups, rows) if without >= 0 else noise)
        for place, table in enumerate(shapes):
            result[place, without + 1] = _stages(sets, place, rows, table, error)
    return result


def _stages(
    sets: Sets, place: int, rows: Bool[Tensor, " samples"], table: NoiseTable, error: LogErrors
) -> Float[Tensor, "stages 2"]:
    """Slope and offset of each stage for one set of members on some samples."""
    values, members = sets.values, sets.members[place]
    keep = rows & values.usable[place]
    odds = sets.odds[:, keep][members]
    margin = margin_stages(odds, table)
    shares = (values.bias_share[place, keep], values.variance_share[place, keep])
    classes = tuple(log + share - np.log(2) for log, share in zip(margin[-1], shares, strict=True))
    alone = label_logs(odds.mean(dim=0), odds.var(dim=0), table)
    own = tuple(log + share for log, share in zip(alone, shares, strict=True))
    grown = len(sets.odds) / len(members)
    moments = (grown * float(part[keep].mean()) for part in (error.bias_sq, error.covariance))
    drawn = tuple(log[place, rows & sets.has_plug_in[place]] for log in sets.plug_in)
    lines = [*map(line, [*margin, classes]), line(own, *moments), line(drawn)]
    return torch.tensor(lines, dtype=torch.float64)
