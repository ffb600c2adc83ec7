"""Six people type what their page of the documentation says, and read the answer.

Each starts in an empty folder with nothing but what is theirs, types at most two commands (or adds
eight lines to a script), and asks:

- student: does variance follow squared bias in a small ensemble on my laptop, where do I see it?
- data-science: I have a CSV of the predicted probabilities of five models. Which customers do all
  of them get wrong?
- practitioner: which samples does my kind of model get wrong systematically, would more members
  help, which labels are wrong, and what error do I expect on samples without labels?
- language-models: how sure is the accuracy of my benchmark, and which questions does the model get
  wrong every time, which by chance?
- lightning: I train my LightningModule with several seeds. What is bias, what is variance, the luck
  of the seed?
- wandb: I sweep the width. Does the slope change, and is the difference resolved?

The answer must be in the printed lines, on the first screen of the page (`#summary`), or one link
from there; it is compared with what the test knows of the inputs or computes anew.
"""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.browser import in_chromium
from tests.walkthroughs import inputs
from tests.walkthroughs.own_module import with_lines
from tests.walkthroughs.typed import added_lines, shell, typed

NUMBER = r"(-?[\d.]+)"
INTERVAL = re.compile(rf"\((?:95% CI )?{NUMBER}%? to {NUMBER}%?\)")

pytestmark = pytest.mark.timeout(600)


def numbers(pattern, text):
    """The numbers of the groups of a pattern that must be there."""
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in:\n{text}"
    return [float(group) for group in found.groups()]


def answer(question, printed):
    """What the command prints after a question."""
    (line,) = [line for line in printed.splitlines() if line.startswith(question)]
    return line.removeprefix(question)


def counts(text):
    """The whole numbers of a text, as 22 in "22 of 55 errors (40.0%)"."""
    return {int(n) for n in re.findall(r"(?<![\d.])\d+(?![\d.]*%|\.\d)", text.replace(",", ""))}


def summary(page):
    """What the first screen says, in one line."""
    return " ".join(page.locator("#summary").inner_text().split())


def listed(page, key):
    """Opens a list from the first screen, or by its button above the table; returns its samples."""
    link = page.locator(f'#summary a[href="#view={key}"]')
    (link.first if link.count() else page.locator(f"#scenarios [data-view={key}]")).click()
    page.locator(f"#scenarios [data-view={key}][aria-pressed=true]").wait_for()
    with page.expect_download() as saved:
        page.locator("#export").click()
    with Path(saved.value.path()).open(newline="") as file:
        return {
            row["sample"] if "sample" in row else int(row["index"]) for row in csv.DictReader(file)
        }


