"""EK60 files taken apart, changed, and put together again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

SIX_PINGS = Path(__file__).parent / "data" / "ek60" / "six-pings.raw"
CHANNELS = 5


def take_apart(content: bytes) -> list[bytes]:
    """Return a file's datagrams, without their lengths."""
    found = []
    offset = 0
    while offset < len(content):
        (length,) = struct.unpack_from("<i", content, offset)
        found.append(content[offset + 4 : offset + 4 + length])
        offset += length + 8
    return found


def put_together(datagrams: Iterable[bytes]) -> bytes:
    lengths = ((struct.pack("<i", len(one)), one) for one in datagrams)
    return b"".join(length + one + length for length, one in lengths)


def six_pings() -> list[bytes]:
    """Return the configuration and the six pings' datagrams, nothing else."""
    datagrams = take_apart(SIX_PINGS.read_bytes())
    return [one for one in datagrams if one[:4] in (b"CON0", b"RAW0")]


def with_number(datagram: bytes, offset: int, form: str, value: float) -> bytes:
    """Return a datagram with another number at an offset from its kind on."""
    changed = bytearray(datagram)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def ticks(datagram: bytes) -> int:
    """Return a datagram's time [100 ns since 1601 UTC]."""
    return int(struct.unpack_from("<Q", datagram, 4)[0])


def later(datagram: bytes, seconds: float) -> bytes:
    return with_number(datagram, 4, "<Q", ticks(datagram) + round(seconds * 10_000_000))


def change(
    datagrams: list[bytes], places: Iterable[int], how: Callable[[bytes], bytes]
) -> list[bytes]:
    """Change RAW0 datagrams, which are counted from 0."""
    raws = [i for i, one in enumerate(datagrams) if one[:4] == b"RAW0"]
    chosen = {raws[place] for place in places}
    return [how(one) if i in chosen else one for i, one in enumerate(datagrams)]
