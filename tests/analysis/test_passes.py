"""A pass in pieces: the same bits whoever computes them, and nothing computed twice."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from bvalign.analysis import passes, pieces
from bvalign.analysis.pieces import Pieces
from bvalign.memory import return_freed_memory, zeros_on_disk
from tests.analysed import estimates, pass_of
from tests.ensembles import aligned_ensemble

SAMPLES = 200


SELDOM = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("soft labels", "weights")]


@pytest.fixture(params=["class ids", "no labels", *SELDOM])
def inputs(request, monkeypatch):
    monkeypatch.setattr(passes, "PIECE_RANGES", 3)
    logits, target = aligned_ensemble(members=6, samples=SAMPLES)
    about = {"size": 17}  # twelve ranges, four pieces
    if request.param == "soft labels":
        soft = torch.nn.functional.one_hot(target, logits.shape[-1]).double() * 0.9
        soft += 0.1 / logits.shape[-1]
        about |= {"soft": soft, "answers": torch.full((SAMPLES,), 10)}
    if request.param == "weights":
        about |= {"member_weights": [1.0, 2.0, 1.0, 1.0, 3.0, 1.0]}
    return logits, None if request.param == "no labels" else target, about


def same(one, other):
    for name, column in one.columns().items():
        assert torch.equal(column.values.nan_to_num(), other.columns()[name].values.nan_to_num())
    assert list(estimates(one)) == list(estimates(other))


def flat(values):
    """All tensors of a NamedTuple."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif value is not None:
            yield from flat(value)


def unread(*number):
    raise AssertionError(f"range {number} is read")


def test_pieces_of_several_processes_are_those_of_one(inputs, tmp_path):
    logits, target, about = inputs
    alone = pass_of(logits, target, **about)
    assert alone.cut.num_pieces == 4
    kept = Pieces(tmp_path / "pieces", "these")
    for share in ([2, 3], [0], [1]):
        process = pass_of(logits, target, **about, pieces=kept)
        for number in share:
            process.piece(number)
    whole = pass_of(logits, target, **about, pieces=kept)
    assert whole.missing() == []

    def computed(_):
        raise AssertionError("this piece is there")

    whole.compute = computed
    same(whole.finish(), alone.finish())


def test_pieces_read_as_they_were_written(inputs, tmp_path):
    logits, target, about = inputs
    written = pass_of(logits, target, **about, pieces=Pieces(tmp_path, "these"))
    read = pass_of(logits, target, **about, pieces=Pieces(tmp_path, "these"))
    for number in range(written.cut.num_pieces):
        before, after = list(flat(written.piece(number))), list(flat(read.piece(number)))
        assert len(before) == len(after)
        for a, b in zip(before, after, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a.nan_to_num(), b.nan_to_num())


def test_a_piece_of_other_predictions_or_cut_short_is_computed_again(inputs, tmp_path):
    logits, target, about = inputs
    before = Pieces(tmp_path, "before")
    pass_of(logits * 2, target, **about, pieces=before).finish()
    files = sorted(tmp_path.glob("0*.safetensors"))
    changed = pass_of(logits, target, **about, pieces=Pieces(tmp_path, "changed"))
    assert changed.missing() == [0, 1, 2, 3]
    same(changed.finish(), pass_of(logits, target, **about).finish())
    files[1].write_bytes(files[1].read_bytes()[:-100])
    files[2].unlink()
    again = pass_of(logits, target, **about, pieces=Pieces(tmp_path, "changed"))
    assert again.missing() == [1, 2]
    same(again.finish(), pass_of(logits, target, **about).finish())


def test_ranges_are_told_once_each(inputs, tmp_path):
    logits, target, about = inputs
    for _ in ("computed", "found"):
        told = []
        run = pass_of(logits, target, **about, pieces=Pieces(tmp_path, "these"))
        object.__setattr__(run.cut, "done", told.append)
        run.finish()
        assert sum(told) == run.num_ranges


def test_pieces_are_so_long_that_there_are_not_too_many(monkeypatch):
    monkeypatch.setattr(passes, "MOST_PIECES", 10)
    for samples in (1, 127, 128, 129, 1280, 1281, 100_003):
        cut = passes.Cut(unread, (2, samples, 3), 1)
        ranges = [number for piece in range(cut.num_pieces) for number in cut.ranges(piece)]
        assert ranges == list(range(samples))
        assert cut.num_pieces == min(-(-samples // 128), cut.num_pieces) <= 10
        assert [cut.start(piece) for piece in range(cut.num_pieces)] == [
            cut.ranges(piece).start for piece in range(cut.num_pieces)
        ]


def test_only_ranges_with_drawn_samples_are_read_first():
    cut = passes.Cut(unread, (2, 100, 3), 10)
    assert cut.with_some(torch.tensor([3, 5, 29, 30, 99])) == [0, 2, 3, 9]


def test_columns_of_many_samples_lie_in_a_file_that_is_gone_with_them(monkeypatch, tmp_path):
    monkeypatch.setattr("bvalign.memory.LARGE", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = zeros_on_disk(torch.zeros(1, dtype=torch.float64), [3, 100])
    assert found.shape == (3, 100)
    assert found.dtype == torch.float64
    assert not found.any()
    found += torch.arange(100)
    return_freed_memory()
    assert torch.equal(found[2], torch.arange(100).double())
    assert list(tmp_path.iterdir()) == []
    assert zeros_on_disk(torch.zeros(1, dtype=torch.bool), [3, 1000]).dtype == torch.bool


def test_where_the_disk_is_full_columns_stay_in_memory(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bvalign.memory.LARGE", 1000)
    monkeypatch.setattr("os.posix_fallocate", full)
    assert not zeros_on_disk(torch.zeros(1), [1000]).any()
    assert "no room for a column" in capsys.readouterr().err


def test_a_piece_that_another_analysis_replaces_while_it_is_read_is_not_taken(
    monkeypatch, tmp_path
):
    Numbers = NamedTuple("Numbers", [("values", Tensor)])  # noqa: UP014
    mine, others = Pieces(tmp_path, "mine"), Pieces(tmp_path, "others")
    one, two = Numbers(torch.ones(3)), Numbers(torch.full((3,), 2.0))
    mine.kept("0000", Numbers, lambda: one)
    real = pieces.safe_open

    def replaced(path, **options):
        opened = real(path, **options)
        monkeypatch.setattr(pieces, "safe_open", real)
        others.kept("0000", Numbers, lambda: two)
        return opened

    monkeypatch.setattr(pieces, "safe_open", replaced)
    assert torch.equal(mine.kept("0000", Numbers, unread).values, one.values)
    assert torch.equal(others.kept("0000", Numbers, unread).values, two.values)
    assert torch.equal(mine.kept("0000", Numbers, lambda: one).values, one.values)
