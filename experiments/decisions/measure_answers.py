"""Repeated answers: error bars, pass@k and majority of k, on real votes and on simulated ones.

Real: the most probable classes of ensembles that others trained stand in for the answers of a
language model. Simulated: questions of known difficulty, answers that are drawn anew (epochs) or
that share the skill of a member (seeds, prompts), questions alone or in clusters.
"""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from decision_goals import Goal

import bvalign
from bvalign.analysis.decompositions import Column, Unit, vote_counts
from bvalign.analysis.given import Kept
from bvalign.analysis.groups import MemberPart, left_out_sums
from bvalign.decisions import repeated_answers
from bvalign.decisions.answers.counts import majority_of_k, patterns_of

SETS = ("mnli-bert-10-seeds", "mnist-mlp-10-seeds-test", "mnist-mlp-10-seeds-rotated-45")
RUNS = ("fashion-mnist-mlp", "digits-cnn")
DRAWS, OPTIONS, QUESTIONS = 500, 4, 300
CASES = {
    "epochs": {"members": 5},
    "ten epochs": {"members": 10},
    "seeds": {"members": 5, "skill": 0.4},
    "ten seeds, clusters of 5": {"members": 10, "skill": 0.2, "cluster": 5},
}
"""Name -> how the answers are drawn."""

PASS, MAJORITY = 4, 3
TRUE_QUESTIONS = 400_000


def measure(data: Path, runs: Path, *, quick: bool) -> dict:
    """Numbers of real sets, and coverage on simulated ones."""
    sets = {name: _read(data / "ensembles" / f"{name}.npz") for name in SETS}
    for name in RUNS:
        if (runs / name / "report.html").exists():
            predictions = bvalign.open_predictions(runs / name)[0]
            logits = torch.cat([logits for logits, _ in predictions.ranges()], dim=1)
            sets[name] = logits.argmax(dim=-1).numpy(), predictions.target
    return {
        "sets": {name: _real(*votes) for name, votes in sets.items()},
        "simulated": {
            name: _coverage(case, 20 if quick else DRAWS) for name, case in CASES.items()
        },
    }


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as arrays:
        return arrays["logits"].argmax(axis=-1), arrays["labels"]


def _real(votes: np.ndarray, labels: np.ndarray) -> dict:
    found = bvalign.analyze({"votes": votes, "labels": labels}).decisions["answers"]
    noise, k = found.noise, max(k for k, number in found.pass_at.items() if number.interval)
    most = max(k for k, number in found.majority_of.items() if number.interval)
    return {
        "questions": found.num_questions,
        "answers": found.num_answers,
        "accuracy": _ends(found.accuracy),
        "error_bar": noise.error_bar(),
        "answer_share": noise.answer_share,
        "one_answer": noise.error_bar(repeats=1 / noise.repeats),
        "any_answers": noise.error_bar(repeats=math.inf),
        "enough": noise.enough,
        "naive": found.naive,
        "single_run": found.single_run,
        "pass": [k, *_ends(found.pass_at[k])],
        "majority": [most, *_ends(found.majority_of[most])],
        "incoherence": _ends(found.incoherence),
    }


def _ends(number: object) -> list[float]:
    return [number.value, *number.quoted_interval]