def samples(folder):
    with (Path(folder) / "samples.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@in_chromium
def test_a_student_sees_that_variance_follows_squared_bias(open_page):
    printed = typed("student")
    slope, low, high = numbers(rf"population slope {NUMBER} {INTERVAL.pattern}", printed)
    assert low < slope < high
    assert 0.5 < slope < 1.5
    assert "do not quote" not in printed.lower()
    (report,) = re.findall(r"^report: (.*)$", printed, re.MULTILINE)
    page = open_page(Path(report))
    said = numbers(rf"slope {NUMBER} 95% CI {NUMBER} to {NUMBER}", summary(page))
    assert said == pytest.approx([slope, low, high], abs=0.006)
    box = page.locator("#plot").bounding_box()
    assert box["y"] + box["height"] <= 900  # the picture, without scrolling


@in_chromium
def test_a_data_scientist_finds_the_customers_that_all_models_get_wrong(open_page):
    wrong = inputs.customers("predictions.csv")
    printed = typed("data-science")
    assert {len(wrong), 5} <= counts(answer("Systematic or chance?", printed))
    page = open_page(Path("out/report.html"))
    assert f"{len(wrong)} errors that all 5 members share" in summary(page)
    assert listed(page, "systematic") == wrong
    rows = {row["sample"]: row for row in samples("out")}
    assert {name for name in rows if float(rows[name]["consistently_wrong"]) == 1} == wrong
    (address,) = re.findall(r"^systematic errors: out/report.html#(.*)$", printed, re.MULTILINE)
    page = open_page(Path("out/report.html"), address)
    page.locator("#table [role=gridcell]").first.wait_for()
    assert page.locator("#samples").bounding_box()["y"] < 100  # the list, without scrolling
    assert wrong & set(page.locator("#table").inner_text().split())


@in_chromium
def test_a_practitioner_learns_what_to_do(open_page):
    truth = inputs.digits("mine.npz", "new.npz")
    printed = typed("practitioner")
    assert len(truth.systematic) in counts(answer("Systematic or chance?", printed))
    assert INTERVAL.search(answer("How many members?", printed))
    low, high = numbers(INTERVAL, answer("Which labels are wrong?", printed))
    assert low <= len(truth.flipped) <= high
    low, high = numbers(INTERVAL, answer("Risk without labels?", printed))
    assert low <= 100 * truth.error <= high
    page = open_page(Path("out/report.html"))
    said = summary(page)
    assert f"{len(truth.systematic)} errors that at least 9 of 10 members share" in said
    assert "more members" in said
    assert listed(page, "systematic") == truth.systematic
    page.locator('#contents a[href="#summary"]').click()
    suspicious = listed(page, "wrong-labels")
    assert len(suspicious & truth.flipped) >= 0.8 * len(truth.flipped)
    assert len(suspicious) <= 3 * len(truth.flipped)
    assert numbers(
        rf"{NUMBER}% 95% CI {low}% to {high}%", summary(open_page(Path("out-new/report.html")))
    )


@in_chromium
def test_someone_who_evaluates_a_language_model_knows_which_errors_are_chance(open_page):
    truth = inputs.evaluation("out")
    printed = typed("language-models")
    said = answer("Repeated answers: how sure is the accuracy?", printed)
    assert f"{100 * truth.accuracy:.1f}%" in said
    low, high = numbers(INTERVAL, said)
    (bar,) = numbers(rf"±{NUMBER} points", said)
    assert bar == pytest.approx((high - low) / 2, abs=0.2)
    kinds = counts(answer("Systematic or chance?", printed))
    assert {len(truth.systematic), len(truth.chance)} <= kinds
    page = open_page(Path("report/report.html"))
    assert f"±{bar} points" in summary(page)
    assert listed(page, "systematic") == truth.systematic
    assert listed(page, "chance") == truth.chance


@in_chromium
def test_a_module_of_ones_own_tells_bias_from_the_luck_of_the_seed(open_page):
    Path("train.py").write_text(with_lines(added_lines("lightning")))
    printed = shell("python train.py")
    bias_sq, variance = numbers(rf"mean squared bias {NUMBER} .*?variance {NUMBER} ", printed)
    logits, target = [], None
    for file in sorted(Path("out/members").glob("*.safetensors")):
        arrays = load_file(file)
        logits.append(arrays["logits"].astype(np.float64))
        target = arrays["labels"] if "labels" in arrays else arrays["target"]
    probs = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    probs /= probs.sum(-1, keepdims=True)
    mean = probs.mean(0)
    assert bias_sq == pytest.approx(((mean - np.eye(10)[target]) ** 2).sum(-1).mean(), rel=1e-3)
    assert variance == pytest.approx(((probs - mean) ** 2).sum(-1).mean(), rel=1e-3)
    said = summary(open_page(Path("out/report.html")))
    (share,) = numbers(r"part of the risk (\d+)%", said)
    assert 50 < share <= 100 * bias_sq / (bias_sq + variance)  # of infinitely many: a bit less
    assert len(list(Path("logs").rglob("metrics.csv"))) == 5  # the logger stays theirs


@in_chromium
def test_a_sweep_over_the_width_tells_whether_the_slope_changes(open_page):
    printed = typed("wandb")
    runs = sorted(Path("runs").iterdir())
    assert len(runs) == 3
    slopes = []
    for run in runs:
        assert list(run.glob("wandb/offline-run-*/*.wandb"))
        number = json.loads((run / "summary.json").read_text())["alignment"]["logit_slope"]
        slopes.append(number["slope"]["value"])
    low, high = numbers(rf"Slopes .* from {NUMBER} .* to {NUMBER} ", printed)
    assert (low, high) == pytest.approx((min(slopes), max(slopes)), abs=0.006)
    assert re.search(r"Slopes .* (differences are|difference is)( not)? resolved", printed)
    page = open_page(Path("compare/compare.html"))
    assert re.search(r"Slopes .* width", summary(page))
