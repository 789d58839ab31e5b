"""The command line: what it prints, how it ends, what it never says."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest

import echoanom
from echoanom.checking import Options
from echoanom.cli import main, parameters
from echoanom.cli.commands import echoanom as group
from echoanom.errors import CorruptionError, OptionError, StorageError
from echoanom.options import EventOptions, ShardOptions, StackOptions, TableOptions
from echoanom.redaction import redact

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = str(ROOT / "examples" / "data")

REPORT = "report d --model m --scores s --events e --out o".split()

Capture = pytest.CaptureFixture[str]


def commands() -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield name, command


COMMANDS = dict(commands())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("cli") / "dataset")
    arguments = ["convert", SAMPLE, path, "--period", "900", "--workers", "1"]
    assert main(arguments) == 0
    return path


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Return a function that makes `echoanom verify` raise an error."""

    def fail(error: BaseException) -> None:
        def run(path: str) -> Any:
            raise error

        monkeypatch.setattr("echoanom.dataset.open_dataset", run)

    return fail


# Help


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_with_an_example_of_itself(name: str) -> None:
    help_text = COMMANDS[name].help or ""
    assert "Example:" in help_text
    assert f"  echoanom {name} " in help_text.partition("Example:")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help and parameter.help.endswith("."), parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_help_says(name: str) -> None:
    from echoanom.cli.commands import _COMMANDS

    first = (COMMANDS[name].help or "").partition("\n")[0]
    assert _COMMANDS[name][1] == first


# `serve` answers in JSON to requests.
@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"serve"}))
def test_what_a_program_would_read_has_json(name: str) -> None:
    command = COMMANDS[name]
    group = command.commands if isinstance(command, click.Group) else {"": command}
    for one in group.values():
        assert "--json" in {flag for p in one.params for flag in p.opts}, one.name


