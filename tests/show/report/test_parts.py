"""Parts of the report that need no browser: extremes, sprites, lines, templates."""

import base64
import io

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from PIL import Image

from bvalign.analysis.decompositions.other_losses import vote_counts
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.leading import leading
from bvalign.show.figures.lines import Line, fitted_lines, summary_lines
from bvalign.show.figures.scatter import feasible_variance
from bvalign.show.report.explorer.texts import as_script
from bvalign.show.report.page import thumbnails as sprite_module
from bvalign.show.report.page.galleries import Scores, distance_to_line, extremes_first, largest
from bvalign.show.report.page.template import render
from bvalign.show.report.page.thumbnails import PER_ROW, PER_SHEET, sprites
from bvalign.show.report.summary_json import summarise
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, predictions_of, random_ensemble


def pixels(uri):
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    return np.asarray(image.convert("RGB"))


def test_distance_to_line_by_hand():
    values = {
        "bias_sq": np.array([1.0, np.e, 1.0, 0.0, 1.0]),
        "variance": np.array([np.e**3, 1.0, 0.0, 1.0, 1.0]),
        "correct": np.array([True, True, True, True, False]),
    }
    found = distance_to_line(**values, line=(2.0, 1.0))
    np.testing.assert_allclose(found, [2.0, -3.0, np.nan, np.nan, np.nan])
    assert np.isnan(distance_to_line(**values, line=None)).all()


def test_extremes_of_any_score_come_first():
    scores = Scores(
        bias_sq=np.array([0.0, 1.0, 2.0, 9.0, 3.0]),
        variance=np.array([5.0, 0.0, 1.0, 2.0, 3.0]),
        off_line=np.array([np.nan, -7.0, 1.0, np.nan, np.nan]),
    )
    assert largest(scores.off_line, 3).tolist() == [2, 1]
    order = extremes_first(scores).tolist()
    assert sorted(order[:3]) == [0, 1, 3]  # the first of each score
    assert sorted(order) == [0, 1, 2, 3, 4]


def test_every_thumbnail_is_at_its_place():
    images = np.random.default_rng(0).integers(256, size=(1100, 1, 5, 4), dtype=np.uint8)
    order = np.random.default_rng(1).permutation(1100)
    found = sprites(images, order, 10**7)
    assert (found.number, found.rows, found.lossless) == (1100, (32, 3), True)
    sheets = [pixels(sheet) for sheet in found.sheets]
    for place in (0, 31, 32, 1023, 1024, 1099):
        sheet, cell = divmod(place, PER_SHEET)
        top, left = (5 * part for part in divmod(cell, PER_ROW))
        shown = sheets[sheet][top : top + 5, left : left + 4, 0]
        np.testing.assert_array_equal(shown, images[order[place], 0])


@pytest.mark.parametrize(
    ("shape", "side"), [((1, 100, 50), 64), ((4, 6, 6), 6), ((2, 6, 6), 6), ((3, 7, 5), 7)]
)
def test_images_of_any_shape_have_thumbnails(shape, side):
    images = np.full((3, *shape), 200, dtype=np.uint8)
    found = sprites(images, np.arange(3), 10**6)
    assert pixels(found.sheets[0]).shape == (side, PER_ROW * side, 3)


