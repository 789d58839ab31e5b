"""Daily tables that follow from an instrument's files, whenever those come."""

from __future__ import annotations

import datetime
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from fakeinstrument import FakeInstrument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echoanom import publishing, storage
from echoanom.conversion import convert
from echoanom.daily import read_day
from echoanom.errors import DataError, InstrumentFileError, OptionError, StorageError
from echoanom.ingest.options import IngestOptions
from echoanom.ingest.running import IngestReport, ingest
from echoanom.progress import Progress

KINDS = {"height": "scalar", "direction": "direction", "Sv_5m": "level"}
DAY = 86_400
START = 10 * DAY
DAYS = [datetime.date(1970, 1, 11), datetime.date(1970, 1, 12)]

Rows = Sequence[Sequence[float]]


def make_rows(seconds: Sequence[float], seed: int = 0) -> list[list[float]]:
    rng = random.Random(seed)
    return [
        [START + s, rng.uniform(0, 9), rng.uniform(0, 359), rng.uniform(-90, -40)]
        for s in seconds
    ]


# Two days, a sample every 400 s or so; the second midnight is not reached.
ROWS = make_rows([i * 397.3 for i in range(400)])


def text(rows: Rows, kinds: Mapping[str, str] = KINDS) -> bytes:
    return json.dumps({"columns": kinds, "rows": rows}).encode()


def write(path: Path, rows: Rows, kinds: Mapping[str, str] = KINDS) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text(rows, kinds))
    return str(path)


def run(
    sources: Sequence[str | Path],
    destination: str | Path,
    instrument: FakeInstrument | None = None,
    progress: Progress | None = None,
    workers: int = 1,
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    **options: object,
) -> IngestReport:
    return ingest(
        instrument or FakeInstrument(),
        [str(source) for source in sources],
        str(destination),
        IngestOptions(**options),  # type: ignore[arg-type]
        workers=workers,
        first=first,
        last=last,
        progress=progress or (lambda *_: None),
    )


def tables(destination: Path | str) -> dict[str, bytes]:
    """Return the content of all daily tables and record counts."""
    folder = f"{destination}/fake/tabular"
    return {
        name: storage.read_bytes(f"{folder}/{name}")
        for name, _ in storage.list_files(folder)
    }


def test_a_day_holds_the_means_of_its_minutes(tmp_path: Path) -> None:
    rows = [
        [START + 3, 1, 350, -70],
        [START + 59, 3, 10, -50],
        [START + 120, 5, 90, -60],
    ]
    report = run([write(tmp_path / "a.fake", rows)], tmp_path / "out")
    assert (report.made, report.kept, report.rows, report.columns) == (1, 0, 2, 3)
    path = f"{tmp_path}/out/fake/tabular/1970-01-11.csv"
    table = read_day(path, DAYS[0])
    assert table.columns == tuple(KINDS)
    assert table.times.tolist() == [START, START + 120]
    assert table.values[0, 0] == 2 and abs(table.values[0, 1]) < 1e-3
    assert table.values[0, 2] == pytest.approx(-52.967, abs=1e-3)
    count = storage.read_bytes(f"{tmp_path}/out/fake/tabular/meta_info_1970-01-11.txt")
    assert count == b"file=1970-01-11.csv\nname=2\n"


