"""Stored predictions give the stored numbers, and stored runs go on; `make.py` made both.

Only the command line is used, so that the rooms behind it may be moved. What is computed from
stored predictions must agree to 1e-10: processors and versions differ in the last digits.
`test_processors.py` emulates some, docs/versions.md says which versions were tried, and
`two_commits.py` compares bit by bit on one machine.
"""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_post_hook

from tests.copies import writable_copy
from tests.golden.differences import close, differences, listing, read_csv, read_json

pytestmark = pytest.mark.usefixtures("without_figures")
HERE = Path(__file__).parent
INPUTS, EXPECTED = HERE / "inputs", HERE / "expected"
CASES = json.loads((HERE / "cases.json").read_text())
RUNS = ("digits", "digits-stopped")
HOW_IT_WAS_MADE = ("versions.", "provenance.")
"""What a summary says of the software and the machine."""

ANSWERS = ("decisions.",)
FITTED = ("wrong_label", "suggested_label", "accepted")
"""Parts of a summary and columns that are sentences, choices and fits, which may follow the last
digit of a number; tests of each question check them."""

RELATIVE = 1e-10
SUMMARY_FLOOR = 1e-14
"""Means, slopes and quantiles are sums and differences of numbers of order one, whose last digits
are 1e-16; no number of these summaries matters below 1e-4, where the floor is 1e-10 again."""

DIFFERENCES_FLOOR = 1e-14
DIFFERENCE_COLUMNS = (
    "gap",
    "calibration_residual",
    "gap_unbiased",
    "calibration_residual_unbiased",
    "slope_influence",
    "offset_influence",
)
"""Differences of numbers of order one, which cancel to as little as 1e-16. All other columns keep
their digits however small they are (squared biases of 1e-20 are stored), and have no floor."""

STEPS_LEFT = 2 * 6 * 15 - 37
"""Of the stopped run: two packs of six epochs of 15 batches, one of which has made 37 steps."""

TRAINED_AGAIN = 1e-2
"""Largest difference of a logit: emulated processors differed by 2e-5 after the 90 steps, members
that went on without their momentum by 6, and two members differ by 14 and more."""


def assert_as_stored(case, stored, folder, *names):
    """Compares files of two folders, and lists all that differs."""
    found = {name: _differences(stored / name, folder / name) for name in names}
    lists = [f"{case}/{name}\n{listing(there)}" for name, there in found.items() if there]
    if lists:
        pytest.fail(
            "differs from what is stored (key: old -> new); where it is meant to, "
            "`python tests/golden/make.py expected` stores it and lists old and new\n"
            + "\n".join(lists)
        )


def _differences(old, new):
    def same_value(_key, before, after):
        return close(before, after, relative=RELATIVE, floor=SUMMARY_FLOOR)

    def same_cell(key, before, after):
        floor = DIFFERENCES_FLOOR if key.split(".")[0] in DIFFERENCE_COLUMNS else 0.0
        return close(before, after, relative=RELATIVE, floor=floor)

    if old.suffix == ".csv":
        cells = [
            {key: cell for key, cell in read_csv(file).items() if key.split(".")[0] not in FITTED}
            for file in (old, new)
        ]
        return differences(*cells, same_cell)
    values = [read_json(file, HOW_IT_WAS_MADE + ANSWERS) for file in (old, new)]
    return differences(*values, same_value)


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def logits(member):
    return load_file(member / "logits.safetensors")["logits"]


@pytest.fixture
def steps():
    """Counts the steps of all optimizers."""
    count = [0]

    def add(*_):
        count[0] += 1

    handle = register_optimizer_step_post_hook(add)
    yield count
    handle.remove()


@pytest.mark.parametrize("case", [case for case in CASES["analyze"] if case not in RUNS])
def test_stored_predictions_give_the_stored_numbers(bvalign, case):
    (source,) = CASES["analyze"][case]
    bvalign("analyze", INPUTS / source, "--out", "out")
    assert_as_stored(case, EXPECTED / case, Path("out"), "summary.json", "samples.csv")


