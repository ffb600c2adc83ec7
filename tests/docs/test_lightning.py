"""What docs/lightning.md says of a module of one's own."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.docs.pages import walkthrough
from tests.processes import run_process
from tests.wandb_records import history, records


@pytest.mark.slow
def test_a_module_of_ones_own_gets_metric_scatter_and_report_with_eight_lines():
    (code,) = (block.code for block in walkthrough("lightning"))
    assert 0 < len(re.findall(r"  # \+$", code, flags=re.MULTILINE)) <= 8
    without = "\n".join(line for line in code.splitlines() if not line.endswith("# +"))
    assert "bvalign" not in without
    compile(without, "lightning.md", "exec")
    Path("loop.py").write_text(code)
    wandb = {f"WANDB_{name}": str(Path.cwd()) for name in ("DIR", "DATA_DIR", "CACHE_DIR")}
    environment = os.environ | wandb | {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    printed = run_process([sys.executable, "loop.py"], env=environment).stdout
    assert "8 members on 400 samples" in printed
    assert "out/report.html" in printed
    mean = json.loads(Path("out/summary.json").read_text())["means"]["bias_sq"]["value"]
    assert f"mean squared bias {mean:.4g}"[:24] in printed
    assert {f"{seed}.safetensors" for seed in range(8)} == {
        f.name for f in Path("out/members").iterdir()
    }
    (run,) = Path("wandb").glob("offline-run-*/*.wandb")
    rows = history(records(run))
    assert [row["ensemble/members"] for row in rows if "ensemble/members" in row] == [*range(1, 9)]
    assert len([row for row in rows if "ensemble/alignment._type" in row]) == 7
    assert len([row for row in rows if "test_loss" in row]) == 8
    page = (ROOT / "docs/lightning.md").read_text()
    assert {
        f"`{key}`" in page for row in rows for key in row if key.startswith("ensemble/bias")
    } == {True}
