"""What `echoanom plot` draws, held against the artists of its figures."""

from __future__ import annotations

import datetime
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from echoanom import publishing, storage
from echoanom.cli import main
from echoanom.columns import Column, column_from_name, columns_to_json
from echoanom.dayplots import choose_panels, draw_day, not_drawn, plot_day
from echoanom.dayrows import read_rows
from echoanom.errors import DataError, EchoanomError, OptionError, TableError
from echoanom.figures import as_picture
from echoanom.marks import Flagged
from echoanom.palette import EK500, ek500_colours
from echoanom.panels import at_depths, find_panels
from echoanom.plotoptions import MOST_PANELS, PlotOptions
from echoanom.plots import draw_lines
from echoanom.tablewriting import write_day
from echoanom.testing.s3server import S3Server

pytestmark = pytest.mark.slow

DAY = datetime.date(2019, 8, 1)
START = 1_564_617_600
SV_UNIT = "dB re 1 m⁻¹"


def write(
    sensor: Path,
    columns: Sequence[Column],
    values: np.ndarray[Any, Any],
    *,
    day: datetime.date = DAY,
    period_s: int = 60,
    form: Any = "csv",
) -> str:
    """Write a day that begins at midnight; return its table."""
    first = START + (day - DAY).days * 86_400
    times = first + period_s * np.arange(len(values))
    names = [column.name for column in columns]
    values = values.astype(np.float32)
    path = write_day(str(sensor / "tabular"), day, names, times, values, form)
    (sensor / "columns.json").write_text(columns_to_json(columns))
    return path


def numbers(rows: int, columns: int, low: float = -90, high: float = -40) -> Any:
    return np.random.default_rng(0).uniform(low, high, (rows, columns))


def echosounder(
    frequencies: Sequence[float] = (38_000.0,), offset: float | None = 6.0
) -> list[Column]:
    return [
        Column(
            f"Sv_{frequency / 1000:g}kHz_{r:g}m",
            "echosounder",
            SV_UNIT,
            "level",
            range_m=r,
            frequency_hz=frequency,
            depth_m=None if offset is None else offset + r,
        )
        for frequency in frequencies
        for r in (5.0, 10.0, 15.0, 20.0, 25.0)
    ]


def panels_of(figure: Figure) -> list[Any]:
    """Return the axes over time, from top to bottom."""
    spans = [(axes, axes.get_subplotspec()) for axes in figure.axes]
    return [
        axes for axes, span in spans if span is not None and span.colspan.start == 0
    ]


def bar_of(figure: Figure, row: int = 0) -> Any:
    bars = [axes for axes in figure.axes if axes not in panels_of(figure)]
    return bars[row]


def mesh_of(axes: Any) -> Any:
    (mesh,) = axes.collections
    return mesh


def test_an_echogram_is_drawn_by_the_depths_that_its_columns_say(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "echosounder", echosounder(), numbers(30, 5))
    figure = plot_day(path)
    (axes,) = panels_of(figure)
    assert axes.get_ylim() == (33.5, 8.5)
    assert axes.get_ylabel() == "Depth (m)"
    assert axes.get_title("left") == "Sv at 38 kHz"
    assert bar_of(figure).get_ylabel() == "Sv (dB re 1 m⁻¹)"
    assert mesh_of(axes).get_clim() == (-80, -44)
    assert axes.get_xlabel() == "Time (UTC)"
    assert figure.get_suptitle() == "echosounder  2019-08-01"


def test_an_instrument_that_looks_up_has_its_first_bin_at_the_bottom(
    tmp_path: Path,
) -> None:
    columns = [
        Column(f"Sv_{r}m", "deep", SV_UNIT, "level", range_m=r, depth_m=100.0 - r)
        for r in (5.0, 10.0, 15.0, 20.0)
    ]
    values = np.tile([-50.0, -60.0, -70.0, -75.0], (10, 1))
    (axes,) = panels_of(plot_day(write(tmp_path / "deep", columns, values)))
    mesh = mesh_of(axes)
    # The shallowest first, as depths ascend; the axis has it at the top.
    assert mesh.get_array()[:, 0].tolist() == [-75, -70, -60, -50]
    assert mesh.get_coordinates()[:, 0, 1].tolist() == [77.5, 82.5, 87.5, 92.5, 97.5]
    assert axes.get_ylim() == (97.5, 77.5)


