"""The command that holds scores against what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from echoanom.cli import evaluationtext
from echoanom.cli.console import print_json, print_lines
from echoanom.cli.findings import event_options
from echoanom.cli.parameters import (
    Decorator,
    Flag,
    command,
    json_option,
    options_object,
)
from echoanom.errors import ScoresError
from echoanom.evaluationoptions import EvaluationOptions
from echoanom.options import EventOptions

if TYPE_CHECKING:
    from echoanom.comparing import Contender

measure_options: Decorator[Any] = options_object(
    EvaluationOptions,
    "measures",
    buffer=Flag(
        "--buffer",
        "Largest buffer of VUS-PR, half of it on each side of a label [rows].",
        metavar="ROWS",
    ),
    bootstrap=Flag(
        "--bootstrap",
        "Draw the record anew so many times, for intervals; 0 for none.",
        metavar="N",
    ),
    block_h=Flag("--block", "Length of the blocks that are drawn [h].", metavar="H"),
    seed=Flag("--seed", "Seed of the draws.", metavar="N"),
)


@command
@click.argument("scores", nargs=-1, required=True)
@click.argument("labels")
@click.option(
    "--events",
    "events_path",
    metavar="CSV",
    help="Events to hold against the labels. Left out: found with the options below.",
)
@click.option(
    "--png", metavar="PNG", help="Where a picture of curves and measures goes."
)
@event_options
@measure_options
@json_option
def evaluate(
    scores: tuple[str, ...],
    labels: str,
    events_path: str | None,
    png: str | None,
    options: EventOptions,
    measures: EvaluationOptions,
    as_json: bool,
) -> None:
    """Hold scores against labels: do they find what is known?

    LABELS is a CSV with start, end (the first moment after) and optionally sensor and
    kind. Several SCORES are compared on the rows that all of them have. Measures by row
    do not depend on a threshold, those by event do.

    \b
    Example:
      echoanom evaluate scores.csv labels.csv --json
      echoanom evaluate model.csv forest.csv labels.csv --png compare.png
    """
    from echoanom.comparing import compare
    from echoanom.labels import read_labels

    if events_path is not None and len(scores) > 1:
        raise click.UsageError(
            f"--events must go with one table of scores, got {len(scores)}; leave it"
            " out, and each table's events are found by the threshold"
        )
    twice = next((path for path in scores if scores.count(path) > 1), None)
    if twice is not None:
        raise click.UsageError(f"SCORES must differ, got {twice} twice")
    if png is not None and not png.lower().endswith(".png"):
        raise click.UsageError(f"--png must end in .png, got {png}")
    contenders = [_contender(path, events_path, options) for path in scores]
    compared = compare(
        contenders, read_labels(labels), options=options, measures=measures
    )
    if png is not None:
        from echoanom.comparisonplot import draw_comparison
        from echoanom.figures import as_png
        from echoanom.publishing import write_bytes

        write_bytes(png, as_png(draw_comparison(compared)))
    if len(compared) == 1:
        found = compared[0].evaluation.as_json()
        if as_json:
            print_json(found)
        else:
            print_lines(evaluationtext.evaluation_lines(found))
        return
    values = [one.as_json() for one in compared]
    if as_json:
        print_json({"compared": values})
    else:
        print_lines(evaluationtext.comparison_lines(values))


def _contender(path: str, events_path: str | None, options: EventOptions) -> Contender:
    from echoanom.comparing import Contender
    from echoanom.events import read_events
    from echoanom.scores import read_scores

    table = read_scores(path)
    if events_path is not None:
        return Contender(path, table, events=tuple(read_events(events_path)))
    try:
        threshold = table.threshold(options.threshold, options).value
    except ScoresError as error:
        raise ScoresError(f"{path}: {error}") from None
    return Contender(path, table, threshold=threshold)
