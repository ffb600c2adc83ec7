"""Which directory a run has where none is given, and what `--overwrite` removes."""

import re
import shutil
from pathlib import Path

import pytest

from bvalign.commands.place import Place
from bvalign.predictions.run import RunDirectory, own_directory, remove_run
from bvalign.predictions.run.lease import Lease

PLAIN = Path("runs/digits-mlp")
SMALL, LARGE = {"model": {"width": 8, "depth": None}}, {"model": {"width": 16}}


def opened(identity, *, given=False):
    return Place(PLAIN, given).open(identity, 2, 1, {})


def test_the_first_identity_has_the_plain_name_and_another_one_its_hash(capsys):
    assert opened(SMALL).root == PLAIN
    assert capsys.readouterr().err == ""
    other = opened(LARGE).root
    assert re.fullmatch(r"digits-mlp-[0-9a-f]{8}", other.name)
    line = f"{other}: {PLAIN} has another configuration (model.width: 8 there, 16 now)\n"
    assert capsys.readouterr().err == line
    for _ in range(2):  # both are found again
        assert [opened(identity).root for identity in (SMALL, LARGE)] == [PLAIN, other]
    assert Place(PLAIN, given=False).existing(LARGE).root == other


def test_a_key_that_an_old_run_does_not_know_is_no_other_identity():
    opened({"model": {"width": 8}})
    assert own_directory(PLAIN, {"model": {"width": 8, "new": None}}) == PLAIN
    name = opened(LARGE).root
    assert own_directory(PLAIN, {"model": {"width": 16, "new": None}}) == name


def test_a_run_beside_stays_the_one_when_the_first_is_gone():
    opened(SMALL)
    beside = opened(LARGE).root
    remove_run(PLAIN)
    assert own_directory(PLAIN, LARGE) == beside
    assert own_directory(PLAIN, {"model": {"width": 32}}) == PLAIN


def test_another_one_that_comes_first_is_noticed(monkeypatch):
    place, found = Place(PLAIN, given=False), Place.find

    def too_late(self, identity):
        root = found(self, identity)
        monkeypatch.setattr(Place, "find", found)
        opened(SMALL)
        return root

    monkeypatch.setattr(Place, "find", too_late)
    assert place.open(LARGE, 2, 1, {}).root.name.startswith("digits-mlp-")
    assert RunDirectory(PLAIN).identity["model.width"] == 8


def test_a_given_directory_is_refused():
    opened(SMALL)
    with pytest.raises(ValueError, match=r"another identity \(model.width: 8 there, 16 now\)"):
        opened(LARGE, given=True)


def test_a_run_that_does_not_exist_is_named_by_what_differs():
    with pytest.raises(FileNotFoundError, match="no run.json"):
        Place(PLAIN, given=False).existing(SMALL)
    opened(SMALL)
    with pytest.raises(ValueError, match=r"no run of this configuration: .*8 there, 16 now"):
        Place(PLAIN, given=False).existing(LARGE)


def test_overwrite_removes_the_run_and_nothing_else(capsys):
    for member, file in ((0, "logits.safetensors"), (1, "checkpoint-000001.safetensors")):
        path = opened(SMALL).member(member).path / file
        path.parent.mkdir(parents=True)
        path.touch()
    kept = [PLAIN / "notes.txt", PLAIN / "wandb" / "offline-run-1" / "run-1.wandb"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    Place(PLAIN, given=True).clear(SMALL)
    assert f"{PLAIN}: --overwrite has removed 1 finished member and 1 unfinished" in (
        capsys.readouterr().err
    )
    left = {path for path in PLAIN.rglob("*") if path.is_file() and "locks" not in path.parts}
    assert left == set(kept)
    assert opened(LARGE, given=True).root == PLAIN
    Place(Path("nothing"), given=True).clear(SMALL)
    assert capsys.readouterr().err == ""
    assert not Path("nothing").exists()


def test_what_overwrite_cannot_remove_is_named(monkeypatch):
    path = opened(SMALL).member(0).path
    path.mkdir(parents=True)

    remove = shutil.rmtree

    def failing(path, **options):
        if path.name == "members":
            raise OSError(5, "Input/output error", "0000")  # the bare name, as rmtree has it
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", failing)
    with pytest.raises(OSError, match=f"{PLAIN}/members could not be removed .*same command"):
        remove_run(PLAIN)


def test_overwrite_is_refused_while_another_process_trains():
    run = opened(SMALL)
    with run.claim() as work:
        assert work.members == (0,)
        with pytest.raises(ValueError, match="another process trains members of pack 000 in runs"):
            remove_run(PLAIN)
    with run.reporting(), pytest.raises(ValueError, match="another process writes the report"):
        remove_run(PLAIN)
    assert (PLAIN / "run.json").exists()
    lock = Lease(PLAIN / "packs" / "000.lock")
    assert lock.acquire()  # the refusal holds nothing
    lock.release()
