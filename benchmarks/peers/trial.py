"""One reader at work: held to the data, then timed beside the copy limit."""

from __future__ import annotations

import collections
import importlib
import time

import measuring
import numpy as np
import xxhash
from numpy.typing import NDArray
from peers import READERS, Reader
from peers.task import BATCH, CASES, WINDOW, Case, Data, copy_windows, window_sums


def probe(data: Data, case: Case, seconds: float) -> float:
    """Time the copy limit.

    Parameters
    ----------
    data : Data
        Has the rows.
    case : Case
        Which windows, in what order.
    seconds : float
        How long [s].

    Returns
    -------
    float
        Windows copied a second [1/s].
    """
    rows, index = data.rows(), data.index(case)
    copied = position = 0
    batch = copy_windows(rows, index.batch(0))  # rows and memory are there from now on
    begin = time.perf_counter()
    while (taken := time.perf_counter() - begin) < seconds:
        batch = copy_windows(rows, index.batch(position))
        copied += len(batch)
        position += 1
    return copied / taken


def measure(
    reader: Reader, case: Case, data: Data, seconds: float
) -> measuring.Figures:
    """Time a reader in this process.

    Parameters
    ----------
    reader : Reader
        Which.
    case : Case
        Which windows.
    data : Data
        What to read.
    seconds : float
        How long [s].

    Returns
    -------
    dict
        Windows a second, of the reader and of the copy limit before and after; time to
        the first batch; peak memory, of this process and its workers, and how much of it
        came with the reader; whether the last batch has the right sums.
    """
    module = importlib.import_module(f"peers.{reader.module}")
    before = probe(data, case, seconds / 4)
    epoch = len(data.index(case))
    measuring.reset_peak()
    resident = measuring.resident_bytes()

    begin = time.perf_counter()
    stream = iter(module.batches(data, case, reader.variant))
    batch = next(stream)
    first_batch = time.perf_counter() - begin
    came = len(batch)
    while came < epoch and time.perf_counter() - begin < seconds:
        batch = next(stream)
        came += len(batch)

    measured = 0
    begin = time.perf_counter()
    while (taken := time.perf_counter() - begin) < seconds:
        batch = next(stream)
        measured += len(batch)
    peak = measuring.peak_bytes() + measuring.workers_peak_bytes()
    came += measured

    last = np.asarray(batch)
    del batch, stream
    right = has_right_sums(last, reader, case, data, came - len(last))
    return {
        "windows_per_s": measured / taken,
        "limits": [before, probe(data, case, seconds / 4)],
        "first_batch_s": first_batch,
        "peak_bytes": peak,
        "added_bytes": peak - resident,
        "sum_check": right,
    }


def has_right_sums(
    batch: NDArray[np.float32],
    reader: Reader,
    case: Case,
    data: Data,
    came: int,
) -> bool:
    """Hold the sums of a batch's windows to those of the data.

    Parameters
    ----------
    batch : ndarray of float32, shape (B, T, C)
        What a reader gave.
    reader : Reader
        Tells the order it promises.
    case : Case
        Which windows.
    data : Data
        What was read.
    came : int
        Windows that came before.

    Returns
    -------
    bool
        True if they are the sums of the windows that should have come, in order; for
        a reader with a shuffled order of its own, if they are sums of any windows.
    """
    rows = data.normalised()
    found = batch.sum(axis=(1, 2), dtype=np.float64)
    tolerance = max(reader.tolerance, 1e-9)
    if reader.order == "same" or not case.shuffle:
        wanted = window_sums(rows, data.expected(case, came, len(batch)))
        return bool(np.allclose(found, wanted, rtol=tolerance, atol=0))
    known = np.sort(window_sums(rows, data.first_rows(case)))
    near = np.clip(np.searchsorted(known, found), 1, len(known) - 1)
    distance = np.minimum(abs(known[near] - found), abs(known[near - 1] - found))
    return bool((distance <= tolerance * abs(found)).all())


def verify(reader: Reader, case: Case, data: Data) -> None:
    """Hold an epoch of a reader to the data, window by window.

    Parameters
    ----------
    reader : Reader
        Which.
    case : Case
        Which windows.
    data : Data
        Small: all its windows are kept.

    Raises
    ------
    ValueError
        If a window is missing, comes twice, in another order than promised, has another
        value, or is in memory that it shares with another.
    """
    module = importlib.import_module(f"peers.{reader.module}")
    rows = data.normalised()
    starts = data.expected(case, 0, len(data.index(case)))
    wanted = np.stack([rows[first : first + WINDOW] for first in starts.tolist()])
    stream = iter(module.batches(data, case, reader.variant))
    batches: list[NDArray[np.float32]] = []
    while sum(map(len, batches)) < len(wanted):
        batch = np.asarray(next(stream))
        if batch.dtype != np.float32 or not batch.flags.c_contiguous:
            raise ValueError(f"a batch is {batch.dtype}, or not in one piece")
        if len(batch) != BATCH and sum(map(len, batches)) + len(batch) < len(wanted):
            raise ValueError(f"a batch has {len(batch)} windows")
        batches.append(batch)
    found = np.concatenate(batches)[: len(wanted)]
    if found.shape != wanted.shape:
        raise ValueError(f"windows are {found.shape[1:]}, not {wanted.shape[1:]}")
    if reader.order != "same" and case.shuffle:
        if np.array_equal(found, wanted[np.argsort(starts)]):
            raise ValueError("the windows are not shuffled")
        if _multiset(found) != _multiset(wanted):
            raise ValueError("an epoch does not have each window once")
    elif not np.allclose(found, wanted, rtol=0, atol=10 * reader.tolerance):
        raise ValueError("the windows are not the wanted ones in the wanted order")


def _multiset(windows: NDArray[np.float32]) -> collections.Counter[int]:
    return collections.Counter(xxhash.xxh3_64_intdigest(w) for w in windows)


def run_job(job: measuring.Figures) -> measuring.Figures:
    """Do one thing with one reader in this process.

    Parameters
    ----------
    job : dict
        What to do, reader, case, folder, seconds.

    Returns
    -------
    dict
        Its figures; the reason in place of them, if it fails.
    """
    reader = {reader.name: reader for reader in READERS}[job["reader"]]
    case, data = CASES[job["case"]], Data(job["folder"])
    module = importlib.import_module(f"peers.{reader.module}")
    if hasattr(module, "prepare"):
        module.prepare(data, case, reader.variant)
    if job["do"] == "verify":
        try:
            verify(reader, case, data)
        except ValueError as error:
            raise ValueError(f"{reader.name}, {case.name}: {error}") from error
        return {}
    if job["do"] == "prepare":
        return {}
    return measure(reader, case, data, job["seconds"])
