"""Reports that tests look at in a browser."""

import numpy as np

from tests.ensembles import aligned_ensemble, predictions_of

EVIL = ("<script>document.title = 'broken'</script>", "</script><b>", "ship & co", "'\"", "{{ 7 }}")
"""Names of classes, which must be shown as they are."""

SIDE = 6
"""Pixels of an image."""


def predictions(samples=150, classes=5, members=6, wrong=20, **more):
    """The ensemble gets the first samples wrong; ids begin at 100."""
    logits, target = aligned_ensemble(members=members, samples=samples, classes=classes)
    target[:wrong] = (target[:wrong] + 1) % classes
    return predictions_of(logits, target, index=100 + np.arange(samples), **more)


def images(samples=150, side=SIDE, channels=3, seed=0):
    """Noise, so that every image is another."""
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(samples, channels, side, side), dtype=np.uint8)


def write(result, folder):
    """Writes the report of a result of `analyze`; its page."""
    return result.report(folder, samples="both")


def usable(page):
    """Waits until the scripts of a page have done all that a reader waits for."""
    page.wait_for_selector("body[data-usable-after]", state="attached")
    return page
