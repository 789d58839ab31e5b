"""The report in a real browser: what a reader sees, presses and saves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from echoanom.conversion import convert
from echoanom.dataset import open_dataset
from echoanom.events import detect
from echoanom.history import EpochLosses
from echoanom.labels import Label, read_labels
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.normalization import Normalization
from echoanom.options import EventOptions, TableOptions, WindowOptions
from echoanom.report import write_report
from echoanom.scores import ScoreTable
from echoanom.thresholds import Threshold

pytestmark = pytest.mark.slow

DAY = 1_422_748_800
EVENTS = ((300, 310), (1700, 1712), (3000, 3004))
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str:
    """Return the browser to drive; skip, or fail in CI, where there is none."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        reason = "needs playwright: pip install playwright"
    else:
        for name in NAMES:
            found = shutil.which(name)
            if found is not None:
                return found
        reason = "needs Chromium: make browser"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a page on three days of an echosounder and a thermometer."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(1)
    rows = 3 * 1440
    times = pd.date_range("2015-02-01", periods=rows, freq="min")
    bins = {f"Sv_{n}m": rng.uniform(-75, -50, rows) for n in range(1, 41)}
    tables = {"echosounder": bins, 'ctd, "deep"': {"temp": rng.normal(7, 0.1, rows)}}
    for sensor, columns in tables.items():
        frame = pd.DataFrame(columns, index=times).rename_axis("timestamp")
        frame = frame.drop(times[600:700])
        for day, part in frame.groupby(frame.index.date):
            path = folder / "source" / sensor / f"{day}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            part.to_csv(path, date_format="%Y-%m-%dT%H:%M:%SZ")
    convert(
        str(folder / "source"), str(folder / "dataset"), table=TableOptions(), workers=1
    )
    dataset = open_dataset(str(folder / "dataset"))
    score = rng.uniform(0.5, 1.0, dataset.rows)
    position = (dataset.times() - DAY) // 60
    for height, (first, end) in zip((3.0, 2.0, 4.0), EVENTS, strict=True):
        score[(position >= first) & (position < end)] += height
    columns = dataset.columns
    table = ScoreTable(
        times=dataset.times(),
        score=score,
        window_score=score,
        windows=np.ones(dataset.rows, dtype=np.int64),
        shares=rng.dirichlet(np.ones(len(columns)), dataset.rows).astype(np.float16),
        columns=columns,
    )
    ones = np.ones(len(columns), dtype=np.float32)
    artifact: Any = SimpleNamespace(
        columns=columns,
        check_columns=lambda other: None,
        normalization=Normalization("range", 0 * ones, ones, 0 * ones),
        window=WindowOptions(size=16),
        network=ModelOptions(kind="autoencoder"),
        training=TrainOptions(),
        record=SimpleNamespace(
            dataset_path="training/set",
            dataset_digest="abc",
            training_days=("2015-01-01",),
            validation_days=("2015-01-02",),
            history=(EpochLosses(1, 0.5, 0.6), EpochLosses(2, 0.4, 0.5)),
            stop_reason="all 2 epochs done",
        ),
        path="some/model",
        digest="0123",
        detector=SimpleNamespace(reproduces=True),
        reconstruct=lambda values: np.nan_to_num(values) * 0.9,
    )
    path = str(folder / "report.html")
    write_report(
        path,
        dataset=dataset,
        table=table,
        events=detect(table, EventOptions(merge_gap_min=0), 1.5),
        artifact=artifact,
        threshold=Threshold(1.5, "1.5", "number"),
    )
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Within a container there is no sandbox of the browser's own.
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """A page in a browser, with what it complained about and asked for."""

    def __init__(self, browser: Any, path: str, width: int = 1280) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 1000})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(Path(path).as_uri())
        self.page.wait_for_function("document.documentElement.dataset.whole")
        self.settle()

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.wait_for_timeout(250)

    def shown(self) -> str:
        return str(self.page.locator("#when").inner_text())

    def over(self, figure: int, across: float = 0.5, down: float = 0.5) -> None:
        """Move the pointer over a figure of the timeline."""
        canvas = self.page.locator("#live-panels .bk-Figure").nth(figure)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        place = box["x"] + across * box["width"], box["y"] + down * box["height"]
        self.page.mouse.move(*place)
        self.page.mouse.move(place[0] + 1, place[1])
        self.settle()

    def tip(self) -> dict[str, str]:
        words = self.page.locator("#tip > *").all_inner_texts()
        return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture
def opened(browser: Any, report: str) -> Iterator[Opened]:
    one = Opened(browser, report)
    yield one
    one.context.close()
    # Whatever a test did, nothing was asked of a network, and nothing went wrong.
    assert one.complaints == []
    assert [u for u in one.requests if not u.startswith(("data:", "blob:"))] == [
        Path(report).as_uri()
    ]


