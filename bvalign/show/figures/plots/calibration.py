"""The reliability diagram of the mean of the members."""

import numpy as np

from bvalign.analysis.summary import Analysis
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots.words import size
from bvalign.show.figures.samples import reliability


def reliability_plot(analysis: Analysis) -> Plot:
    """Describes accuracy over confidence, in bins."""
    found = analysis.calibration
    cells, num_samples = found.reliability, found.num_samples
    numbers = {
        "confidence": cells.predicted[:, 0].numpy(),
        "accuracy": (cells.predicted - cells.residual)[:, 0].numpy(),
        "standard_error": cells.noise.sqrt().numpy(),
        "samples": np.rint(cells.fraction.numpy() * num_samples).astype(int),
    }
    error = found.errors["equal_width"]["confidence"].absolute.value
    accuracy = (
        "the mean probability that the soft labels give to the predicted class"
        if analysis.soft_labels
        else "the fraction of its samples that are predicted right"
    )
    caption = (
        "Calibration of the mean of the members. Above: accuracy in bins of confidence, the "
        f"largest mean probability; accuracy is {accuracy}; bars are two standard errors over "
        "samples. Below: the samples of each bin. The confidence calibration error in 15 bins of "
        f"equal width is {error:.3f}, which noise makes too large. "
        f"{size(num_samples, analysis.num_members)}"
    )
    gap = np.abs(numbers["confidence"] - numbers["accuracy"])
    over = numbers["samples"][numbers["accuracy"] < numbers["confidence"]].sum() / num_samples
    alt = (
        f"Accuracy over confidence in {len(gap)} bins. {over:.0%} of the samples lie in bins where "
        f"accuracy is below confidence; the largest difference is {gap.max():.2f}. The fullest bin "
        f"has confidence {numbers['confidence'][numbers['samples'].argmax()]:.2f} and "
        f"{numbers['samples'].max():,} of {num_samples:,} samples."
    )
    return Plot(lambda: reliability(cells, num_samples=num_samples), caption, alt, numbers)
