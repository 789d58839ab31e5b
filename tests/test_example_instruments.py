"""What four instruments recorded of a simulated sea comes back as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from echoanom.artifact import artifact_exists
from echoanom.dataset import open_dataset

EXAMPLE = Path(__file__).resolve().parent.parent / "examples/tutorial_instruments.py"


@pytest.mark.slow
def test_four_instruments_files_become_a_dataset_and_a_model(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr and "Traceback" not in done.stderr
    found = json.loads((tmp_path / "differences.json").read_text())
    assert found.keys() == {
        "Sv, largest difference [dB]",
        "sound levels, RMS [dB]",
        "speed, largest [m/s]",
        "direction, largest [degree]",
        "temperature, largest [degC]",
    }
    # Power comes in steps of 10 log10(2) / 256 dB.
    assert found["Sv, largest difference [dB]"] < 0.006
    # A band of 100 Hz has 6,000 degrees of freedom a minute: 0.06 dB.
    assert found["sound levels, RMS [dB]"] < 0.1
    assert found["speed, largest [m/s]"] < 1e-6
    assert found["direction, largest [degree]"] < 1e-4
    assert found["temperature, largest [degC]"] < 1e-5
    dataset = open_dataset(str(tmp_path / "dataset"))
    assert dataset.rows == 180 and len(dataset.columns) == 95
    assert artifact_exists(str(tmp_path / "model"))
