"""Tell whether a NetCDF file of the classic formats is whole.

What is missing at the end of such a file reads as zeros, without an error, so its
header has to tell where its last variable ends [1]_.

References
----------
.. [1] NetCDF File Format Specifications, "The Classic Format, 64-bit Offset, 64-bit
   Data". UCAR.
"""

from __future__ import annotations

import math
import os
import struct
from typing import BinaryIO

from echoanom.errors import InstrumentFileError

# Bytes of each type, by its number.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_STREAMING = {4: 0xFFFFFFFF, 8: 0xFFFFFFFFFFFFFFFF}


def require_whole(path: str, local: str) -> None:
    """Refuse a file of a classic format that ends too early; let all others pass.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    local : str
        Where it is on this machine.

    Raises
    ------
    InstrumentFileError
        If it is shorter than its header says.
    """
    size = os.path.getsize(local)
    with open(local, "rb") as file:
        if file.read(3) != b"CDF":
            return
        try:
            needed = _Header(file).end()
        except (struct.error, KeyError, IndexError, ValueError, OverflowError):
            raise InstrumentFileError(
                "must begin with a whole NetCDF header, got one that breaks off at byte"
                f" {file.tell()}; copy the file again",
                path,
            ) from None
    if size < needed:
        raise InstrumentFileError(
            f"must be the {needed} bytes that its header tells of, got {size}; copy the"
            " file again",
            path,
        )


class _Header:
    """The header of an open file, behind its first three bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        version = file.read(1)[0]
        self._count = 8 if version == 5 else 4
        self._offset = 4 if version == 1 else 8
        self._records = self._number(self._count)
        if self._records == _STREAMING[self._count]:
            self._records = 0
        self._lengths = [self._dimension() for _ in range(self._list())]
        self._attributes()
        self._variables = [self._variable() for _ in range(self._list())]

    def end(self) -> int:
        """Return where the last variable ends."""
        fixed = [begin + size for begin, size, record in self._variables if not record]
        along = [(begin, size) for begin, size, record in self._variables if record]
        if along and self._records:
            # Each is padded to four bytes, unless it is the only one.
            step = sum(
                -(-size // 4) * 4 if len(along) > 1 else size for _, size in along
            )
            before = (self._records - 1) * step
            fixed += [begin + before + size for begin, size in along]
        return max(fixed, default=self._file.tell())

    def _number(self, size: int) -> int:
        number: int = struct.unpack(">I" if size == 4 else ">Q", self._file.read(size))[
            0
        ]
        return number

    def _skip(self, size: int) -> None:
        padded = -(-size // 4) * 4
        if len(self._file.read(padded)) < padded:
            raise ValueError

    def _list(self) -> int:
        """Return how many entries the list has that begins here."""
        self._number(4)
        return self._number(self._count)

    def _dimension(self) -> int:
        self._skip(self._number(self._count))
        return self._number(self._count)

    def _attributes(self) -> None:
        for _ in range(self._list()):
            self._skip(self._number(self._count))
            size = _SIZES[self._number(4)]
            self._skip(size * self._number(self._count))

    def _variable(self) -> tuple[int, int, bool]:
        """Return where one begins, its bytes (of a record), and whether it has any."""
        self._skip(self._number(self._count))
        rank = self._number(self._count)
        dims = [self._lengths[self._number(self._count)] for _ in range(rank)]
        self._attributes()
        size = _SIZES[self._number(4)]
        self._number(self._count)
        begin = self._number(self._offset)
        record = bool(dims) and dims[0] == 0
        return begin, size * math.prod(dims[1:] if record else dims), record