def test_no_arguments_show_help_as_wrong_usage(capsys: Capture) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_the_version_is_told(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"echoanom, version {echoanom.__version__}\n"


# Options


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("convert", TableOptions),
        ("convert", StackOptions),
        ("convert", ShardOptions),
        ("detect", EventOptions),
        ("evaluate", EventOptions),
    ],
)
def test_every_field_has_an_option_with_its_default(
    name: str, cls: type[Options]
) -> None:
    options = {p.name: p for p in COMMANDS[name].params}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        found = [
            p for key, p in options.items() if key and key.endswith(f"__{field.name}")
        ]
        assert [p.default for p in found] == [field.default], field.name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["convert", "a"], "Missing argument 'DST'"),
        (["convert", "a", "b", "--join", "sideways"], "'--join'"),
        (["convert", "a", "b", "--period", "7"], "--period must be a whole number"),
        (["convert", "a", "b", "--max-gap", "-1"], "--max-gap must be at least 0"),
        (["convert", "a", "b", "--missing", "1,x"], "not a list of numbers"),
        (["convert", "a", "b", "--sensors", "x,x"], "--sensors must be different"),
        (["convert", "a", "b", "--workers", "0"], "'--workers'"),
        (["simulate", "a", "--days", "0"], "--days must be a whole number"),
        ([*REPORT, "--looking", "adcp"], "not of the form SENSOR=VALUE"),
        ([*REPORT, "--looking", "adcp=sideways"], "'sideways' is not one of"),
        ([*REPORT, "--depth", "adcp=deep"], "'deep' is not a valid float"),
        (["inspect"], "Missing argument 'DATASET'"),
        (["swim"], "No such command 'swim'"),
        (["inspect", "a", "--depth"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(
    arguments: list[str], said: str, capsys: Capture
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_rule_that_cannot_be_read_is_wrong_usage(
    tmp_path: Path, capsys: Capture
) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("timestamp,score\n2015-02-01T00:00:00Z,1\n")
    out = tmp_path / "events.csv"
    arguments = ["detect", str(scores), "--out", str(out), "--threshold", "often"]
    assert main(arguments) == 2
    assert "threshold must be mean+" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01Z", 60),
        ("1970-01-01 01:00:00+01:00", 0),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, seconds: int) -> None:
    assert parameters.UtcTime().convert(text, None, None) == seconds


def test_no_time_is_wrong_usage() -> None:
    with pytest.raises(click.BadParameter, match="'noon' is not a time"):
        parameters.UtcTime().convert("noon", None, None)


# How it ends


def test_a_failure_is_one_line_and_exits_with_1(capsys: Capture) -> None:
    assert main(["inspect", "/no/such/dataset"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("echoanom: error: /no/such/dataset: must be")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (StorageError("cannot\nread it"), 1, "error: cannot read it"),
        (CorruptionError("shard 3"), 1, "error: shard 3"),
        (OptionError("size must be more"), 2, "error: size must be more"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device"),
        (OSError(13, "Permission denied", "x"), 1, "error: x: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "error: not enough memory"),
        (KeyError("oops"), 1, "error: KeyError: 'oops' (not foreseen"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_way_to_fail_is_told_in_one_line(
    error: BaseException,
    status: int,
    line: str,
    failing: Callable[[BaseException], None],
    capsys: Capture,
) -> None:
    failing(error)
    assert main(["verify", "dataset"]) == status
    err = capsys.readouterr().err.lstrip("\n")
    assert err.startswith(f"echoanom: {line}")
    assert err.count("\n") == 1


def test_verbose_shows_where_an_error_came_from(
    failing: Callable[[BaseException], None], capsys: Capture
) -> None:
    failing(StorageError("gone"))
    assert main(["verify", "dataset", "-v"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("echoanom: error: gone\n")
    assert "Traceback" in err
    assert main(["-v", "verify", "dataset"]) == 1
    assert "Traceback" in capsys.readouterr().err


def run(
    *arguments: str, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "echoanom", *arguments],
        env={**os.environ, **(environment or {})},
        text=True,
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_a_failure(dataset: str) -> None:
    with open("/dev/full", "w") as full:
        done = run("inspect", dataset, stdout=full)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(dataset: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = run("inspect", dataset, stdout=closed)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_pipe_gets_no_progress(tmp_path: Path) -> None:
    done = run(
        *("convert", SAMPLE, str(tmp_path / "d"), "--period", "900", "--workers", "1"),
        stdout=subprocess.PIPE,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_gets_progress(tmp_path: Path) -> None:
    terminal, child = pty.openpty()
    command = [sys.executable, "-m", "echoanom", "convert", SAMPLE, str(tmp_path / "d")]
    subprocess.run(
        [*command, "--period", "900", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=child,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(child)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "Making shards" in shown
    assert "1/1" in shown


# What it never says


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot read s3://user:hunter22@host/bucket", "hunter22"),
        ("https://b.example/k?X-Amz-Signature=abc123&X-Amz-Date=1", "abc123"),
        ("https://b.example/k?x-amz-credential=AKIAABCDEFGHIJKLMNOP/x", "AKIAABCD"),
        ("aws_secret_access_key='wJalrXUtnFEMI'", "wJalrXUtnFEMI"),
        ("{'aws_session_token': 'FwoGZXIvYXdz'}", "FwoGZXIvYXdz"),
        ("key AKIAIOSFODNN7EXAMPLE is not valid", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_a_credential_never_shows(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "***" in redact(text)


def test_a_secret_of_the_environment_never_shows(
    monkeypatch: pytest.MonkeyPatch,
    failing: Callable[[BaseException], None],
    capsys: Capture,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame-123")
    failing(StorageError("cannot sign with open-sesame-123"))
    assert main(["verify", "dataset", "-vv"]) == 1
    err = capsys.readouterr().err
    assert "open-sesame-123" not in err
    assert "cannot sign with ***" in err


def test_plain_messages_stay_as_they_are() -> None:
    text = "model/x.csv, line 3, column 'key': must be a number, got '12:30@n'"
    assert redact(text) == text


# The commands


def test_convert_tells_what_the_join_gained_and_lost(
    tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["convert", SAMPLE, str(tmp_path / "d"), "--period", "900"]
    assert main([*arguments, "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path / 'd'}: 500 rows; 1 shard written, 0 kept"
    assert lines[3].split()[:4] == ["adcp", "48", "6", "500"]
    assert "7,500 kept by the join" in lines[5]
    assert main([*arguments, "--workers", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["shards_kept"]) == (500, 1)


def test_convert_lists_what_it_set_aside(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "source" / "buoy"
    folder.mkdir(parents=True)
    (folder / "2015-02-01.csv").write_text("timestamp,t\n2015-02-01T00:00:00Z,1\n")
    (folder / "2015-02-02.csv").write_text("timestamp,t\n2015-02-02T00:00:00Z,warm\n")
    arguments = ["convert", str(tmp_path / "source"), str(tmp_path / "d")]
    assert main([*arguments, "--workers", "1"]) == 1
    err = capsys.readouterr().err
    assert "2015-02-02.csv, line 2, column 't'" in err
    assert not (tmp_path / "d" / "manifest.json").exists()
    assert main([*arguments, "--workers", "1", "--on-error", "skip"]) == 0
    out = capsys.readouterr().out
    assert "1 table set aside:" in out
    assert "buoy/2015-02-02.csv" in out


def test_tools_convert_is_the_same_command(dataset: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(
        [sys.executable, str(ROOT / "tools" / "convert.py"), SAMPLE, str(copy)]
        + ["--period", "900", "--workers", "1"],
        check=True,
        stdout=subprocess.PIPE,
    )
    name = "manifest.json"
    assert (copy / name).read_bytes() == (Path(dataset) / name).read_bytes()


def test_inspect_tells_rows_runs_and_columns(dataset: str, capsys: Capture) -> None:
    assert main(["inspect", dataset, "--columns"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{dataset}: 500 rows of 48 columns, one every 900 s")
    assert "1 run without a gap" in out
    assert "adcp/echo_34.24m" in out
    assert main(["inspect", dataset, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["rows"] == 500


def test_verify_names_what_is_wrong_and_fails(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "d"
    main(["convert", SAMPLE, str(path), "--period", "900", "--workers", "1"])
    capsys.readouterr()
    assert main(["verify", str(path)]) == 0
    assert "every byte is as the manifest says" in capsys.readouterr().out
    (shard,) = path.rglob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.write_bytes(bytes(content))
    assert main(["verify", str(path), "--json"]) == 1
    captured = capsys.readouterr()
    (problem,) = json.loads(captured.out)["problems"]
    assert shard.name in problem
    assert captured.err == f"echoanom: error: {problem}\n"


def test_simulate_writes_what_convert_reads(tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / "observatory"
    arguments = ["simulate", str(source), "--days", "1", "--bins", "16"]
    assert main([*arguments, "--workers", "1", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["files"] == 4
    assert main(["convert", str(source), str(tmp_path / "d"), "--workers", "1"]) == 0
    assert len(pd.read_csv(source / "labels.csv")) == written["labels"]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    times = pd.date_range("2015-02-01", periods=600, freq="min", tz="UTC")
    score = pd.Series(range(600)) % 7 / 7
    score[300:310] += 9
    path = tmp_path / "scores.csv"
    stamps = times.strftime("%Y-%m-%dT%H:%M:%SZ")
    pd.DataFrame({"timestamp": stamps, "score": score}).to_csv(path, index=False)
    return path


def test_detect_lists_the_events_it_writes(
    scores: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "events.csv"
    assert main(["detect", str(scores), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{out}: 1 event above ")
    assert "as no calibration came with them" in lines[0]
    start, end = "2015-02-01T05:00:00Z", "2015-02-01T05:10:00Z"
    assert lines[3].split()[:4] == ["1", start, end, "10"]
    events = pd.read_csv(out)
    assert events.loc[0, ["start", "end"]].tolist() == [start, end]
    assert main(["detect", str(scores), "--out", str(out), "--json"]) == 0
    (event,) = json.loads(capsys.readouterr().out)["events"]
    assert event["start"] == start


def test_evaluate_holds_scores_against_labels(
    scores: Path, tmp_path: Path, capsys: Capture
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("start,end\n2015-02-01T05:00:00Z,2015-02-01T05:10:00Z\n")
    assert main(["evaluate", str(scores), str(labels)]) == 0
    out = capsys.readouterr().out
    assert "average precision 1.000" in out
    assert "1 event above " in out and ", 1 on a label" in out
    events = tmp_path / "events.csv"
    main(["detect", str(scores), "--out", str(events)])
    capsys.readouterr()
    arguments = ["evaluate", str(scores), str(labels), "--events", str(events)]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_event"]["recall"] == 1.0


# Training and scoring


@pytest.mark.slow
def test_train_score_and_detect_are_quiet_and_tell_what_they_did(
    dataset: str, tmp_path: Path
) -> None:
    model, table = str(tmp_path / "model"), str(tmp_path / "scores.csv")
    clean = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    steps = {
        "train": [dataset, "--model", model, "--window", "16", "--epochs", "1"]
        + ["--from", "2004-05-19T18:00Z", "--filters", "4,4"],
        "score": [dataset, "--model", model, "--out", table, "--stride", "4"],
        "detect": [table, "--out", str(tmp_path / "events.csv")],
    }
    said = {}
    for name, arguments in steps.items():
        done = subprocess.run(
            [sys.executable, "-m", "echoanom", name, *arguments],
            capture_output=True,
            text=True,
            # Who asks TensorFlow for silence does not get more than who does not.
            env=clean | ({"TF_CPP_MIN_LOG_LEVEL": "3"} if name == "score" else {}),
        )
        assert (done.returncode, done.stderr) == (0, ""), name
        said[name] = done.stdout
    assert said["train"].startswith(f"{model}: 1 epoch, ")
    assert "held back 2 days (2004-05-23 to 2004-05-24)" in said["train"]
    assert "500 rows from 2004-05-19T02:30:00Z" in said["score"]
    assert "of the days held back in training" in said["detect"]
    # On deck, before the deployment, nothing looks like the sea.
    assert said["detect"].splitlines()[3].split()[1] == "2004-05-19T02:30:00Z"


def test_what_a_reader_marked_false_is_learned_from(tmp_path: Path) -> None:
    from echoanom.cli.model import intervals

    (tmp_path / "marks.csv").write_text(
        "start,end,sensor,kind\n"
        "1970-01-01T00:00:00Z,1970-01-01T00:01:00Z,adcp,real\n"
        "1970-01-01T00:02:00Z,1970-01-01T00:03:00Z,adcp,false\n"
        "1970-01-01T00:04:00Z,1970-01-01T00:05:00Z,adcp,unsure\n"
    )
    include, exclude = intervals(None, None, str(tmp_path / "marks.csv"))
    assert include is None and exclude == [(0, 60), (240, 300)]


def test_an_interval_that_ends_before_it_starts_is_wrong_usage(
    dataset: str, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["--from", "2004-05-21", "--to", "2004-05-20"]
    assert main(["train", dataset, "--model", str(tmp_path), *arguments]) == 2
    assert "--to must be later than --from" in capsys.readouterr().err
