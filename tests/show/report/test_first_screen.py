"""The first screen of a report: which numbers it shows, and what it tells to do."""

import re
from pathlib import Path

import numpy as np
import pytest

from bvalign import analyze
from bvalign.show.report.page.contents import contents
from bvalign.show.report.page.numbers import all_numbers
from bvalign.show.report.page.tiles import tiles
from bvalign.show.report.page.what_to_do import what_to_do
from tests.ensembles import aligned_ensemble

VIEWS = ("systematic", "wrong-labels", "not-accepted", "split-votes", "most-variable", "unsure")


def number(value, low=None, high=None, *, over="interval"):
    empty = dict.fromkeys(("interval", "interval_samples", "interval_members", "reason"))
    return empty | {"value": value} | ({over: [low, high]} if low is not None else {})


def summary(**more):
    """Numbers of ten members with labels, as far as the first screen reads them."""
    fit = {"slope": number(1.1, 1.0, 1.2), "offset": number(-1.5, -1.6, -1.4), "flags": []}
    return {
        "labels": True,
        "num_members": 10,
        "num_samples": 1000,
        "accuracy": number(0.9, 0.88, 0.92),
        "member_accuracy": {"mean": number(0.85, 0.82, 0.88)},
        "means": {"risk": number(0.2, 0.18, 0.22), "kl_risk": number(0.4, 0.35, 0.45)},
        "variance_share": {"squared": 0.25},
        "alignment": {"logit_slope": fit, "ols": {"slope": number(1.3, 1.2, 1.4)}},
        "ratio": {"population": {"geometric_mean": number(0.22, 0.2, 0.25)}},
        "decisions": {
            "members": card(0.01, -0.01, 0.03)
            | {
                "gain_of_all": {"error": number(0.01, -0.01, 0.03)},
                "gain_of_more": {"members": 18, "error": number(0.004, -0.004, 0.012)},
                "bias_share": number(0.97, 0.96, 0.98),
            },
            "wrong_labels": card(12.0, 4.0, 20.0, beside="review.html") | {"reviewed": 30},
        },
    } | more


def card(value, low, high, **more):
    return {"number": number(value, low, high), "beside": ""} | more


def by_title(found):
    return {tile.title: tile for tile in tiles(found)}


def said(found, views=VIEWS):
    return " ".join(advice.text for advice in what_to_do(found, views))


def test_tiles_quote_values_with_their_intervals():
    found = by_title(summary())
    assert list(found) == [
        "Accuracy of the ensemble",
        "Shared part of the risk",
        "Alignment",
        "What more members bring",
        "Suspect labels",
    ]
    accuracy = found["Accuracy of the ensemble"]
    assert (accuracy.value, accuracy.interval) == ("90.0%", "95% CI 88.0% to 92.0%")
    assert accuracy.note == "a single member: 85.0% (82.0% to 88.0%)"
    assert found["Shared part of the risk"].value == "75%"
    assert found["Alignment"].value == "slope 1.10"
    assert "offset −1.50 (−1.60 to −1.40)" in found["Alignment"].note
    assert found["Suspect labels"].interval == "95% CI 4 to 20"


def test_a_gain_that_may_be_none_is_not_promised():
    assert "no gain shown" in by_title(summary())["What more members bring"].note
    assert "Do not count on more members: no gain is shown" in said(summary())
    found = summary()
    for key in ("gain_of_all", "gain_of_more"):
        found["decisions"]["members"][key]["error"] = number(0.02, 0.01, 0.03)
    assert "2.00 points by 8 more" in by_title(found)["What more members bring"].note
    assert "8 more would change the accuracy by 2.00 points (95% CI" in said(found)


def test_a_flagged_slope_is_not_to_be_quoted():
    found = summary()
    found["alignment"]["logit_slope"]["flags"] = ["saturated"]
    tile = by_title(found)["Alignment"]
    assert tile.flagged
    assert "Do not quote: saturated" in tile.note
    assert "Do not quote slope and offset: " in said(found)
    found["alignment"]["logit_slope"] |= {"slope": number(20.0, -400.0, 400.0), "flags": []}
    assert by_title(found)["Alignment"].value == "no slope"
    assert "uote" not in said(found)
    found["alignment"]["logit_slope"]["slope"] = number(None)
    assert "there is none of the population" in by_title(found)["Alignment"].note