@pytest.mark.parametrize(
    ("options", "label", "limits"),
    [
        (PlotOptions(), "Range above the instrument (m)", (2.5, 27.5)),
        (PlotOptions(looking="down"), "Range below the instrument (m)", (27.5, 2.5)),
        (PlotOptions(depth_m=100.0), "Depth (m)", (97.5, 72.5)),
        (PlotOptions(looking="down", depth_m=100.0), "Depth (m)", (127.5, 102.5)),
    ],
    ids=["nothing", "down", "depth", "down at depth"],
)
def test_without_depths_the_options_say_how_the_instrument_looks(
    tmp_path: Path, options: PlotOptions, label: str, limits: tuple[float, float]
) -> None:
    path = write(tmp_path / "e", echosounder(offset=None), numbers(30, 5))
    (axes,) = panels_of(plot_day(path, options))
    assert (axes.get_ylabel(), axes.get_ylim()) == (label, limits)


def test_the_options_prevail_over_the_depths_of_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "e", echosounder(), numbers(30, 5))
    (axes,) = panels_of(plot_day(path, PlotOptions(looking="up", depth_m=50.0)))
    assert axes.get_ylim() == (47.5, 22.5)


def test_a_bin_does_not_begin_above_the_surface(tmp_path: Path) -> None:
    columns = [
        Column(f"Sv_{r}m", "e", SV_UNIT, "level", range_m=float(r), depth_m=r - 0.5)
        for r in (1, 3, 5, 7)
    ]
    (axes,) = panels_of(plot_day(write(tmp_path / "e", columns, numbers(9, 4))))
    assert axes.get_ylim() == (7.5, 0)


def test_depths_that_are_not_all_known_are_not_used() -> None:
    columns = echosounder()
    columns[2] = Column(**{**vars(columns[2]), "depth_m": None})
    (panel,) = find_panels(columns)
    assert at_depths(panel, columns) == panel and panel.along == "range"


def test_every_frequency_has_a_panel_with_its_title(tmp_path: Path) -> None:
    columns = echosounder((18_000.0, 38_000.0, 120_000.0))
    path = write(tmp_path / "e", columns, numbers(30, 15))
    titles = [axes.get_title("left") for axes in panels_of(plot_day(path))]
    assert titles == ["Sv at 18 kHz", "Sv at 38 kHz", "Sv at 120 kHz"]
    chosen = PlotOptions(quantities=("Sv_120kHz", "Sv_18kHz"))
    titles = [axes.get_title("left") for axes in panels_of(plot_day(path, chosen))]
    assert titles == ["Sv at 120 kHz", "Sv at 18 kHz"]
    everyone = PlotOptions(quantities=("Sv",))
    assert len(panels_of(plot_day(path, everyone))) == 3


def test_frequencies_are_kept_apart_where_names_do_not_tell_them() -> None:
    columns = [
        Column(f"c{n}_{r}m", "e", SV_UNIT, "level", float(r), frequency)
        for n, frequency in enumerate((38_000.0, 70_000.0))
        for r in (1, 2, 3, 4)
    ]
    renamed = [Column(**{**vars(c), "name": "Sv" + c.name[2:]}) for c in columns]
    assert [panel.frequency_hz for panel in find_panels(renamed)] == [38_000, 70_000]


