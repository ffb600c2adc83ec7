"""The W&B workspace is built offline, and its panels show keys that are documented."""

import json
import re
import sys

import pytest

from tests import ROOT

README = (ROOT / "README.md").read_text()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb_workspaces itself


@pytest.fixture
def dashboard(monkeypatch):
    pytest.importorskip("wandb_workspaces", reason="needs pip install 'bvalign[dashboard]'")
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import dashboard

    yield dashboard
    sys.modules.pop("dashboard")


def test_the_workspace_shows_documented_keys(dashboard):
    built = dashboard.workspace("nobody", "bvalign", "Alignment")
    spec = json.loads(built._to_model().model_dump_json(by_alias=True))
    text = json.dumps(spec)
    keys = set(
        re.findall(
            r'"(?:summary_metrics\.)?((?:val|test|train|members|result|collapse)/[\w/]+)"', text
        )
    )
    assert {"val/alignment", "val/alignment/slope", "test/samples"} <= keys
    assert {"result/slope", "result/offset", "result/quotable", "result/ols"} <= keys
    assert {"members/train_loss/low", "members/epoch", "train/loss", "collapse/nc1"} <= keys
    for key in keys - {"test/alignment_points_table"}:
        assert f"`{key}`" in README, key


def test_the_workspace_goes_where_it_is_told(dashboard):
    assert len(dashboard.workspace("me", "p", "n").sections) == 5
    assert dashboard.workspace("me", "p", "n").project == "p"