def test_few_and_soft_numbers_have_tiles():
    one = {"num_members": 1, "decisions": {}, "alignment": {"logit_slope": {"slope": number(None)}}}
    one["alignment"] |= {"ols": {"slope": number(None)}}
    one["alignment"]["logit_slope"] |= {"offset": number(None)}
    found = by_title(summary(**one))
    assert list(found) == [
        "Accuracy of the member",
        "Risk of the member",
        "Cross-entropy of a member",
    ]
    assert said(summary(**one)).startswith("Train a second member")
    soft = by_title(summary(soft_labels=True, noise_share={"squared": 0.5}))
    assert soft["Accuracy of the ensemble"].note.endswith("most probable label")
    assert "50% label noise, 25% squared bias" in soft["Shared part of the risk"].note


def test_only_lists_that_the_page_has_are_linked():
    (first, *_) = what_to_do(summary(), VIEWS)
    assert first.links[:2] == (("list", "#view=wrong-labels"), ("review.html", "review.html"))
    (first, *_) = what_to_do(summary(), ())
    assert first.links[0] == ("review.html", "review.html")


def test_numbers_are_found_by_their_path():
    found = all_numbers(summary())
    assert found["decisions.members.gain_of_all.error"]["value"] == 0.01
    assert "num_members" not in found
    assert contents(summary(), ["collapse"]).keys() >= {"collapse", "alignment", "appendix"}
    assert "alignment" not in contents(summary(labels=False), [])


def write(tmp_path, kind):
    logits, target = aligned_ensemble(members=1 if kind == "one" else 6, samples=120)
    target[:15] = (target[:15] + 1) % 5
    given = {"logits": np.asarray(logits)}
    if kind != "unlabelled":
        given["labels"] = np.asarray(target)
    if kind == "source":
        half = {
            name: array[..., :60, :] if name == "logits" else array[:60]
            for name, array in given.items()
        }
        analyze({"logits": given["logits"][:, 60:]}, sources={"half": half}).report(tmp_path)
    else:
        analyze(given).report(tmp_path)
    return (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "kind",
    [
        "labelled",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("one", "unlabelled", "source")),
    ],
)
def test_every_link_of_a_page_leads_somewhere(tmp_path, kind):
    text = write(tmp_path, kind)
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    links = {link for link in re.findall(r'href="([^"]+)"', text) if not link.startswith("data:")}
    views = set(re.findall(r'data-view="([^"]+)"', text))
    for link in links:
        if link.startswith("#view="):
            assert link.removeprefix("#view=") in views
        elif link.startswith("#"):
            assert link[1:] in ids
        else:
            assert (Path(tmp_path) / link).exists(), link
    assert 4 <= text.count('<a class="tile') <= 6
    assert 1 <= text.split('id="do"')[1].split("</ol>")[0].count("<li>") <= 5
    assert len(ids) == len(re.findall(r'\bid="([^"]+)"', text))
    assert "report.html" not in links
    for image in re.findall(r"<svg [^>]*role=.img.[^>]*>", text):
        assert re.search(r'aria-label="[^"]{20,}"', image)


def test_labels_that_every_run_of_a_model_misses_are_doubted_after_its_errors():
    found = summary()
    share, count = number(0.5, 0.4, 0.6), number(0.05, 0.04, 0.06)
    kinds = {"systematic_share": share, "systematic": count, "nearly_all": 9}
    found["decisions"]["systematic"] = card(0.5, 0.4, 0.6) | kinds
    labels, errors = "Review the 30 most suspicious labels", "Look first at the 50 errors"
    assert said(found).index(labels) < said(found).index(errors)
    found["decisions"]["answers"] = card(0.5, 0.4, 0.6)
    assert said(found).index(errors) < said(found).index(labels)
    assert "are wrong, unless the model is wrong about them in every run." in said(found)
