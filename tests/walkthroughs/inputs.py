"""What the readers of the walkthroughs have before they come: predictions of their own models."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

MODELS = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(50, min_samples_leaf=3, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=30, random_state=0),
    "neighbours": KNeighborsClassifier(15),
    "bayes": GaussianNB(),
}


def customers(path):
    """Writes the probabilities of five models; returns the customers that all of them get wrong."""
    x, left = make_classification(1200, 12, n_informative=6, flip_y=0.05, random_state=1)
    x, x_test, left, test = x[:700], x[700:], left[:700], left[700:]
    probs = {name: m.fit(x, left).predict_proba(x_test)[:, 1] for name, m in MODELS.items()}
    names = [f"C{20_000 + 7 * n}" for n in range(len(test))]
    with Path(path).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["model", "customer_id", "label", "prob"])
        for model, of_model in probs.items():
            rows.writerows(zip([model] * len(test), names, test, of_model.round(4), strict=True))
    wrong = np.all([(of_model.round(4) > 0.5) != test for of_model in probs.values()], axis=0)
    return {name for name, is_wrong in zip(names, wrong, strict=True) if is_wrong}


class Questions(NamedTuple):
    """Questions that a language model gets wrong."""

    systematic: set[int]  # in all runs, with the same answer
    chance: set[int]  # in the mean of the runs, but not in all of them
    accuracy: float  # of one answer


def evaluation(folder, runs=5, number=300):
    """Writes what lm-evaluation-harness leaves of several runs of one benchmark."""
    rng = np.random.default_rng(0)
    right, trap = rng.integers(4, size=number), rng.integers(1, 4, size=number)
    favoured = np.where(rng.random(number) < 0.15, (right + trap) % 4, right)
    ease = np.abs(rng.normal(2, 1.5, size=number))
    loglikelihoods = rng.normal(-9, 0.8, (runs, number, 4)) + np.eye(4)[favoured] * ease[:, None]
    for run, of_run in enumerate(loglikelihoods):
        file = Path(folder) / f"seed{run}/model/samples_exam_2026-01-31T12-00-0{run}.jsonl"
        file.parent.mkdir(parents=True)
        lines = [_doc(n, right[n], of_run[n].tolist()) for n in range(number)]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    answers = loglikelihoods.argmax(-1)
    probs = np.exp(loglikelihoods)
    mean = (probs / probs.sum(-1, keepdims=True)).mean(0).argmax(-1)
    same = (answers == answers[0]).all(0) & (answers[0] != right)
    chance = (mean != right) & (answers == right).any(0)
    found = (set(np.flatnonzero(which).tolist()) for which in (same, chance))
    return Questions(*found, float((answers == right).mean()))


def _doc(number, right, values):
    options = {f"gen_args_{k}": {"arg_0": f"Question {number}", "arg_1": f" {k}"} for k in range(4)}
    return {
        "doc_id": number,
        "target": str(right),
        "arguments": options,
        "filtered_resps": [[str(value), "False"] for value in values],
        "acc": float(np.argmax(values) == right),
    }


class Ensemble(NamedTuple):
    """What a practitioner does not know of an ensemble."""

    flipped: set[int]  # rows whose label is wrong
    systematic: set[int]  # rows where nine of ten members vote for the same wrong class, or more
    error: float  # of a member on the samples without labels


def digits(labelled, unlabelled, members=10):
    """Saves logits of ten networks with some wrong labels, and on samples without labels."""
    x, y = load_digits(return_X_y=True)
    x, train, test, new = x / 16, slice(0, 500), slice(500, 1200), slice(1200, None)
    logits = []
    for seed in range(members):
        rng = np.random.default_rng(seed)
        drawn = rng.choice(500, size=250, replace=False)
        model = MLPClassifier((32,), learning_rate_init=0.01, tol=0.01, random_state=seed)
        logits.append(np.log(model.fit(x[train][drawn], y[train][drawn]).predict_proba(x) + 1e-12))
    logits, clean = np.stack(logits), y[test]
    flipped = np.random.default_rng(0).choice(len(clean), size=20, replace=False)
    labels = clean.copy()
    labels[flipped] = (labels[flipped] + 1 + np.arange(20) % 9) % 10
    images = (x * 15).astype(np.uint8).reshape(-1, 1, 8, 8) * 17
    np.savez(labelled, logits=logits[:, test], labels=labels, images=images[test])
    np.savez(unlabelled, logits=logits[:, new], images=images[new])
    votes = logits[:, test].argmax(-1)
    wrong = np.eye(10, dtype=int)[votes].sum(0)
    wrong[np.arange(len(labels)), labels] = 0
    same = np.flatnonzero(wrong.max(-1) >= 9)
    error = (logits[:, new].argmax(-1) != y[new]).mean()
    return Ensemble(set(flipped.tolist()), set(same.tolist()), float(error))
