"""Judge samples by the tests of QARTOD [1]_, as ioos_qc makes them.

Tests of single values come first; what they fail is out of the way of the tests that
compare a value with its neighbours, which ioos_qc by itself would make on all values.
Neighbours are the observed values before and behind, whatever is missing in between.

References
----------
.. [1] U.S. Integrated Ocean Observing System (2020). Manual for Real-Time Quality
   Control of In-situ Temperature and Salinity Data, 2.1; and the other manuals of
   Quality Assurance/Quality Control of Real-Time Oceanographic Data.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column, column_from_name
from echoanom.errors import MissingExtraError, OptionError
from echoanom.ingest.instrument import Flag

SUSPECT, FAIL = 3, 4

Tests = Mapping[str, Mapping[str, Any]]
"""Arguments of each test, by its name in ioos_qc."""

# In the order in which they are made; the first two look at each value alone.
_ALONE = ("gross_range_test", "climatology_test")
_BESIDE = (
    "spike_test",
    "rate_of_change_test",
    "flat_line_test",
    "attenuated_signal_test",
)
_TIMED = (*_BESIDE[1:], "climatology_test")
# Differences between angles that go round are none of these tests' business.
_NOT_FOR_ANGLES = ("spike_test", "rate_of_change_test", "attenuated_signal_test")
_WINDOWS = ("suspect_threshold", "fail_threshold")
_IN_SECONDS = {
    "rate_of_change_test": ("threshold", "fail_threshold"),
    "flat_line_test": _WINDOWS,
    "attenuated_signal_test": ("test_period", "min_period"),
}
_LEAST_CONTEXT_S = 6 * 3600


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the tests say of samples.

    Attributes
    ----------
    values : ndarray of float64, shape (N, C)
        The samples, NaN where one failed.
    flags : tuple of Flag
        Suspect and failed values, by time, column and test.
    """

    values: NDArray[np.float64]
    flags: tuple[Flag, ...]


def read_config(path: str) -> dict[str, Tests]:
    """Read which tests are to be made.

    Parameters
    ----------
    path : str
        JSON or, by its name, TOML: ``{column: {"qartod": {test: arguments}}}``, also
        below ``streams``, as ioos_qc writes it.

    Returns
    -------
    dict
        Arguments by column and test.

    Raises
    ------
    OptionError
        If it cannot be read, or a test or its arguments cannot be used.
    MissingExtraError
        If ioos_qc is not installed.
    """
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
        parse = tomllib.loads if path.endswith(".toml") else json.loads
        content = parse(text)
    except OSError as error:
        raise OptionError(f"qc must be a file, got {path}: {error.strerror}") from None
    except ValueError as error:
        kind = "TOML" if path.endswith(".toml") else "JSON"
        raise OptionError(f"qc must be {kind}, got {path}: {error}") from None
    try:
        return _checked(content)
    except OptionError as error:
        raise OptionError(f"qc {path}: {error}") from None


def context_of(config: Mapping[str, Tests]) -> int:
    """Say how far around a day the tests look.

    Parameters
    ----------
    config : mapping
        As `read_config` returns it.

    Returns
    -------
    int
        At least six hours, so that hourly values have neighbours, and twice the longest
        window [s].
    """
    windows = [0.0]
    for tests in config.values():
        flat = tests.get("flat_line_test", {})
        windows += [float(flat[name]) for name in _WINDOWS if name in flat]
        attenuated = tests.get("attenuated_signal_test", {})
        windows.append(float(attenuated.get("test_period") or 0))
    return max(_LEAST_CONTEXT_S, 2 * math.ceil(max(windows)))


def judge(
    config: Mapping[str, Tests],
    columns: Sequence[Column],
    times_us: NDArray[np.int64],
    values: NDArray[np.float64],
) -> Judgement:
    """Make the tests on samples.

    Parameters
    ----------
    config : mapping
        As `read_config` returns it.
    columns : sequence of Column
        The columns, length C.
    times_us : ndarray of int64, shape (N,)
        Times since 1970 UTC [µs], ascending.
    values : ndarray of float64, shape (N, C)
        The samples; NaN where missing.

    Returns
    -------
    Judgement
        What is left of them, and what was found.
    """
    values = values.copy()
    found: list[tuple[int, int, Flag]] = []
    for at, column in enumerate(columns):
        tests = config.get(column.name, {})
        for stage in (_ALONE, _BESIDE):
            rows = np.flatnonzero(~np.isnan(values[:, at]))
            seen, times = values[rows, at], times_us[rows]
            failed = np.zeros(len(rows), dtype=np.bool_)
            for name in (test for test in stage if test in tests and len(rows)):
                flags = run_test(name, tests[name], times, seen)
                for row in np.flatnonzero((flags == SUSPECT) | (flags == FAIL)):
                    time, value = int(times[row]), float(seen[row])
                    flag = Flag(time, column.name, value, int(flags[row]), name)
                    found.append((time, at, flag))
                failed |= flags == FAIL
            values[rows[failed], at] = np.nan
    found.sort(key=lambda one: (one[0], one[1]))
    return Judgement(values, tuple(flag for _, _, flag in found))


