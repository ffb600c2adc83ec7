"""What a reader is told in words: sentences of the page, and the table at the end of a command."""

import io
import re

import pytest
from rich.console import Console

from bvalign.analysis.intervals import Estimate, exponential
from bvalign.analysis.slopes import FLAGS
from bvalign.show.report.page.sentences import cautions, of_alignment, of_risk
from bvalign.show.report.summary_json import plain
from bvalign.show.report.terminal import print_main_numbers
from bvalign.show.rounding import rounded
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble


def on_terminal(analysis):
    file = io.StringIO()
    print_main_numbers(analysis, Console(file=file, force_terminal=True, width=110))
    return file.getvalue()


def table_rows(text):
    """Name -> value and 95% interval."""
    cells = [line.split("│") for line in text.splitlines() if "│" in line]
    return {name.strip(): (value.strip(), ends.strip()) for _, name, value, ends, _ in cells}


def test_the_end_is_a_table_on_a_terminal_and_lines_elsewhere(capsys):
    analysis = analysed(*aligned_ensemble(samples=200))
    print_main_numbers(analysis)
    assert capsys.readouterr().out == repr(analysis) + "\n"
    text = on_terminal(analysis)
    assert "─" in text
    assert "95% interval" in text
    population = analysis.alignment.logit_slope
    for name in ("slope", "offset"):
        value, low, high = rounded(getattr(population, name))
        assert table_rows(text)[f"population {name}"] == (value, f"{low} to {high}")


def test_nothing_but_intervals_stands_under_that_word():
    for logits, target in (aligned_ensemble(samples=200), aligned_ensemble(members=2, samples=40)):
        analysis = analysed(logits, target)
        rows, number = table_rows(on_terminal(analysis)), r"-?[\d.e+-]+"
        alone = ", samples alone" if len(logits) == 2 else ""
        for name, (_, ends) in rows.items():
            assert re.fullmatch(f"({number} to {number}{alone}|)", ends), name
        worst, best = analysis.member_accuracy.min(), analysis.member_accuracy.max()
        assert rows["worst and best member"] == (f"{float(worst):.4f}, {float(best):.4f}", "")


@pytest.mark.parametrize(("members", "samples"), [(1, 40), (2, 40), (3, 2)])
def test_main_numbers_say_what_is_undefined(members, samples, capsys):
    analysis = analysed(*aligned_ensemble(members=members, samples=samples))
    reason = f"No population slope: {analysis.alignment.logit_slope.slope.reason}."
    print_main_numbers(analysis)
    assert reason in capsys.readouterr().out
    assert reason in " ".join(on_terminal(analysis).split())


def sentences_of(flags=(), members=8):
    number = Estimate(1.0, (0.5, 1.5))
    return " ".join(cautions(number, number, flags, members))


def test_flags_and_few_members_are_said_in_words():
    assert sentences_of() == ""
    for flag, sentence in FLAGS.items():
        assert f"Do not quote the population slope and offset: {sentence}" in sentences_of([flag])
    assert "assume a Gaussian" in sentences_of(members=4)
    assert "5 members are few" in sentences_of(members=5)
    none = Estimate(None, reason="needs three members; there are 2")
    said = list(cautions(none, none, (), 2))
    assert said == ["No population slope: needs three members; there are 2."]


def summary_with(value, ends, *, members=8, flags=(), name="interval"):
    """As much of a summary as sentences read; every number has the same interval."""
    number = plain(Estimate(value))
    number |= {name: ends}
    means = dict.fromkeys(("risk", "bias_sq", "variance"), number | {"value": 0.2})
    offset = plain(Estimate(-2.0, (-2.5, -1.5)))
    return {
        "num_members": members,
        "accuracy": number | {"value": 0.7},
        "member_accuracy": {"mean": number | {"value": 0.6}, "min": 0.55, "max": 0.65},
        "means": means,
        "variance_share": {"squared": 0.25},
        "alignment": {
            "logit_slope": {
                "slope": number,
                "offset": offset,
                "flags": list(flags),
                "quotable": not flags,
            },
            "ols": {"slope": number},
        },
        "ratio": {"population": {"geometric_mean": plain(exponential(Estimate(-2.0)))}},
    }


def test_the_slope_is_put_into_words_with_its_offset():
    text = "\n".join(of_alignment(summary_with(1.0, [0.5, 2.0])))
    assert "If squared bias grows tenfold, variance grows 10.0-fold (95% CI 3.2 to 100.0)" in text
    slope, offset = "slope 1.000 (95% CI 0.500 to 2.000)", "offset −2.000 (95% CI −2.500 to −1.500)"
    assert f"Quote {slope} and {offset}." in text
    assert "0.135 (no interval" in text  # e^-2
    assert "not" not in text.split("\n")[1]
    text = "\n".join(of_alignment(summary_with(1.0, [0.5, 2.0], flags=["saturated"])))
    assert "Quote" not in text
    assert f"the estimate is {slope} and {offset}, not to be quoted." in text
    assert f"Do not quote the population slope and offset: {FLAGS['saturated']}" in text


def test_a_slope_that_is_not_determined_is_not_put_into_words():
    first, *_ = of_alignment(summary_with(1.0, [-400.0, 402.0]))
    assert first.startswith(
        "These samples do not determine the population slope: slope 1.000 (95% "
    )


def test_an_interval_over_samples_alone_says_so():
    summary = summary_with(0.2, [-0.1, 0.9], name="interval_samples")
    text = "\n".join([*of_risk(summary), *of_alignment(summary)])
    assert text.count(", samples alone)") == 8  # all numbers but the offset
    assert "The risk of a member, its Brier score, is 0.2 (95% CI 0 to 0.9, samples alone)." in text
    assert "70.0% (95% CI −10.0% to 90.0%, samples alone)" in text
