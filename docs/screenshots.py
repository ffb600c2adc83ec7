"""Takes the pictures in docs/images of a report, its table, a comparison and a review of labels.

    python docs/screenshots.py        # a minute on two CPU cores; needs Chromium

Eight small networks of two widths are trained by scikit-learn on its digits. For the review, one
test label in twenty is replaced by the next class.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1400, "height": 900}
PICTURES = {
    "report": "wide/report.html",
    "table": "wide/report.html#samples",
    "compare": "compare/compare.html",
    "review": "doubtful/review.html",
}
"""Name of a picture -> the page, and where on it."""
COMMANDS = (
    "analyze wide.npz --out wide",
    "analyze narrow.npz --out narrow",
    "analyze doubtful.npz --out doubtful",
    "compare wide narrow --out compare",
)


def write_predictions(folder: Path) -> None:
    """Writes wide.npz and narrow.npz, and doubtful.npz with some labels replaced."""
    pixels, target = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(pixels / 16, target, test_size=900, random_state=0)
    images = (255 * x_test).astype(np.uint8).reshape(-1, 1, 8, 8)
    for name, width in {"wide": 32, "narrow": 10}.items():
        members = [
            MLPClassifier((width,), learning_rate_init=0.01, tol=0.01, random_state=seed).fit(x, y)
            for seed in range(8)
        ]
        probs = np.stack([member.predict_proba(x_test) for member in members])
        np.savez(folder / f"{name}.npz", logits=np.log(probs), labels=y_test, images=images)
    doubtful = np.where(np.arange(900) % 20, y_test, (y_test + 1) % 10)
    np.savez(folder / "doubtful.npz", logits=np.log(probs), labels=doubtful, images=images)


def picture(page: Page, address: str) -> bytes:
    """Takes a picture of a page, as a PNG of 256 colours."""
    page.goto(address)
    page.wait_for_timeout(3000)  # scripts draw and thumbnails are decoded
    shot = Image.open(BytesIO(page.screenshot())).convert("RGB")
    png = BytesIO()
    fewer = shot.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    fewer.save(png, "PNG", optimize=True)
    return png.getvalue()


def main() -> None:
    """Trains, analyses and takes the pictures."""
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_predictions(Path(folder))
        for command in COMMANDS:
            subprocess.run(
                [sys.executable, "-m", "bvalign", *command.split()], cwd=folder, check=True
            )
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        for name, address in PICTURES.items():
            (IMAGES / f"{name}.png").write_bytes(picture(page, f"file://{folder}/{address}"))
        browser.close()


if __name__ == "__main__":
    main()
