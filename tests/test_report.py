from __future__ import annotations

import base64
import builtins
import dataclasses
import html
import io
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from conftest import WriteSource
from matplotlib import image

from echoanom.conversion import convert
from echoanom.dataset import Dataset, open_dataset
from echoanom.errors import MissingExtraError, OptionError, ScoresError
from echoanom.events import Event, detect
from echoanom.history import EpochLosses
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.normalization import Normalization
from echoanom.options import EventOptions, StackOptions, WindowOptions
from echoanom.reader import IndexedReader
from echoanom.report import ReportOptions, write_pictures, write_report
from echoanom.scores import ScoreTable
from echoanom.thresholds import Threshold

pytestmark = pytest.mark.slow

DAY = 1_422_748_800
ROWS = 400
EVIL = "<script>alert('x')</script>&\"_1m"


class Page(HTMLParser):
    """Collects what a browser would load, and the tags it would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "srcset")]
        if tag == "img":
            self.pictures.append(dict(attrs))


@pytest.fixture
def dataset(tmp_path: Path, write_source: WriteSource) -> Dataset:
    """Return two sensors, one with bins, with a gap and a column of an evil name."""
    rng = np.random.default_rng(1)
    times = pd.date_range("2015-02-01", periods=ROWS, freq="min")
    bins = {f"Sv_{n}m": rng.uniform(-90, -50, ROWS) for n in range(1, 7)}
    point = {"temp": rng.normal(7, 0.1, ROWS), EVIL: rng.normal(0, 1, ROWS)}
    sensors = {"echosounder": bins, "ctd": point}
    source = {
        name: {"2015-02-01": pd.DataFrame(table, index=times).drop(times[90:95])}
        for name, table in sensors.items()
    }
    write_source(tmp_path / "source", source)
    convert(
        str(tmp_path / "source"),
        str(tmp_path / "dataset"),
        stacking=StackOptions(sensors=("echosounder", "ctd")),
    )
    return open_dataset(str(tmp_path / "dataset"))


@pytest.fixture
def table(dataset: Dataset) -> ScoreTable:
    rng = np.random.default_rng(2)
    times = dataset.times()
    score = rng.uniform(0.5, 1.0, len(times))
    for first in (20, 91, 200, 330):
        score[first : first + 5] += first / 100
    columns = dataset.columns
    return ScoreTable(
        times=times,
        score=score,
        window_score=score,
        windows=np.ones(len(times), dtype=np.int64),
        shares=rng.dirichlet(np.ones(len(columns)), len(times)).astype(np.float16),
        columns=columns,
        provenance={"dataset": {"path": dataset.path, "digest": dataset.digest}},
    )


@pytest.fixture
def events(table: ScoreTable) -> tuple[Event, ...]:
    return detect(table, EventOptions(merge_gap_min=0, top_columns=8), 1.1)


@pytest.fixture
def artifact(dataset: Dataset) -> Any:
    """Return what a report asks of a model, without a network."""
    ones = np.ones(len(dataset.columns), dtype=np.float32)
    return SimpleNamespace(
        columns=dataset.columns,
        check_columns=lambda other: None,
        detector=SimpleNamespace(reproduces=True),
        normalization=Normalization("range", 0 * ones, ones, 0 * ones),
        window=WindowOptions(size=16),
        network=ModelOptions(kind="autoencoder"),
        training=TrainOptions(),
        record=SimpleNamespace(
            dataset_path="training/set",
            dataset_digest="abc",
            training_days=("2015-01-01",),
            validation_days=("2015-01-02", "2015-01-03"),
            history=(EpochLosses(1, 0.5, 0.6), EpochLosses(2, 0.4, 0.5)),
            stop_reason="all 2 epochs done",
        ),
        path="some/model",
        digest="0123",
        reconstruct=lambda values: np.nan_to_num(values) * 0.9,
    )


def written(tmp_path: Path, **parts: Any) -> str:
    path = tmp_path / "report.html"
    write_report(str(path), **parts)
    return path.read_text(encoding="utf-8")


def test_events_of_another_year_are_refused(
    tmp_path: Path, dataset: Dataset, table: ScoreTable, events: tuple[Event, ...]
) -> None:
    year = 365 * 86_400
    later = [
        dataclasses.replace(
            event,
            start=event.start + year,
            end=event.end + year,
            peak=event.peak + year,
        )
        for event in events
    ]
    with pytest.raises(ScoresError, match="but none of 4 does; give those that"):
        written(tmp_path, dataset=dataset, table=table, events=later)
    assert not (tmp_path / "report.html").exists()
    # Some of another time are listed, as they may be of days that were left out.
    assert written(tmp_path, dataset=dataset, table=table, events=(*events, *later))


def test_the_page_shows_every_event(
    tmp_path: Path, dataset: Dataset, table: ScoreTable, events: tuple[Event, ...]
) -> None:
    text = written(tmp_path, dataset=dataset, table=table, events=events)
    assert len(events) == 4
    for event in events:
        assert f"{event.peak_score:.4g}" in text
        assert f"{event.mean_score:.4g}" in text
        minute = (event.start - DAY) // 60
        assert f"2015-02-01 {minute // 60:02}:{minute % 60:02}" in text
        for name, _ in event.top_columns[:1]:
            # It may go on below behind its sensor.
            assert name in html.unescape(text.replace("<wbr>", ""))


def moving(text: str) -> dict[str, Any]:
    """Return what the page's program is given."""
    found = re.search(r'id="report-data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def block(text: str, name: str, dtype: str) -> np.ndarray:
    """Unpack numbers of the page."""
    found = re.search(rf"id=.{name}.>([A-Za-z0-9+/=]*)</script>", text)
    assert found is not None
    return np.frombuffer(zlib.decompress(base64.b64decode(found[1])), dtype)


def test_the_page_loads_nothing_from_elsewhere(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    text = written(
        tmp_path, dataset=dataset, table=table, events=events, artifact=artifact
    )
    page = Page(text)
    assert page.links
    assert all(link.startswith(("#", "data:image/webp;base64,")) for link in page.links)
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert style and not re.search(r"url\(|@import", style)
    assert not {"link", "iframe", "object", "embed"}.intersection(page.tags)
    ids = set(re.findall(r'id="([^"]+)"', text))
    assert {link[1:] for link in page.links if link.startswith("#")} <= ids


def test_pictures_are_whole_and_say_what_they_show(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    text = written(
        tmp_path,
        dataset=dataset,
        table=table,
        events=events,
        artifact=artifact,
        options=ReportOptions(top_events=2),
    )
    pictures = Page(text).pictures
    # Two sensors, two events, the histogram and the training curve.
    assert len(pictures) == 6
    for picture in pictures:
        assert picture["alt"]
        content = base64.b64decode((picture["src"] or "").partition(",")[2])
        height, width = image.imread(io.BytesIO(content), format="webp").shape[:2]
        assert width > 500 and height > 250
    assert "Event 1: " in text and "Event 2: " in text and "Event 3: " not in text


def test_names_from_outside_are_escaped(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    evil = dataclasses.replace(
        events[0], top_columns=((f"ctd/{EVIL}", 1.0),), top_sensors=((EVIL, 1.0),)
    )
    text = written(
        tmp_path,
        dataset=dataset,
        table=table,
        events=[evil, *events[1:]],
        artifact=artifact,
        options=ReportOptions(title=EVIL),
        threshold=Threshold(1.1, EVIL, "number"),
    )
    assert "<script>alert" not in text and "</script>alert" not in text
    assert text.count("&lt;script&gt;") >= 4
    # Two programs, and what they read: nothing else is a script.
    ours = re.findall(r'<script type="[a-z/]+" id="[a-z0-9-]+">', text)
    assert Page(text).tags.count("script") == len(ours) + 2
    assert any("<script>" in panel["label"] for panel in moving(text)["panels"])


def test_without_a_model_there_are_no_reconstructions(
    tmp_path: Path, dataset: Dataset, table: ScoreTable, events: tuple[Event, ...]
) -> None:
    text = written(tmp_path, dataset=dataset, table=table, events=events)
    assert "Top events" not in text
    assert len(Page(text).pictures) == 3
    said = {event["why"] for event in moving(text)["events"]}
    assert said == {"Without a model there is no reconstruction."}


def test_the_page_holds_the_scores_and_an_image_of_each_bin(
    tmp_path: Path, dataset: Dataset, table: ScoreTable, events: tuple[Event, ...]
) -> None:
    text = written(tmp_path, dataset=dataset, table=table, events=events)
    content = moving(text)
    score = block(text, "score", "<f4")
    assert content["score"] == {"start": DAY, "step": 60, "steps": ROWS}
    assert np.isnan(score[90:95]).all()
    known = ~np.isnan(score)
    np.testing.assert_array_equal(score[known], table.score.astype(np.float32))
    (panel,) = [panel for panel in content["panels"] if panel["image"]]
    codes = block(text, "panel-0-fine", "u1").reshape(1440, 6)
    assert panel["centres"] == [1, 2, 3, 4, 5, 6]
    assert (codes[90:95] == 0).all() and (codes[ROWS:] == 0).all()
    values = IndexedReader(dataset).rows(0, 90)[0][:, :6]
    low, high = panel["codes"]
    back = low + (codes[:90].astype(float) - 1) / 254 * (high - low)
    assert np.abs(back - values).max() <= (high - low) / 254 / 2 + 1e-3


def test_an_event_is_on_the_page_beside_what_the_model_makes_of_it(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    text = written(
        tmp_path, dataset=dataset, table=table, events=events, artifact=artifact
    )
    content = moving(text)
    event = content["events"][0]
    assert event["rank"] == 1 and event["sensors"]
    for place, part in enumerate(event["detail"]):
        panel = content["panels"][part["panel"]]
        dtype = "u1" if panel["image"] else "<f4"
        width = len(panel["centres"]) if panel["image"] else len(panel["names"])
        parts = {
            kind: block(text, f"event-1-{place}-{kind}", dtype)
            for kind in ("original", "reproduced", "difference")
        }
        assert {len(values) for values in parts.values()} == {part["rows"] * width}
        if not panel["image"]:
            # The model of this test says nine tenths of what it sees.
            np.testing.assert_allclose(
                parts["reproduced"], 0.9 * parts["original"], rtol=1e-5
            )
            np.testing.assert_allclose(
                parts["difference"], 0.1 * parts["original"], rtol=1e-4, atol=1e-6
            )


def test_a_silent_sensor_is_listed_without_score_or_reconstruction(
    tmp_path: Path, dataset: Dataset, table: ScoreTable, artifact: Any
) -> None:
    silent = Event(
        *(1, DAY + 90 * 60, DAY + 95 * 60, DAY + 90 * 60, np.nan, np.nan),
        top_sensors=(("ctd", 1.0),),
        kind="silent",
    )
    text = written(
        tmp_path, dataset=dataset, table=table, events=[silent], artifact=artifact
    )
    (event,) = moving(text)["events"]
    assert event["facts"] == "5 min, silent sensor" and event["detail"] is None
    assert "<td>silent</td>" in text and "nan" not in event["facts"]


def test_a_folder_gets_a_page_for_each_month_and_an_index(
    tmp_path: Path, write_source: WriteSource
) -> None:
    times = pd.date_range("2015-01-31T18:00", periods=720, freq="min")
    frame = pd.DataFrame({"temp": np.sin(np.arange(720.0))}, index=times)
    days = {day: frame.loc[day] for day in ("2015-01-31", "2015-02-01")}
    write_source(tmp_path / "source", {"ctd": days})
    convert(str(tmp_path / "source"), str(tmp_path / "dataset"))
    dataset = open_dataset(str(tmp_path / "dataset"))
    score = np.linspace(1.0, 2.0, 720)
    table = ScoreTable(dataset.times(), score, score, np.ones(720, dtype=np.int64))
    start = int(dataset.times()[0])
    events = [Event(1, start + 600, start + 900, start + 660, 1.5, 1.6)]
    made = write_report(
        str(tmp_path / "report"), dataset=dataset, table=table, events=events
    )
    names = ["index.html", "2015-01.html", "2015-02.html"]
    assert [Path(path).name for path in made] == names
    index, january, february = (Path(path).read_text() for path in made)
    assert 'href="2015-01.html"' in index and 'href="2015-02.html"' in index
    assert len(moving(january)["events"]) == 1 and not moving(february)["events"]
    assert moving(january)["end"] == moving(february)["start"] == start + 6 * 3600
    assert "360 rows" in january


def test_pictures_are_written_for_a_paper(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    made = write_pictures(
        str(tmp_path / "png"),
        dataset=dataset,
        table=table,
        events=events,
        artifact=artifact,
        options=ReportOptions(top_events=1),
    )
    names = "overview-echosounder overview-ctd event-1 histogram training".split()
    assert [Path(path).stem for path in made] == names
    for path in made:
        assert min(image.imread(path).shape[:2]) > 300


def test_no_event_is_said_in_words(
    tmp_path: Path, dataset: Dataset, table: ScoreTable, artifact: Any
) -> None:
    text = written(tmp_path, dataset=dataset, table=table, events=[], artifact=artifact)
    assert "there are no events" in text


def test_an_event_in_a_stretch_too_short_for_a_window_is_said_in_words(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    artifact.window = WindowOptions(size=91)
    early = [event for event in events if event.peak < DAY + 5400]
    text = written(
        tmp_path, dataset=dataset, table=table, events=early, artifact=artifact
    )
    assert "shorter than a window" in text


def test_what_made_the_page_is_on_it(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    text = written(
        tmp_path,
        dataset=dataset,
        table=table,
        events=events,
        artifact=artifact,
        threshold=Threshold(1.1, "mad:6", "calibration"),
    )
    for expected in (
        dataset.digest,
        "0123",
        "training/set",
        "mad:6",
        "held-back days",
        "sigmoid",
        np.__version__,
        "1 gap of all sensors, the longest of 0:05:00",
        "395 rows (100 %)",
    ):
        assert expected in text, expected


def test_doubts_are_noted(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    other = dataclasses.replace(
        table, provenance={"dataset": {"digest": "x"}, "model": {"digest": "y"}}
    )
    text = written(
        tmp_path,
        dataset=dataset,
        table=other,
        events=events,
        artifact=artifact,
        threshold=Threshold(1.1, "mad:6", "scores"),
    )
    assert text.count('class="note"') == 3
    plain = written(tmp_path, dataset=dataset, table=table, events=events)
    assert 'class="note"' not in plain


def test_what_was_filled_is_noted_if_anything_was(
    tmp_path: Path, write_source: WriteSource
) -> None:
    times = pd.date_range("2015-02-01", periods=60, freq="min")
    for dropped, cells in ((0, 0), (1, 1), (3, 3)):
        folder = tmp_path / str(dropped)
        days = {"2015-02-01": pd.DataFrame({"temp": 7.0}, index=times)}
        days["2015-02-01"].iloc[20 : 20 + dropped] = np.nan
        write_source(folder / "source", {"ctd": days})
        convert(
            str(folder / "source"),
            str(folder / "dataset"),
            stacking=StackOptions(max_gap_min=5),
        )
        dataset = open_dataset(str(folder / "dataset"))
        assert dataset.has_filled
        score = np.ones(dataset.rows)
        table = ScoreTable(
            times=dataset.times(),
            score=score,
            window_score=score,
            windows=score.astype(np.int64),
        )
        text = written(folder, dataset=dataset, table=table, events=())
        assert ("Short gaps were filled" in text) == (cells > 0)
        if cells:
            said = "1 cell in all" if cells == 1 else f"{cells} cells in all"
            assert said in text


def test_an_event_is_compared_in_what_its_score_comes_from(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    events: tuple[Event, ...],
    artifact: Any,
) -> None:
    # By errors that are not weighed, all are largest in Sv.
    for where, shown in (
        ((("temp", 0.6), ("Sv, 2–3 m", 0.3)), ["temp", "Sv"]),
        ((("Sv, 1–2 m", 0.2), ("temp", 0.3), ("Sv, 5–6 m", 0.2)), ["Sv", "temp"]),
        ((), ["Sv"]),
    ):
        text = written(
            tmp_path,
            dataset=dataset,
            table=table,
            events=[dataclasses.replace(event, where=where) for event in events],
            artifact=artifact,
            options=ReportOptions(top_events=1),
        )
        caption = re.search(r"Event 1: ([^<\"]*), observed", text)
        assert caption is not None
        quantities = [one.split()[0] for one in caption[1].split(" and ")]
        assert quantities == shown


def test_a_long_time_is_drawn_in_few_steps(
    tmp_path: Path, dataset: Dataset, table: ScoreTable, events: tuple[Event, ...]
) -> None:
    text = written(
        tmp_path,
        dataset=dataset,
        table=table,
        events=events,
        options=ReportOptions(most_steps=50),
    )
    assert "A step is 10 min" in text


def test_how_instruments_look_is_checked(
    tmp_path: Path, dataset: Dataset, table: ScoreTable
) -> None:
    with pytest.raises(OptionError, match="has no sensor sonar"):
        written(
            tmp_path,
            dataset=dataset,
            table=table,
            events=[],
            options=ReportOptions(looking={"sonar": "up"}),
        )
    with pytest.raises(OptionError, match="one of up, down"):
        ReportOptions(looking={"echosounder": "left"})  # type: ignore[dict-item]
    for wrong in ({"top_events": -1}, {"most_steps": 1}):
        with pytest.raises(OptionError, match="must be a whole number of at"):
            ReportOptions(**wrong)  # type: ignore[arg-type]
    options = ReportOptions(looking={"ek": "down"}, depth_m={"ek": 3.0})
    assert ReportOptions.from_json(options.as_json()) == options
    assert options.mounting("ek").looking == "down"
    assert options.mounting("other").looking == "up"


def test_scores_of_another_time_are_refused(
    tmp_path: Path, dataset: Dataset, table: ScoreTable
) -> None:
    moved = dataclasses.replace(table, times=table.times + 86_400)
    with pytest.raises(ScoresError, match="give the dataset that was scored"):
        written(tmp_path, dataset=dataset, table=moved, events=[])


def test_settings_of_the_caller_stay_as_they_are(
    tmp_path: Path, dataset: Dataset, table: ScoreTable
) -> None:
    before = dict(matplotlib.rcParams)
    written(tmp_path, dataset=dataset, table=table, events=[])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("package", ["matplotlib", "jinja2", "bokeh"])
def test_without_its_packages_the_extra_is_named(
    tmp_path: Path,
    dataset: Dataset,
    table: ScoreTable,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"echoanom\[report\]"):
        written(tmp_path, dataset=dataset, table=table, events=[])
    assert not (tmp_path / "report.html").exists()
