"""Rankings of labels by how wrong they look, against cleanlab's, where the wrong ones are known.

Members are trained on the wrong labels by K-fold, and each label is judged by members that have not
seen it. Wrong labels: on digits and Fashion-MNIST a fraction replaced by any other class (`any`) or
by the next one (`next`); on CIFAR-10N those of people, which differ from CIFAR-10's. CIFAR-10 is a
part balanced by those labels, with a narrow network, and is left out where its images are missing.
Needs cleanlab: pip install bvalign[labels].
"""

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from decision_goals import Goal
from simulated_labels import coverage
from trained import train_missing

from bvalign import analyze
from bvalign.predictions import Names, open_predictions

CNN = [
    "--model.arch=cnn",
    "--model.plan=sequential",
    "--trainer.check_val_every_n_epoch=100",
    "--data.num_test=500",
]
FOLDS = ["--model.randomness.bootstrap=kfold", "--model.randomness.folds=5"]
STORED = ["--predictions.train=true", "--trainer.logger=false"]
SETS = {
    "digits": {"any": "Digits", "next": "noisy_sets.NextDigits"},
    "fashion-mnist": {"any": "FashionMNIST", "next": "noisy_sets.NextFashion"},
}
SCALE = {
    "digits": ["--data.batch_size=32", "--model.members=20", "--trainer.max_epochs=8"],
    "fashion-mnist": ["--data.num_train=6000", "--model.members=10", "--trainer.max_epochs=4"],
    "cifar10n": [
        *("--data.num_train=6000", "--model.members=10", "--trainer.max_epochs=6"),
        "--model.width=8",
    ],
}
RATES = (0.1, 0.2)
DRAWS = 1000
METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
WEIGHTS = ("uniform", "accuracy", "log_loss_search")
BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)


def measure(data: Path, runs: Path, *, quick: bool) -> dict:
    wanted = _runs(data)
    if quick:
        wanted = {name: options for name, options in wanted.items() if name.startswith("digits")}
    runs = runs / "wrong-labels"
    train_missing(runs, data, wanted)
    return {
        "sets": {name: _compare(runs / name, quick=quick) for name in wanted},
        "coverage": coverage(5 if quick else 200),
    }


def table(found: dict) -> str:
    parts = (_ranked(found["sets"]), _counted(found["sets"]), _held(found["sets"]))
    return "\n\n".join(["\n".join(lines) for lines in (*parts, _covered(found["coverage"]))])


