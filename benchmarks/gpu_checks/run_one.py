"""Runs one check in this process and writes its outcome.

python -m gpu_checks.run_one MODULE:FUNCTION DEVICE full|quick FOLDER RESULT.json
"""

import json
import sys
import traceback
from importlib import import_module
from pathlib import Path

from gpu_checks.outcome import CheckError, NotHereError, Setting


def main(run: str, device: str, size: str, folder: str, result: str) -> None:
    """Writes {verdict, says, numbers}; whatever a check raises is its failure."""
    module, _, name = run.partition(":")
    function = getattr(import_module(module), name)
    try:
        found = function(Setting(device, size == "quick", Path(folder)))
        outcome = {"verdict": "ok", "says": found.says, "numbers": found.numbers}
    except CheckError as failed:
        outcome = {"verdict": "FAIL", "says": str(failed), "numbers": failed.numbers}
    except NotHereError as skipped:
        outcome = {"verdict": "skipped", "says": str(skipped), "numbers": {}}
    except Exception as error:
        traceback.print_exc()  # into the log
        first = (str(error).splitlines() or [""])[0]
        says = f"{type(error).__name__}: {first}"
        outcome = {"verdict": "FAIL", "says": says, "numbers": {}}
    Path(result).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
