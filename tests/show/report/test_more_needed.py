"""What would tell two runs apart, in a sentence."""

import math

import pytest

from bvalign.analysis.intervals import Difference, MembersPart
from bvalign.show.report.comparison.more_needed import Sizes, in_a_sentence, more_needed

IF = "The 95% interval includes zero. If the difference stays as it is,"
SAME, OTHER = Sizes(1000, (10, 10)), Sizes(1000, (6, 20))


def difference(value, samples, added=0.0, *, known=True, stretch=0.0):
    """A difference with that much variance of samples, and of the members of each."""
    part = MembersPart(added, 0.0, 10.0, (-stretch, stretch))
    return Difference(value, samples, 1e6, (part, part) if known else None)


@pytest.mark.parametrize(
    ("found", "sizes", "sentence"),
    [
        (difference(1.0, 0.01), SAME, "The 95% interval excludes zero."),
        (
            difference(1.0, 0.01, known=False),
            SAME,
            "The 95% interval over samples alone excludes zero; other members could change that.",
        ),
        (
            difference(0.0, 0.01, 0.01),
            SAME,
            "The 95% interval includes zero. The two are equal, so no number of samples or members "
            "would resolve a difference.",
        ),
        (
            difference(1.0, 1.0),
            SAME,
            f"{IF} about 3,900 samples instead of 1,000 would resolve it; more members alone would "
            "not.",
        ),
        (
            difference(1.0, 1.0, known=False),
            SAME,
            "The 95% interval over samples alone includes zero. If the difference stays as it is, "
            "about 3,900 samples instead of 1,000 would resolve it for these members; the part of "
            "the members is unknown.",
        ),
        (
            difference(0.01, 1e-9, 2.5e-5),
            OTHER,
            f"{IF} about 13 and 42 members instead of 6 and 20 would resolve it; more samples "
            "alone would not.",
        ),
        (
            difference(1.0, 0.2, 0.05),
            SAME,
            f"{IF} about 1,300 samples instead of 1,000 would resolve it, or about 17 members of "
            "each instead of 10.",
        ),
        (
            difference(1.0, 1.0, 1.0),
            OTHER,
            f"{IF} about 12,000 samples instead of 1,000 with about 72 and 240 members instead of "
            "6 and 20 would resolve it; either alone would not.",
        ),
        (
            difference(1e-6, 1.0),
            SAME,
            f"{IF} more than 1,000 times the samples would resolve it; more members alone would "
            "not.",
        ),
        (
            difference(1.0, 1.0, 1.0, stretch=2.0),
            SAME,
            f"{IF} no number of samples or members is sure to resolve it, as it may be noise.",
        ),
    ],
)
def test_a_sentence_says_what_would_do(found, sizes, sentence):
    assert in_a_sentence(found, sizes, more_needed(found, sizes), []) == sentence


def test_flags_are_a_warning():
    found = difference(1.0, 0.01)
    assert in_a_sentence(found, SAME, None, ["a: saturated", "b: heavy_tails"]) == (
        "The 95% interval excludes zero. Do not quote the difference (a: saturated; b: "
        "heavy_tails)."
    )


def test_numbers_are_the_next_whole_ones():
    needed = more_needed(difference(1.0, 1.0), SAME)
    assert needed == {
        "samples": math.ceil(1000 * 1.959966**2),
        "members": None,
        "both": needed["both"],
    }
    assert needed["both"]["samples"] == needed["samples"]
    assert needed["both"]["members"] == [39, 39]
    assert more_needed(difference(1.0, 0.01), SAME) is None
