"""What the README shows is run."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.processes import TINY, run_process
from tests.wandb_records import history, records

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
TARGETS = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", README, flags=re.MULTILINE))


def block(word):
    return next(code for code in BLOCKS if word in code)


@pytest.mark.parametrize("word", ["Trainer", "BiasVariance(num"])
def test_the_python_examples_run(word):
    exec(compile(block(word), "README.md", "exec"), {})
    assert word != "Trainer" or Path("alignment.png").stat().st_size > 10_000


@pytest.mark.usefixtures("without_figures")
def test_the_example_of_analyze_runs(capsys):
    names = {}
    exec(compile(block("bvalign.analyze("), "README.md", "exec"), names)
    result, columns = names["result"], names["columns"]
    assert capsys.readouterr().out == f"{result!r}\n"
    assert list(columns) == list(result.columns())
    assert {len(values) for values in columns.values()} == {200}
    assert columns["variance"][names["most_variable"]] == columns["variance"].max()
    assert Path("out/report.html").exists()
    assert Path("scatter.png").stat().st_size > 10_000


def test_a_module_of_ones_own_gets_metric_scatter_and_report_with_eight_lines():
    code = block("CollectLogits")
    assert 0 < len(re.findall(r"  # \+$", code, flags=re.MULTILINE)) <= 8
    without = "\n".join(line for line in code.splitlines() if not line.endswith("# +"))
    assert "bvalign" not in without
    compile(without, "README.md", "exec")
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
    readme = {
        f"`{key}`" in README for row in rows for key in row if key.startswith("ensemble/bias")
    }
    assert readme == {True}


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("word", "module", "option"),
    [
        ("class Stripes", "my_data", "--data=my_data.Stripes"),
        ("def tiny", "my_networks", "--model.arch=my_networks.tiny"),
        ("class NoisyDigits", "my_noise", "--data=my_noise.NoisyDigits"),
    ],
)
def test_what_is_added_trains_from_the_command_line(bvalign, monkeypatch, word, module, option):
    Path(f"{module}.py").write_text(block(word))
    monkeypatch.syspath_prepend(str(Path.cwd()))
    options = [o for o in TINY if word != "def tiny" or ("width" not in o and "arch" not in o)]
    options = [o for o in options if not o.startswith("--data.") or "Stripes" not in word]
    bvalign("fit", option, *options, "--model.members=2", "--trainer.logger=false")
    assert list(Path("runs").glob("*/report.html"))
    sys.modules.pop(module)


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in TARGETS:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda c: c.stem)
def test_configs_parse_and_say_what_they_are_for(bvalign, config, capsys):
    assert config.read_text().startswith("# Purpose:")
    with pytest.raises(SystemExit) as stopped:
        bvalign("fit", "--config", config, "--print_config")
    assert stopped.value.code == 0
    assert "class_path: bvalign.data." in capsys.readouterr().out


def test_every_number_of_the_summary_is_documented(fit):
    documented = (ROOT / "docs" / "summary.md").read_text()
    fit("--model.members=2")
    for key in json.loads(Path("runs/digits-mlp/summary.json").read_text()):
        assert f"`{key}" in documented, key
