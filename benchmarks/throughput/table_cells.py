"""Tables and numbers of the Markdown page."""


def table(head: str, rows: list[list[object]]) -> list[str]:
    """The lines of a table and a blank line; | separates the columns of `head`."""
    lines = [head, " | ".join(["---"] * (head.count("|") + 1))]
    lines += [" | ".join(map(str, row)) for row in rows]
    return [*(f"| {line} |" for line in lines), ""]


def ranged(values: dict[str, float], digits: int) -> str:
    """Median and range of a measurement."""
    median, low, high = (f"{values[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def mib(size: float) -> str:
    """Bytes in MiB."""
    return f"{size / 2**20:.0f}"
