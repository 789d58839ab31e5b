"""What checks said of the values of a day: the list that an ingestion keeps."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import TableError
from echoanom.ingest.days import FLAGS_HEADER
from echoanom.ingest.instrument import Flag
from echoanom.marks import Flagged
from echoanom.stamps import parse_stamps

_SUSPECT, _FAILED = 3, 4  # QARTOD's


def parse_flags(content: bytes, path: str) -> list[Flag]:
    """Read a list of flags.

    Parameters
    ----------
    content : bytes
        A CSV of timestamp, column, value, flag and test.
    path : str
        Its name, for messages.

    Returns
    -------
    list of Flag
        As they stand in the list.

    Raises
    ------
    TableError
        If it is malformed: names the line.
    """
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"))))
    if not lines or tuple(lines[0]) != FLAGS_HEADER:
        got = ",".join(lines[0]) if lines else "no line"
        raise TableError(
            f"must have the columns {','.join(FLAGS_HEADER)}, got {got[:80]!r}; make"
            " the day again, or remove the file",
            path=path,
            line=1,
        )
    found = []
    for number, cells in enumerate(lines[1:], start=2):
        try:
            stamp, column, value, flag, test = cells
            (time_us,) = parse_stamps([stamp]).tolist()
            found.append(Flag(time_us, column, float(value), int(flag), test))
        except ValueError:
            raise TableError(
                "must have a time stamp, a column, a number, a flag and a test, got"
                f" {','.join(cells)[:80]!r}; make the day again, or remove the file",
                path=path,
                line=number,
            ) from None
    return found


def gather_flags(flags: Iterable[Flag]) -> dict[str, tuple[Flagged, ...]]:
    """Gather flags by column, to be drawn.

    Parameters
    ----------
    flags : iterable of Flag
        Those of some days.

    Returns
    -------
    dict of str to tuple of Flagged
        Values found suspect, and values found wrong, of the columns that have any.
    """
    flags = list(flags)
    columns = dict.fromkeys(one.column for one in flags)
    gathered = {}
    for column in columns:
        parts = []
        for flag in (_SUSPECT, _FAILED):
            ours = [one for one in flags if (one.column, one.flag) == (column, flag)]
            if ours:
                times: NDArray[np.int64] = np.array([one.time_us for one in ours])
                parts.append(
                    Flagged(
                        failed=flag == _FAILED,
                        times=times // 1_000_000,
                        values=np.array([one.value for one in ours]),
                        tests=tuple(
                            dict.fromkeys(one.test for one in ours if one.test)
                        ),
                    )
                )
        if parts:
            gathered[column] = tuple(parts)
    return gathered
