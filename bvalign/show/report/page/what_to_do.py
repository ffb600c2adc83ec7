"""What to do: at most five sentences, each with links to its section and its list."""

from bvalign.show.report.page.sentences import in_words

Summary = dict[str, object]


def what_to_do(summary: Summary) -> list[str]:
    """Makes the sentences from the numbers.

    Args:
        summary: as in summary.json.
    """
    return in_words(summary)[:5] if summary["labels"] else []
