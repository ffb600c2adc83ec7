"""The cells of the study: which noise, with how many members, samples and classes.

Committed before the run. `near_gaussian` are logits that are Gaussian given the sample, whatever
the growth, sharing or temperature of their noise; uniform noise is judged with them although it has
lighter tails, as that is the stricter goal. The group decides the goal (`coverage_goals.py`) and
nothing else.
"""

from typing import NamedTuple

from ensembles import Margins, Noise

GROUPS = ("near_gaussian", "heavy_tailed", "asymmetric", "degenerate")

GROWING = {"sigma": 0.25, "growth": 0.075}
WIDE_100 = Margins(7, 19)
"""Margins of 100 classes that are as confident as 4 to 16 of a few."""

NOISES: dict[str, Noise] = {
    # tried while the estimator was made
    "gauss": Noise(),
    "light": Noise(sigma=0.5),
    "growing": Noise(**GROWING),
    "shrinking": Noise(sigma=1.45, growth=-0.075),
    "shared": Noise(shift=0.5),
    "narrow": Noise(margins=Margins(6, 9)),
    "groups": Noise(shift=0.7, groups=20),
    "temperature": Noise(sigma=0.7, temperature=0.1),
    "scatter": Noise(sigma=0.9, scatter=0.2),
    "real": Noise(sigma=1.1, growth=-0.02, margins=Margins(-2, 14, ((1, 8, 3.2),)), shift=0.2),
    "hard": Noise(sigma=1.2, margins=Margins(-8, 15, ((1, 3, 4),))),
    "gauss_100": Noise(margins=WIDE_100),
    "growing_100": Noise(margins=WIDE_100, **GROWING),
    "small_2": Noise(sigma=0.3, growth=0.03, margins=Margins(1, 8)),
    "laplace_0.4": Noise("laplace", 0.4),
    "laplace_0.7": Noise("laplace", 0.7),
    "logistic_0.4": Noise("logistic", 0.4),
    "t5": Noise("t5", 0.6),
    "gumbel_0.5": Noise("gumbel", 0.5),
    "gumbel_1": Noise("gumbel"),
    # tried once, after the first version of the estimator was frozen
    "shared_5": Noise(sigma=0.8, growth=0.02, margins=Margins(2, 12), shift=0.3),
    "scatter_20": Noise(sigma=0.7, margins=Margins(5, 15), scatter=0.3),
    "middle": Noise(margins=Margins(5, 11)),
    "growing_4": Noise(sigma=0.3, growth=0.05, margins=Margins(3, 13)),
    "temperature_0.05": Noise(sigma=0.8, temperature=0.05),
    "hard_6": Noise(sigma=0.9, margins=Margins(-4, 13, ((1, 5, 3),))),
    "gumbel_max_0.5": Noise("gumbel_max", 0.5),
    "logistic_0.5": Noise("logistic", 0.5),
    "laplace_0.3": Noise("laplace", 0.3),
    # new in this study: no estimator had seen them when the list was committed
    "new_factor": Noise(factor=0.8),  # half of the classes rise and fall together
    "new_class_bias": Noise(sigma=0.7, class_bias=0.5),  # each member prefers classes of its own
    "new_class_scale": Noise(sigma=0.8, class_scale=(0.5, 1.6)),  # some classes are noisier
    "new_two_humps": Noise(sigma=0.9, margins=Margins(1, 18, ((0.4, 5, 1.5), (0.6, 12, 2)))),
    "new_flips": Noise(sigma=0.8, flips=0.05),  # wrong labels
    "new_uniform": Noise("uniform", 0.9),
    "new_t8": Noise("t8", 0.5),
    "new_skew": Noise("skew", 0.9),
    "new_weak": Noise(sigma=0.8, weak=(0.15, 0.85)),  # some members are less confident
    # no slope can be had
    "votes": Noise(sigma=1.2, margins=Margins(0, 8), seen="votes"),
    "rounded": Noise(seen="rounded"),
    "alike": Noise(sigma=0.5, margins=Margins(8, 8)),
}


class Cell(NamedTuple):
    """One simulated setting; its draws are ensembles that differ by their seed."""

    noise: str
    members: int
    samples: int
    classes: int
    group: str

    @property
    def name(self) -> str:
        """Noise, M, N and K."""
        return f"{self.noise}-M{self.members}-N{self.samples}-K{self.classes}"


def _cells(group: str, table: str) -> list[Cell]:
    """One cell per line: a noise, then M, N and K."""
    rows = (line.split() for line in table.strip().splitlines())
    return [Cell(noise, int(m), int(n), int(k), group) for noise, m, n, k in rows]


CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in [
        *_cells(
            "near_gaussian",
            """
            gauss             3  1000  10
            gauss             5   300  10
            gauss             8 10000  10
            gauss            16   300  10
            gauss            64  1000  10
            gauss            10  1000   2
            light             8   300  10
            light            48  1000 100
            growing           4  1000  10
            growing           8  1000  10
            growing          16   300   2
            growing          24 10000  10
            growing          64  1000  10
            shrinking         8  1000  10
            shrinking        32   300  10
            shared           12  1000  10
            shared           32 10000   2
            narrow           16  1000  10
            narrow           64   300  10
            groups            8  1000  10
            groups           48  1000  10
            temperature      10  1000  10
            temperature      64  1000  10
            scatter          20  1000  10
            real              3  1000  10
            real              7  1000  10
            real             20 10000  10
            hard              8  1000  10
            hard             64  1000   2
            gauss_100        16  1000 100
            growing_100       8   300 100
            growing_100      32  1000 100
            small_2          24   300   2
            shared_5         10  1000   5
            scatter_20       24  1000  20
            middle           12   300  10
            growing_4        16  1000   4
            temperature_0.05 24  1000  10
            hard_6           10  1000   6
            new_factor       16  1000  10
            new_class_bias   12  1000  10
            new_class_scale  20  1000  10
            new_two_humps    10 10000  10
            new_flips        16  1000 100
            new_uniform      16  1000  10
            """,
        ),
        *_cells(
            "heavy_tailed",
            """
            laplace_0.3      24  1000   5
            laplace_0.4      16  1000  10
            laplace_0.7       8  1000  10
            logistic_0.4     64  1000  10
            logistic_0.5     16  1000   3
            t5               16  1000  10
            new_t8           16  1000  10
            """,
        ),
        *_cells(
            "asymmetric",
            """
            gumbel_0.5       16  1000  10
            gumbel_1          8  1000  10
            gumbel_max_0.5   16  1000  10
            gumbel_max_0.5   24  1000   2
            new_skew         16  1000  10
            new_weak         20  1000  10
            """,
        ),
        *_cells(
            "degenerate",
            """
            votes            10  1000  10
            rounded          10  1000   2
            gauss             2  1000  10
            alike             8  1000  10
            """,
        ),
    ]
}
