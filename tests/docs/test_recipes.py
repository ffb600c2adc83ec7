"""The recipes are run, those whose library is installed."""

import re
import warnings

import pytest

from tests.docs.pages import blocks

RECIPES = [block.code for block in blocks("docs/recipes.md")]
LIBRARIES = {"xgboost": ["xgboost"], "transformers": ["transformers", "accelerate"]}
"""Those that the tests do not install, and what they need."""


def name(code):
    found = re.findall(r"^(?:import|from) (\w+)|(\w+)\(", code, flags=re.MULTILINE)
    words = {word for pair in found for word in pair}
    known = ("transformers", "xgboost", "RandomForestClassifier", "MLPClassifier", "Adam", "pandas")
    return next(word for word in known if word in words)


@pytest.mark.slow
@pytest.mark.parametrize("code", RECIPES, ids=name)
def test_a_recipe_runs(code, capsys):
    for library in LIBRARIES.get(name(code), ()):
        pytest.importorskip(library)
    names = {}
    with warnings.catch_warnings():
        if name(code) in LIBRARIES:
            warnings.simplefilter("ignore")
        exec(compile(code, "recipes.md", "exec"), names)
    result, printed = names["result"], capsys.readouterr().out
    assert 5 <= result.num_members <= 16
    assert result.accuracy.value > (0 if name(code) == "transformers" else 0.8)  # a toy, hardly fit
    assert not printed or printed.endswith(f"{result!r}\n")
    if name(code) == "pandas":
        assert list(names["columns"]) == list(result.samples)


def test_recipes_are_short():
    assert len(RECIPES) == 6
    assert max(code.count("\n") for code in RECIPES) <= 20
