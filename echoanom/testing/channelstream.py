"""The bytes of a channel in Pipe mode: objects back to back, as they are or unwrapped.

Objects are read a few ranges ahead, over their borders, so that many small ones come as
fast as few large ones. No object is ever held as a whole.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import IO, cast

from echoanom import objects, recordio, storage
from echoanom.errors import CorruptionError, TruncatedError
from echoanom.multipart import PART_BYTES
from echoanom.partstream import PartStream
from echoanom.testing.channelobjects import ChannelObject

Piece = bytes | memoryview

PIECE_BYTES = 1 << 20

_GZIP = 16 + zlib.MAX_WBITS


def stream_objects(
    found: Sequence[ChannelObject],
    *,
    gzip: bool = False,
    wrapped: bool = False,
    name: str = "channel",
) -> Generator[Piece]:
    """Give the bytes of objects, one behind the other, nothing in between.

    Parameters
    ----------
    found : sequence of ChannelObject
        The objects; empty ones are passed over.
    gzip : bool
        Whether each is gzipped, in one member or several, and comes unpacked.
    wrapped : bool
        Whether each comes as one record of RecordIO.
    name : str
        The channel's name, for messages.

    Yields
    ------
    bytes-like
        Not more than `PIECE_BYTES` at a time.

    Raises
    ------
    StorageError
        If an object cannot be read, or is replaced meanwhile.
    CorruptionError
        If one is not gzipped, or damaged.
    """
    filled = [one for one in found if one.size]
    with contextlib.closing(PartStream(name, _parts(filled))) as file:
        for one in filled:
            pieces: Iterator[Piece] = _pieces(cast(IO[bytes], file), one)
            size = one.size
            with contextlib.ExitStack() as stack:
                if gzip:
                    pieces = _gunzip(pieces, one.url)
                if gzip and wrapped:  # how much it is must be known ahead
                    spool = stack.enter_context(tempfile.TemporaryFile())
                    for piece in pieces:
                        spool.write(piece)
                    size = spool.tell()
                    spool.seek(0)
                    pieces = iter(functools.partial(spool.read, PIECE_BYTES), b"")
                if wrapped:
                    pieces = recordio.frame(pieces, size, one.url)
                yield from pieces


def _parts(found: Sequence[ChannelObject]) -> Iterator[Callable[[], bytes]]:
    for one in found:
        for begin in range(0, one.size, PART_BYTES):
            yield functools.partial(_fetch, one, begin)


def _fetch(one: ChannelObject, begin: int) -> bytes:
    size = min(PART_BYTES, one.size - begin)
    if one.etag is not None:
        content, _ = objects.read(one.url, begin, size, one.etag)
    else:
        with storage.storage_errors(one.url, "read"), open(one.url, "rb") as file:
            file.seek(begin)
            content = file.read(size)
    if len(content) != size:
        raise TruncatedError(
            f"{one.url}: must be {one.size} bytes long, but ends after"
            f" {begin + len(content)}; was it replaced meanwhile?"
        )
    return content


def _pieces(file: IO[bytes], one: ChannelObject) -> Iterator[bytes]:
    left = one.size
    while left:
        piece = file.read(min(left, PIECE_BYTES))
        left -= len(piece)
        yield piece


def _gunzip(pieces: Iterator[Piece], url: str) -> Iterator[bytes]:
    unpack = None
    position = 0
    for piece in pieces:
        position += len(piece)
        left = bytes(piece)
        while left:
            if unpack is None:
                left = left.lstrip(b"\0")  # what members may be padded with
                if not left:
                    break
                unpack = zlib.decompressobj(_GZIP)
            try:
                unpacked = unpack.decompress(left, PIECE_BYTES)
            except zlib.error as error:
                raise CorruptionError(
                    f"{url}: must be gzipped, as the channel's CompressionType says, but"
                    f" before byte {position}: {error}"
                ) from None
            left = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            if unpack.eof:
                unpack = None
            if unpacked:
                yield unpacked
    if unpack is not None:
        raise TruncatedError(
            f"{url}: ends at byte {position}, inside of a gzipped member"
        )
