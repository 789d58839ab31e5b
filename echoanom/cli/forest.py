"""The command of the baseline: forest."""

from __future__ import annotations

import click

from echoanom.cli import result_text
from echoanom.cli.console import print_json, print_lines, progress_bar
from echoanom.cli.model import interval_options, intervals
from echoanom.cli.parameters import (
    Flag,
    command,
    json_option,
    options_object,
)
from echoanom.modeloptions import ForestOptions


def forest_flags(*, seed: bool = True) -> dict[str, Flag]:
    """Name the flags of a forest.

    Parameters
    ----------
    seed : bool
        Whether the forest has a seed.

    Returns
    -------
    dict of str to Flag
        For `options_object`.
    """
    flags = {
        "trees": Flag("--trees", "Trees in the forest, 50 to 1000."),
        "samples": Flag("--samples", "Rows that each tree is grown from, 3 to 2048."),
        "seed": Flag("--seed", "Seed of the rows' choice and of the cuts."),
        "normalization": Flag(
            "--normalization",
            "How columns are scaled, from statistics of the training days alone.",
        ),
        "validation": Flag(
            "--validation",
            "Share of the days held back at the end, for the threshold.",
        ),
    }
    return {name: flag for name, flag in flags.items() if seed or name != "seed"}


@command
@click.argument("dataset")
@click.option("--out", required=True, metavar="CSV", help="Where the scores go.")
@options_object(ForestOptions, "options", **forest_flags())
@interval_options("Learn from")
@click.option(
    "--shares/--no-shares",
    default=True,
    show_default=True,
    help="Tell which columns a score comes from. Most of the time goes there where"
    " columns are many.",
)
@json_option
def forest(
    dataset: str,
    out: str,
    options: ForestOptions,
    begin: int | None,
    end: int | None,
    exclude: str | None,
    shares: bool,
    as_json: bool,
) -> None:
    """Score every row by a Random Cut Forest, to compare a model with.

    The forest is grown from the rows to learn from, each a point of all its columns,
    and needs no training. `detect`, `evaluate` and `report` take its scores like those
    of a model.

    \b
    Example:
      echoanom forest dataset --out forest.csv --exclude labels.csv
    """
    from echoanom.scores import check_path, write_scores

    check_path(out)
    include, left_out = intervals(begin, end, exclude)
    from echoanom.dataset import open_dataset
    from echoanom.forest import score_with_forest

    with progress_bar() as progress:
        table = score_with_forest(
            open_dataset(dataset),
            options,
            include=include,
            exclude=left_out,
            shares=shares,
            progress=progress,
        )
    write_scores(out, table)
    summary = result_text.score_summary(out, table)
    if as_json:
        print_json(summary)
    else:
        print_lines(result_text.score_lines(summary))