def test_ek500_has_the_twelve_colours_of_3_db_each(tmp_path: Path) -> None:
    # The middle of each step, then one below all and one above.
    steps = -80 + 3 * np.arange(12) + 1.5
    values = np.array([*steps, -99, -10, *[np.nan] * 1]).reshape(5, 3)
    columns = echosounder()[:3] + [echosounder()[3]]
    path = write(tmp_path / "e", columns, np.c_[values, values[:, 0]])
    figure = plot_day(path, PlotOptions(colours="ek500"))
    mesh = mesh_of(panels_of(figure)[0])
    drawn = {
        float(value): to_hex(mesh.cmap(mesh.norm(value))).upper()
        for value in values.ravel()
        if np.isfinite(value)
    }
    expected = dict(zip(steps.tolist(), EK500, strict=True))
    assert drawn == {**expected, -99.0: "#FFFFFF", -10.0: EK500[-1]}
    assert mesh.get_clim() == (-80, -44)
    assert bar_of(figure).get_yticks().tolist() == [-80, -74, -68, -62, -56, -50, -44]


def test_what_is_missing_is_open_where_ek500_is_white_below_its_limit() -> None:
    colours = ek500_colours()
    assert colours(np.ma.masked)[3] == 0
    assert colours(-0.1) == to_rgba("white")


def test_limits_are_those_of_the_option(tmp_path: Path) -> None:
    path = write(tmp_path / "e", echosounder(), numbers(30, 5))
    for name in ("", "Sv", "Sv_38kHz"):
        figure = plot_day(path, PlotOptions(limits={name: (-90.0, -60.0)}))
        assert mesh_of(panels_of(figure)[0]).get_clim() == (-90, -60)


def currents() -> list[Column]:
    return [
        column_from_name(f"{name}_{r}m", "adcp")
        for name in ("speed", "direction")
        for r in (4, 6, 8, 10)
    ]


def test_currents_are_speed_and_a_direction_whose_colours_close(
    tmp_path: Path,
) -> None:
    values = np.c_[numbers(30, 4, 0, 1), numbers(30, 4, 0, 360)]
    figure = plot_day(write(tmp_path / "adcp", currents(), values))
    speed, direction = panels_of(figure)
    assert mesh_of(speed).get_cmap().name == "viridis"
    assert mesh_of(direction).get_cmap().name == "twilight"
    assert mesh_of(direction).get_clim() == (0, 360)
    labels = [bar_of(figure, row).get_ylabel() for row in (0, 1)]
    assert labels == ["speed (m/s)", "direction (°)"]
    assert speed.get_xlabel() == "" and direction.get_xlabel() == "Time (UTC)"


def test_limits_for_all_are_refused_where_units_differ(tmp_path: Path) -> None:
    values = np.c_[numbers(30, 4, 0, 1), numbers(30, 4, 0, 360)]
    path = write(tmp_path / "adcp", currents(), values)
    with pytest.raises(OptionError, match=r"speed \(m/s\), direction .*; name the"):
        plot_day(path, PlotOptions(limits={"": (0.0, 1.0)}))
    figure = plot_day(path, PlotOptions(limits={"speed": (0.0, 0.5)}))
    speed, direction = panels_of(figure)
    assert mesh_of(speed).get_clim() == (0, 0.5)
    assert mesh_of(direction).get_clim() == (0, 360)


def spectra(frequencies: Sequence[float], unit: str) -> list[Column]:
    return [
        Column(f"LTSA_{f:g}Hz", "hydrophone", unit, "level", None, f)
        for f in frequencies
    ]


THIRDS = (25.0, 31.5, 40.0, 50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0)


@pytest.mark.parametrize("unit", ["dB re 1 µPa²/Hz", "dB re full scale²/Hz"])
def test_third_octaves_are_drawn_over_a_logarithmic_axis(
    tmp_path: Path, unit: str
) -> None:
    columns = spectra(THIRDS, unit)
    figure = plot_day(write(tmp_path / "h", columns, numbers(30, len(THIRDS))))
    (axes,) = panels_of(figure)
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "Frequency (Hz)"
    assert bar_of(figure).get_ylabel() == f"LTSA ({unit})"
    # Neighbours meet at the geometric mean.
    edges = mesh_of(axes).get_coordinates()[:, 0, 1]
    np.testing.assert_allclose(edges[1], np.sqrt(25 * 31.5))
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert {"50", "100", "200"} <= set(labels)


