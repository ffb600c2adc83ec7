"""Tests see no variable of whoever starts them but those that find things."""

import os
from pathlib import Path

from tests import ROOT
from tests.environment import HOME, of_tests


def test_settings_logins_and_launchers_of_the_caller_are_gone(tmp_path):
    found = of_tests(
        {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "mine", "CUDA_VISIBLE_DEVICES": "1"}
        | {"HOME": "/home/me", "WANDB_MODE": "offline", "RANK": "1", "SLURM_PROCID": "1"}
        | {"PL_TRAINER_MAX_EPOCHS": "9", "OMP_NUM_THREADS": "7", HOME: str(tmp_path)}
    )
    assert found.keys() & {"WANDB_MODE", "RANK", "SLURM_PROCID", "PL_TRAINER_MAX_EPOCHS"} == set()
    assert (found["PATH"], found["LC_ALL"], found["CUDA_VISIBLE_DEVICES"]) == ("/bin", "C", "1")
    assert (found["HOME"], found["OMP_NUM_THREADS"]) == (str(tmp_path), "1")
    # processes that tests start, in other folders, import what the tests do
    assert found["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(Path("mine").absolute())]


def test_the_environment_here_is_one_of_tests():
    assert os.environ["HOME"] == os.environ[HOME]
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)
