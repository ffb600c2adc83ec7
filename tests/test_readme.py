"""What the README shows is run."""

import re
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.processes import TINY

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
    import json

    documented = (ROOT / "docs" / "summary.md").read_text()
    fit("--model.members=2")
    for key in json.loads(Path("runs/digits-mlp/summary.json").read_text()):
        assert f"`{key}" in documented, key