def test_linear_bands_are_drawn_over_a_linear_axis(tmp_path: Path) -> None:
    columns = spectra([500.0 * n for n in range(1, 13)], "dB re 1 µPa²/Hz")
    (axes,) = panels_of(plot_day(write(tmp_path / "h", columns, numbers(30, 12))))
    assert axes.get_yscale() == "linear" and axes.get_ylabel() == "Frequency (kHz)"
    assert axes.get_ylim() == (0.25, 6.25)


def buoy(tmp_path: Path, flags: str = "") -> str:
    columns = [Column("sea_level", "buoy", "m"), Column("wind_dir", "buoy")]
    values = np.c_[numbers(60, 1, 1, 2), numbers(60, 1, 0, 360)]
    values[20:30] = np.nan
    values[25, 0] = 1.5
    path = write(tmp_path / "buoy", columns, values)
    if flags:
        (tmp_path / "buoy" / "flags").mkdir()
        text = "timestamp,column,value,flag,test\n" + flags
        (tmp_path / "buoy" / "flags" / f"{DAY}.csv").write_text(text)
    return path


def test_point_sensors_are_lines_that_break_where_values_are_missing(
    tmp_path: Path,
) -> None:
    level, _ = panels_of(plot_day(buoy(tmp_path)))
    line, alone = level.lines
    assert np.ma.getmaskarray(line.get_ydata()).nonzero()[0].tolist() == [
        *(20, 21, 22, 23, 24, 26, 27, 28, 29)
    ]
    # A value between two missing ones has no line, but is there.
    assert alone.get_ydata().tolist() == [1.5] and alone.get_marker() == "."
    assert level.patch.get_hatch()
    assert level.get_ylabel() == "sea level\n(m)"


FLAGS = (
    "2019-08-01T00:05:00Z,sea_level,1.2,3,rate_of_change\n"
    "2019-08-01T00:20:00Z,sea_level,2.1,4,spike\n"
    "2019-08-01T00:21:00Z,sea_level,99,4,gross_range\n"
)


def test_flagged_values_are_marked_and_listed_in_the_legend(tmp_path: Path) -> None:
    level, direction = panels_of(plot_day(buoy(tmp_path, FLAGS)))
    texts = [text.get_text() for text in level.get_legend().get_texts()]
    assert texts == [
        "suspect (rate_of_change): 1",
        "failed (spike, gross_range): 2, 1 beyond the axis",
    ]
    suspect, failed = level.lines[-2:]
    assert suspect.get_marker() == "o" and failed.get_marker() == "x"
    np.testing.assert_allclose(suspect.get_xdata(), [(START + 300) / 86_400])
    low, high = level.get_ylim()
    # The spike that the axis has no room for stands at its edge.
    assert failed.get_ydata().tolist() == [2.1, high] and low < 1 < 2.1 < high < 4
    assert direction.get_legend() is None


def test_flags_are_drawn_where_no_value_is_left() -> None:
    flagged = Flagged(True, np.array([START]), np.array([7.0]), ("flat_line",))
    edges = START + 60 * np.arange(6)
    axes = draw_lines(
        Figure().add_subplot(), edges, {"t": np.full(5, np.nan)}, "t", flags=[flagged]
    )
    low, high = axes.get_ylim()
    assert low < 7 < high


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("2019-08-01T00:05:00Z,sea_level,1.2,3\n", 2),
        ("2019-08-01T00:05:00Z,sea_level,much,3,spike\n", 2),
        (FLAGS + "yesterday,sea_level,1.2,3,spike\n", 5),
    ],
    ids=["too few cells", "no number", "no time"],
)
def test_a_malformed_list_of_flags_is_refused_with_its_line(
    tmp_path: Path, line: str, number: int
) -> None:
    path = buoy(tmp_path, line)
    with pytest.raises(TableError, match=rf"flags/{DAY}.csv, line {number}: must"):
        plot_day(path)


