"""The command that shows what is unusual: report."""

from __future__ import annotations

from typing import Any

import click

from echoanom.cli.console import print_json, print_lines, progress_bar, quiet_tensorflow
from echoanom.cli.parameters import command, json_option
from echoanom.cli.wording import count


class BySensor(click.ParamType):  # type: ignore[type-arg]
    """A value for one sensor, ``SENSOR=VALUE``.

    Parameters
    ----------
    value : click.ParamType or type
        Type of the value.
    """

    name = "by sensor"

    def __init__(self, value: Any) -> None:
        self.value = click.types.convert_type(value)

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Any]:
        """Split the argument.

        Parameters
        ----------
        value : str
            The argument.
        param : click.Parameter
            The option.
        ctx : click.Context
            The command's context.

        Returns
        -------
        sensor : str
            The sensor.
        value : object
            Its value.
        """
        sensor, equals, text = str(value).rpartition("=")
        if not (sensor and equals):
            self.fail(f"{value!r} is not of the form SENSOR=VALUE", param, ctx)
        return sensor, self.value.convert(text, param, ctx)


@command
@click.argument("dataset")
@click.option(
    "--model", required=True, metavar="DIR", help="Folder of the trained model."
)
@click.option("--scores", required=True, metavar="CSV", help="Table of scores.")
@click.option("--events", required=True, metavar="CSV", help="Table of events.")
@click.option(
    "--out",
    required=True,
    metavar="HTML|DIR",
    help="Where the page goes. A name that does not end in .html is a folder: it gets a"
    " page for each month, and an index.html that leads to them.",
)
@click.option(
    "--png",
    metavar="DIR",
    help="A folder for the same content as pictures, for a paper.",
)
@click.option(
    "--title", default="", show_default="named after the dataset", help="Its heading."
)
@click.option(
    "--top-events",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Events to show beside what the model makes of them.",
)
@click.option(
    "--looking",
    type=BySensor(click.Choice(["up", "down"])),
    multiple=True,
    metavar="SENSOR=up|down",
    help="Where a sensor's range increases to; up, if not named. May be given for several.",
)
@click.option(
    "--depth",
    type=BySensor(float),
    multiple=True,
    metavar="SENSOR=M",
    help="Depth of an instrument [m]: its range is drawn as depth. May be given for"
    " several.",
)
@json_option
def report(
    dataset: str,
    model: str,
    scores: str,
    events: str,
    out: str,
    png: str | None,
    title: str,
    top_events: int,
    looking: tuple[tuple[str, Any], ...],
    depth: tuple[tuple[str, float], ...],
    as_json: bool,
) -> None:
    """Draw data, scores and events on a page that moves.

    The page is one HTML file that opens without a network: the bins of the sensors over
    time with the score, threshold and events, to be flipped through by days and zoomed;
    the table of events; and for the first of them the data beside what the model made
    of them. A reader marks events there, and saves the marks as labels.csv.

    \b
    Example:
      echoanom report dataset --model model --scores scores.csv \\
          --events events.csv --out report.html
    """
    quiet_tensorflow()
    from echoanom.artifact import load_artifact
    from echoanom.dataset import open_dataset
    from echoanom.events import read_events, read_threshold
    from echoanom.report import ReportOptions, write_pictures, write_report
    from echoanom.scores import read_scores

    found = read_events(events)
    options = ReportOptions(
        title=title,
        top_events=top_events,
        looking=dict(looking),
        depth_m=dict(depth),
    )
    with progress_bar() as progress:
        parts: dict[str, Any] = {
            "dataset": open_dataset(dataset),
            "table": read_scores(scores),
            "events": found,
            "artifact": load_artifact(model),
            "threshold": read_threshold(events),
            "options": options,
            "progress": progress,
        }
        pages = write_report(out, **parts)
        pictures = write_pictures(png, **parts) if png else ()
    if as_json:
        print_json(
            {
                "report": pages[0],
                "pages": list(pages),
                "pictures": list(pictures),
                "events": len(found),
            }
        )
    else:
        made = [f"{pages[0]}: {count(len(found), 'event')}, to be opened in a browser"]
        if pictures:
            made.insert(0, f"{png}: {count(len(pictures), 'picture')}")
        print_lines(made)
