"""Numbers and tables as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence


def table_lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Sequence[str] = (),
) -> list[str]:
    """Align a table: the first column and those named to the left, others to the right.

    Parameters
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        The cells.
    left : sequence of str
        Columns of text.

    Returns
    -------
    list of str
        The header and a line a row.
    """
    table = [list(header), *[list(row) for row in rows]]
    columns = []
    for i, name in enumerate(header):
        cells = [row[i] for row in table]
        width = max(map(len, cells))
        text = i == 0 or name in left
        columns.append([c.ljust(width) if text else c.rjust(width) for c in cells])
    return ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]


def count(number: int, what: str, several: str = "") -> str:
    """Say how many there are.

    Parameters
    ----------
    number : int
        How many.
    what : str
        Of what, in the singular.
    several : str
        The plural, if it is not one with ``s``.

    Returns
    -------
    str
        E.g. ``1 row`` or ``1,440 rows``.
    """
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def percent(share: float) -> str:
    """Write a share.

    Parameters
    ----------
    share : float
        From 0 to 1.

    Returns
    -------
    str
        In percent, with one decimal.
    """
    return f"{100 * share:.1f} %"


def size(number: int) -> str:
    """Write a number of bytes.

    Parameters
    ----------
    number : int
        Bytes.

    Returns
    -------
    str
        In the largest unit that it holds at least one of.
    """
    value = float(number)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:,.4g} GiB"
