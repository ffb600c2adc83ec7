"""What docs/language-models.md shows is run."""

import math
import random

import numpy as np
import pytest

from bvalign import open_predictions
from tests.docs.pages import blocks

EXAMPLES = [b.code for b in blocks("docs/language-models.md") if b.language == "python"]


def harness(seed, number):
    noise = random.Random(f"{seed} {number}")
    return [noise.gauss(-9 + 3 * (k == number % 3), 1) for k in range(3 + number % 2)]


def inspect(epoch, number):
    right = number % 3
    vote = random.Random(f"{epoch + 1} {number}").choice([right, right, 0, 1])
    return [0.0 if k == vote else -math.inf for k in range(3 + number % 2)]


def own(member, number):
    noise = random.Random(f"{('long', 'no', 'short')[member]} prompt {number}")
    return [noise.gauss(2 * (k == number % 3), 1) for k in range(3 + number % 3)]


def by_hand(logits_of, members, number):
    """bias_sq and variance of a question, over its options."""
    logits = [logits_of(member, number) for member in range(members)]
    weights = [[math.exp(value) for value in row] for row in logits]
    probs = [[weight / sum(row) for weight in row] for row in weights]
    mean = [sum(column) / members for column in zip(*probs, strict=True)]
    bias_sq = sum((p - (k == number % 3)) ** 2 for k, p in enumerate(mean))
    spread = sum((p - m) ** 2 for row in probs for p, m in zip(row, mean, strict=True))
    return bias_sq, spread / members


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "source", "format", "logits_of", "members"),
    [
        (0, "out", "lm_eval", harness, 4),
        (1, "capitals.json", "inspect", inspect, 5),
        (2, "predictions.jsonl", "jsonl", own, 3),
    ],
)
def test_the_examples_give_what_loops_over_the_options_do(
    capsys, example, source, format, logits_of, members
):
    assert len(EXAMPLES) == 3
    names = {}
    exec(compile(EXAMPLES[example], "language-models.md", "exec"), names)
    result = names["result"]
    assert capsys.readouterr().out == f"{result!r}\n"
    assert open_predictions(source)[1]["format"] == format
    rows = [by_hand(logits_of, members, number) for number in range(100)]
    expected = np.array(rows)
    for place, name in enumerate(("bias_sq", "variance")):
        np.testing.assert_allclose(result[name], expected[:, place], rtol=1e-12, atol=1e-15)