def test_a_list_of_flags_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = buoy(tmp_path, FLAGS)
    (tmp_path / "buoy" / "flags" / f"{DAY}.csv").write_text("a,b\n")
    with pytest.raises(TableError, match="must have the columns timestamp,column,"):
        plot_day(path)


def test_missing_rows_are_a_gap_of_their_length(tmp_path: Path) -> None:
    columns = echosounder()
    folder = tmp_path / "e"
    write(folder, columns, numbers(60, 5))
    table = folder / "tabular" / f"{DAY}.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:11] + lines[31:]))
    mesh = mesh_of(panels_of(plot_day(str(table)))[0])
    missing = np.ma.getmaskarray(mesh.get_array()).all(axis=0)
    assert missing.nonzero()[0].tolist() == list(range(10, 30))


def test_rows_a_quarter_of_an_hour_apart_leave_no_gaps_between(tmp_path: Path) -> None:
    path = write(tmp_path / "e", echosounder(), numbers(96, 5), period_s=900)
    (axes,) = panels_of(plot_day(path))
    assert mesh_of(axes).get_array().shape == (5, 96)
    assert not np.ma.getmaskarray(mesh_of(axes).get_array()).any()
    # Told otherwise, they are alone.
    (axes,) = panels_of(plot_day(path, PlotOptions(period_s=300)))
    assert np.ma.getmaskarray(mesh_of(axes).get_array()).mean() == pytest.approx(
        2 / 3, abs=0.01
    )


def test_the_axis_is_of_the_rows_or_of_whole_days(tmp_path: Path) -> None:
    path = write(tmp_path / "e", echosounder(), numbers(60, 5))
    (axes,) = panels_of(plot_day(path))
    assert axes.get_xlim() == (START / 86_400, (START + 3600) / 86_400)
    (axes,) = panels_of(plot_day(path, PlotOptions(whole_days=True)))
    assert axes.get_xlim() == (START / 86_400, START / 86_400 + 1)


def test_ticks_of_seconds_say_the_minute_that_they_are_of(tmp_path: Path) -> None:
    for period, said in ((1, True), (60, False)):
        path = write(tmp_path / "e", echosounder(), numbers(40, 5), period_s=period)
        (axes,) = panels_of(plot_day(path))
        assert axes.xaxis.get_offset_text().get_visible() == said


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_folder_is_drawn_from_its_first_day_to_its_last(
    tmp_path: Path, form: str
) -> None:
    for n in range(3):
        day = DAY + datetime.timedelta(n)
        write(tmp_path / "e", echosounder(), numbers(1440, 5), day=day, form=form)
    figure = plot_day(str(tmp_path / "e"))
    assert figure.get_suptitle() == "e  2019-08-01 to 2019-08-03"
    assert panels_of(figure)[0].get_xlim()[1] == START / 86_400 + 3
    figure = plot_day(str(tmp_path / "e"), first=DAY + datetime.timedelta(2))
    assert figure.get_suptitle() == "e  2019-08-03"


def test_more_rows_than_steps_are_averaged_as_power(tmp_path: Path) -> None:
    values = np.tile([[-60.0], [-80.0]], (2000, 5))
    path = write(tmp_path / "e", echosounder(), values, period_s=20)
    rows = read_rows(path)
    assert rows.grid.step_s == 60
    # Three rows a step: two loud ones and a quiet one, or the other way round.
    mean = 10 * np.log10([(1e-6 + 2e-8) / 3, (2e-6 + 1e-8) / 3])
    np.testing.assert_allclose(np.unique(rows.values[:-1]), mean, rtol=1e-6)


def test_csv_and_parquet_give_the_same_picture(tmp_path: Path) -> None:
    values = numbers(60, 5)
    pictures = [
        as_picture(
            plot_day(write(tmp_path / form / "e", echosounder(), values, form=form)),
            "png",
            40,
        )
        for form in ("csv", "parquet")
    ]
    assert pictures[0] == pictures[1]


