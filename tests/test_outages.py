from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import write_tables

from echoanom.columns import Column
from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import OptionError, ScoresError
from echoanom.events import Event
from echoanom.options import EventOptions
from echoanom.outageoptions import OutageOptions
from echoanom.outages import find_outages
from echoanom.scores import ScoreTable

pytestmark = pytest.mark.slow

DAYS = pd.date_range("2015-02-01", periods=6)
FIRST = int(DAYS[0].timestamp())
HOUR = 3600


def sensor(seed: int, names: tuple[str, ...], decimals: int) -> dict[str, pd.DataFrame]:
    """Days of noise around a slow drift; few decimals stand still now and then."""
    rng = np.random.default_rng(seed)
    tables = {}
    for number, day in enumerate(DAYS):
        times = pd.date_range(day, periods=1440, freq="60s")
        drift = 5 + (number + np.arange(1440) / 1440)[:, None] / 10
        noise = rng.normal(scale=0.01, size=(1440, len(names)))
        values = np.round(drift + noise, decimals)
        tables[day.date().isoformat()] = pd.DataFrame(values, times, list(names))
    return tables


def make(root: Path, spoil: Any = None, max_gap: float = 0) -> Dataset:
    sensors = {
        "ctd": sensor(1, ("temperature", "salinity"), 2),
        "ek60": sensor(2, ("Sv_1m", "Sv_2m", "Sv_3m", "Sv_4m"), 6),
    }
    sensors["ctd"] = {d: t.assign(pitch=0.5) for d, t in sensors["ctd"].items()}
    if spoil is not None:
        spoil(sensors)
    from echoanom.options import StackOptions

    source = write_tables(root / "source", sensors)
    convert(source, str(root / "dataset"), stacking=StackOptions(max_gap_min=max_gap))
    return open_dataset(str(root / "dataset"))


def scores_of(dataset: Dataset, first: int = 0, rows: int | None = None) -> ScoreTable:
    times = dataset.times()[first:][:rows]
    zeros = np.zeros(len(times))
    table = ScoreTable(times, zeros, zeros, np.ones(len(times), dtype=np.int64))
    trained = {"model": {"trained": ["2015-02-01", "2015-02-03"]}}
    return dataclasses.replace(table, provenance=trained)


def spoiled(sensors: Any) -> None:
    ctd, ek60 = sensors["ctd"], sensors["ek60"]
    # Silent on day 2, from 06:00 to 08:30 in the table, and on day 3 in its cells.
    table = ctd["2015-02-02"]
    ctd["2015-02-02"] = table.drop(table.index[360:510])
    ctd["2015-02-03"].iloc[600:700] = np.nan
    # Stuck over midnight, and two of four bins, and one of them.
    ek60["2015-02-04"].iloc[1380:] = 1.0
    ek60["2015-02-05"].iloc[:60] = 1.0
    ek60["2015-02-05"].loc[ek60["2015-02-05"].index[200:300], ["Sv_2m", "Sv_3m"]] = 2.0
    ek60["2015-02-05"].loc[ek60["2015-02-05"].index[500:700], ["Sv_4m"]] = 3.0
    # Too short for a silence, and for some columns, but not for all of a sensor.
    ek60["2015-02-06"].iloc[100:150] = 4.0
    ctd["2015-02-06"].iloc[100:150] = np.nan


def hours(event: Event) -> tuple[float, float]:
    return (event.start - FIRST) / HOUR, (event.end - FIRST) / HOUR


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make(tmp_path_factory.mktemp("spoiled"), spoiled)


def test_silent_and_stuck_sensors_are_events_of_their_own_kinds(
    dataset: Dataset,
) -> None:
    found = find_outages(dataset, scores_of(dataset), first_rank=4)
    assert [(event.kind, *hours(event)) for event in found] == [
        ("silent", 30, 32.5),
        ("stuck", 95, 97),
        ("silent", 58, 58 + 100 / 60),
        ("stuck", 96 + 200 / 60, 101),
        ("stuck", 120 + 100 / 60, 122.5),
    ]
    assert [event.rank for event in found] == [4, 5, 6, 7, 8]
    assert [event.where for event in found] == [
        (("ctd", 1.0),),
        (("Sv, 1–4 m", 1.0),),
        (("ctd", 1.0),),
        (("Sv, 2–3 m", 1.0),),
        (("Sv, 1–4 m", 1.0),),
    ]
    assert found[3].top_columns == (("ek60/Sv_2m", 0.5), ("ek60/Sv_3m", 0.5))
    assert all(np.isnan(event.peak_score) for event in found)


