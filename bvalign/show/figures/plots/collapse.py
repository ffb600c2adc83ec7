"""The model of neural collapse beside the data."""

import numpy as np

from bvalign.analysis.summary import Analysis
from bvalign.show.figures.collapse import collapse, density
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots.words import size


def collapse_plot(analysis: Analysis) -> Plot:
    """Describes the logit noise and what the model predicts from it; the noise must be defined."""
    found, num_members = analysis.collapse, analysis.num_members
    noise = found.noise
    skewness = (
        f"skewness {noise.skewness:.2f}"
        if np.isfinite(noise.skewness)
        else "no skewness, as there are two classes"
    )
    distances = ", ".join(f"{name} {fit.distance:.3f}" for name, fit in noise.fits.items())
    caption = (
        "The model of neural collapse, which writes the logits of a sample as a margin of the "
        "label plus noise. (a) Logits centred over members and classes, with the distributions "
        f"fitted to them and their distances ({distances}); {skewness}, excess kurtosis "
        f"{noise.excess_kurtosis:.2f}. (b) What {found.distribution} noise predicts at the margins "
        f"of these samples: the slope of {num_members} members is {found.slope_simulated:.3f}, of "
        f"infinitely many {found.slope_population:.3f}; that of the data is "
        f"{found.slope_data:.3f}. Correct samples. "
        f"{size(len(found.data.bias_sq), num_members)}"
    )
    alt = (
        f"Left: density of the logit noise on a logarithmic axis; {found.distribution} is the "
        "nearest of the fitted distributions. Right: variance over squared bias of the data and "
        f"of samples drawn from the model, two clouds of slope {found.slope_data:.2f} and "
        f"{found.slope_simulated:.2f}, with the curve of infinitely many members, of slope "
        f"{found.slope_population:.2f}."
    )
    numbers = density(found)
    return Plot(lambda: collapse(found, num_members=num_members), caption, alt, numbers)
