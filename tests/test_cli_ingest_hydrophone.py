"""The command that reads recordings of hydrophones."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from soundfiles import noise, write_sound

from echoanom.cli.ingest_hydrophone import hydrophone
from echoanom.errors import InstrumentFileError


def call(*arguments):
    return CliRunner().invoke(hydrophone, [str(x) for x in arguments])


def test_it_tells_what_it_did(tmp_path):
    write_sound(tmp_path / "in" / "20210610_140000.wav", noise(60, 8000), 8000)

    done = call(
        *(tmp_path / "in", tmp_path / "out", "--utc-offset", 2, "--end-to-end", 176),
        *("--bands", "linear", "--bandwidth", 500, "--workers", 1, "--json"),
    )

    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["rows"], report["columns"], report["files"]) == (1, 7, 1)
    table = (tmp_path / "out/hydrophone/tabular/2021-06-10.csv").read_text()
    assert table.startswith("timestamp,LTSA_500Hz,LTSA_1000Hz,")
    assert "2021-06-10T12:00:00Z" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--segment", "0.1"), "--segment must be long enough for the band at 10 Hz"),
        (("--sensitivity", "-180"), "--full-scale must be above 0, and given with"),
        (("--name-pattern", "%Y"), "--name-pattern must tell year, month, day"),
        (("--bands", "octave"), "--bands"),
    ],
)
def test_wrong_options_are_a_usage_error(tmp_path, arguments, message):
    done = call(tmp_path, tmp_path / "out", *arguments)

    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_file_that_cannot_be_taken_is_named(tmp_path):
    (tmp_path / "20210610_140000.wav").write_text("no sound")

    done = call(tmp_path, tmp_path / "out", "--workers", 1)

    assert isinstance(done.exception, InstrumentFileError)
    assert "20210610_140000.wav: must be WAV or FLAC" in str(done.exception)