def test_values_that_stand_still_as_usual_are_no_event(tmp_path: Path) -> None:
    # Two decimals of a slow drift, and a pitch that never changes.
    usual = make(tmp_path)
    assert find_outages(usual, scores_of(usual), OutageOptions(stuck_min=1)) == ()


def test_shorter_outages_are_found_when_asked_for(dataset: Dataset) -> None:
    options = OutageOptions(silent_min=49, stuck_min=49)
    found = find_outages(dataset, scores_of(dataset), options)
    late = [event for event in found if hours(event)[0] > 120]
    assert [(event.kind, event.duration_min) for event in late] == [
        ("silent", 50),
        ("stuck", 50),
    ]


def test_an_outage_as_long_as_the_limit_is_none(dataset: Dataset) -> None:
    options = OutageOptions(silent_min=150, stuck_min=120)
    assert find_outages(dataset, scores_of(dataset), options) == ()


def test_outages_outside_the_scores_are_left_out(dataset: Dataset) -> None:
    day = scores_of(dataset, first=1440, rows=1440)
    assert [event.kind for event in find_outages(dataset, day)] == ["silent"]


def test_close_outages_of_a_sensor_are_one(dataset: Dataset) -> None:
    far = find_outages(
        dataset, scores_of(dataset), events=EventOptions(merge_gap_min=200)
    )
    stuck = [hours(event) for event in far if event.kind == "stuck"]
    assert stuck == [(95, 101), (120 + 100 / 60, 122.5)]


def test_usual_are_the_days_the_model_was_trained_on(dataset: Dataset) -> None:
    table = scores_of(dataset)
    for trained, kinds in (
        ({"trained": ["2015-02-01", "2015-02-03"]}, {"silent", "stuck"}),
        # What stood still while the model was trained is usual.
        ({"trained": ["2015-02-04", "2015-02-05"]}, {"silent"}),
        # Half of all days do.
        ({"trained": ["2001-01-01", "2001-01-02"]}, {"silent"}),
        ({}, {"silent"}),
    ):
        told = dataclasses.replace(table, provenance={"model": trained})
        assert {event.kind for event in find_outages(dataset, told)} == kinds


def test_what_was_filled_is_still_missing(tmp_path: Path) -> None:
    filled = make(tmp_path, spoiled, max_gap=240)
    found = find_outages(filled, scores_of(filled))
    assert [hours(event) for event in found if event.kind == "silent"] == [
        (30, 32.5),
        (58, 58 + 100 / 60),
    ]


def test_a_dataset_of_other_time_or_period_is_refused(dataset: Dataset) -> None:
    table = scores_of(dataset)
    later = dataclasses.replace(table, times=table.times + 10**8)
    with pytest.raises(ScoresError, match="must have rows at the time of the scores"):
        find_outages(dataset, later)
    with pytest.raises(ScoresError, match="a row every 900 s as the scores"):
        find_outages(dataset, dataclasses.replace(table, period_s=900))


def test_scores_of_columns_that_the_dataset_lacks_are_refused(
    dataset: Dataset,
) -> None:
    other = (*dataset.columns, Column("depth", "glider", "m"))
    shares = np.zeros((dataset.rows, len(other)), dtype=np.float16)
    table = scores_of(dataset)
    shares = shares[: len(table.times)]
    told = dataclasses.replace(table, columns=other, shares=shares)
    with pytest.raises(ScoresError, match="lacks glider/depth; name the dataset that"):
        find_outages(dataset, told)
    fewer = dataclasses.replace(
        table, columns=dataset.columns[:1], shares=shares[:, :1]
    )
    assert find_outages(dataset, fewer) == find_outages(dataset, table)


@pytest.mark.parametrize("name", ["silent_min", "stuck_min"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "60"])
def test_a_limit_that_is_no_time_is_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name} must be more than 0, got"):
        OutageOptions(**{name: value})