def test_the_largest_case_has_every_number():
    values = read_json(EXPECTED / "labelled" / "summary.json", HOW_IT_WAS_MADE)
    parts = ("means", "variance_share", "alignment.", "calibration", "collapse")
    undefined = [k for k, v in values.items() if v is None and k.startswith(parts)]
    assert [key for key in undefined if key.endswith("value")] == []


def test_an_old_run_is_reported_as_it_was(bvalign):
    writable_copy(INPUTS / "digits-stopped", "digits-stopped")
    bvalign("report", "digits-stopped")
    old, new = EXPECTED / "digits-stopped", Path("digits-stopped")
    assert_as_stored("digits-stopped", old, new, "summary.json", "samples.csv")


def test_old_runs_are_compared_as_they_lie(bvalign):
    for run in RUNS:
        writable_copy(INPUTS / run, run)
    bvalign("compare", *RUNS, "--out", "both")
    assert_as_stored("compare", EXPECTED, Path("both"), "compare.json")


def test_a_finished_old_run_trains_nothing_and_is_reported_as_it_was(bvalign, steps):
    writable_copy(INPUTS / "digits", "digits")
    before = files(Path("digits/members"))
    bvalign("fit", *CASES["fit"], "--trainer.default_root_dir=digits")
    assert steps == [0]
    assert files(Path("digits/members")) == before
    assert_as_stored("digits", EXPECTED / "digits", Path("digits"), "summary.json", "samples.csv")


def test_an_old_run_that_was_stopped_goes_on(bvalign, steps):
    """Members in training start from their checkpoint; all end where the finished run's did."""
    whole, run = INPUTS / "digits", Path("digits-stopped")
    writable_copy(INPUTS / run, run)
    finished, in_training, new = (
        [Path("members", f"{member:04d}") for member in pack] for pack in ((0, 1), (2, 3), (4, 5))
    )
    before = [files(run / member) for member in finished]
    bvalign("fit", *CASES["fit"], f"--trainer.default_root_dir={run}")
    assert steps == [STEPS_LEFT]
    assert [files(run / member) for member in finished] == before
    for member in (*in_training, *new):
        assert sorted(files(run / member)) == sorted(files(whole / member))
        error = (logits(run / member) - logits(whole / member)).abs().max()
        assert error < TRAINED_AGAIN, (member, error)
        histories = [read_csv(root / member / "history.csv") for root in (whole, run)]
        assert differences(*histories, _same_curve) == []
    for member in in_training:  # the epochs before the stop come from the checkpoint
        lines = [(root / member / "history.csv").read_text().split("\n") for root in (whole, run)]
        assert lines[0][:3] == lines[1][:3]
    roots = (run, EXPECTED / "digits")
    resumed, stored = (read_json(root / "summary.json", HOW_IT_WAS_MADE) for root in roots)
    for key in stored:
        if key.startswith(("identity", "data", "members", "notes", "num_")):
            assert resumed[key] == stored[key]


def _same_curve(key, old, new):
    """One of the hundred validation samples may fall on the other side."""
    return close(old, new, relative=1e-3, floor=0.01 if "accuracy" in key else 0.0)


def test_what_differs_is_listed():
    old = {"a": 1.0, "b": "x", "c": None, "gone": 2.0}
    new = {"a": 1.5, "b": "x", "c": float("nan"), "new": True}
    found = differences(old, new)
    assert listing(found).splitlines() == [
        "a: 1.0 -> 1.5  (relative 0.33)",
        "c: None -> nan",
        "gone: 2.0 -> '(absent)'",
        "new: '(absent)' -> True",
    ]
    assert listing(found, most=1).splitlines()[1].startswith("... and 3 more; the largest: a: ")
    assert differences(old, dict(reversed(old.items()))) == []
