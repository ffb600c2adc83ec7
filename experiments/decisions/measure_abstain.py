"""When to abstain: how doubts rank on real sets, and how often promise and intervals hold.

real        random halves of each set: the doubt is chosen on one and judged on the other
promise     each set as a population: both halves drawn from it with replacement, so that the
            true error rate of the accepted is known; and simulated ensembles, also in clusters
intervals   AUGRC of simulated ensembles, new members and new samples in each draw
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from decision_goals import Goal

from bvalign import open_predictions
from bvalign.analysis.decompositions import member_probs, vote_counts
from bvalign.analysis.given import Kept
from bvalign.analysis.groups import Doubts, doubts, sums_of_all
from bvalign.decisions.abstain.choice import COMBINATION, choose
from bvalign.decisions.abstain.combination import rows_of
from bvalign.decisions.abstain.question import default_error, find
from bvalign.decisions.abstain.ranking import areas
from bvalign.decisions.abstain.threshold import Samples, find_threshold

SETS = (
    "mnli-bert-10-seeds",
    "mnist-mlp-10-seeds-test",
    "mnist-mlp-10-seeds-rotated-15",
    "mnist-mlp-10-seeds-rotated-45",
    "mnist-cnn-16-seeds",
    "ecg-10-seeds-binary",
)
RUNS = ("digits-cnn", "fashion-mnist-mlp", "fashion-mnist-cnn")
CONFIDENCE = 0.95
MEMBERS, SAMPLES, FRESH, CLUSTER = 8, 1000, 20_000, 4


def measure(data: Path, runs: Path, *, quick: bool) -> dict:
    """Measures everything; see the docstring of this module."""
    torch.set_num_threads(1)
    splits, draws = (3, 8) if quick else (60, 400)
    paths = {name: data / "ensembles" / f"{name}.npz" for name in SETS}
    paths |= {name: runs / name for name in RUNS if (runs / name / "report.html").exists()}
    real = {name: of_set(path, splits, draws) for name, path in paths.items() if path.exists()}
    return {"real": real, "simulated": simulated(draws), "clusters": in_clusters(draws // 4)}


def of_set(path: Path, splits: int, draws: int) -> dict:
    """Ranking and promise on one set."""
    predictions, _ = open_predictions(path)
    target = torch.from_numpy(predictions.target)
    logits = torch.cat([part for part, _ in predictions.ranges()], dim=1)
    found, alone = doubts_of(logits), [doubts_of(member[None]) for member in logits]
    wrong = (found.prediction != target).double()
    of_members = [(one.confidence, (one.prediction != target).double()) for one in alone]
    shape = (len(logits), logits.shape[-1])
    rows = {name: [] for name in ("chosen", "best_single", "confidence", "member")}
    picked = []
    for seed in range(splits):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(target)))
        first, second = order.tensor_split(2)
        choice = choose(rows_of(found, first), wrong[first], None, *shape)
        singles = [name for name in choice.names if name != COMBINATION]
        best = min(singles, key=lambda name: augrc(getattr(found, name)[first], wrong[first]))
        chosen = choice.doubt(rows_of(found, second))
        picked.append(choice.name)
        rows["chosen"].append(augrc(chosen, wrong[second]))
        rows["best_single"].append(augrc(getattr(found, best)[second], wrong[second]))
        rows["confidence"].append(augrc(found.confidence[second], wrong[second]))
        rows["member"].append(np.mean([augrc(d[second], w[second]) for d, w in of_members]))
    change = np.array(rows["chosen"]) - np.array(rows["best_single"])
    return {
        "members": shape[0],
        "samples": len(target),
        "error": float(wrong.mean()),
        "augrc": {name: float(np.mean(values)) for name, values in rows.items()},
        "change": float(change.mean()),
        "change_deviation": float(change.std(ddof=1)),
        "at_most": float(np.mean(change <= 0)),
        "picked": {name: picked.count(name) for name in sorted(set(picked))},
        "promise": promise_of_set(found, wrong, shape, draws),
    }


def promise_of_set(found: Doubts, wrong: torch.Tensor, shape: tuple, draws: int) -> dict:
    """How often more than the wanted share is wrong, with the set as the population."""
    number, counted = len(wrong), []
    wanted = default_error(float(wrong.mean()), number // 2, CONFIDENCE)
    generator = torch.Generator().manual_seed(0)
    for draw in range(draws):
        if draw % 8 == 0:
            first = torch.randint(number, (number // 2,), generator=generator)
            choice = choose(rows_of(found, first), wrong[first], None, *shape)
            doubts_here = {name: choice.doubt(found, name) for name in (choice.name, "confidence")}
        second = torch.randint(number, (number // 2,), generator=generator)
        counted.append([])
        for doubt in doubts_here.values():
            halves = (Samples(doubt[half], wrong[half]) for half in (first, second))
            at = find_threshold(*halves, wanted, CONFIDENCE).threshold
            accepted = doubt <= (-1.0 if at is None else at)
            rate = float(wrong[accepted].mean()) if accepted.any() else 0.0
            counted[-1] += [at is not None, rate > wanted, float(accepted.double().mean())]
            counted[-1] *= 2 // len(doubts_here)  # where plain confidence is what was chosen
    reached, broken, accepted, _, _, of_confidence = np.mean(np.array(counted, dtype=float), axis=0)
    return {
        "wanted": wanted,
        "draws": draws,
        "reached": reached,
        "broken": broken,
        "accepted": accepted,
        "accepted_by_confidence": of_confidence,
    }


def simulated(draws: int) -> dict:
    """Promise and intervals where members and samples are new in every draw."""
    generator = torch.Generator().manual_seed(1)
    held, promise, values = [], [], []
    for _ in range(draws):
        make = world(generator)
        logits, target = make(SAMPLES)
        found = find(analysis_of(logits, target), None, CONFIDENCE)
        estimates = [found.scores[name]["augrc"] for name in ("confidence", "mutual_information")]
        estimates += [found.one_member["augrc"], found.scores["confidence"]["aurc"]]
        held.append([estimate.interval for estimate in estimates])
        values.append([estimate.value for estimate in estimates])
        fresh, target = make(FRESH)
        fresh = doubts_of(fresh)
        at = found.threshold.threshold
        accepted = found.choice.doubt(fresh) <= (-1.0 if at is None else at)
        wrong = (fresh.prediction != target)[accepted].double()
        promise.append([at is not None, len(wrong) and float(wrong.mean()) > found.max_error])
    truth, held = np.mean(values, axis=0), np.array(held)
    covered = ((held[:, :, 0] <= truth) & (truth <= held[:, :, 1])).mean(axis=0)
    names = ("augrc_confidence", "augrc_mutual_information", "augrc_member", "aurc_confidence")
    reached, broken = np.mean(np.array(promise, dtype=float), axis=0)
    return {
        "draws": draws,
        "reached": reached,
        "broken": broken,
        "covered": dict(zip(names, covered.tolist(), strict=True)),
    }


def in_clusters(draws: int) -> dict:
    """The promise where samples come in clusters of equal inputs, and without saying so."""
    generator, counted = torch.Generator().manual_seed(2), []
    for _ in range(draws):
        make = world(generator)
        logits, target = make(SAMPLES)
        logits, target = (
            logits.repeat_interleave(CLUSTER, dim=1),
            target.repeat_interleave(CLUSTER),
        )
        fresh, of_fresh = make(FRESH)
        fresh = doubts_of(fresh)
        counted.append([])
        for clusters in (torch.arange(SAMPLES).repeat_interleave(CLUSTER), None):
            found = find(analysis_of(logits, target, clusters), None, CONFIDENCE)
            at = found.threshold.threshold
            accepted = found.choice.doubt(fresh) <= (-1.0 if at is None else at)
            wrong = (fresh.prediction != of_fresh)[accepted].double()
            counted[-1] += [
                at is not None,
                len(wrong) and float(wrong.mean()) > found.max_error,
            ]
    reached, broken, _, unsaid = np.mean(np.array(counted, dtype=float), axis=0)
    return {"draws": draws, "reached": reached, "broken": broken, "broken_unsaid": unsaid}


def world(generator: torch.Generator):
    """Draws members that err in their own ways on inputs of six numbers; makes samples of them."""
    true = 1.2 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
    members = true + 0.8 * torch.randn(MEMBERS, 6, 4, generator=generator).double()

    def make(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(number, 6, generator=generator).double()
        target = torch.multinomial((x @ true).softmax(dim=-1), 1, generator=generator).squeeze(1)
        return x @ members, target

    return make


def analysis_of(logits: torch.Tensor, target: torch.Tensor, clusters=None) -> SimpleNamespace:
    """What `find` reads of an analysis."""
    table = SimpleNamespace(doubts=doubts_of(logits), target=target, cluster=clusters)
    kept = Kept(torch.arange(len(target)), logits, target)
    return SimpleNamespace(
        table=table, kept=kept, num_members=len(logits), num_classes=logits.shape[-1]
    )


def doubts_of(logits: torch.Tensor) -> Doubts:
    """Doubts of all samples."""
    parts = []
    for some in logits.split(2**18 // (logits.shape[0] * logits.shape[2]), dim=1):
        members = member_probs(some)
        votes = vote_counts(members.votes, logits.shape[-1])
        parts.append(doubts(sums_of_all(members, members.probs.sum(dim=0), votes)))
    return Doubts(*(torch.cat(values) for values in zip(*parts, strict=True)))


def augrc(doubt: torch.Tensor, wrong: torch.Tensor) -> float:
    """AUGRC of one doubt."""
    return float(areas(doubt[None], wrong[None]).augrc.value)


def table(found: dict) -> str:
    """Markdown of all numbers."""
    lines = [
        "AUGRC x 1000 on the half that did not choose, mean over random halves; change: of the "
        "chosen doubt against the best single one chosen in the same way.",
        "",
        "| set | members | error | one member | confidence | best single | chosen | change | "
        "at most | picked |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in found["real"].items():
        areas_here = (
            f"{1000 * one['augrc'][key]:.3f}"
            for key in ("member", "confidence", "best_single", "chosen")
        )
        change = one["change"] / one["augrc"]["best_single"]
        picked = ", ".join(f"{key} {count}" for key, count in one["picked"].items())
        lines.append(
            f"| {name} | {one['members']} | {one['error']:.4f} | {' | '.join(areas_here)} | "
            f"{change:+.2%} | {one['at_most']:.0%} | {picked} |"
        )
    lines += [
        "",
        f"The promise, with {CONFIDENCE:.0%} confidence: how often more than the wanted share of "
        "the accepted is wrong.",
        "",
        "| set | wanted | draws | threshold found | promise broken | accepted | by confidence |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in found["real"].items():
        here = one["promise"]
        lines.append(
            f"| {name} | {here['wanted']:g} | {here['draws']} | {here['reached']:.1%} | "
            f"{here['broken']:.1%} | {here['accepted']:.1%} | "
            f"{here['accepted_by_confidence']:.1%} |"
        )
    for name in ("simulated", "clusters"):
        here = found[name]
        lines.append(
            f"| {name} | half | {here['draws']} | {here['reached']:.1%} | {here['broken']:.1%} "
            "| | |"
        )
    unsaid, covered = found["clusters"]["broken_unsaid"], found["simulated"]["covered"]
    lines += [
        "",
        f"Clusters taken for independent samples: broken in {unsaid:.1%} of the draws. 95% "
        "intervals over samples and members in the simulated ensembles cover: "
        + ", ".join(f"{name} {share:.1%}" for name, share in covered.items())
        + ".",
    ]
    return "\n".join(lines)


def goals(found: dict) -> list[Goal]:
    """The goal of ranking, the promise and the intervals."""
    real = found["real"]
    worst = max(real, key=lambda name: real[name]["change"] / real[name]["augrc"]["best_single"])
    change = real[worst]["change"] / real[worst]["augrc"]["best_single"]
    broken = {name: one["promise"]["broken"] for name, one in real.items()}
    broken |= {name: found[name]["broken"] for name in ("simulated", "clusters")}
    most = max(broken, key=broken.get)
    covered = found["simulated"]["covered"]
    least = min(covered, key=covered.get)
    return [
        Goal(
            "AUGRC on the other half at most that of the best single doubt, on every set",
            f"worst mean change {change:+.2%} ({worst})",
            bool(change <= 0),
        ),
        Goal(
            "the promised error broken in at most 5% of the draws",
            f"at most {broken[most]:.1%} ({most})",
            bool(broken[most] <= 1 - CONFIDENCE),
        ),
        Goal(
            "95% intervals of AUGRC cover 92 to 98 of 100",
            f"{min(covered.values()):.1%} ({least}) to {max(covered.values()):.1%}",
            min(covered.values()) >= 0.92 and max(covered.values()) <= 0.98,
        ),
    ]
