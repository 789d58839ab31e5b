"""Shards of an S3 store, read through TensorFlow's own file system, tensorflow-io's.

An alternative to `objects.ObjectStream`, in the extra ``tfio``. TensorFlow's ``s3://``
ends the process where others raise: when Python ends, always, and when bytes behind an
object's end are asked for. `load_filesystem` contains the first, `TensorFlowStream` never
does the second. ``docs/tfio.md`` tells when it pays.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Iterator, Sequence

from echoanom import objects
from echoanom.errors import MissingExtraError, OptionError, StorageError
from echoanom.partstream import PartStream

BLOCK_BYTES = 8 << 20
"""Size of the ranges that are read in parallel."""

OLDEST, NEWEST = (2, 16), (2, 17)
"""The versions of TensorFlow that tensorflow-io 0.37, its last, was built for."""


def check_version(tensorflow: str) -> None:
    """Refuse a TensorFlow that tensorflow-io cannot be loaded into.

    Parameters
    ----------
    tensorflow : str
        Its version.

    Raises
    ------
    StorageError
        If it is another than 2.16 and 2.17.
    """
    major, minor = tensorflow.split(".")[:2]
    if not OLDEST <= (int(major), int(minor)) <= NEWEST:
        raise StorageError(
            "tensorflow-io needs TensorFlow 2.16 or 2.17, but this is"
            f" {tensorflow}; install echoanom[tfio] into an environment of its own, or"
            " read with echoanom.objects.ObjectStream"
        )


@functools.cache
def load_filesystem() -> None:
    """Make ``s3://`` known to this process's TensorFlow, and let the process end well.

    The endpoint is S3_ENDPOINT or else that of other AWS tools, AWS_ENDPOINT_URL_S3 or
    AWS_ENDPOINT_URL. TensorFlow reads the environment when it first uses the file
    system, and never again.

    Raises
    ------
    MissingExtraError
        If tensorflow-io is not installed.
    StorageError
        If it cannot be loaded into this TensorFlow.
    """
    if importlib.util.find_spec("tensorflow_io") is None:
        raise MissingExtraError("TensorFlow's s3:// file system", "tfio")
    import tensorflow as tf

    check_version(tf.__version__)
    with warnings.catch_warnings(record=True):  # a scheme that is missing tells, too
        importlib.import_module("tensorflow_io")
    _contain_exit()
    if "s3" not in tf.io.gfile.get_registered_schemes():
        raise StorageError(
            "tensorflow-io must bring the s3:// file system, but it could not be loaded"
            f" into TensorFlow {tf.__version__}; install both with echoanom[tfio]"
        )
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if os.environ.get(name):
            os.environ.setdefault("S3_ENDPOINT", os.environ[name])
    # Its transfer manager takes what HEAD says of a range for the range's size. A store
    # that says the object's makes it write behind its buffer, and the process is gone.
    os.environ.setdefault("S3_DISABLE_MULTI_PART_DOWNLOAD", "1")


def _contain_exit() -> None:
    """End the process, when all is done, before C++ takes its objects down.

    The AWS library in tensorflow-io keeps a client that, when taken down, writes to a
    log that was taken down before: "pure virtual method called", and every process that
    used ``s3://`` is aborted. By then Python has ended in order and the exit code is
    known. What is registered here runs first, as it was registered last: it flushes C's
    files and ends the process with that code.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "on_exit"):  # the system has another C library than GNU's
        return
    libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)
    libc.__cxa_atexit(ctypes.cast(libc.fflush, ctypes.c_void_p), None, None)


class TensorFlowStream(PartStream):
    """Objects one behind the other as a file that is read once, in order.

    Parameters
    ----------
    urls : str or sequence of str
        The objects, e.g. every `Dataset.shard_path` in order.
    block_bytes : int
        Size of a range [byte]. Four are fetched ahead, of the next object, too.

    Raises
    ------
    OptionError
        If block_bytes is out of range.
    MissingExtraError
        If tensorflow-io is not installed.
    StorageError
        If it does not fit the TensorFlow installed, or there is no such object.
    """

    def __init__(
        self, urls: str | Sequence[str], block_bytes: int = BLOCK_BYTES
    ) -> None:
        if block_bytes < 1:
            raise OptionError(f"block_bytes must be at least 1, got {block_bytes}")
        load_filesystem()
        urls = [urls] if isinstance(urls, str) else urls
        blocks = _blocks(urls, block_bytes)
        super().__init__(
            ", ".join(urls), (functools.partial(_read, *block) for block in blocks)
        )


def _blocks(urls: Sequence[str], block_bytes: int) -> Iterator[tuple[str, int, int]]:
    """Yield URL, first byte and size of ranges that reach to the end, and no further."""
    for url in urls:
        # Of whatever goes wrong TensorFlow says that the object does not exist.
        size = objects.describe(url).size
        for begin in range(0, size, block_bytes):
            yield url, begin, min(block_bytes, size - begin)


def _read(url: str, begin: int, size: int) -> bytes:
    """Read one range in one request. The AWS library tries again by itself."""
    import tensorflow as tf

    # What is under `tf.io.gfile.GFile`, which asks for half a megabyte at a time. It is
    # no part of TensorFlow's interface, but `NEWEST` says that it is not going to change.
    from tensorflow.python.lib.io import _pywrap_file_io

    try:
        file = _pywrap_file_io.BufferedInputStream(url, size)
        if begin:
            file.seek(begin)
        data = bytes(file.read(size))
    except tf.errors.OpError as error:
        reason = str(error.message).strip(": ").partition("\n")[0]
        raise StorageError(
            f"cannot read {url}: {reason or type(error).__name__}"
        ) from error
    if len(data) != size:
        raise StorageError(
            f"cannot read {url}: byte {begin + len(data)} must be there, but is not; it"
            " was replaced meanwhile"
        )
    return data
