"""The command that draws daily tables."""

from __future__ import annotations

import datetime
import posixpath
from typing import Any, Literal, get_args

import click

from echoanom.cli.console import print_json, print_lines
from echoanom.cli.parameters import CommaList, command, days_options, json_option
from echoanom.cli.wording import count
from echoanom.errors import OptionError

_FORMS = ("png", "pdf", "svg")


class Limits(click.ParamType):  # type: ignore[type-arg]
    """Two numbers, of all that is drawn or of one quantity."""

    name = "limits"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, tuple[float, float]]:
        """Read the limits.

        Parameters
        ----------
        value : str
            ``LOW,HIGH`` or ``QUANTITY=LOW,HIGH``.
        param : click.Parameter
            The option.
        ctx : click.Context
            The command's context.

        Returns
        -------
        quantity : str
            The quantity; empty for all.
        limits : tuple of float
            The two numbers.
        """
        quantity, _, text = str(value).rpartition("=")
        try:
            low, high = map(float, text.split(","))
        except ValueError:
            self.fail(f"{value!r} is not of the form [QUANTITY=]LOW,HIGH", param, ctx)
        return quantity, (low, high)


@command
@click.argument("table", metavar="DAY|FOLDER")
@click.option(
    "--out",
    required=True,
    metavar="PICTURE",
    help="Where the picture goes: .png, .pdf or .svg.",
)
@days_options
@click.option(
    "--sensor", metavar="NAME", help="Which sensor of a folder that has several."
)
@click.option(
    "--quantity",
    "quantities",
    type=CommaList(str),
    default=(),
    show_default="all, at most 12",
    help="Quantities to draw, from top to bottom: Sv for every frequency, Sv_38kHz for"
    " one.",
)
@click.option(
    "--limits",
    type=Limits(),
    multiple=True,
    metavar="[QUANTITY=]LOW,HIGH",
    help="First and last colour, or ends of the axis of lines. Left out: −80 to −44 dB"
    " for Sv, else what most values lie between. May be given for several quantities.",
)
@click.option(
    "--map",
    "colours",
    type=click.Choice(["even", "ek500"]),
    default="even",
    show_default=True,
    help="Colours of Sv: equal steps that look equal, or the twelve of Simrad's EK500.",
)
@click.option(
    "--look",
    type=click.Choice(["up", "down"]),
    show_default="what columns.json says of depths, else up",
    help="Where the instrument's range increases to.",
)
@click.option(
    "--instrument-depth",
    type=float,
    metavar="M",
    help="Depth of the instrument [m]: its range is drawn as depth.",
)
@click.option(
    "--period",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    show_default="the most frequent",
    help="Time from one row to the next [s]; more than that is a gap.",
)
@click.option(
    "--whole-days",
    is_flag=True,
    help="Draw from midnight to midnight, not from the first row to the last.",
)
@click.option(
    "--time-column",
    default="",
    metavar="NAME",
    show_default="the usual names",
    help="Column of the time stamps.",
)
@click.option(
    "--dpi",
    type=click.IntRange(min=30, max=1200),
    default=150,
    show_default=True,
    metavar="N",
    help="Pixels per inch; the picture is 10 inches wide.",
)
@json_option
def plot(
    table: str,
    out: str,
    first: datetime.date | None,
    last: datetime.date | None,
    sensor: str | None,
    quantities: tuple[str, ...],
    limits: tuple[tuple[str, tuple[float, float]], ...],
    colours: Literal["even", "ek500"],
    look: Literal["up", "down"] | None,
    instrument_depth: float | None,
    period: int | None,
    whole_days: bool,
    time_column: str,
    dpi: int,
    as_json: bool,
) -> None:
    """Draw daily tables of a sensor, without a dataset or a model.

    Takes one daily table, or a sensor's folder, and draws what it holds as one panel a
    quantity: echograms, currents and spectra as images over depth, range or frequency,
    everything else as lines. Missing values are hatched; what checks flagged is marked.
    Times are UTC.

    \b
    Example:
      echoanom plot observatory/echosounder/tabular/2015-02-01.csv --out sv.png \\
          --map ek500
      echoanom plot observatory/adcp --from 2015-02-01 --to 2015-02-07 --out week.pdf
    """
    form = posixpath.splitext(out)[1].removeprefix(".").lower()
    if form not in _FORMS:
        raise click.UsageError(
            f"--out must end in {', '.join(f'.{one}' for one in _FORMS)}, got {out!r}"
        )
    from echoanom import publishing
    from echoanom.dayplots import choose_panels, draw_day, not_drawn
    from echoanom.dayrows import read_rows
    from echoanom.figures import PictureFormat, as_picture
    from echoanom.plotoptions import PlotOptions
    from echoanom.stamps import format_stamp

    assert form in get_args(PictureFormat)
    try:
        options = PlotOptions(
            quantities=quantities,
            limits=dict(limits),
            colours=colours,
            looking=look,
            depth_m=instrument_depth,
            period_s=period,
            whole_days=whole_days,
            time_column=time_column,
        )
    except OptionError as error:
        message = str(error).replace("period_s", "--period", 1)
        raise click.UsageError(message) from None
    rows = read_rows(table, options, first=first, last=last, sensor=sensor)
    figure = draw_day(rows, options)
    publishing.write_bytes(out, as_picture(figure, form, dpi))  # type: ignore[arg-type]
    drawn = [panel.quantity for panel in choose_panels(rows.columns, options)]
    left_out = not_drawn(rows.columns, options)
    told = {
        "picture": out,
        "sensor": rows.sensor,
        "from": format_stamp(int(rows.grid.edges[0])),
        "to": format_stamp(int(rows.grid.edges[-1])),
        "rows": rows.rows,
        "panels": drawn,
        "not_drawn": left_out,
    }
    if as_json:
        print_json(told)
        return
    lines = [
        f"{out}: {count(rows.rows, 'row')} of {rows.sensor}, {told['from']} to"
        f" {told['to']}: {', '.join(drawn)}"
    ]
    if left_out:
        lines.append(f"not drawn: {', '.join(left_out)}")
    print_lines(lines)
