"""`analyze --ray` without a cluster: each reason is one line."""

import json
import sys

import numpy as np
import pytest

from bvalign.commands import on_ray


@pytest.fixture
def predictions(tmp_path):
    np.save(tmp_path / "p.npy", np.eye(3, 4)[:, None] * np.ones((3, 5, 1)))
    return tmp_path / "p.npy"


def asked(source, out):
    about = {"source": str(source), "out": str(out), "clusters": None, "groups": None}
    return json.dumps({**about, "names": {}, "place": 0, "identity": "0"})


def test_without_ray_a_line_says_how_to_install_it(bvalign, predictions, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit, match=r"--ray needs Ray: pip install 'bvalign\[ray\]'"):
        bvalign("analyze", predictions, "--out", "out", "--ray")


def test_without_a_cluster_a_line_says_how_to_start_one(bvalign, predictions):
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.raises(SystemExit, match=r"no cluster at 127\.0\.0\.1:1 \(.*`ray start --head`"):
        bvalign("analyze", predictions, "--out", "out", "--ray", "127.0.0.1:1")


def test_shards_and_ray_are_two_ways(bvalign, predictions, capsys):
    with pytest.raises(SystemExit, match="2"):
        bvalign("analyze", predictions, "--out", "out", "--ray", "--shard", "0/2")
    assert "not allowed with" in capsys.readouterr().err


def test_a_worker_with_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(on_ray, "__version__", "9.9")
    with pytest.raises(ValueError, match=r"bvalign must be 9\.9 as of the driver, got 0"):
        on_ray._task("{}")(0)


def test_a_worker_that_does_not_see_the_files_names_them(predictions, tmp_path):
    (tmp_path / "pieces").mkdir()
    elsewhere = tmp_path / "elsewhere"
    for source, out in ((elsewhere, tmp_path), (predictions, elsewhere)):
        with pytest.raises(ValueError, match=r"elsewhere.* is not there; .*all nodes see"):
            on_ray.pass_of(asked(source, out))


def test_a_worker_that_sees_other_files_says_so(predictions, tmp_path):
    (tmp_path / "pieces").mkdir()
    with pytest.raises(ValueError, match=r"p\.npy is not what the driver sees"):
        on_ray.pass_of(asked(predictions, tmp_path))