def test_sprites_keep_their_limit_and_the_first_samples(monkeypatch):
    monkeypatch.setattr(sprite_module, "PER_SHEET", 2 * PER_ROW)
    images = np.random.default_rng(0).integers(256, size=(500, 3, 8, 8), dtype=np.uint8)
    whole = sprites(images, np.arange(500), 10**7)
    size = sum(map(len, whole.sheets))
    found = sprites(images, np.arange(500), size // 8)
    assert not found.lossless
    assert 0 < found.number < 500
    assert found.number % PER_ROW == 0
    assert sum(map(len, found.sheets)) <= size // 8
    assert sprites(images, np.arange(500), 0).number == 0
    assert sprites(None, np.arange(500), 10**6).number == 0


def test_leading_classes_hold_the_votes():
    logits, target = random_ensemble(members=7, samples=50, classes=6)
    found = analysed(logits, target).table.leading
    probs = torch.softmax(logits, dim=-1).mean(dim=0)
    counts = vote_counts(logits.argmax(dim=-1), 6)
    assert found.classes.shape == (50, 4)
    for row in range(50):
        order = probs[row].argsort(descending=True)[:4]
        assert found.classes[row].tolist() == order.tolist()
        assert found.votes[row].tolist() == counts[row, order].tolist()
    two = leading(torch.tensor([[0.25, 0.75]]), torch.tensor([[3, 1]]))
    assert two.votes.tolist() == [[1, 3]]


def test_no_variance_is_above_what_is_feasible():
    logits, target = random_ensemble(members=3, samples=4000, classes=4, scale=6.0)
    d = analysed(logits, target).table.decomposition
    bound = feasible_variance(d.bias_sq.numpy(), 3, 4)
    assert (d.variance.numpy() <= bound * (1 + 1e-9)).all()
    assert (d.variance.numpy() > 0.8 * bound).any()


def test_one_wording_of_a_fitted_line():
    text = "these members: slope 1.000 (0.500 to 1.250)"
    assert str(Line("ols", 1.0, 0.0, (0.5, 1.25))) == text
    alone = Line("ols", 1.0, 0.0, (0.5, 1.25), samples_alone=True)
    assert str(alone) == text.replace(")", ", samples alone)")
    assert str(Line("ols", 1.0, 0.0)) == "these members: slope 1.000"
    offset = Estimate(-1.5, (-2.0, -1.0))
    line = Line("logit_slope", 1.0, 0.0, (0.5, 1.25), offset=offset, flags=("saturated",))
    assert str(line) == "population: slope 1.000 (0.500 to 1.250), do not quote"
    line = Line("ols", 2.0, 1.0)
    assert line.at(np.array([3.0])) == pytest.approx(9 * np.e)
    assert line.turned(5.0, np.log(3)).at(np.array([3.0, 6.0])) == pytest.approx(
        [9 * np.e, 288 * np.e]
    )
    assert np.isfinite(Line("ols", -1e4, 0.0).at(np.array([1e-9]))).all()  # votes give such slopes


def test_the_band_of_a_line_holds_both_intervals():
    x = np.exp([-1.0, 0.0, 1.0])
    line = Line("logit_slope", 1.0, 0.5, (0.5, 2.0), offset=Estimate(0.5, (0.25, 1.5)))
    low, high = map(np.log, line.band(x, centre=0.0))
    np.testing.assert_allclose(low, [-2.0 + 0.25, 0.25, 0.5 + 0.25])  # turned, then moved
    np.testing.assert_allclose(high, [-0.5 + 1.5, 1.5, 2.0 + 1.5])
    assert Line("ols", 1.0, 0.0).band(x, centre=0.0) is None
    steep = Line("ols", 1e4, 0.0, (-1e5, 1e5)).band(x, centre=0.0)
    assert np.isfinite(steep).all()


def test_a_summary_has_the_lines_of_its_analysis():
    logits, target = aligned_ensemble(samples=200)
    analysis = analysed(logits, target)
    summary = summarise(analysis, predictions_of(logits, target), {})
    names = ("logit_slope", "ols", "cross_half")
    lines = fitted_lines(analysis, names)
    assert [line.name for line in lines] == list(names)
    assert [str(line) for line in summary_lines(summary, names)] == [*map(str, lines)]
    assert lines[0].offset.value == analysis.alignment.logit_slope.offset.value
    two = fitted_lines(analysed(logits[:2], target), names)
    assert [line.name for line in two] == ["ols"]
    assert two[0].samples_alone


def test_a_summary_of_before_has_no_population_line():
    slope = {"value": 1.5, "interval": None, "interval_samples": [1.4, 1.6], "reason": None}
    fits = {"ols": {"slope": slope, "intercept": {"value": 0.5}, "samples": 9}}
    (line,) = summary_lines({"schema": 1, "alignment": fits}, ("logit_slope", "ols"))
    assert line == Line("ols", 1.5, 0.5, (1.4, 1.6), samples_alone=True)


def test_text_in_a_script_cannot_end_it():
    assert as_script({"a": "</script><!--"}) == '{"a":"\\u003c/script>\\u003c!--"}'


def test_a_page_that_lacks_a_number_is_refused():
    summary = {"data": {"name": "x"}, "identity": {}, "provenance": {}, "versions": {}}
    with pytest.raises(UndefinedError, match="labels"):
        render("page/report.html.j2", summary, "", {}, {})
