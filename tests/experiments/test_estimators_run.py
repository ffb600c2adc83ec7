"""The simulation study as a command: it can be killed, refuses mixtures, and judges its goals."""

import doctest
import importlib.util
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.ensembles import aligned_ensemble
from tests.experiments import estimators_stand_in as stand_in
from tests.processes import PATIENCE, run_process

import cells  # isort: skip
import draws  # isort: skip
import coverage_goals as goals  # isort: skip
import real  # isort: skip
import rows  # isort: skip
import coverage_tables as tables  # isort: skip
import truths  # isort: skip

SCRIPT = Path(stand_in.__file__)
NAMES = list(stand_in.TINY)


def load_run():
    """`run.py` under a name of its own: that of the studies is called `run` too."""
    spec = importlib.util.spec_from_file_location("estimators_run", stand_in.ESTIMATORS / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = load_run()


@pytest.fixture(scope="module")
def truth_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("truths") / "truths.json"
    content = {name: truths.truth_of(cell, samples=4000) for name, cell in stand_in.TINY.items()}
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def tiny(monkeypatch):
    """Two tiny cells in place of the list, measured in no time."""
    for module in (cells, draws, run):
        monkeypatch.setattr(module, "CELLS", stand_in.TINY)
    monkeypatch.setattr(draws, "measure", stand_in.measure)


def numbers(folder):
    """Stored draws without the seconds that they took."""
    stored = {name: json.loads((folder / f"{name}.json").read_text()) for name in NAMES}
    for content in stored.values():
        content["draws"].sort(key=lambda one: one["seed"])
        for one in content["draws"]:
            del one["seconds"]
    return stored


def test_two_cells_make_rows_tables_and_verdicts(tiny, truth_file):
    store = draws.Store(Path("work"))
    run.run(list(stand_in.TINY.values()), 7, 1, store)
    run.write(run.rows(store, truth_file), Path("out"))
    results = json.loads(Path("out/results.json").read_text())
    gauss, votes = results["rows"]
    assert gauss["draws"] == votes["draws"] == 7
    assert gauss["slope"]["numbers"] == gauss["slope"]["intervals"] == 7
    assert gauss["slope"]["truth"] == pytest.approx(
        json.loads(truth_file.read_text())[NAMES[0]]["slope"][0]
    )
    assert gauss["means"]["bias_sq"]["coverage"] > 0.4
    assert votes["slope"]["numbers"] == 0
    assert votes["no_slope"] == {"no logs": 7}
    assert votes["flags"] == {"votes": 7}
    assert "kl_bias" not in votes["means"]
    text = Path("out/results.md").read_text()
    assert f"| {NAMES[0]} | near_gaussian | 7 |" in text
    assert "| degenerate input |" in text
    assert "2 of 2 cells, 7 to 7 draws each" in text


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(tiny, truth_file, tmp_path):
    options = ["--work", "work", "--out", "out", "--truths", truth_file, "--draws", "30"]
    command = [sys.executable, SCRIPT, *options, "--workers"]
    environment = os.environ | {"STAND_IN_SECONDS": "0.2"}
    started = subprocess.Popen(
        [*command, "2"], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    first, end = tmp_path / "work" / f"{NAMES[0]}.json", time.monotonic() + PATIENCE
    while not first.exists() and time.monotonic() < end:
        time.sleep(0.02)
    started.kill()
    started.wait()
    kept = json.loads(first.read_text())["draws"]
    assert 0 < len(kept) < 30
    while group_lives(started.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not group_lives(started.pid)  # workers end with the command
    run_process([*command, "1"])
    after = json.loads(first.read_text())["draws"]
    assert all(one in after for one in kept)  # with the seconds that they took: not made again
    run.run(list(stand_in.TINY.values()), 30, 1, draws.Store(Path("other")))
    assert numbers(Path("work")) == numbers(Path("other"))


def group_lives(leader):
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_draws_of_other_code_or_of_another_cell_are_refused(tiny):
    store, cell = draws.Store(Path("work")), stand_in.TINY[NAMES[0]]
    list(draws.make_draws(store, [cell], 2, 1))
    assert [one["seed"] for one in store.read(cell)] == [0, 1]
    file = Path("work") / f"{cell.name}.json"
    content = json.loads(file.read_text())
    for what, wrong in (("code", "0" * 16), ("cell", {})):
        file.write_text(json.dumps(content | {what: wrong}))
        with pytest.raises(ValueError, match=f"must hold draws of this {what}, got those of"):
            store.read(cell)


def test_errors_and_warnings_of_an_analysis_are_recorded(tiny, monkeypatch):
    def complains(logits, target):
        warnings.warn("divide by zero", RuntimeWarning, stacklevel=1)

    monkeypatch.setattr(draws, "measure", complains)
    one = draws.draw(NAMES[0], 3)
    assert one == {"seed": 3, "error": "RuntimeWarning: divide by zero"}
    truth = truths.truth_of(stand_in.TINY[NAMES[0]], samples=4000)
    row = rows.row_of(stand_in.TINY[NAMES[0]], [one], truth)
    assert row["errors"] == {"RuntimeWarning: divide by zero": 1}
    assert "0 of 1 cells" in tables.markdown([row | {"group": "degenerate"}], "")


def test_errors_of_numbers_by_hand():
    given = [[1.0, 0.0, 2.0], [3.0, 2.5, 3.5], None, [2.0, None, None]]
    found = rows.errors(given, (1.5, 0.01))
    assert found["numbers"] == 3
    assert (found["intervals"], found["covered"], found["outside"]) == (2, 1, 0)
    assert found["bias"] == 0.5  # of -0.5, 1.5, 0.5
    assert found["rmse"] == pytest.approx((2.75 / 3) ** 0.5, rel=1e-4)
    assert (found["coverage"], found["half_width"]) == (0.5, 0.75)
    assert found["truth_error"] == pytest.approx(0.01 / 0.75, rel=1e-4)
    assert rows.errors([[1.0, 2.0, 3.0], [4.0, 2.0, 3.0]], (1.5, 0.0))["outside"] == 2
    assert "bias" not in rows.errors(given, None)
    assert doctest.testmod(rows).failed == 0


def row(name, covered, *, group="near_gaussian", flagged=0, members=8, unflagged=1.0, quoted=0):
    part = {"covered": covered, "intervals": 300, "coverage": covered / 300, "outside": 0}
    part |= {"truth": 1.0, "numbers": 300, "half_width": 0.1}
    line = part | {"unflagged": {"coverage": unflagged}}
    about = {"cell": name, "group": group, "members": members, "draws": 300, "errors": {}}
    about |= {"flagged": flagged, "flags": {}, "no_slope": {}, "quoted": quoted}
    numbers = {"slope": line, "offset": line, "ols": part, "cross_half": part}
    return about | numbers | {"means": {"risk": part}}


def test_goals_are_reached_or_missed():
    good = [row("a", 285), row("b", 279, flagged=30), row("few", 200, members=4)]
    hard = [
        row("covers", 270, group="heavy_tailed", unflagged=0.9),
        row("flagged", 0, group="asymmetric", flagged=270, unflagged=0.0),
    ]
    mute = [row("mute", 0, group="degenerate")]
    found = {v.what: v for v in goals.verdicts(good + hard + mute)}
    assert {v.verdict for v in found.values()} == {"reached", "no goal"}
    assert found["every mean: pooled coverage, near-Gaussian, M >= 8"].measured == "1 of 1 means"
    assert found["slope: pooled coverage, near-Gaussian, M >= 8"].measured == "0.940 ± 0.010"
    assert "few 0.667" in found["slope: coverage, M < 8"].measured

    # 99% intervals: 264 of 300 reaches up to 0.924, 258 of 300 to 0.907
    assert goals._each("", [row("c", 264)], lambda r: r["slope"]).verdict == "reached"
    missed = goals._each("", [row("c", 258), row("d", 285)], lambda r: r["slope"])
    assert missed == ("", missed.goal, "1 of 2 cells", "missed", "c 0.86")
    wide = goals._pooled("", [row("c", 300)], lambda r: r["slope"])
    assert (wide.verdict, wide.reason) == ("missed", "too wide")
    assert goals._flagged([row("c", 285, flagged=31)]).verdict == "missed"
    lost = [row("e", 100, group="asymmetric", flagged=269, unflagged=0.84)]
    assert goals._hard("slope", lost).reason == "e 0.84, 90% flagged"
    quoted = goals._degenerate([row("f", 0, group="degenerate", quoted=1)])
    assert quoted.verdict == "missed"
    pooled, each = goals._means([row("g", 258)])
    assert (pooled.verdict, pooled.reason) == ("missed", "risk (0.860 ± 0.020)")
    assert (each.measured, each.reason) == ("0 of 1 means", "risk (0 of 1 cells)")
    assert goals._pooled("", [], lambda r: r["slope"]).verdict == "not run"


def test_what_is_measured_is_what_the_package_says():
    from measure import MEANS, measure

    logits, target = aligned_ensemble(members=8, samples=300)
    found = measure(logits.numpy(), target.numpy())
    assert set(found["means"]) == set(MEANS)
    for name, one in {**found["means"], **{k: found[k] for k in ("slope", "offset")}}.items():
        if one["interval"] is None:
            assert one["reason"], name
            continue
        assert one["interval"][0] <= one["value"] <= one["interval"][1]
    assert draws._compact(found)["slope"] == [found["slope"]["value"], *found["slope"]["interval"]]


def test_subsets_of_a_real_ensemble_are_set_against_all_members(monkeypatch, tmp_path):
    monkeypatch.setattr(real, "measure", stand_in.measure)
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((12, 50, 3)), rng.integers(3, size=50)
    logits[:, np.arange(50), target] += 4
    np.savez(tmp_path / "many.npz", logits=logits, labels=target)
    folder = tmp_path / "ensembles"
    folder.mkdir()
    np.savez(folder / "a.npz", logits=logits[:5], labels=target)
    np.savez(folder / "b.npz", logits=logits[:5])
    options = ["many.npz", "--ensembles", folder, "--members", "6", "--draws", "5", "--out", "out"]
    monkeypatch.setattr(sys, "argv", ["real.py", *map(str, options)])
    real.main()
    results = json.loads(Path("out/real.json").read_text())
    digits = results["digits"]
    assert (digits["members"], digits["of"], digits["draws"]) == (6, 12, 5)
    assert digits["slope"]["interval"]["half_width"] == pytest.approx(0.2)
    assert digits["slope"]["interval_members"]["half_width"] == pytest.approx(0.1)
    assert digits["slope"]["whole"]["value"] == pytest.approx(
        stand_in.measure(logits, target)["slope"]["value"]
    )
    text = Path("out/real.md").read_text()
    assert "| a | 5 x 50 x 3 |" in text
    assert "Left out: b (no labels)." in text