def test_the_page_opens_with_the_whole_time_and_pixels_in_its_image(
    opened: Opened,
) -> None:
    assert opened.shown() == "2015-02-01 00:00 to 2015-02-04 00:00"
    pixels = opened.page.evaluate(
        """() => {
          const figure = Bokeh.documents[0].get_model_by_name("panel:1:image");
          const image = figure.get_column("image")[0];
          return [image.length, new Set(image).size];
        }"""
    )
    assert pixels[0] > 10_000 and pixels[1] > 100
    assert not opened.page.locator("#live-detail").is_visible()
    assert opened.page.locator("figure img").first.is_hidden()


def test_keys_flip_through_the_days(opened: Opened) -> None:
    press = opened.page.keyboard.press
    for key, day in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowRight", 3),
        ("ArrowRight", 3),
        ("ArrowLeft", 2),
    ):
        press(key)
        opened.settle()
        assert opened.shown() == f"2015-02-0{day} 00:00 to 2015-02-0{day + 1} 00:00"
    press("Home")
    opened.settle()
    assert opened.shown() == "2015-02-01 00:00 to 2015-02-04 00:00"
    press("ArrowLeft")
    opened.settle()
    assert opened.shown().startswith("2015-02-03")


def test_buttons_do_what_keys_do(opened: Opened) -> None:
    opened.page.get_by_role("button", name="Next day").click()
    opened.page.get_by_role("button", name="Next day").click()
    opened.settle()
    assert opened.shown() == "2015-02-02 00:00 to 2015-02-03 00:00"
    opened.page.get_by_role("button", name="Show 2015-02-03").click()
    opened.settle()
    assert opened.shown().startswith("2015-02-03 00:00")
    opened.page.get_by_role("button", name="Zoom in").click()
    opened.settle()
    assert opened.shown() == "2015-02-03 06:00 to 2015-02-03 18:00"
    opened.page.get_by_role("button", name="Whole time").click()
    opened.settle()
    assert opened.shown() == "2015-02-01 00:00 to 2015-02-04 00:00"


def test_the_pointer_tells_time_range_value_and_score(opened: Opened) -> None:
    opened.page.keyboard.press("ArrowRight")
    opened.settle()
    opened.over(1)
    image = opened.tip()
    assert image["Time"].startswith("2015-02-01 1") and image["Time"].endswith("UTC")
    assert image["Range above the instrument"].endswith(" m")
    value = float(image["Sv"].partition(" ")[0].replace("−", "-"))
    assert -75 <= value <= -50 and 0.5 <= float(image["Score"]) <= 1.0
    opened.over(0)
    assert 6 < float(opened.tip()["temp"].partition(" ")[0]) < 8


def test_the_pointer_tells_that_a_value_is_missing(opened: Opened) -> None:
    opened.page.keyboard.press("ArrowRight")
    opened.settle()
    # From 10:00 to 11:40 nothing was recorded.
    opened.over(1, across=0.45)
    tip = opened.tip()
    assert tip["Sv"] == "missing" and tip["Score"] == "none"


def test_an_event_of_the_table_opens_with_what_the_model_makes_of_it(
    opened: Opened,
) -> None:
    opened.page.get_by_role("button", name="Open event 2").click()
    opened.settle()
    assert (
        "2015-02-01 05:00 to 2015-02-01 05:10"
        in opened.page.locator("#chosen-name").inner_text()
    )
    start, _, end = opened.shown().partition(" to ")
    assert "2015-02-01 04" in start and "2015-02-01 05" in end
    assert opened.page.locator("#live-detail .bk-Figure").count() >= 3
    assert opened.page.locator("#chosen-sensors li").count() == 2
    titles = opened.page.evaluate(
        """() => ["original", "reproduced", "difference"].map(
          (kind) => Bokeh.documents[1].get_model_by_name(`detail:0:${kind}`).title.text)"""
    )
    assert titles[0].startswith("Original") and titles[1] == "Reconstruction"
    reddest = opened.page.evaluate(
        """() => new Set(Bokeh.documents[1].get_model_by_name(
          "detail:0:difference:image").get_column("image")[0]).size"""
    )
    assert reddest > 20


def test_a_click_into_the_score_opens_the_event_there(opened: Opened) -> None:
    box = opened.page.locator("#live-score .bk-Figure").bounding_box()
    # The plot itself lies between borders of 82 and 92 pixels.
    inner = box["width"] - 82 - 92
    x = box["x"] + 82 + inner * 1706 / (3 * 1440)
    opened.page.mouse.click(x, box["y"] + 60)
    opened.settle()
    opened.page.wait_for_timeout(400)
    name = opened.page.locator("#chosen-name").inner_text()
    assert "2015-02-02 04:20 to 2015-02-02 04:32" in name