def test_what_was_made_can_be_converted_with_its_units(tmp_path: Path) -> None:
    run([write(tmp_path / "a.fake", ROWS)], tmp_path / "out")
    convert(str(tmp_path / "out"), str(tmp_path / "dataset"))
    manifest = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    assert [one["unit"] for one in manifest["columns"]] == ["m"] * 3
    assert [one["kind"] for one in manifest["columns"]] == list(KINDS.values())


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    cuts=st.lists(st.integers(1, 399), max_size=6, unique=True),
    overlap=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
    gap=st.sampled_from([0.0, 10.0]),
)
def test_days_are_the_same_bytes_however_samples_are_cut_and_whenever_files_come(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    overlap: int,
    order: random.Random,
    gap: float,
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    run([write(folder / "whole.fake", ROWS)], folder / "one", max_gap_min=gap)
    edges = [0, *sorted(cuts), len(ROWS)]
    files = [
        write(folder / f"{number}.fake", ROWS[first : behind + overlap])
        for number, (first, behind) in enumerate(zip(edges, edges[1:], strict=False))
    ]
    order.shuffle(files)
    for file in files:  # each comes by itself
        run([file], folder / "two", max_gap_min=gap)
    assert tables(folder / "one") == tables(folder / "two")


def test_a_new_file_touches_only_its_days(tmp_path: Path) -> None:
    middle = next(i for i, row in enumerate(ROWS) if row[0] >= START + 1.5 * DAY)
    first = write(tmp_path / "in" / "1.fake", ROWS[:middle])
    assert run([first], tmp_path / "out").made == 2
    again = run([tmp_path / "in"], tmp_path / "out")
    assert (again.made, again.kept) == (0, 2)
    before = os.stat(f"{tmp_path}/out/fake/tabular/1970-01-11.csv").st_mtime_ns
    half = tables(tmp_path / "out")["1970-01-12.csv"]
    write(tmp_path / "in" / "2.fake", ROWS[middle:])
    report = run([tmp_path / "in"], tmp_path / "out")
    assert (report.made, report.kept, report.files) == (1, 1, 2)
    assert os.stat(f"{tmp_path}/out/fake/tabular/1970-01-11.csv").st_mtime_ns == before
    whole = tables(tmp_path / "out")["1970-01-12.csv"]
    assert whole.startswith(half) and len(whole) > len(half)


def test_a_changed_option_of_the_instrument_makes_all_days_anew(tmp_path: Path) -> None:
    source = write(tmp_path / "a.fake", ROWS)
    run([source], tmp_path / "out")
    assert run([source], tmp_path / "out", FakeInstrument(gain=2)).made == 2
    assert run([source], tmp_path / "out", FakeInstrument(gain=2)).kept == 2


def test_a_changed_file_replaces_what_it_was(tmp_path: Path) -> None:
    source = write(tmp_path / "a.fake", ROWS[:10])
    run([source], tmp_path / "out")
    write(tmp_path / "a.fake", ROWS[:20])
    assert run([source], tmp_path / "out").made == 1
    run([write(tmp_path / "b.fake", ROWS[:20])], tmp_path / "other")
    assert tables(tmp_path / "out") == tables(tmp_path / "other")


def test_a_day_goes_when_its_only_file_has_samples_of_others(tmp_path: Path) -> None:
    source = write(tmp_path / "a.fake", ROWS[:10])
    run([source], tmp_path / "out")
    later = [[row[0] + 3 * DAY, *row[1:]] for row in ROWS[:10]]
    write(tmp_path / "a.fake", later)
    report = run([source], tmp_path / "out")
    assert (report.made, report.removed) == (1, 1)
    assert sorted(tables(tmp_path / "out")) == [
        *("1970-01-14.csv", "meta_info_1970-01-14.txt")
    ]


def test_a_day_stays_when_files_of_other_days_come(tmp_path: Path) -> None:
    first = write(tmp_path / "a.fake", ROWS[:10])
    run([first], tmp_path / "out")
    (tmp_path / "out/fake/files.json").unlink()  # what earlier calls saw is lost
    later = [[row[0] + 3 * DAY, *row[1:]] for row in ROWS[:10]]
    report = run([write(tmp_path / "b.fake", later)], tmp_path / "out")
    assert (report.made, report.removed) == (1, 0)
    assert "1970-01-11.csv" in tables(tmp_path / "out")


def test_a_day_is_not_made_without_a_file_it_had(tmp_path: Path) -> None:
    first = write(tmp_path / "1.fake", ROWS[:10])
    run([first], tmp_path / "out")
    before = tables(tmp_path / "out")
    os.unlink(first)
    second = write(tmp_path / "2.fake", ROWS[10:20])
    with pytest.raises(DataError) as caught:
        run([second], tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path}/out/fake: 1970-01-11 has samples of {first} too, which is gone or"
        " has changed; give it again, or replace what is there"
    )
    assert tables(tmp_path / "out") == before
    assert run([second], tmp_path / "out", replace=True).files == 1


