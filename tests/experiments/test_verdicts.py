"""Verdicts on claims: the stated rule, and what a number must say of itself where it is printed."""

import doctest
import json
import math
import sys

import pytest

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import verdicts


def number(value, half=None, **more):
    return {"value": value, "interval": half and [value - half, value + half]} | more


RUNS = {
    "a-1": {"slope": number(1.0, 0.05)},
    "a-2": {"slope": number(1.2, 0.05)},
    "b": {"slope": number(1.0, 0.5), "exact": number(3.0)},
}
CLAIM = {"claim": "C1", "says": "near one", "number": "slope", "within": [0.9, 1.1]}


@pytest.mark.parametrize(
    ("more", "expected", "yes", "no"),
    [
        ({"runs": ["a-1"]}, "confirmed", 1, 0),
        ({"runs": ["a-2"]}, "differs", 0, 1),
        ({"runs": ["b"]}, "open", 0, 0),
        ({}, "differs", 1, 1),
        ({"share": 0.6}, "open", 1, 1),
        ({"share": 0.3}, "confirmed", 1, 1),
        ({"runs": ["nobody"]}, "open", 0, 0),
        ({"number": "exact", "within": [0, math.inf]}, "confirmed", 1, 0),
        ({"compare": [["a-2", "a-1"]], "within": [0.1, math.inf]}, "confirmed", 1, 0),
        ({"compare": [["a-1", "a-2"], ["b", "gone"]], "within": [0, math.inf]}, "differs", 0, 1),
    ],
)
def test_verdicts_follow_the_stated_rule(more, expected, yes, no):
    found = verdicts.verdict(CLAIM | more, RUNS)
    assert (found["verdict"], found["yes"], found["no"]) == (expected, yes, no)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert f"C1, near one: {expected}" in verdicts.sentences(found)


def test_errors_of_two_runs_add_in_quadrature():
    found = verdicts.verdict(CLAIM | {"compare": [["a-2", "a-1"]]}, RUNS)
    (evidence,) = found["evidence"]
    assert evidence["interval"] == pytest.approx([0.2 - 0.05 * 2**0.5, 0.2 + 0.05 * 2**0.5])
    assert doctest.testmod(verdicts).failed == 0


@pytest.mark.parametrize("value", [1.0, 2.0])
def test_a_number_not_to_be_quoted_decides_nothing(value):
    runs = {"a": {"slope": number(value, 0.05, flags=["saturated"])}}
    found = verdicts.verdict(CLAIM, runs)
    assert (found["verdict"], found["yes"], found["no"]) == ("open", 0, 0)
    text = verdicts.sentences(found)
    assert "1 of them must not be quoted and count for neither" in text
    assert (
        f"{value:.3f} [{value - 0.05:.3f}, {value + 0.05:.3f}], do not quote: saturated (a)" in text
    )


def test_a_difference_says_what_either_interval_leaves_out():
    runs = {
        "a": {"slope": number(1.2, 0.05, over=verdicts.BOTH)},
        "b": {"slope": number(1.0, 0.05, over="samples", flags=["rare"])},
        "c": {"slope": number(1.0)},
    }
    pairs = {"compare": [["a", "b"], ["a", "a"], ["a", "c"], ["c", "c"]]}
    evidence = verdicts.verdict(CLAIM | pairs, runs)["evidence"]
    assert [e["over"] for e in evidence] == ["samples", verdicts.BOTH, verdicts.BOTH, None]
    assert [e["flags"] for e in evidence] == [["rare"], [], [], []]
    assert "] over samples alone, do not quote: rare" in verdicts.number_text(evidence[0])
    assert verdicts.number_text(evidence[1]).endswith("]")
    assert evidence[2]["interval"] == pytest.approx([0.15, 0.25])


def test_a_number_without_a_value_is_named_with_its_reason():
    reason = "needs three members; there are 2"
    runs = RUNS | {"few": {"slope": number(None, reason=reason)}, "no": {}}
    found = verdicts.verdict(CLAIM, runs)
    assert found["undefined"] == {reason: ["few"]}
    assert verdicts.sentences(found).endswith(f"Without few: {reason}.")
    assert len(found["evidence"]) == 3
    pairs = verdicts.verdict(CLAIM | {"compare": [["a-1", "few"]]}, runs)
    assert verdicts.sentences(pairs) == (
        f"C1, near one: open, nothing measured yet. Without few: {reason}."
    )
    assert not verdicts.verdict(CLAIM | {"runs": ["a-*"]}, runs)["undefined"]


def test_what_stands_beside_a_number_is_shown_and_decides_nothing():
    runs = {name: row | {"offset": number(-9.0, 1.0)} for name, row in RUNS.items()}
    found = verdicts.verdict(CLAIM | {"beside": "offset", "runs": ["a-1", "b"]}, runs)
    assert [shown["name"] for shown in found["beside"]["evidence"]] == ["a-1", "b"]
    assert found["verdict"] == verdicts.verdict(CLAIM | {"runs": ["a-1", "b"]}, RUNS)["verdict"]
    text = verdicts.sentences(found)
    assert "Beside it, offset is -9.0 [-10.0, -8.0] (a-1) to -9.0 [-10.0, -8.0] (b)." in text
