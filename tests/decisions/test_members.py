"""How many members: words and numbers of the card, targets, and special inputs."""

import math

import pytest
import torch

from bvalign.decisions import Options, how_many_members
from bvalign.decisions.needed import check_targets
from bvalign.show.report.summary_json import plain
from tests.analysed import analysed


def ensemble(members, samples=300, seed=0, classes=4):
    generator = torch.Generator().manual_seed(seed)
    mean = 2 * torch.randn(samples, classes, generator=generator)
    target = (mean + torch.randn(samples, classes, generator=generator)).argmax(dim=-1)
    return mean + torch.randn(members, samples, classes, generator=generator), target


@pytest.fixture(scope="module")
def eight():
    return analysed(*ensemble(8))


def test_the_card_says_what_more_members_bring(eight):
    found = how_many_members(eight)
    card, numbers = found.card(), found.summary()
    assert card.number == numbers["gain_of_all"]["error"]
    low, high = card.number.interval
    assert low <= card.number.value <= high
    gain = numbers["gain_of_more"]
    assert gain["members"] == 16
    assert f"{100 * gain['error'].value:.2f} points" in card.answer
    means = {name: eight.means[name].value for name in ("bias_sq", "variance_unbiased")}
    assert gain["risk"].value == pytest.approx(means["variance_unbiased"] * (1 / 8 - 1 / 16))
    share = 1 - means["variance_unbiased"] / 8 / means["bias_sq"]
    assert numbers["bias_share"].value == pytest.approx(share)
    assert f"{100 * share:.1f}%" in card.answer
    rows = {row["members"]: row for row in numbers["over_members"]}
    assert list(rows) == [1, 2, 4, 8, 16, 32]
    assert rows[8]["error"].value == pytest.approx(1 - eight.accuracy.value)
    assert rows[16]["extrapolated"]
    assert not rows[8]["extrapolated"]
    assert plain(numbers)["limit"]["risk"]["value"] == pytest.approx(
        eight.means["bias_sq_unbiased"].value
    )


def test_the_number_needed_for_a_risk_is_that_of_the_formula(eight):
    bias_sq, variance = (
        eight.means[name].value for name in ("bias_sq_unbiased", "variance_unbiased")
    )
    found = how_many_members(eight, {"risk": bias_sq + variance / 11.5, "accuracy": 0.01}).targets
    assert found["risk"].members == 12
    assert found["risk"].low <= 12
    assert found["accuracy"].members == 1
    none = how_many_members(eight, {"risk": bias_sq / 2}).targets["risk"]
    assert none.members is None
    assert none.high is None
    assert "No number of members" in none.sentence


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"loss": 0.1}, "'loss' is unknown; one is risk, error, accuracy or cross_entropy"),
        ({"risk": "low"}, "risk must be a number, .* got 'low'"),
        ({"accuracy": 91}, "accuracy must be from 0 to 1, got 91"),
        ({"cross_entropy": -1}, "cross_entropy must be at least 0, got -1"),
        ({"error": math.nan}, "error must be from 0 to 1, got nan"),
    ],
)
def test_bad_targets_have_one_line(targets, message):
    with pytest.raises(ValueError, match=message):
        Options(targets)
    with pytest.raises(ValueError, match=message):
        check_targets(targets)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (1, "A single member cannot say"),
        (2, "no interval over members"),
        (4, "4 members say little"),
    ],
)
def test_few_members_have_their_words(members, words):
    found = how_many_members(analysed(*ensemble(members, 60)), {"risk": 0.4})
    assert words in found.card().answer
    plain(found.summary())
    assert "risk" in found.targets["risk"].sentence


def special():
    logits, target = ensemble(4, 40)
    right = torch.zeros_like(logits)
    right[:, torch.arange(40), target] = 50.0
    yield "all right", right, target, {}
    yield "all wrong", -right, target, {}
    votes = torch.full_like(logits, -math.inf).scatter(-1, logits.argmax(dim=-1, keepdim=True), 0.0)
    yield "votes", votes, target, {}
    soft = torch.softmax(torch.randn(40, 4, generator=torch.Generator().manual_seed(2)), dim=-1)
    yield "soft labels", logits, soft.argmax(dim=-1), {"soft": soft}
    yield "one sample", logits[:, :1], target[:1], {}
    yield "clusters", logits, target, {"clusters": torch.arange(40) // 5}
    options = torch.full((40,), 4)
    options[:20], fewer = 3, logits.clone()
    fewer[:, :20, 3] = -math.inf
    yield "options", fewer, target.clamp(max=2), {"num_options": options}


@pytest.mark.parametrize(
    ("logits", "target", "given"), [pytest.param(*case[1:], id=case[0]) for case in special()]
)
def test_special_inputs_have_words(logits, target, given):
    found = how_many_members(analysed(logits, target, **given), {"cross_entropy": 0.5})
    card = found.card()
    assert card.answer
    plain(found.summary())
    if not found.curves["cross_entropy"].defined:
        assert "probability of zero" in found.targets["cross_entropy"].sentence
    error = found.at("error", 4)
    low, high = error.quoted_interval or (error.value, error.value)
    assert 0 <= low <= error.value <= high <= 1
