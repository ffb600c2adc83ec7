"""Takes the pictures of docs/images: the first screen of a report, its table, a comparison, a review.

    python docs/screenshots.py        # two minutes on two CPU cores; needs Chromium

Two small ensembles on digits are trained in a temporary folder, one of them on labels of which a
tenth is wrong. The pictures are reduced to 128 colours.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
SIZE = {"width": 1400, "height": 900}
COMMANDS = (
    "fit --data=Digits --model.members=16 --trainer.logger=false",
    "fit --data=Digits --model.members=16 --model.width=4 --trainer.logger=false",
)