def test_a_day_is_not_made_with_a_file_that_changed_meanwhile(tmp_path: Path) -> None:
    first = write(tmp_path / "1.fake", ROWS[:10])
    run([first], tmp_path / "out")
    content = Path(first).read_bytes()
    # The last digit of the last level.
    changed = content[:-4] + bytes([content[-4] ^ 1]) + content[-3:]
    assert content[-4:-3].isdigit() and len(changed) == len(content)
    Path(first).write_bytes(changed)
    os.utime(first, ns=(0, 0))
    second = write(tmp_path / "2.fake", ROWS[10:20])
    with pytest.raises(DataError, match=f"{first} too, which is gone or has changed"):
        run([second], tmp_path / "out")
    assert run([first, second], tmp_path / "out").made == 1


def test_replacing_removes_days_that_have_no_file_any_more(tmp_path: Path) -> None:
    run([write(tmp_path / "1.fake", ROWS)], tmp_path / "out")
    other = write(
        tmp_path / "2.fake", ROWS[:5], {"x": "scalar", "y": "scalar", "z": "level"}
    )
    run([other], tmp_path / "out", replace=True)
    assert sorted(tables(tmp_path / "out")) == [
        "1970-01-11.csv",
        "meta_info_1970-01-11.txt",
    ]
    columns = json.loads((tmp_path / "out" / "fake" / "columns.json").read_text())
    assert [one["name"] for one in columns] == ["x", "y", "z"]


def test_days_must_have_the_same_columns(tmp_path: Path) -> None:
    run([write(tmp_path / "1.fake", ROWS[:5])], tmp_path / "out")
    later = [[row[0] + DAY, *row[1:]] for row in ROWS[:5]]
    other = write(
        tmp_path / "2.fake", later, {"height": "scalar", "x": "scalar", "y": "scalar"}
    )
    with pytest.raises(
        DataError, match="1970-01-12 lacks direction, Sv_5m, has unexpected x, y"
    ):
        run([other], tmp_path / "out")


def test_files_of_a_day_must_have_the_same_columns(tmp_path: Path) -> None:
    first = write(tmp_path / "1.fake", ROWS[:5])
    kinds = {**KINDS, "height": "level"}
    other = write(tmp_path / "2.fake", ROWS[5:9], kinds)
    with pytest.raises(
        InstrumentFileError, match=f"^{other}: .* describes them otherwise"
    ):
        run([first, other], tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"not JSON"])
def test_a_file_that_cannot_be_taken_stops_or_is_left_out_and_listed(
    tmp_path: Path, content: bytes
) -> None:
    good = write(tmp_path / "in" / "1.fake", ROWS[:9])
    bad = tmp_path / "in" / "2.fake"
    bad.write_bytes(content)
    with pytest.raises(InstrumentFileError, match=f"^{bad}: must "):
        run([tmp_path / "in"], tmp_path / "out")
    report = run([tmp_path / "in"], tmp_path / "out", on_error="skip")
    assert [path for path, _ in report.skipped] == [str(bad)]
    run([good], tmp_path / "other")
    assert tables(tmp_path / "out") == tables(tmp_path / "other")


def test_a_file_that_breaks_while_it_is_read_leaves_nothing_of_it_in_the_day(
    tmp_path: Path,
) -> None:
    good = write(tmp_path / "1.fake", ROWS[:4])
    bad = write(tmp_path / "2.fake", [*ROWS[4:8], ["x", 0, 0, 0], ROWS[8]])
    report = run([good, bad], tmp_path / "out", BreakingInstrument(), on_error="skip")
    assert [path for path, _ in report.skipped] == [bad]
    kept = json.loads((tmp_path / "out/fake/provenance/1970-01-11.json").read_text())
    assert [path for path, _ in kept["skipped"]] == [bad]
    run([good], tmp_path / "other")
    assert tables(tmp_path / "out") == tables(tmp_path / "other")
    # It is tried again: it may have been repaired.
    again = run([good, bad], tmp_path / "out", BreakingInstrument(), on_error="skip")
    assert (again.made, again.kept) == (1, 0)
    with pytest.raises(InstrumentFileError, match="broken row"):
        run([good, bad], tmp_path / "third", BreakingInstrument())


