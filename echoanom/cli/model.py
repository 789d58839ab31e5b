"""Commands that train and use a model: train, score."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import click

from echoanom.cli import result_text
from echoanom.cli.cluster import (
    check_processes,
    connected,
    dask_option,
    processes_option,
)
from echoanom.cli.console import (
    print_json,
    print_lines,
    progress_bar,
    quiet_tensorflow,
)
from echoanom.cli.learning import learning_options
from echoanom.cli.parameters import Decorator, UtcTime, command, json_option
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import EVER_S, Placement, WindowOptions

Intervals = list[tuple[int, int]]


def interval_options(verb: str) -> Decorator[Any]:
    """Give a command ``--from``, ``--to`` and ``--exclude``.

    Parameters
    ----------
    verb : str
        What is done with the rows, for the help.

    Returns
    -------
    decorator
        Adds the parameters `begin`, `end` and `exclude`, which `intervals` takes.
    """
    options = (
        click.option(
            "--from",
            "begin",
            type=UtcTime(),
            metavar="TIME",
            help=f"{verb} rows at this time (UTC) or later.",
        ),
        click.option(
            "--to",
            "end",
            type=UtcTime(),
            metavar="TIME",
            help=f"{verb} rows before this time (UTC).",
        ),
        click.option(
            "--exclude",
            metavar="CSV",
            help="Leave out rows in these intervals: a table of start and end, such as"
            " labels.csv.",
        ),
    )

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def intervals(
    begin: int | None, end: int | None, exclude: str | None
) -> tuple[Intervals | None, Intervals]:
    """Turn ``--from``, ``--to`` and ``--exclude`` into intervals.

    Parameters
    ----------
    begin, end : int, optional
        First moment to take, and the first not to [s since 1970 UTC].
    exclude : str, optional
        Table of intervals, as path or URL.

    Returns
    -------
    include : list of (int, int) or None
        None takes everything.
    exclude : list of (int, int)
        What is left out. A label of kind ``false`` says that it is usual, and is not.
    """
    from echoanom.labels import read_labels

    include: Intervals | None = None
    if begin is not None or end is not None:
        first = -EVER_S if begin is None else begin
        stop = EVER_S if end is None else end
        if first >= stop:
            raise click.UsageError("--to must be later than --from")
        include = [(first, stop)]
    labels = read_labels(exclude) if exclude else ()
    return include, [(x.start, x.end) for x in labels if not x.is_false]


@command
@click.argument("dataset")
@click.option(
    "--model", required=True, metavar="DIR", help="Folder that gets the trained model."
)
@learning_options()
@interval_options("Learn from")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where an interrupted training with the same options stopped.",
)
@click.option(
    "--overwrite", is_flag=True, help="Start again in a folder that holds a model."
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="BATCHES",
    help="Store the training after so many batches, beside after each epoch; 0: never.",
)
@click.option(
    "--placement",
    type=click.Choice(get_args(Placement)),
    default="host",
    show_default=True,
    help="Gather windows on the host, or on the GPU, which then holds all rows.",
)
@json_option
def train(
    dataset: str,
    model: str,
    window: WindowOptions,
    stride: int | None,
    training: TrainOptions,
    network: ModelOptions,
    begin: int | None,
    end: int | None,
    exclude: str | None,
    resume: bool,
    overwrite: bool,
    checkpoint_every: int,
    placement: Placement,
    as_json: bool,
) -> None:
    """Train a model on what is usual in a dataset.

    DIR gets the model with its normalisation, the calibration of the threshold, the
    history of the loss, logs for TensorBoard and a SavedModel for serving.

    \b
    Example:
      echoanom train dataset --model model --window 64 --epochs 20
      echoanom train dataset --model baseline --model-kind pca
    """
    include, left_out = intervals(begin, end, exclude)
    stride = stride or network.default_stride(window.size)
    window = dataclasses.replace(window, stride=stride, shuffle=True)
    quiet_tensorflow()
    from echoanom.dataset import open_dataset
    from echoanom.training import train as run

    with progress_bar() as progress:
        artifact = run(
            open_dataset(dataset),
            model,
            window,
            network,
            training,
            include=include,
            exclude=left_out,
            resume=resume,
            overwrite=overwrite,
            placement=placement,
            checkpoint_every=checkpoint_every,
            progress=progress,
        )
    summary = {"model": artifact.path, **artifact.record.as_json()}
    if as_json:
        print_json(summary)
    else:
        print_lines(result_text.training_lines(summary))


@command
@click.argument("dataset")
@click.option(
    "--model", required=True, metavar="DIR", help="Folder of the trained model."
)
@click.option("--out", required=True, metavar="CSV", help="Where the scores go.")
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="ROWS",
    help="Rows from the start of one window to that of the next.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    show_default="by memory",
    help="Windows that are scored at once.",
)
@interval_options("Score")
@dask_option
@processes_option
@json_option
def score(
    dataset: str,
    model: str,
    out: str,
    stride: int,
    batch_size: int | None,
    begin: int | None,
    end: int | None,
    exclude: str | None,
    dask: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Score every row of a dataset by how unusual it is.

    The score of a row is the mean error of the model over the windows that cover it.
    Beside the CSV come the columns' shares of the error (.columns.npy) and what the
    scores are made from (.json).

    \b
    Example:
      echoanom score dataset --model model --out scores.csv
    """
    from echoanom.scores import check_path, write_scores

    check_path(out)
    include, left_out = intervals(begin, end, exclude)
    check_processes(dask, workers)
    quiet_tensorflow()
    from echoanom.artifact import load_artifact
    from echoanom.dataset import open_dataset
    from echoanom.scoring import score as run

    with connected(dask, workers) as client, progress_bar() as progress:
        table = run(
            open_dataset(dataset),
            load_artifact(model),
            stride=stride,
            batch_size=batch_size,
            include=include,
            exclude=left_out,
            client=client,
            progress=progress,
        )
    write_scores(out, table)
    summary = result_text.score_summary(out, table)
    if as_json:
        print_json(summary)
    else:
        print_lines(result_text.score_lines(summary))
