"""Progress on a terminal is one bar, elsewhere plain lines."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from tests.processes import TINY, bvalign_process

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(command, columns):
    """What a command writes to a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    written = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        written += part
    os.close(master)
    assert process.wait() == 0, written.decode()
    return written.decode()


def test_a_terminal_of_80_columns_shows_one_bar():
    options = ("--model.members=12", "--model.pack_size=6", "--trainer.logger=false")
    written = on_a_terminal(bvalign_process("fit", *TINY, *options), 80)
    frames = [ESCAPES.sub("", line) for line in re.split(r"[\r\n]+", written)]
    assert "Seed set to" not in written
    bars = [frame for frame in frames if "members ·" in frame]
    assert bars[0].startswith("0/12 members · epoch 1/2")
    assert re.match(r"12/12 members · epoch 2/2 · accuracy 0\.\d{3} .*100% \d:\d\d:\d\d", bars[-1])
    assert all(re.search(r"left (\d|-):(\d\d|--):(\d\d|--) *$", frame) for frame in bars)
    assert max(map(len, bars)) <= 80
    # the accuracy of the first pack stays while the second trains
    second = [frame for frame in bars if frame.startswith("6/12")]
    assert all("accuracy 0." in frame for frame in second)
    assert "\x1b[?25h" in written[written.rindex("\x1b[?25l") :]  # the cursor is back


def test_elsewhere_there_are_plain_lines(fit, capsys):
    fit("--model.members=3", "--model.pack_size=2")
    err = capsys.readouterr().err
    assert "\x1b" not in err
    lines = [line for line in err.splitlines() if "members · epoch" in line]
    assert [line.split()[0] for line in lines] == ["0/3", "2/3", "2/3", "3/3"]
    assert re.fullmatch(r"2/3 members · epoch 1/2 · accuracy 0\.\d+ · about 0:\d\d left", lines[2])
    # the last line tells what all members reach, not those that were in training
    accuracy = json.loads(Path("runs/digits-mlp/summary.json").read_text())["accuracy"]["value"]
    assert f"accuracy {accuracy:.3f} " in lines[3]