def test_a_table_of_many_quantities_is_drawn_in_part_and_says_so(
    tmp_path: Path,
) -> None:
    columns = [Column(f"q{n}x", "many") for n in range(MOST_PANELS + 2)]
    path = write(tmp_path / "many", columns, numbers(9, len(columns)))
    rows = read_rows(path)
    assert len(choose_panels(rows.columns, PlotOptions())) == MOST_PANELS
    assert not_drawn(rows.columns, PlotOptions()) == ["q12x", "q13x"]


def test_a_quantity_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path,
) -> None:
    path = buoy(tmp_path)
    with pytest.raises(OptionError, match="one of sea_level, wind_dir, got 'Sv'"):
        plot_day(path, PlotOptions(quantities=("Sv",)))
    with pytest.raises(OptionError, match="a quantity that is drawn .*, got 'Sv'"):
        plot_day(path, PlotOptions(limits={"Sv": (0.0, 1.0)}))
    with pytest.raises(OptionError, match="ek500 are for volume backscattering"):
        plot_day(path, PlotOptions(colours="ek500"))


@pytest.mark.parametrize(
    "options",
    [
        {"limits": {"Sv": (-44.0, -80.0)}},
        {"limits": {"": (1.0, 1.0)}},
        {"limits": {"": (float("nan"), 1.0)}},
        {"limits": {"": (1.0,)}},
        {"limits": {"": "wide"}},
        {"colours": "jet"},
        {"looking": "sideways"},
        {"depth_m": -1.0},
        {"period_s": 7},
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: Any) -> None:
    with pytest.raises(OptionError, match="must be"):
        PlotOptions(**options)


def test_an_empty_day_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e", echosounder(), numbers(0, 5))
    with pytest.raises(DataError, match=f"{DAY}.csv: must have a"):
        plot_day(path)


def test_a_day_without_a_value_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e", echosounder(), np.full((9, 5), np.nan))
    with pytest.raises(DataError, match="every cell of Sv_38kHz is missing"):
        plot_day(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("2019-08-01.csv", "timestamp\n2019-08-01T00:00:00Z\n", "column"),
        (
            "2019-08-01.csv",
            "timestamp,note\n2019-08-01T00:00:00Z,calm\n",
            "line 2, column 'note'",
        ),
        ("2019-08-01.csv", "", "must"),
        ("2019-08-01.parquet", "PAR1", "must"),
        ("2019-02-30.csv", "timestamp,a\n", "date of the calendar"),
        ("august.csv", "timestamp,a\n", "YYYY-MM-DD.csv"),
    ],
    ids=["no column", "only text", "empty", "torn parquet", "no date", "no day"],
)
def test_a_table_that_cannot_be_drawn_is_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(EchoanomError, match=message):
        plot_day(str(tmp_path / name))


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EchoanomError, match="2019-08-01"):
        plot_day(str(tmp_path / "2019-08-01.csv"))


def test_of_several_sensors_one_must_be_named(tmp_path: Path) -> None:
    write(tmp_path / "a", echosounder(), numbers(9, 5))
    write(tmp_path / "b", echosounder(), numbers(9, 5))
    with pytest.raises(DataError, match="those of a, b; name one with --sensor"):
        plot_day(str(tmp_path))
    assert plot_day(str(tmp_path), sensor="b").get_suptitle().startswith("b ")


@pytest.mark.parametrize("form", ["png", "pdf", "svg"])
def test_a_picture_is_the_same_for_the_same_table(tmp_path: Path, form: Any) -> None:
    path = write(tmp_path / "e", echosounder(), numbers(30, 5))
    first, second = (as_picture(plot_day(path), form, 50) for _ in range(2))
    assert first == second
    start = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[form]
    assert first.startswith(start)


