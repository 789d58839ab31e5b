"""ODF of current profilers: header, times, missing values; and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from adcpfiles import look, refusal, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echoanom.errors import InstrumentFileError

ODF = "oce/MADCPS_hud2013021_1840_12556-106_3600.ODF"
PARAMETERS = (
    ("EWCT_01", "Eastward Velocity", "m/s"),
    ("NSCT_01", "Northward Velocity", "m/s"),
    ("BEAM_01", "Average Echo Intensity (AGC)", "counts"),
    ("UNKN_01", "Percent Good Pings", "counts"),
    ("SYTM_01", "Time", "(none)"),
)
ROWS = (
    "  0.1000  0.2000  90.8  36.0 '04-JUL-2013 13:03:00.00'",
    " -1000000.0000 -1000000.0000  84.8  17.0 '04-JUL-2013 14:03:00.00'",
    "  0.3000 -0.4000  83.0 100.0 '04-JUL-2013 15:03:00.50'",
)


def odf(
    path: Path,
    rows: tuple[str, ...] = ROWS,
    parameters: tuple[tuple[str, str, str], ...] = PARAMETERS,
    depth: str = "106.210083 ",
    cycles: int | None = None,
    ends: str = "\n",
) -> Path:
    """Write a small file."""
    lines = ["ODF_HEADER,", "  FILE_SPECIFICATION=''"]
    for code, name, unit in parameters:
        lines += [
            *("PARAMETER_HEADER,", f"  NAME={name!r},", f"  UNITS={unit!r},"),
            *(f"  CODE={code},", "  NULL_VALUE=-1000000,", f"  DEPTH={depth},"),
        ]
    stated = len(rows) if cycles is None else cycles
    lines += ["RECORD_HEADER,", f"  NUM_CYCLE={stated},", " -- DATA -- ", *rows, ""]
    path.write_bytes(ends.join(lines).encode("latin-1"))
    return path


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_each_line_has_a_value_for_each_parameter(tmp_path: Path, ends: str) -> None:
    values, counts = samples(odf(tmp_path / "a.odf", ends=ends))
    assert list(values) == ["east_106.21m", "north_106.21m", "echo_106.21m"]
    np.testing.assert_array_equal(
        values, [[0.1, 0.2, 90.8], [np.nan, np.nan, 84.8], [0.3, -0.4, 83.0]]
    )
    moments = ["2013-07-04T13:03", "2013-07-04T14:03", "2013-07-04T15:03:00.5"]
    assert values.index.tolist() == [pd.Timestamp(moment) for moment in moments]
    assert counts == {"velocities missing in the files": 1}


def test_the_depth_is_that_of_the_header(tmp_path: Path) -> None:
    assert "east" in samples(odf(tmp_path / "b.odf", depth=""))[0]
    assert "east_12.5m" in samples(odf(tmp_path / "c.odf", depth="12.5"))[0]


def test_units_are_converted_or_refused(tmp_path: Path) -> None:
    cm = tuple((c, n, "cm/s" if "CT" in c else u) for c, n, u in PARAMETERS)
    values, _ = samples(odf(tmp_path / "a.odf", parameters=cm))
    assert values["east_106.21m"].iloc[0] == pytest.approx(0.001)
    none = tuple((c, n, "(none)") for c, n, _ in PARAMETERS)
    message = refusal(odf(tmp_path / "b.odf", parameters=none))
    assert "UNITS of EWCT_01 must be m/s, cm/s or mm/s, got '(none)'" in message


def test_speed_and_direction_do_where_there_are_no_components(tmp_path: Path) -> None:
    parameters = (
        ("HCSP_01", "Horizontal Current Speed", "m/s"),
        ("HCDT_01", "Horizontal Current Direction (True)", "degrees"),
        *PARAMETERS[2:],
    )
    row = "  2.0  90.0  80.0  100.0 '04-JUL-2013 13:03:00.00'"
    path = odf(tmp_path / "a.odf", (row,), parameters)
    values, _ = samples(path)
    np.testing.assert_allclose(values.iloc[0], [2.0, 0.0, 80.0], atol=1e-12)
    values, _ = samples(path, directions="from")
    np.testing.assert_allclose(values.iloc[0], [-2.0, 0.0, 80.0], atol=1e-12)


def test_codes_can_be_named(tmp_path: Path) -> None:
    codes = (("AAAA_01", "a", "m/s"), ("BBBB_01", "b", "m/s"), *PARAMETERS[2:])
    path = odf(tmp_path / "a.odf", parameters=codes)
    assert "must have parameters EWCT and NSCT, or HCSP and HCDT, got" in refusal(path)
    values, _ = samples(path, variables=("east=BBBB_01", "north=AAAA_01"))
    assert values["east_106.21m"].iloc[0] == 0.2
    message = refusal(path, variables=("east=CCCC",))
    assert "must have the parameter CCCC that --variables names" in message


def test_of_two_parameters_of_a_kind_one_must_be_named(tmp_path: Path) -> None:
    codes = (PARAMETERS[0], ("EWCT_02", "b", "m/s"), *PARAMETERS[2:])
    assert "say which with --variables east=EWCT_01" in refusal(
        odf(tmp_path / "a.odf", parameters=codes)
    )


def test_few_good_pings_make_velocities_missing(tmp_path: Path) -> None:
    values, counts = samples(odf(tmp_path / "a.odf"), min_percent_good=50.0)
    assert values["east_106.21m"].notna().tolist() == [False, False, True]
    assert counts["velocities of few good pings"] == 1


def test_flags_behind_a_parameter_make_its_values_missing(tmp_path: Path) -> None:
    flagged = (
        *(PARAMETERS[0], ("QQQQ_01", "Quality flag", "(none)")),
        *(PARAMETERS[1], ("QNSCT_01", "Quality flag", "(none)"), PARAMETERS[4]),
    )
    rows = (
        "0.1 1 0.2 1 '04-JUL-2013 13:03:00.00'",
        "0.1 4 0.2 1 '04-JUL-2013 14:03:00.00'",
        "0.1 1 0.2 3 '04-JUL-2013 15:03:00.00'",
    )
    path = odf(tmp_path / "a.odf", rows, flagged)
    values, _ = samples(path)
    assert values["east_106.21m"].notna().tolist() == [True, False, False]
    lenient, _ = samples(path, bad_flags=(4,))
    assert lenient["east_106.21m"].notna().tolist() == [True, False, True]


def test_names_that_odf_does_not_have_are_refused(tmp_path: Path) -> None:
    message = refusal(odf(tmp_path / "a.odf"), variables=("range=DEPH_01",))
    assert "--variables can name east, north, up, speed" in message


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("0.1 0.2 90.8 '04-JUL-2013 16:03:00.00'", "must have 5 values on each line"),
        ("0.1 0.2 90.8 36.0 '04-JUX-2013 16:03:00.00'", "SYTM must be like"),
        ("0.1 0.2 90.8 36.0 '31-FEB-2013 16:03:00.00'", "SYTM must be like"),
        ("0.1 0.2 90.8 36.0 '04-JUL-2013 25:03:00.00'", "SYTM must be like"),
        ("0.1 0.2 90.8 36.0 04-JUL-2013", "SYTM must be like"),
        ("0.1 x.2 90.8 36.0 '04-JUL-2013 16:03:00.00'", "got 'x.2' on line 39"),
        ("0.1 0.2 90.8 36.0 '04-JUL-2013 12:03:00.00'", "at line of data 4; sort it"),
        ("0.1 0.2 90.8 36.0 '04-JUL-2013 15:03:00.50'", "at line of data 4; sort it"),
    ],
)
def test_a_line_that_is_wrong_is_refused_with_its_number(
    tmp_path: Path, row: str, told: str
) -> None:
    assert told in refusal(odf(tmp_path / "a.odf", (*ROWS, row)))


def test_a_file_shorter_than_its_header_says_is_refused(tmp_path: Path) -> None:
    message = refusal(odf(tmp_path / "a.odf", cycles=4))
    assert message == (
        "must have the 4 lines of data that NUM_CYCLE states, got 3; copy the file again"
    )


def test_a_real_file_that_is_cut_anywhere_is_refused(
    tmp_path: Path, shared_data: Path
) -> None:
    content = (shared_data / ODF).read_bytes()
    look(shared_data / ODF)
    path = tmp_path / "cut.ODF"
    for size in (30, 5_000, 15_000, 100_000, len(content) - 3_000, len(content) - 30):
        path.write_bytes(content[:size])
        assert "copy the file again" in refusal(path)


def test_a_header_without_time_or_data_is_refused(tmp_path: Path) -> None:
    path = odf(tmp_path / "a.odf", parameters=PARAMETERS[:4])
    assert "must have one parameter SYTM, the time" in refusal(path)
    assert "got no line of data" in refusal(odf(tmp_path / "b.odf", ()))


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_whatever_is_in_a_file_it_is_taken_or_refused_in_a_line(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(odf(tmp_path / "whole.odf").read_bytes())
    places = st.integers(12, len(content) - 1)
    for place, byte in data.draw(
        st.lists(st.tuples(places, st.integers(0, 255)), max_size=10)
    ):
        content[place] = byte
    path = tmp_path / "damaged.odf"
    path.write_bytes(content[: data.draw(places)])
    try:
        samples(path)
    except InstrumentFileError as error:
        assert "\n" not in str(error)
