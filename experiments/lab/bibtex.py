"""BibTeX entries of the software and of the papers it implements, from CITATION.cff."""

from pathlib import Path

import yaml

KINDS = {"software": "software", "conference-paper": "inproceedings", "article": "article"}
"""Type in CITATION.cff -> type of the entry."""


def entries(file: Path) -> str:
    """The entries in one fenced block."""
    content = yaml.safe_load(file.read_text())
    software = content.get("preferred-citation", content)
    texts = [_entry(one) for one in (software, *content.get("references", []))]
    return "\n".join(["```bibtex", "\n\n".join(texts), "```"])


def _entry(one: dict[str, object]) -> str:
    authors = [
        f"{author['family-names']}, {author['given-names']}"
        if "family-names" in author
        else f"{{{author['name']}}}"
        for author in one["authors"]
    ]
    year = str(one.get("year") or one.get("date-released") or "")[:4]
    fields = {
        "author": " and ".join(authors),
        "title": f"{{{one['title']}}}",
        "booktitle": one.get("conference", {}).get("name", ""),
        "version": str(one.get("version", "")),
        "year": year,
        "url": one.get("url") or one.get("repository-code", ""),
    }
    name = one["authors"][0].get("family-names", "").lower() + year or one["title"].lower()
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
    return "\n".join([f"@{KINDS[one['type']]}{{{name},", *lines, "}"])
