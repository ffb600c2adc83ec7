"""The sections of a report, in the order of the page."""

from collections.abc import Collection

Summary = dict[str, object]


def contents(summary: Summary, figures: Collection[str]) -> dict[str, str]:
    """Returns the title of each section by its anchor; those that do not apply are absent.

    Args:
        summary: as in summary.json.
        figures: names of those of the page.
    """
    labels = summary["labels"]
    sections = {
        "summary": ("Summary", True),
        "samples": ("Samples", True),
        "decide": ("Decide", summary.get("decisions")),
        "without-labels": ("Without labels", summary.get("without_labels")),
        "variance": ("Variance", not labels and figures),
        "alignment": ("Alignment", labels),
        "collapse": ("Neural collapse", "collapse" in figures),
        "calibration": ("Calibration", labels),
        "losses": ("Losses", True),
        "extremes": ("Extremes", True),
        "downloads": ("Downloads", True),
        "appendix": ("Appendix", True),
    }
    return {key: title for key, (title, applies) in sections.items() if applies}