class BreakingInstrument(FakeInstrument):
    """Stops at a row that is no number, after the rows before it."""

    def blocks(self, files, start_us, stop_us):
        for file in files:
            content = json.loads(Path(file.path).read_text())
            good = [row for row in content["rows"] if not isinstance(row[0], str)]
            shorter = Path(file.path).with_suffix(".good")
            shorter.write_bytes(text(good))
            whole = type(file)(str(shorter), file.size, file.hash, file.look)
            yield from super().blocks([whole], start_us, stop_us)
            shorter.unlink()
            if len(good) < len(content["rows"]):
                raise InstrumentFileError("has a broken row", file.path)


def test_content_that_is_there_twice_is_taken_once(tmp_path: Path) -> None:
    first = write(tmp_path / "1.fake", ROWS[:9])
    second = write(tmp_path / "2.fake", ROWS[:9])
    report = run([first, second], tmp_path / "out")
    assert (report.files, report.same) == (1, ((second, first),))
    run([first], tmp_path / "other")
    assert tables(tmp_path / "out") == tables(tmp_path / "other")


def test_short_gaps_are_filled_over_midnight_and_files_and_long_ones_never(
    tmp_path: Path,
) -> None:
    seconds = [DAY - 240, DAY + 120, DAY + 120 + 11 * 60]
    rows = [
        [START + s, value, value, -60]
        for s, value in zip(seconds, (350, 10, 20), strict=True)
    ]
    first, second = (
        write(tmp_path / "1.fake", rows[:1]),
        write(tmp_path / "2.fake", rows[1:]),
    )
    report = run([first, second], tmp_path / "out", max_gap_min=9)
    assert report.filled_cells == 5 * 3
    before, after = (
        read_day(f"{tmp_path}/out/fake/tabular/{day}.csv", day) for day in DAYS
    )
    minutes = [(t - START - DAY) // 60 for t in (*before.times, *after.times)]
    assert minutes == [-4, -3, -2, -1, 0, 1, 2, 13]
    heights = np.concatenate([before.values, after.values])[:, 0]
    np.testing.assert_allclose(heights[:7], np.linspace(350, 10, 7), rtol=1e-5)
    turn = np.concatenate([before.values, after.values])[:7, 1]
    assert (np.minimum(turn, 360 - turn) <= 10.001).all()  # not through south


def test_a_period_with_too_few_samples_gives_no_row(tmp_path: Path) -> None:
    rows = [[START + s, 1, 1, -60] for s in (0, 10, 20, 60, 70, 120, 121, 122)]
    run(
        [write(tmp_path / "1.fake", rows)],
        tmp_path / "out",
        FakeInstrument(least_samples=3),
    )
    table = read_day(f"{tmp_path}/out/fake/tabular/1970-01-11.csv", DAYS[0])
    assert [(t - START) // 60 for t in table.times] == [0, 2]


def test_flagged_values_are_listed_with_their_day(tmp_path: Path) -> None:
    rows = [
        [START + 5, 901, 1, -60],
        [START + 65, 1, 1, -60],
        [START + DAY, 950.5, 1, -60],
    ]
    source = write(tmp_path / "1.fake", rows)
    report = run([source], tmp_path / "out")
    assert report.flagged_values == 2 and report.counts == {"samples": 3}
    flags = (tmp_path / "out/fake/flags/1970-01-11.csv").read_text()
    assert flags == (
        "timestamp,column,value,flag,test\n1970-01-11T00:00:05Z,height,901,3,loud\n"
    )
    write(tmp_path / "1.fake", [[START + 5, 1, 1, -60], *rows[1:]])
    run([source], tmp_path / "out")
    assert not (tmp_path / "out/fake/flags/1970-01-11.csv").exists()


def test_provenance_says_what_a_day_was_made_from(tmp_path: Path) -> None:
    source = write(tmp_path / "1.fake", ROWS[:9])
    run([source], tmp_path / "out")
    kept = json.loads((tmp_path / "out/fake/provenance/1970-01-11.json").read_text())
    (digest,) = kept["paths"]
    assert kept["paths"] == {digest: source}
    assert kept["files"] == [[digest, START * 1_000_000, int(ROWS[8][0] * 1e6)]]
    assert kept["instrument"] == "fake" and kept["recipe"] == {"gain": 1.0}
    assert kept["rows"] == 9 and kept["skipped"] == []


def test_only_the_days_asked_for_are_made(tmp_path: Path) -> None:
    source = write(tmp_path / "1.fake", ROWS)
    assert run([source], tmp_path / "out", first=DAYS[1], last=DAYS[1]).made == 1
    assert [name for name in tables(tmp_path / "out") if name.endswith("csv")] == [
        "1970-01-12.csv"
    ]


def test_parquet_holds_the_same_and_takes_the_place_of_the_csv(tmp_path: Path) -> None:
    source = write(tmp_path / "1.fake", ROWS)
    run([source], tmp_path / "out")
    report = run([source], tmp_path / "out", form="parquet")
    assert report.made == 2
    assert sorted(tables(tmp_path / "out")) == [
        *("1970-01-11.parquet", "1970-01-12.parquet"),
        *("meta_info_1970-01-11.txt", "meta_info_1970-01-12.txt"),
    ]


@pytest.mark.slow
def test_processes_make_the_same_days_as_one_and_tell_how_far_they_are(
    tmp_path: Path,
) -> None:
    for number in range(4):
        write(
            tmp_path / "in" / f"{number}.fake", ROWS[number * 100 : number * 100 + 100]
        )
    run([tmp_path / "in"], tmp_path / "one")
    told: list[tuple[str, int, int]] = []
    run(
        [tmp_path / "in"],
        tmp_path / "two",
        workers=2,
        progress=lambda *x: told.append(x),
    )
    assert tables(tmp_path / "one") == tables(tmp_path / "two")
    assert ("Looking at files", 4, 4) in told and told[-1] == ("Making days", 2, 2)


def test_all_of_it_works_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    publishing.write_bytes(f"{bucket}/in/1.fake", text(ROWS[:250]))
    publishing.write_bytes(f"{bucket}/in/deep/2.fake", text(ROWS[250:]))
    assert run([f"{bucket}/in"], f"{bucket}/out").made == 2
    again = run([f"{bucket}/in"], f"{bucket}/out")
    assert (again.made, again.kept) == (0, 2)
    run([write(tmp_path / "whole.fake", ROWS)], tmp_path / "out")
    assert tables(f"{bucket}/out") == tables(tmp_path / "out")


def test_two_calls_do_not_write_to_one_folder_at_once(tmp_path: Path) -> None:
    source = write(tmp_path / "1.fake", ROWS[:9])
    with publishing.exclusive(f"{tmp_path}/out/fake"):
        with pytest.raises(StorageError, match="another process is writing here"):
            run([source], tmp_path / "out")


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
import test_ingest_running as tests
from echoanom import tablewriting
from echoanom.ingest import days
def slow(*arguments, real=days.write_day):
    print("writing", flush=True)
    time.sleep(float(sys.argv[4]))
    return real(*arguments)
days.write_day = slow
tests.run([sys.argv[2]], sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01])
def test_a_killed_call_leaves_days_that_are_whole_or_made_again(
    tmp_path: Path, delay: float
) -> None:
    source = write(tmp_path / "1.fake", ROWS)
    run([source], tmp_path / "one")
    arguments = [str(Path(__file__).parent), source, str(tmp_path / "two"), str(delay)]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    run([source], tmp_path / "two")
    assert tables(tmp_path / "one") == {
        name: content
        for name, content in tables(tmp_path / "two").items()
        if not name.startswith(publishing.TEMPORARY_PREFIX)
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"period_s": 7},
            "period_s must be a whole number of seconds that divides a day",
        ),
        ({"max_gap_min": 1440}, "max_gap_min must be at least 0 and less than a day"),
        ({"sensor": "a/b"}, "sensor must be the name of a folder"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        IngestOptions(**options)


def test_a_clock_that_runs_backwards_over_a_file_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "1.fake", [ROWS[5], ROWS[0]])
    with pytest.raises(InstrumentFileError, match="its clock runs backwards"):
        run([source], tmp_path / "out")
