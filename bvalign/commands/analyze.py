"""`bvalign.analyze`: the analysis of predictions of any kind."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bvalign.analysis.pieces import NOWHERE, Pieces
from bvalign.commands.passes import analyze_predictions
from bvalign.commands.result import Result, UnlabelledResult, result_of
from bvalign.commands.sources import with_sources
from bvalign.decisions import Options
from bvalign.predictions import Names, Predictions, open_predictions


def analyze(
    source: object,
    labels: object = None,
    *,
    clusters: Path | str | None = None,
    groups: object = None,
    member: str | None = None,
    sample: str | None = None,
    label: str | None = None,
    scores: str | None = None,
    votes: str | None = None,
    task: str | None = None,
    split: str | None = None,
    targets: Mapping[str, float] | None = None,
    max_error: float | None = None,
    confidence: float = 0.95,
    sources: object = None,
) -> Result | UnlabelledResult:
    """Analyses the predictions of an ensemble, with labels or without.

    The result prints as its main numbers. `result["variance"]` is a column of samples.csv as an
    array (samples), `result.samples` a dict of all; `result.report("out/")` writes the report and
    `result.plot()` gives the alignment scatter.

    Scores are logits, probabilities, or votes (class ids or names): the values tell which, and a
    note of the result says it. With K classes and N samples, `source` is one of

    - a path, as for `bvalign analyze`, or opened `Predictions`;
    - an array of NumPy or a tensor of any device (members, N, K), votes (members, N), or the single
      outputs of a binary classifier (members, N, 1);
    - a list of members, each (N, K) or (N), such as results of `predict_proba` or `predict`, or a
      DataFrame, or a list of batches;
    - a dict of named arrays as in a `.npz`, `{"logits": ..., "labels": ...}`, or of members;
    - a DataFrame of pandas or polars: a row for each member and sample, or a row for each sample of
      one member or with a column of votes for each member.

    Args:
        source: the predictions.
        labels: class ids or names (N), as an array, a tensor, a list or a Series, for a source in
            memory that does not contain them; of a DataFrame one for each of its rows. Rows count
            by position: the index of a Series is ignored.
        clusters: file with the cluster of each sample, as for `open_predictions`.
        groups: subgroups of the samples to compare, as for `open_predictions`: a file, one column
            as an array, a list or a Series, or a dict or DataFrame of columns.
        member: column that tells members apart; this and the following are guessed by default.
        sample: column of sample ids.
        label: column or array of labels.
        scores: pattern of the columns of scores, one per class, such as `prob_*`, or name of an
            array.
        votes: pattern of the columns of votes, one per member, or name of an array.
        task: the label to analyse where samples have several that are each true or false.
        split: of a run directory: `test`, the default, or `train`, which judges each training
            sample by members that were not trained on it, see docs/predictions.md.
        targets: wanted values by name, such as {"risk": 0.1}.
        max_error: wanted error rate of accepted predictions; by default half of that of all.
        confidence: of guarantees.
        sources: labelled predictions of the same members, from which error rates and risk of
            samples without labels are estimated: a path or opened predictions, or several of them
            in a list, or a dict by name. The first is fitted on; the others tell how far the
            estimates may be off.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: the predictions cannot be read, or what is given beside them does not fit.
    """
    names = Names(member, sample, label, scores, votes, task, split)
    options = Options(targets or {}, max_error, confidence)
    if not isinstance(source, Predictions):
        given = {"clusters": clusters, "groups": groups, "names": names}
        predictions, origin = open_predictions(source, labels, **given)
        options = asked(options, (predictions, origin), sources, names)
        return result_of(analyze_predictions(predictions), predictions, origin, options)
    beside = {"labels": labels, "clusters": clusters, "groups": groups} | vars(names)
    given = [name for name, value in beside.items() if value is not None and value is not False]
    if given:
        raise ValueError(
            f"{', '.join(given)} must be given where predictions are opened, got opened ones; use "
            "open_predictions(source, ...)"
        )
    origin = {"source": "opened predictions"}
    options = asked(options, (source, origin), sources, names)
    return result_of(analyze_predictions(source), source, origin, options)


def asked(
    options: Options,
    opened: tuple[Predictions, dict[str, object]],
    sources: object,
    names: Names,
    pieces: Pieces = NOWHERE,
) -> Options:
    """Adds what the predictions say of their samples, and labelled ones beside them.

    Args:
        options: what is asked.
        opened: predictions to analyse, and where they come from.
        sources: see `with_sources`.
        names: of columns or arrays.
        pieces: where those of samples without labels are kept, if others have some.
    """
    predictions, origin = opened
    if predictions.unlabelled is not None:
        options = replace(options, rest=analyze_predictions(predictions.unlabelled, pieces))
    return with_sources(options.of(predictions, origin), predictions, sources, names)