def _chances(rng: np.random.Generator, case: dict, questions: int) -> np.ndarray:
    """Scores of the options of each question, the right one first."""
    size = case.get("cluster", 1)
    ease = np.repeat(rng.normal(size=-(-questions // size)), size)[:questions]
    scores = 0.8 * rng.normal(size=(questions, OPTIONS))
    scores[:, 0] += 1 + 1.2 * ease
    return scores


def _answers(rng: np.random.Generator, scores: np.ndarray, skill: np.ndarray) -> np.ndarray:
    """Votes (members, questions); the skill of a member moves the right option."""
    noise = rng.gumbel(size=(len(skill), *scores.shape)) + scores
    noise[:, :, 0] += skill[:, None]
    return noise.argmax(axis=-1)


def _coverage(case: dict, draws: int) -> dict:
    """How often intervals hold the truth of infinitely many questions and members."""
    rng = np.random.default_rng(1)
    members, deviation, size = case["members"], case.get("skill", 0.0), case.get("cluster", 1)
    truth = _truth(rng, case)
    clusters = torch.arange(QUESTIONS) // size if size > 1 else None
    held = {name: [] for name in [*truth, "naive", "single_run"]}
    for _ in range(draws):
        skill = deviation * rng.normal(size=members)
        votes = torch.from_numpy(_answers(rng, _chances(rng, case, QUESTIONS), skill))
        found = repeated_answers(_analysis(votes, clusters))
        numbers = {
            "accuracy": found.accuracy,
            "pass": found.pass_at[PASS],
            "majority": found.majority_of[MAJORITY],
            "incoherence": found.incoherence,
        }
        for name, number in numbers.items():
            low, high = number.quoted_interval
            held[name].append((low <= truth[name] <= high, high - low))
        value, one = found.accuracy.value, float((votes[0] == 0).double().mean())
        single = 1.96 * math.sqrt(one * (1 - one) / QUESTIONS)
        for name, centre, half in (
            ("naive", value, found.naive),
            ("single_run", one, single),
        ):
            held[name].append((abs(centre - truth["accuracy"]) <= half, 2 * half))
    return {
        name: {"held": sum(h for h, _ in of), "width": float(np.mean([w for _, w in of]))}
        for name, of in held.items()
    } | {"draws": draws, "truth": truth}


def _truth(rng: np.random.Generator, case: dict) -> dict[str, float]:
    """Of members that are drawn anew for each answer, which is the same for each question."""
    scores = _chances(rng, case | {"cluster": 1}, TRUE_QUESTIONS)
    skill = case.get("skill", 0.0) * rng.normal(size=(8, TRUE_QUESTIONS))
    noise = rng.gumbel(size=(8, *scores.shape)) + scores
    noise[:, :, 0] += skill
    votes = torch.from_numpy(noise.argmax(axis=-1))
    right = (votes == 0).double()
    counts = vote_counts(votes[:MAJORITY], OPTIONS).unsqueeze(0)
    patterns = patterns_of(counts, torch.zeros(TRUE_QUESTIONS).long())
    majority = majority_of_k(patterns, MAJORITY)[patterns.place[0]]
    half = len(votes) // 2
    differ = (votes[:half] != votes[half:]).double().mean()
    return {
        "accuracy": float(right.mean()),
        "pass": float(1 - (1 - right).reshape(2, PASS, -1).prod(dim=1).mean()),
        "majority": float(majority.mean()),
        "incoherence": float(differ / (2 - 2 * right.mean())),
    }


def _analysis(votes: torch.Tensor, clusters: torch.Tensor | None) -> SimpleNamespace:
    """What a decision reads of an analysis, without its other numbers."""
    target = torch.zeros(votes.shape[1]).long()
    error = (votes != 0).double()
    left = (error.sum(dim=0) - error) / (len(votes) - 1)
    part = MemberPart(("error",), left_out_sums((1 - left,)), votes.shape[1], clusters)
    column = Column(1 - error.mean(dim=0), Unit("fraction", kind="proportion"))
    return SimpleNamespace(
        num_samples=votes.shape[1],
        num_members=len(votes),
        soft_labels=False,
        kept=Kept(
            torch.arange(votes.shape[1]),
            torch.nn.functional.one_hot(votes, OPTIONS).double(),
            target,
            clusters,
        ),
        table=SimpleNamespace(zero_one=SimpleNamespace(error_rate=error.mean(dim=0))),
        mean_member_accuracy=part.mean("error", column),
    )


def table(found: dict) -> str:
    """Both tables."""
    lines = [
        "Real votes as a stand-in for answers; bars are half widths at 95%, in points.",
        "",
        "| set | answers x questions | accuracy | error bar | noise of answers | enough answers "
        "| with one answer | all independent | single run | pass@k | majority of k | incoherence |",
        "| --- " * 12 + "|",
    ]
    for name, row in found["sets"].items():
        bars = [
            f"±{100 * row[key]:.2f}" for key in ("error_bar", "one_answer", "naive", "single_run")
        ]
        curves = [f"k = {row[key][0]}: {_percent(row[key][1:])}" for key in ("pass", "majority")]
        lines.append(
            f"| {name} | {row['answers']} x {row['questions']:,} | {_percent(row['accuracy'])} | "
            f"{bars[0]} | {row['answer_share']:.0%} | {row['enough']} | {' | '.join(bars[1:])} | "
            f"{' | '.join(curves)} | {_percent(row['incoherence'])} |"
        )
    lines += [
        "",
        f"Simulated, {QUESTIONS} questions with {OPTIONS} options: 95% intervals that hold the "
        "truth, of 100, and their mean width in points.",
        "",
        f"| answers | draws | accuracy | pass@{PASS} | majority of {MAJORITY} | incoherence | all "
        "independent | single run |",
        "| --- " * 8 + "|",
    ]
    for name, row in found["simulated"].items():
        cells = [
            f"{100 * row[key]['held'] / row['draws']:.1f} ({100 * row[key]['width']:.1f})"
            for key in ("accuracy", "pass", "majority", "incoherence", "naive", "single_run")
        ]
        lines.append(f"| {name} | {row['draws']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(ends: list[float]) -> str:
    return f"{ends[0]:.1%} ({ends[1]:.1%} to {ends[2]:.1%})"


def goals(found: dict) -> list[Goal]:
    """Coverage of every interval."""
    rates = {
        f"{key}, {name}": 100 * row[key]["held"] / row["draws"]
        for name, row in found["simulated"].items()
        for key in ("accuracy", "pass", "majority")
    }
    low, high = (of(rates, key=rates.get) for of in (min, max))
    said = f"{rates[low]:.1f} ({low}) to {rates[high]:.1f} ({high})"
    reached = rates[low] >= 92 and rates[high] <= 98
    goal = "intervals of accuracy, pass@k and majority of k hold the truth 92 to 98 times of 100"
    return [Goal(goal, said, reached)]
