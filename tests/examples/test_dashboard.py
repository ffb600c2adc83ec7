"""The W&B workspace is built offline, and its panels show keys that are documented."""

import json
import re
import sys

import pytest

from tests import ROOT

PAGE = (ROOT / "docs" / "wandb.md").read_text()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb_workspaces itself


@pytest.fixture
def dashboard(monkeypatch):
    pytest.importorskip("wandb_workspaces", reason="needs pip install 'bvalign[dashboard]'")
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import dashboard

    yield dashboard
    sys.modules.pop("dashboard")


def test_the_workspace_shows_documented_keys(dashboard):
    built = dashboard.workspace("nobody", "bvalign", "Alignment", "model.lr")
    titles = ["Overview", "Alignment", "Decisions", "Members", "Sweep", "Neural collapse"]
    assert [section.name for section in built.sections] == titles
    text = json.dumps(json.loads(built._to_model().model_dump_json(by_alias=True)))
    rooms = "val|test|train|members|result|decisions|collapse"
    keys = set(re.findall(rf'"(?:summary_metrics\.|summary:)?((?:{rooms})/[\w/]+)"', text))
    assert {"val/alignment", "val/alignment/slope", "test/alignment_points"} <= keys
    assert {"result/slope", "result/slope_low", "result/offset", "result/quotable"} <= keys
    assert {"members/train_loss/low", "members/epoch", "train/loss", "collapse/nc1"} <= keys
    assert {"decisions/members", "decisions/systematic", "test/samples"} <= keys
    for key in keys:
        assert f"`{key.removesuffix('_low').removesuffix('_high')}`" in PAGE, key
    sweep = json.dumps(json.loads(built.sections[4]._to_model().model_dump_json(by_alias=True)))
    assert "config:cli.value.model.lr" in sweep
    assert "Parallel Coordinates Plot" in sweep


def test_the_workspace_goes_where_it_is_told(dashboard):
    assert dashboard.workspace("me", "p", "n").project == "p"
