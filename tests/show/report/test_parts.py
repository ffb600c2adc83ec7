"""Parts of the report that need no browser: extremes, sprites, sentences, the closing table."""

import base64
import io

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from PIL import Image
from rich.console import Console

from bvalign.analysis.decompositions.other_losses import vote_counts
from bvalign.analysis.sample_table import leading
from bvalign.analysis.summary import analyze_blocks
from bvalign.show.figures.lines import Line
from bvalign.show.figures.scatter import feasible_variance
from bvalign.show.report import thumbnails as sprite_module
from bvalign.show.report.explorer import as_script
from bvalign.show.report.galleries import Scores, distance_to_line, extremes_first, largest
from bvalign.show.report.sentences import in_words
from bvalign.show.report.template import render
from bvalign.show.report.terminal import print_main_numbers
from bvalign.show.report.thumbnails import PER_ROW, PER_SHEET, sprites
from tests.ensembles import aligned_ensemble, random_ensemble


def analysed(logits, target):
    return analyze_blocks([(logits, target)], torch.arange(len(target)), len(logits))


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
    found = analysed(logits, target).samples.leading
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
    d = analysed(logits, target).samples.decomposition
    bound = feasible_variance(d.bias_sq.numpy(), 3, 4)
    assert (d.variance.numpy() <= bound * (1 + 1e-9)).all()
    assert (d.variance.numpy() > 0.8 * bound).any()


def test_one_wording_of_a_fitted_line():
    assert str(Line("ols", 1.0, 0.0, (0.5, 1.25))) == "ols: slope 1.000, 95% 0.500 to 1.250"
    assert str(Line("ols", 1.0, 0.0)) == "ols: slope 1.000"
    line = Line("ols", 2.0, 1.0)
    assert line.at(np.array([3.0])) == pytest.approx(9 * np.e)
    assert line.turned(5.0, np.log(3)).at(np.array([3.0, 6.0])) == pytest.approx(
        [9 * np.e, 288 * np.e]
    )
    assert np.isfinite(Line("ols", -1e4, 0.0).at(np.array([1e-9]))).all()  # votes give such slopes


def test_text_in_a_script_cannot_end_it():
    assert as_script({"a": "</script><!--"}) == '{"a":"\\u003c/script>\\u003c!--"}'


def test_a_page_that_lacks_a_number_is_refused():
    summary = {"data": {"name": "x"}, "identity": {}, "provenance": {}, "versions": {}}
    with pytest.raises(UndefinedError, match="num_members"):
        render("unlabelled.html.j2", summary, "", {}, {})


def test_the_end_is_a_table_on_a_terminal_and_lines_elsewhere(capsys):
    analysis = analysed(*aligned_ensemble(samples=200))
    print_main_numbers(analysis)
    assert capsys.readouterr().out == repr(analysis) + "\n"
    terminal = io.StringIO()
    print_main_numbers(analysis, Console(file=terminal, force_terminal=True, width=100))
    text = terminal.getvalue()
    assert "95% interval" in text
    slope = analysis.alignment.estimators["cross_half"]["slope"].value
    assert f"{slope:.3f}" in text
    assert "─" in text


@pytest.mark.parametrize(("members", "samples"), [(1, 40), (2, 40), (3, 2)])
def test_main_numbers_say_what_is_undefined(members, samples):
    logits, target = aligned_ensemble(members=members, samples=samples)
    assert "slope cross_half: none (needs" in repr(analysed(logits, target))


def test_a_slope_that_is_not_determined_is_not_put_into_words():
    def slopes(value, low, high):
        found = {"value": value, "interval": [low, high], "interval_samples": None}
        return {"alignment": {"cross_half": {"slope": found}, "ols": {"slope": found}}}

    means = {
        name: {"value": 0.2, "standard_error": 0.01} for name in ("risk", "bias_sq", "variance")
    }
    more = {"member_accuracy": {"mean": 0.5, "min": 0.4, "max": 0.6}, "accuracy": 0.7}
    summary = {"num_members": 3, "means": means, **more}
    sentences = in_words(summary | slopes(1.0, 0.5, 2.0))
    assert "goes with 10.0 times (3.2 to 100.0) the variance" in sentences[2]
    assert "0.2 (95% interval over samples 0.18 to 0.22)" in sentences[1]
    sentences = in_words(summary | slopes(1.0, -400.0, 402.0))
    assert "not determined by these samples: 1.000 (95% interval -400.000" in sentences[2]