def run_test(
    name: str,
    arguments: Mapping[str, Any],
    times_us: NDArray[np.int64],
    values: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Make one test of ioos_qc.

    Parameters
    ----------
    name : str
        The test's name there.
    arguments : mapping
        Its arguments.
    times_us : ndarray of int64, shape (N,)
        Times since 1970 UTC [µs], ascending.
    values : ndarray of float64, shape (N,)
        Observed values.

    Returns
    -------
    ndarray of uint8, shape (N,)
        Flags of QARTOD: 1 good, 2 not judged, 3 suspect, 4 failed.
    """
    try:
        from ioos_qc import qartod
    except ImportError:
        raise MissingExtraError("a check of QARTOD", "ingest") from None
    if not _can_judge(name, arguments, times_us):
        return np.full(len(values), 2, dtype=np.uint8)
    if name in _TIMED:
        arguments, times = _whole_seconds(name, arguments, times_us)
        arguments = {"tinp": times, **arguments}
    given: dict[str, Any] = {"inp": values, **arguments}
    if name == "climatology_test":
        given["zinp"] = np.full(len(values), np.nan)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        flags = getattr(qartod, name)(**given)
    return np.asarray(np.ma.filled(flags, 2), dtype=np.uint8)


def _can_judge(
    name: str, arguments: Mapping[str, Any], times_us: NDArray[np.int64]
) -> bool:
    """Tell whether a test says something of so few samples, so far apart."""
    if name in _BESIDE and len(times_us) < 3:
        return False
    if name != "flat_line_test":
        return True
    # ioos_qc finds that each value by itself is as flat as can be.
    interval_s = np.median(np.diff(times_us)) / 1e6
    shortest = min(float(arguments[window]) for window in _WINDOWS)
    return bool(max(interval_s, 1e-3) <= shortest)


def _whole_seconds(
    name: str, arguments: Mapping[str, Any], times_us: NDArray[np.int64]
) -> tuple[Mapping[str, Any], NDArray[np.datetime64]]:
    """Tell a test of times that are not whole seconds in thousandths, as if seconds.

    ioos_qc cuts off fractions: between samples 0.5 s apart it would see no time, and
    every change as infinitely fast.
    """
    if name == "climatology_test" or not (np.diff(times_us) % 1_000_000).any():
        return arguments, times_us.astype("datetime64[us]")
    factor = 1 / 1000 if name == "rate_of_change_test" else 1000
    scaled = {
        key: value * factor if key in _IN_SECONDS[name] and value else value
        for key, value in arguments.items()
    }
    times_ms = np.rint((times_us - times_us[0]) / 1000).astype(np.int64)
    return scaled, times_ms.astype("datetime64[s]")


def _checked(content: Any) -> dict[str, Tests]:
    if isinstance(content, dict) and "contexts" in content:
        contexts = content["contexts"]
        if not (isinstance(contexts, list) and len(contexts) == 1):
            raise OptionError("must have one context, as all times are judged alike")
        content = contexts[0]
    if isinstance(content, dict) and "streams" in content:
        others = sorted(set(content) - {"streams", "attrs"})
        if others:
            raise OptionError(
                f"must have streams alone, got {', '.join(others)} too; give files of"
                " other times or places a sensor of their own"
            )
        content = content["streams"]
    if not isinstance(content, dict) or not content:
        raise OptionError('must be like {"temperature": {"qartod": {...}}}')
    return {name: _checked_tests(name, tests) for name, tests in content.items()}


def _checked_tests(column: str, modules: Any) -> Tests:
    if not isinstance(modules, dict) or set(modules) != {"qartod"}:
        raise OptionError(f'{column} must have the key "qartod" alone')
    tests = modules["qartod"]
    known = (*_ALONE, *_BESIDE)
    if not isinstance(tests, dict) or not set(tests) <= set(known):
        raise OptionError(
            f"{column} must have tests of {', '.join(known)}, got"
            f" {', '.join(map(str, tests))}"
        )
    angle = column_from_name(column, "").kind == "direction"
    for name, arguments in tests.items():
        if angle and name in _NOT_FOR_ANGLES:
            raise OptionError(f"{column} goes round, so there can be no {name}")
        if not isinstance(arguments, dict):
            raise OptionError(
                f"{column}: {name} must have arguments, got {arguments!r}"
            )
        _try(column, name, arguments)
    return {name: dict(tests[name]) for name in known if name in tests}


def _try(column: str, name: str, arguments: Mapping[str, Any]) -> None:
    """Let ioos_qc itself find what is wrong with arguments."""
    times = np.arange(12, dtype=np.int64) * 60_000_000
    values = np.arange(12, dtype=np.float64)
    try:
        run_test(name, arguments, times, values)
        if name == "attenuated_signal_test" and not arguments.get("test_period"):
            raise ValueError("test_period is missing: a day has to be cut in windows")
        if name == "spike_test" and not set(arguments) & set(_WINDOWS):
            raise ValueError("suspect_threshold or fail_threshold is missing")
        if name == "flat_line_test" and min(arguments[x] for x in _WINDOWS) < 0:
            raise ValueError("thresholds must not be negative")
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise OptionError(
            f"{column}: {name} cannot be made with {json.dumps(arguments, default=str)}:"
            f" {error}"
        ) from None


def version() -> str:
    """Return the version of ioos_qc.

    Returns
    -------
    str
        For what a day was made from.
    """
    import importlib.metadata

    return importlib.metadata.version("ioos-qc")
