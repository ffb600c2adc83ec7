"""Draws docs/images/terminal.svg, the terminal after the training of a small ensemble.

    python docs/terminal.py           # half a minute on one CPU core; needs Linux or macOS

Runs the command in a pseudo-terminal and a temporary folder, and keeps the last screen.
"""

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
COLUMNS = 100
COMMAND = (
    "bvalign fit --config configs/digits.yaml --model.members=32 --trainer.max_epochs=6 "
    "--trainer.logger=false"
)


def screen(command: list[str], folder: str) -> list[str]:
    """The lines on the terminal when the command has ended, with their colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    written = b""
    while part := _read(master):
        written += part
    if process.wait():
        raise SystemExit(written.decode())
    lines = re.sub(r"\x1b\[\?25[lh]", "", written.decode()).split("\n")
    return [line.rstrip("\r").split("\r")[-1].removeprefix("\x1b[2K") for line in lines]


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:  # Linux raises it when the other end is closed
        return b""


def main() -> None:
    """Runs the command and writes the picture."""
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    arguments = COMMAND.replace("configs/", f"{ROOT}/configs/").split()
    with tempfile.TemporaryDirectory() as folder:
        lines = screen([sys.executable, "-m", *arguments], folder)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text(f"$ {COMMAND}", style="bold"))
        for line in lines:
            console.print(Text.from_ansi(line))
    svg = console.export_svg(title="bvalign")
    without_fonts = re.sub(
        r"@font-face \{.*?\}", "", svg, flags=re.DOTALL
    )  # they would be fetched from another server
    (ROOT / "docs" / "images" / "terminal.svg").write_text(without_fonts)


if __name__ == "__main__":
    main()
