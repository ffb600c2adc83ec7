"""Vector instructions and the number of threads do not move the stored numbers."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from tests.golden.test_golden import CASES, EXPECTED, INPUTS, assert_as_stored
from tests.processes import run_process

pytestmark = pytest.mark.slow
RUN_ALL = """
import json, sys
from bvalign.cli import main
from bvalign.show.report import write
write.svg = lambda *_: ""
for words in json.loads(sys.argv[1]):
    sys.argv = ["bvalign", *words]
    main()
"""
"""Commands one after another, whose reports have no figures."""

VARIABLES = {
    "DEFAULT": {"MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem"},
    "AVX2": {"MKL_CBWR": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "AVX512": {"MKL_CBWR": "AVX512", "OPENBLAS_CORETYPE": "SkylakeX"},
}
"""Instructions of torch -> variables that ask MKL and OpenBLAS for the same."""

HERE = torch.backends.cpu.get_cpu_capability()
POSSIBLE = [*VARIABLES][: [*VARIABLES].index(HERE) + 1] if HERE in VARIABLES else [HERE]


@pytest.mark.parametrize("instructions", POSSIBLE)
def test_processors_give_the_stored_numbers(instructions):
    commands = [
        ["analyze", str(INPUTS / source), "--out", case]
        for case, (source,) in CASES["analyze"].items()
    ]
    of_torch = {"ATEN_CPU_CAPABILITY": instructions.lower()}
    of_torch["OMP_NUM_THREADS"] = "1" if instructions == "DEFAULT" else "3"
    environment = os.environ | VARIABLES.get(instructions, {}) | of_torch
    run_process([sys.executable, "-c", RUN_ALL, json.dumps(commands)], env=environment)
    for case in CASES["analyze"]:
        assert_as_stored(case, EXPECTED / case, Path(case), "summary.json", "samples.csv")
