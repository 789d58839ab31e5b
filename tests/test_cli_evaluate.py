from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from echoanom.cli import main
from echoanom.scores import ScoreTable, write_scores
from echoanom.stamps import format_stamp

Capture = pytest.CaptureFixture[str]
START = 1_422_748_800


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with two tables of scores and labels of three days."""
    times = START + np.arange(3 * 144, dtype=np.int64) * 600
    marked = np.zeros(len(times), dtype=bool)
    lines = ["start,end,sensor,kind"]
    for number, row in enumerate((20, 160, 300)):
        marked[row : row + 6] = True
        span = [format_stamp(int(times[row + offset])) for offset in (0, 6)]
        lines.append(f"{span[0]},{span[1]},,{'ship' if number else ''}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    for name, lift in (("good", 5.0), ("weak", 1.0)):
        score = np.abs(np.random.default_rng(7).normal(size=len(times))) + lift * marked
        rows = ScoreTable(times, score, score, np.ones(len(times), int), period_s=600)
        write_scores(str(tmp_path / f"{name}.csv"), rows)
    for name, score in (("same", "1"), ("blank", "")):
        rows = [f"{format_stamp(int(time))},{score}" for time in times]
        text = "\n".join(["timestamp,score", *rows])
        (tmp_path / f"{name}.csv").write_text(text + "\n")
    return tmp_path


def run(files: Path, *arguments: str) -> int:
    paths = [
        str(files / word) if word.endswith((".csv", ".png")) else word
        for word in arguments
    ]
    return main(["evaluate", *paths])


def test_one_table_is_told_in_lines_with_vus_pr_first(
    files: Path, capsys: Capture
) -> None:
    assert run(files, "good.csv", "labels.csv", "--threshold", "4") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == "432 rows, 4.2 % of them labelled; 3 labels with scores, 0 without"
    )
    assert lines[1].startswith("VUS-PR 1.000, at every score 1.000 (scores that say")
    assert lines[4].startswith("events: precision 1.000, recall 1.000, F1 1.000")
    assert lines[5].startswith("affiliation: precision 1.000, recall ")
    assert lines[7].split() == ["kind", "labels", "found", "median", "delay"]
    assert [line.split()[:3] for line in lines[8:]] == [
        ["ship", "2", "2"],
        ["unnamed", "1", "1"],
    ]


def test_one_table_has_the_json_of_an_evaluation(files: Path, capsys: Capture) -> None:
    arguments = ("--bootstrap", "20", "--buffer", "12", "--json")
    assert run(files, "good.csv", "labels.csv", *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.9 < found["vus_pr"] <= 1 and found["options"]["buffer"] == 12
    low, high = found["intervals"]["vus_pr"]
    assert low <= found["vus_pr"] <= high
    assert found["by_event"]["by_label"][0]["start"] == "2015-02-01T03:20:00Z"


def test_several_tables_are_compared(files: Path, capsys: Capture) -> None:
    arguments = ("good.csv", "weak.csv", "labels.csv", "--bootstrap", "30")
    assert run(files, *arguments, "--png", "compare.png") == 0
    out = capsys.readouterr().out
    assert "(random)" in out and "In brackets: 95 % of 30 draws" in out
    assert "weak.csv: VUS-PR -0." in out
    assert (files / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert run(files, *arguments, "--json") == 0
    good, weak = json.loads(capsys.readouterr().out)["compared"]
    assert good["scores"].endswith("good.csv") and good["vus_pr"] > weak["vus_pr"]
    assert weak["differences"]["vus_pr"]["interval"][1] < 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["labels.csv"], 2, "Missing argument"),
        (["good.csv", "good.csv", "labels.csv"], 2, "SCORES must differ"),
        (
            ["good.csv", "weak.csv", "labels.csv", "--events", "e.csv"],
            2,
            "--events must go with one table of scores, got 2; leave it out",
        ),
        (["good.csv", "labels.csv", "--buffer", "-1"], 2, "--buffer must be a whole"),
        (["good.csv", "labels.csv", "--block", "0"], 2, "--block must be a number"),
        (["good.csv", "labels.csv", "--png", "x.jpg"], 2, "--png must end in .png"),
        (["same.csv", "labels.csv"], 1, "same.csv: threshold"),
        (
            ["good.csv", "blank.csv", "labels.csv", "--threshold", "1"],
            1,
            "blank.csv: must have rows with a score, and has none",
        ),
        (["labels.csv", "good.csv"], 1, "must have the columns timestamp, score"),
        (["good.csv", "weak.csv"], 1, "must have the columns start, end"),
        (["good.csv", "none.csv"], 1, "none.csv"),
        (
            ["good.csv", "labels.csv", "--bootstrap", "5", "--block", "9999"],
            1,
            "at least two blocks",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_in_one_line(
    files: Path, capsys: Capture, arguments: list[str], status: int, said: str
) -> None:
    assert run(files, *arguments) == status
    captured = capsys.readouterr()
    assert said in captured.err and not captured.out
    if status == 1:
        assert len(captured.err.splitlines()) == 1


def test_marks_of_a_report_are_told_apart(files: Path, capsys: Capture) -> None:
    lines = (files / "labels.csv").read_text().splitlines()
    lines[2] = lines[2].replace("ship", "unsure")
    lines[3] = lines[3].replace("ship", "false")
    (files / "marks.csv").write_text("\n".join(lines) + "\n")
    assert run(files, "good.csv", "marks.csv", "--threshold", "4") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "426 rows, 1.4 % of them labelled; 1 label with scores, 0 without"
    assert out[1:4] == [
        "1 label left out, marked false",
        "1 label marked unsure: 6 rows not judged",
        "1 event not judged",
    ]
    assert out[6].startswith("2 events above 4, 1 on a label; 1 of 1 label found")
    arguments = ("good.csv", "weak.csv", "marks.csv", "--threshold", "4")
    assert run(files, *arguments) == 0
    assert "good.csv: 1 event not judged" in capsys.readouterr().out


def test_marks_that_are_all_false_are_refused(files: Path, capsys: Capture) -> None:
    text = (files / "labels.csv").read_text().replace(",ship", ",false")
    (files / "marks.csv").write_text(text.replace("Z,,\n", "Z,,unsure\n"))
    assert run(files, "good.csv", "marks.csv") == 1
    assert "but of 3 each is of kind false or unsure" in capsys.readouterr().err


def test_labels_of_another_time_are_refused_and_no_picture_is_left(
    files: Path, capsys: Capture
) -> None:
    text = "start,end\n2016-01-01T00:00:00Z,2016-01-02T00:00:00Z\n"
    (files / "late.csv").write_text(text)
    assert run(files, "good.csv", "late.csv", "--png", "out.png") == 1
    assert "none of 1 does: scores are from 2015-02-01" in capsys.readouterr().err
    assert not (files / "out.png").exists()
