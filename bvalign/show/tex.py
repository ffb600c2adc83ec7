"""Texts for TeX, in tables and in figures whose type TeX sets."""

LETTERS = {letter: f"\\{letter}" for letter in "%&$#_{}"}
LETTERS |= {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}", "…": r"\ldots{}"}
SIGNS = {"−": "-", "×": r"\times", "→": r"\to", "∞": r"\infty", "Δ": r"\Delta", "²": "^2"}
TABLE = str.maketrans(LETTERS | {sign: f"${tex}$" for sign, tex in SIGNS.items()})


def escaped(text: str) -> str:
    r"""Writes a text so that TeX prints it as it is.

    >>> escaped("95% of class_1, M → ∞")
    '95\\% of class\\_1, M $\\to$ $\\infty$'
    """
    return text.translate(TABLE)