def test_nothing_of_a_picture_lies_outside_it_or_on_a_neighbour(
    tmp_path: Path,
) -> None:
    columns = [
        *echosounder((18_000.0, 38_000.0)),
        Column("the_temperature_of_the_sea_surface", "e", "degC"),
        Column("sea_level", "e", "m"),
    ]
    path = write(tmp_path / "e", columns, numbers(30, 12))
    figure = plot_day(path)
    figure.draw_without_rendering()
    renderer: Any = figure._get_renderer()  # type: ignore[attr-defined]
    boxes = [axes.get_tightbbox(renderer) for axes in panels_of(figure)]
    assert len(boxes) == 4
    whole = figure.bbox
    for box, below in zip(boxes, [*boxes[1:], None], strict=True):
        assert box.x0 >= 0 and box.x1 <= whole.x1 and box.y0 >= 0
        assert below is None or box.y0 >= below.y1


def test_drawing_leaves_the_settings_of_the_caller_alone(tmp_path: Path) -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    figure = plot_day(write(tmp_path / "e", echosounder(), numbers(9, 5)))
    as_picture(figure, "svg")
    assert dict(rcParams) == before


def test_the_command_writes_a_picture_and_says_what_is_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = buoy(tmp_path), tmp_path / "day.png"
    command = ["plot", path, "--out", str(out), "--quantity", "wind_dir"]
    assert main([*command, "--dpi", "60", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["panels"] == ["wind_dir"] and said["not_drawn"] == ["sea_level"]
    assert (said["rows"], said["from"]) == (60, "2019-08-01T00:00:00Z")
    assert image.imread(out).shape[1] == 600
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[1] == "not drawn: sea_level"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--out", "x.gif"], 2, "--out must end in .png, .pdf, .svg"),
        (["--period", "7"], 2, "--period must be a whole number"),
        (["--limits", "1"], 2, "[QUANTITY=]LOW,HIGH"),
        (["--limits", "sea_level=2,1"], 2, "limits of sea_level must be two numbers"),
        (["--quantity", "Sv"], 2, "one of sea_level, wind_dir, got 'Sv'"),
    ],
    ids=["suffix", "period", "one limit", "limits reversed", "unknown quantity"],
)
def test_wrong_usage_is_told_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "x.png")]
    assert main(["plot", buoy(tmp_path), *out, *arguments]) == status
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.slow
def test_tables_and_pictures_may_be_in_a_store(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.make_bucket("plots")
    local = Path(buoy(tmp_path, FLAGS))
    sensor = storage.join(bucket, "buoy")
    for path in tmp_path.glob("buoy/**/*.*"):
        name = path.relative_to(tmp_path / "buoy").as_posix()
        publishing.write_bytes(storage.join(sensor, name), path.read_bytes())
    table = storage.join(sensor, "tabular", local.name)
    picture = storage.join(bucket, "day.png")
    assert main(["plot", table, "--out", picture, "--dpi", "50"]) == 0
    expected = as_picture(plot_day(str(local)), "png", 50)
    assert storage.read_bytes(picture) == expected
    assert as_picture(plot_day(sensor), "png", 50) == expected


@pytest.mark.slow
def test_the_sample_days_are_drawn(tmp_path: Path) -> None:
    sample = Path(__file__).resolve().parent.parent / "examples" / "data" / "adcp"
    rows = read_rows(str(sample))
    assert (rows.rows, rows.grid.step_s) == (500, 900)
    figure = draw_day(rows, PlotOptions(quantities=("speed", "direction")))
    assert [axes.get_ylabel() for axes in panels_of(figure)] == [
        "Range above the instrument (m)"
    ] * 2


@pytest.mark.slow
def test_the_pictures_of_the_documentation_are_small_and_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).resolve().parent.parent
    monkeypatch.syspath_prepend(str(root / "tools"))
    make_pictures = importlib.import_module("make_pictures")
    page = (root / "docs" / "plot.md").read_text()
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        make_pictures.draw_days(tmp_path / name)
        made.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert made[0] == made[1] and len(made[0]) == 3
    for name, picture in made[0].items():
        assert f"(images/{name})" in page and len(picture) < 150_000