def test_keys_go_through_the_events_and_mark_them(opened: Opened) -> None:
    press = opened.page.keyboard.press
    for key in "nrnfnu":
        press(key)
        opened.settle()
    assert opened.page.locator("#marked").inner_text() == "3 of 3 marked"
    pressed = opened.page.locator("tbody button[aria-pressed=true]")
    assert pressed.all_inner_texts() == ["real", "false", "unsure"]
    press("u")
    opened.settle()
    assert opened.page.locator("#marked").inner_text() == "2 of 3 marked"


def test_marks_are_saved_as_labels_that_can_be_read(
    opened: Opened, tmp_path: Path
) -> None:
    save = opened.page.get_by_role("button", name="Save labels.csv")
    assert save.is_disabled()
    for rank, verdict in (("1", "real"), ("2", "false"), ("3", "real")):
        row = opened.page.locator(f"tr[data-rank={rank!r}]")
        row.get_by_role("button", name=verdict).click()

    def saved() -> tuple[Label, ...]:
        with opened.page.expect_download() as download:
            save.click()
        assert download.value.suggested_filename == "labels.csv"
        download.value.save_as(tmp_path / "labels.csv")
        return read_labels(str(tmp_path / "labels.csv"))

    labels = saved()
    minutes = [((label.start - DAY) // 60, (label.end - DAY) // 60) for label in labels]
    assert minutes == [EVENTS[1], EVENTS[2]]
    assert {label.kind for label in labels} == {"real"}
    assert {label.sensor for label in labels} <= {"echosounder", 'ctd, "deep"'}
    opened.page.locator("#save-false").check()
    assert [label.kind for label in saved()] == ["false", "real", "real"]


def test_marks_are_there_when_the_page_is_opened_again(opened: Opened) -> None:
    opened.page.keyboard.press("n")
    opened.page.keyboard.press("r")
    opened.page.reload()
    opened.page.wait_for_function("document.documentElement.dataset.ready")
    assert opened.page.locator("#marked").inner_text() == "1 of 3 marked"
    del opened.requests[1:]


def test_a_sensor_can_be_left_out(opened: Opened) -> None:
    figures = opened.page.locator("#live-panels .bk-Figure:visible")
    assert figures.count() == 2
    opened.page.get_by_label("echosounder").first.uncheck()
    opened.settle()
    assert figures.count() == 1


def test_paper_shows_pictures_and_nothing_that_moves(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    assert opened.page.locator("figure img").first.is_visible()
    assert not opened.page.locator("#live-panels").is_visible()
    assert opened.page.get_by_role("button", name="Next day").is_hidden()


def test_without_javascript_there_are_pictures(browser: Any, report: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(Path(report).as_uri())
    assert page.locator("figure img").first.is_visible()
    assert not page.locator("#live-panels").is_visible()
    context.close()


@pytest.mark.parametrize("width", [1280, 2560])
def test_the_page_fits_its_window(browser: Any, report: str, width: int) -> None:
    one = Opened(browser, report, width)
    wide = one.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    one.context.close()


def test_the_table_of_events_is_whole_in_its_window(browser: Any, report: str) -> None:
    one = Opened(browser, report)
    # Words of a record of four sensors, whose shares are spread.
    words = [
        ["ltsa, 2.67–29.3 kHz", "Sv 38 kHz, 8.5–263.5 m", "echo 190 kHz, 125–250 m"],
        ["adcp", "hydrophone", "ctd", "echosounder"],
        ["adcp/echo_125m", "hydrophone/ltsa_18560Hz", "echosounder/Sv_269.875m"],
    ]
    one.page.evaluate(
        """words => {
            const lists = document.querySelectorAll("#events tbody tr:first-child ul");
            words.forEach((names, i) => lists[i].replaceChildren(...names.map(name => {
                const item = document.createElement("li");
                const share = document.createElement("span");
                share.className = "share";
                share.textContent = "100 %";
                const text = item.appendChild(document.createElement("span"));
                // As the page has them: a name may go on below behind its sensor.
                text.innerHTML = name.replace("/", "/<wbr>");
                item.prepend(share);
                return item;
            })));
        }""",
        words,
    )
    needed, there = one.page.evaluate(
        """() => {
            const table = document.querySelector("#events .wide");
            return [table.scrollWidth, table.clientWidth];
        }"""
    )
    assert needed <= there
    one.context.close()


def test_the_page_is_small_and_opens_soon(browser: Any, report: str) -> None:
    assert os.path.getsize(report) < 5_000_000
    # Of several times, as other work of the machine only ever adds to it.
    times = []
    for _ in range(3):
        one = Opened(browser, report)
        times.append(
            one.page.evaluate("performance.getEntriesByName('ready')[0].startTime")
        )
        one.context.close()
        if min(times) < 3000:
            break
    assert min(times) < 3000