def _ranked(sets: dict) -> list[str]:
    lines = [
        "Average precision of rankings. 95% intervals: bootstrap over samples, the difference "
        "paired. cleanlab's best is the best of its rankings on that set, which nobody knows "
        "beforehand.",
        "",
        "| set | wrong | posterior | cleanlab's best | difference | self confidence | margin | "
        "loss of a member |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, at in sets.items():
        score = {key: each["average_precision"] for key, each in at["rankings"].items()}
        low, high = at["difference"]["interval"]
        lines.append(
            f"| {name} | {at['wrong']} of {at['samples']:,} | {_said(at['posterior'])} | "
            f"{score[at['best']]:.3f} ({at['best']}) | {at['difference']['value']:+.3f} "
            f"({low:+.3f} to {high:+.3f}) | {score['self_confidence']:.3f} | "
            f"{score['normalized_margin']:.3f} | {score['loss']:.3f} |"
        )
    return lines


def _counted(sets: dict) -> list[str]:
    lines = [
        "Precision among as many labels as are wrong, and among the first 50; the number of wrong "
        "labels that is expected.",
        "",
        "| set | precision, posterior | cleanlab's best | first 50, posterior | cleanlab's best | "
        "wrong | expected |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, at in sets.items():
        best, low, high = at["rankings"][at["best"]], *at["expected"]["interval"]
        lines.append(
            f"| {name} | {_said(at['posterior_precision'])} | {best['precision']:.3f} | "
            f"{at['posterior_first']:.2f} | {best['first']:.2f} | {at['wrong']} | "
            f"{at['expected']['value']:.0f} ({low:.0f} to {high:.0f}) |"
        )
    return lines


def _held(sets: dict) -> list[str]:
    bins = [f"{a:g} to {b:g}" for a, b in pairwise(BINS)]
    lines = [
        "Share of the labels that is wrong by their posterior, with their number.",
        "",
        f"| set | {' | '.join(bins)} |",
        "| --- |" + " --- |" * len(bins),
    ]
    for name, at in sets.items():
        cells = [f"{b['wrong']:.2f} ({b['labels']:,})" if b["labels"] else "" for b in at["bins"]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _covered(simulated: dict) -> list[str]:
    lines = [
        "Simulated ensembles that know the true classes (1,000 samples): how often the interval "
        "holds the number of wrong labels.",
        "",
        "| wrong labels | coverage | mean relative error of the number | width / number |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {at['coverage']:.1%} of {at['draws']} | {at['relative_error']:+.1%} | "
        f"{at['relative_width']:.2f} |"
        for name, at in simulated.items()
    ]
    return lines


def goals(found: dict) -> list[Goal]:
    found = {name: at["difference"] for name, at in found["sets"].items()}
    below = [name for name, each in found.items() if each["value"] < 0]
    surely = [name for name in below if found[name]["interval"][1] < 0]
    above = sum(each["value"] > 0 for each in found.values())
    worst = min(each["value"] for each in found.values())
    listed = f" ({', '.join(below)}; beyond its interval on {len(surely)})" if below else ""
    return [
        Goal(
            "average precision not below cleanlab's best on every set",
            f"below on {len(below)} of {len(found)}, by at most {-worst:.3f}{listed}"
            if below
            else f"below on none of {len(found)}",
            not below,
        ),
        Goal("above on most", f"on {above} of {len(found)}", above > len(found) / 2),
    ]


def _runs(data: Path) -> dict[str, list[str]]:
    """Options of `bvalign fit` by the name of the set."""
    common, runs = [*CNN, *FOLDS, *STORED], {}
    for name, kinds in SETS.items():
        for kind, source in kinds.items():
            for rate in RATES:
                noise = [f"--data={source}", f"--data.label_noise={rate}"]
                runs[f"{name}-{kind}-{100 * rate:.0f}"] = [*noise, *SCALE[name], *common]
    if (data / "cifar-10-batches-py").exists():
        for kind in ("aggregate", "worst"):
            people = ["--data=CIFAR10N", f"--data.labels={kind}", "--data.verify=false"]
            runs[f"cifar10n-{kind}"] = [*people, *SCALE["cifar10n"], *common]
    return runs


def _compare(run: Path, *, quick: bool) -> dict:
    predictions, _ = open_predictions(run, names=Names(split="train"))
    stored = np.load(run / "samples-train.npz")
    wrong = (stored["target"] != stored["clean_target"])[predictions.index]
    found = analyze(predictions)
    answer, label = found.decisions["wrong_labels"], predictions.target
    probs = predictions.read(0, len(label)).double().softmax(dim=-1).numpy()
    scores = _rankings(probs, np.asarray(label))
    ranked = {name: _measures(score, wrong) for name, score in scores.items()}
    theirs = {name: each for name, each in ranked.items() if name != "loss"}
    best = max(theirs, key=lambda name: theirs[name]["average_precision"])
    ours = answer.wrong.numpy()
    draws = _draws(len(wrong), 20 if quick else DRAWS)
    own, other = (_average_precision(s, wrong, draws) for s in (ours, scores[best]))
    value, number = _measures(ours, wrong), answer.number
    return {
        "samples": len(wrong),
        "wrong": int(wrong.sum()),
        "judges": found.num_members,
        "accuracy": found.accuracy.value,
        "rankings": ranked,
        "best": best,
        "posterior": {"value": value["average_precision"], "interval": _ends(own)},
        "posterior_precision": {
            "value": value["precision"],
            "interval": _ends(_precision(ours, wrong, draws)),
        },
        "posterior_first": value["first"],
        "difference": {
            "value": value["average_precision"] - theirs[best]["average_precision"],
            "interval": _ends(own - other),
        },
        "expected": {"value": number.value, "interval": number.interval_samples},
        "bins": [
            {
                "labels": int(inside.sum()),
                "posterior": float(ours[inside].mean()) if inside.any() else None,
                "wrong": float(wrong[inside].mean()) if inside.any() else None,
            }
            for low, high in pairwise(BINS)
            for inside in [(ours >= low) & ((ours < high) | (high == 1))]
        ],
    }


def _rankings(probs: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Scores by name, larger for labels that look wrong: cleanlab's and the plain loss.

    Args:
        probs: of the members (members, samples, classes).
        label: class ids.
    """
    from cleanlab.rank import get_label_quality_ensemble_scores, get_label_quality_scores

    mean, scores = probs.mean(axis=0), {}
    for method in METHODS:
        for adjusted in (False, True)[: 1 + (method != METHODS[2])]:
            name = method + ", adjusted" * adjusted
            given = {"method": method, "adjust_pred_probs": adjusted}
            scores[name] = -get_label_quality_scores(label, mean, **given)
        for weights in WEIGHTS if method != METHODS[2] else ():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # members of equal accuracy
                scores[f"ensemble {method}, {weights}"] = -get_label_quality_ensemble_scores(
                    label,
                    list(probs),
                    method=method,
                    weight_ensemble_members_by=weights,
                    verbose=False,
                )
    own = probs[:, np.arange(len(label)), label]
    return scores | {"loss": -np.log(own.clip(1e-300)).mean(axis=0)}


def _measures(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    once = np.ones((1, len(wrong)), dtype=int)
    first = np.argsort(-score, kind="stable")[:50]
    return {
        "average_precision": float(_average_precision(score, wrong, once)[0]),
        "precision": float(_precision(score, wrong, once)[0]),
        "first": float(wrong[first].mean()),
    }


def _draws(size: int, number: int) -> np.ndarray:
    """How often each sample is in each resample (draws, samples)."""
    return np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), size=number)


def _average_precision(score: np.ndarray, wrong: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mean over the wrong labels of the precision down to them, of each resample."""
    order = np.argsort(-score, kind="stable")
    times, hits = draws[:, order], draws[:, order] * wrong[order]
    precision = hits.cumsum(axis=1) / times.cumsum(axis=1).clip(1)
    return (precision * hits).sum(axis=1) / hits.sum(axis=1)


def _precision(score: np.ndarray, wrong: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Share of wrong labels among as many as are wrong, of each resample."""
    order = np.argsort(-score, kind="stable")
    times, hits = draws[:, order], draws[:, order] * wrong[order]
    number = hits.sum(axis=1, keepdims=True)
    inside = times.cumsum(axis=1) <= number
    return (hits * inside).sum(axis=1) / number[:, 0]


def _ends(values: np.ndarray) -> list[float]:
    return np.quantile(values, (0.025, 0.975)).tolist()


def _said(number: dict) -> str:
    low, high = number["interval"]
    return f"{number['value']:.3f} ({low:.3f} to {high:.3f})"
