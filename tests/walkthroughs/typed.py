"""What a page of the documentation tells its reader to type, and typing it in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import walkthrough

MOST_COMMANDS, MOST_LINES = 2, 8
PATIENCE = 540


def of_page(name, language):
    """The one block of code below the marker of a walkthrough."""
    (block,) = walkthrough(name)
    assert block.language == language
    return block.code


def added_lines(name):
    """The lines that a page adds to its reader's script, which it marks."""
    lines = [line for line in of_page(name, "python").splitlines() if line.endswith("  # +")]
    assert 0 < len(lines) <= MOST_LINES
    return lines


def typed(name):
    """Types the commands of a page in this folder; returns what they print."""
    code = of_page(name, "bash")
    assert num_commands(code) <= MOST_COMMANDS
    return shell(code)


def num_commands(code):
    """Commands of a shell; one inside a loop counts once.

    >>> num_commands("for k in 1 2; do one $k; done; two")
    2
    """
    parts = re.split(r"[\n;|]|&&", code.replace("\\\n", ""))
    words = [part.removeprefix("do ").split() for part in map(str.strip, parts)]
    return sum(bool(w) and w[0] not in ("for", "do", "done", "#") for w in words)


def shell(code):
    """Runs commands as a user does: bvalign is on the path, W&B asks nobody for a login."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    wandb = {f"WANDB_{name}_DIR": str(Path.cwd() / "home") for name in ("DATA", "CACHE")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        env=os.environ | wandb | {"PATH": path, "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
