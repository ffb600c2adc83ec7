"""The page of a comparison: names of runs, tables of many pairs, and the scatter of all runs."""

import base64
import re

import numpy as np
import pytest

from bvalign.show.report.comparison import points as plotted
from bvalign.show.report.comparison.comparison import compare_reports
from bvalign.show.report.comparison.names import run_names
from bvalign.show.report.comparison.page import comparison_page
from bvalign.show.report.comparison.points import points
from bvalign.show.report.comparison.stored_reports import read_reports
from tests.browser import in_chromium
from tests.show.report.test_compare import report

pytestmark = pytest.mark.xdist_group("compare")  # one worker starts the browser


def mlp(width, **more):
    return {"model.arch": "mlp", "model.arch_args.width": width, "model.lr": 0.1} | more


OTHER = {"data": {"name": "other", "fingerprint": "another"}}


def runs(folder, widths, *, others=0):
    """Reports of the same samples by width, and the last ones of other samples."""
    made = [
        report(folder / f"mlp-{width}", noise=0.2 * k, identity=mlp(width))
        for k, width in enumerate(widths)
    ]
    more = {"rows": 30, **OTHER}
    made += [report(folder / f"{k}", identity=mlp(99 + k), **more) for k in range(others)]
    return read_reports(made)


@pytest.mark.parametrize(
    ("identities", "names"),
    [
        ([mlp(16), mlp(64)], ["width 16", "width 64"]),
        (
            [mlp(16, **{"data.name": name}) for name in ("digits", "mnist")],
            ["digits", "mnist"],
        ),
        ([mlp(16), mlp(64), {}], ["mlp, width 16, lr 0.1", "mlp, width 64, lr 0.1", "c"]),
        ([{}, {}], ["a", "b"]),
        ([mlp(16), mlp(16)], ["a", "b"]),
        (
            [mlp(w, **{"model.weight_decay": d}) for w in (8, 16) for d in (None, True)],
            [
                *("width 8, default weight decay", "width 8, weight decay"),
                *("width 16, default weight decay", "width 16, weight decay"),
            ],
        ),
        (
            [mlp(8, **{f"model.a_long_key_{k}": j for k in range(9)}) for j in (0.5, 1.5)],
            ["a long key 0 0.5", "a long key 0 1.5"],
        ),
        (
            [mlp(8, **{f"model.key_{k}": 1 + (j == k) for k in range(7)}) for j in range(7)],
            [f"key {k} 2" for k in range(7)],
        ),
        ([mlp("w" * 50), mlp("v" * 50)], ["a", "b"]),
    ],
)
def test_runs_are_named_by_what_tells_them_apart(identities, names):
    assert run_names(identities, "abcdefghi"[: len(identities)]) == names


def unpacked(packed):
    return np.frombuffer(base64.b64decode(packed["data"]), dtype=f"<{packed['type']}")


def test_the_plot_has_the_same_samples_of_paired_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(plotted, "MOST_POINTS", 240)
    reports = runs(tmp_path, (8, 16, 32, 64), others=2)
    data = points(reports, compare_reports(reports), tmp_path)
    index = [unpacked(group["columns"]["index"]) for group in data["groups"]]
    assert [len(rows) for rows in index] == [40, 30]
    assert [run["group"] for run in data["runs"]] == [0, 0, 0, 0, 1, 1]
    for stored, run in zip(reports, data["runs"], strict=True):
        for name in ("bias_sq", "variance"):
            values = unpacked(run["columns"][name])
            np.testing.assert_allclose(values, stored.samples[name][index[run["group"]]], rtol=1e-6)


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """The page of nine runs of the same samples and one of others."""
    folder = tmp_path_factory.mktemp("compared")
    reports = runs(folder, range(2, 11), others=1)
    path = folder / "compare.html"
    comparison = compare_reports(reports)
    path.write_bytes(comparison_page(reports, comparison, {}, folder))
    return path, reports, comparison


def test_many_pairs_are_a_matrix_before_a_list(ten):
    path, _, comparison = ten
    page = path.read_text()
    (matrix, *_) = re.findall(r'<table class="matrix">.*?</table>', page, flags=re.DOTALL)
    found = [pair["differences"]["accuracy"] for pair in comparison["pairs"]]
    assert matrix.count('<span class="soft">') == 2 * sum(not d["apart"] for d in found)
    assert "width 99" not in matrix  # which has no pair
    assert "No difference: tested on different data: their fingerprints differ (9 pairs)" in page
    apart = sum(pair["differences"]["risk"]["apart"] for pair in comparison["pairs"])
    assert f"{apart} of 36 pairs resolved" in page


@in_chromium
def test_a_sample_is_ringed_in_all_runs_that_share_it(ten, open_page):
    path, reports, _ = ten
    page = open_page(path, "runs=0,1,9&select=17")
    page.wait_for_selector("body[data-usable-after]")
    plot = "document.getElementById('plot')"
    assert page.evaluate(f"{plot}.data.at(-1).x") == pytest.approx(
        [float(np.float32(r.samples["bias_sq"][17])) for r in reports[:2]]
    )
    assert page.locator("#sample tbody tr, #sample table > tr").count() == 9
    assert page.locator("#runs input:checked").count() == 3
    page.check("#runs [value='2']")
    assert page.evaluate(f"{plot}.data.at(-1).x.length") == 3
    assert page.url.endswith("#runs=0,1,2,9&select=17")
    place = page.evaluate(f"""() => {{
      const {{xaxis, yaxis}} = {plot}._fullLayout, at = {plot}.getBoundingClientRect();
      const [points] = {plot}.data, k = points.customdata.indexOf(50);
      return [at.x + xaxis._offset + xaxis.d2p(points.x[k]),
        at.y + yaxis._offset + yaxis.d2p(points.y[k])];
    }}""")
    page.mouse.move(*place)
    page.wait_for_function("document.getElementById('sample').dataset.index !== '17'")
    hovered = page.get_attribute("#sample", "data-index")
    page.mouse.click(*place)
    page.wait_for_function(f"location.hash.endsWith('select={hovered}')")


@in_chromium
def test_keys_go_through_the_samples_and_pairs_are_filtered(ten, open_page):
    path, reports, comparison = ten
    page = open_page(path)
    page.wait_for_selector("body[data-usable-after]")
    order = np.argsort(reports[0].samples["bias_sq"])
    page.focus("#plot")
    for key in ("ArrowRight", "ArrowRight", "PageDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.get_attribute("#sample", "data-index") == str(order[1])
    page.keyboard.press("Escape")
    assert page.get_attribute("#sample", "data-index") == ""
    page.click("#difference-accuracy .more summary")
    rows = page.locator("#difference-accuracy tr[data-runs]:visible")
    assert rows.count() == 36
    page.select_option("#with", "3")
    assert rows.count() == 8
    page.select_option("#with", "")
    page.check("#resolved")
    found = [pair["differences"]["accuracy"]["apart"] for pair in comparison["pairs"]]
    assert rows.count() == sum(found)
