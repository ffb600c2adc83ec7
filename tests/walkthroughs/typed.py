"""What a page of the documentation tells its reader to type, and typing it in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests import ROOT

MARKED = re.compile(r"<!-- walkthrough: (\S+) -->\s*```(bash|python)\n(.*?)```", re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ADDED = "  # +"
"""Ends the lines that a script of the reader's own needs for bvalign."""

MOST_COMMANDS, MOST_LINES = 2, 8
PATIENCE = 540


class Block(NamedTuple):
    """A block of code below a marker."""

    language: str
    code: str

    @property
    def commands(self):
        """Commands of a shell; one inside a loop counts once."""
        parts = re.split(r"[\n;|]|&&", self.code.replace("\\\n", ""))
        words = [part.removeprefix("do ").split() for part in map(str.strip, parts)]
        return sum(bool(w) and w[0] not in ("for", "do", "done", "#") for w in words)

    @property
    def added(self):
        """Lines of a script that are bvalign's, or all where none is marked."""
        lines = [line for line in self.code.splitlines() if line.strip()]
        return [line for line in lines if line.endswith(ADDED)] or lines


def marked():
    """Name -> block, of all pages."""
    found = [m for page in PAGES for m in MARKED.findall(page.read_text())]
    assert len({name for name, *_ in found}) == len(found)
    return {name: Block(*block) for name, *block in found}


def type_block(block):
    """Types the commands of a block in this folder; returns what they print."""
    assert block.language == "bash"
    assert block.commands <= MOST_COMMANDS
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    wandb = {f"WANDB_{name}_DIR": str(Path.cwd() / "home") for name in ("DATA", "CACHE")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        env=os.environ | wandb | {"PATH": path, "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
