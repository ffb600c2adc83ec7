"""The variables that tests see: those that find programs, files and processors, no other's.

Logins, launchers (RANK, SLURM_*), settings of W&B, of matplotlib or of Lightning belong to whoever
starts the tests, and so do the files in the home.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests import ROOT

KEPT = frozenset(
    "PATH LD_LIBRARY_PATH LIBRARY_PATH CPATH CC CXX TMPDIR TZ TERM USER LOGNAME LANG LANGUAGE "
    "PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX PYTHONUTF8 BVALIGN_TESTS_NEED_CHROMIUM".split()
)
KEPT_PREFIXES = ("LC_", "PYTEST_", "COV_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_", "DYLD_")
HOME = "BVALIGN_TESTS_HOME"
"""Names the home of the tests to the processes that pytest-xdist starts."""


def of_tests(callers: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables without those that change what a test does.

    One thread per process: tensors are tiny and there is a worker for every core. Processes that
    tests start import bvalign from where the tests do. The home is empty and new.
    """
    kept = {k: v for k, v in callers.items() if k in KEPT or k.startswith(KEPT_PREFIXES)}
    home = callers.get(HOME) or tempfile.mkdtemp(prefix="bvalign-tests-")
    paths = [str(ROOT)] + [
        str(Path(p).absolute()) for p in callers.get("PYTHONPATH", "").split(os.pathsep) if p
    ]
    return kept | {
        HOME: home,
        "HOME": home,
        "HYPOTHESIS_STORAGE_DIRECTORY": str(Path(home) / "hypothesis"),
        "JSONARGPARSE_DEPRECATION_WARNINGS": "off",  # Lightning 2.6 on jsonargparse 4.53
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
