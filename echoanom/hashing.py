"""Sum up the content of a file."""

from __future__ import annotations

from typing import Protocol

import xxhash

# A piece stays in the processor's cache, and is read into memory that is there.
_PIECE_BYTES = 1 << 18


class Readable(Protocol):
    """A binary file, open for reading."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read as much as there is, and fits.

        Parameters
        ----------
        buffer : memoryview
            Gets it.

        Returns
        -------
        int or None
            How much it was [byte].
        """


def hash_file(file: Readable) -> tuple[int, str]:
    """Hash what is left to read of a file.

    Parameters
    ----------
    file : Readable
        The file. It is read piece by piece and not mapped: a child that is forked
        meanwhile would keep it open.

    Returns
    -------
    size : int
        How much it was [byte].
    digest : str
        XXH3-128, in hexadecimal.
    """
    buffer = memoryview(bytearray(_PIECE_BYTES))
    digest = xxhash.xxh3_128()
    size = 0
    while length := file.readinto(buffer):
        digest.update(buffer[:length])
        size += length
    return size, digest.hexdigest()
