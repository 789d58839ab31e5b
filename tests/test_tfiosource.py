"""Without tensorflow-io, or with another TensorFlow, one line says what fits."""

from __future__ import annotations

import importlib.util

import pytest

from echoanom import tfiosource
from echoanom.errors import MissingExtraError, StorageError


@pytest.mark.parametrize("version", ["2.16.0", "2.16.2", "2.17.1", "2.17.0-rc1"])
def test_a_tensorflow_that_fits_passes(version: str) -> None:
    tfiosource.check_version(version)


@pytest.mark.parametrize("version", ["2.15.1", "2.18.0", "2.21.0", "3.0.0"])
def test_another_tensorflow_is_refused_with_those_that_fit(version: str) -> None:
    with pytest.raises(StorageError) as caught:
        tfiosource.check_version(version)
    message = str(caught.value)
    assert "TensorFlow 2.16 or 2.17" in message and version in message
    assert "echoanom[tfio]" in message and "\n" not in message


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_io") is not None, reason="it is installed"
)
def test_without_tensorflow_io_the_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'echoanom\[tfio\]'"):
        tfiosource.TensorFlowStream("s3://bucket/shard.tfrecord")
