"""What all tests start from: an environment and a folder of their own, and bvalign as a command."""

import json
import os
import random
import shutil
import sys
from unittest import mock

import hypothesis
import pytest

from tests import VALUES
from tests.environment import HOME, of_tests
from tests.processes import TINY

pytest.register_assert_rewrite("tests.reference")
pytest_plugins = ["tests.browser"]
collect_ignore = ["golden/make.py", "golden/two_commits.py"]  # scripts, without doctests


def pytest_configure(config):
    """Replaces the caller's environment, before torch and matplotlib load and read some of it."""
    config.made_home = HOME not in os.environ
    variables = of_tests(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    # the same on every machine: hypothesis has other defaults where CI is set
    hypothesis.settings.register_profile("bvalign", deadline=None, database=None, print_blob=True)
    hypothesis.settings.load_profile("bvalign")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives tests to workers; other ways than the Makefile's stay as they are."""
    if config.getvalue("dist") == "loadgroup":
        from tests.workers import GroupScheduling

        return GroupScheduling(config, log)
    return None


def pytest_unconfigure(config):
    """Removes the home of the tests; the process that made it does."""
    if config.made_home:
        shutil.rmtree(os.environ[HOME], ignore_errors=True)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """No test writes into the checkout or leaves variables, its rank or random numbers behind."""
    import numpy as np
    import torch

    monkeypatch.chdir(tmp_path)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(False)  # a fit may have left it on
    if ranks := sys.modules.get("lightning_utilities.core.rank_zero"):
        ranks.rank_zero_only.rank = 0  # a Trainer of another rank may have set it
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def bvalign(monkeypatch):
    """Runs `bvalign ARGUMENTS` in this process."""
    from bvalign.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bvalign", *map(str, arguments)])
        main()

    return run


@pytest.fixture
def without_figures(monkeypatch):
    """Reports without their figures, which are most of the time of a tiny fit."""
    from bvalign.show.report import write

    monkeypatch.setattr(write, "svg", lambda *_: "")


@pytest.fixture
def fit(bvalign, without_figures):
    """Runs a tiny fit without a logger; its report has no figures."""
    return lambda *arguments: bvalign("fit", *TINY, "--trainer.logger=false", *arguments)


@pytest.fixture(scope="session")
def golden():
    """Ensembles with expectations to 36 digits, computed with mpmath."""
    return json.loads((VALUES / "ensembles.json").read_text())
