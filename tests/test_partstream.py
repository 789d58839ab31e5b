"""A stream of parts: the bytes in order, a few fetched ahead, none after it is closed."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.errors import StorageError
from echoanom.partstream import PartStream


def fetches(parts: list[bytes], asked: list[int]) -> Iterator[Callable[[], bytes]]:
    for number, part in enumerate(parts):
        asked.append(number)
        yield lambda part=part: part


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=12), st.integers(1, 11))
def test_the_parts_are_read_in_order(parts: list[bytes], size: int) -> None:
    with PartStream("x", fetches(parts, [])) as stream:
        found = b""
        while piece := stream.read(size):
            assert len(piece) <= size
            found += piece
    assert found == b"".join(parts)


def test_a_few_parts_are_fetched_ahead_and_no_more() -> None:
    asked: list[int] = []
    with PartStream("x", fetches([b"12"] * 20, asked)) as stream:
        assert len(asked) == 4
        assert stream.read(2) == b"12"
        assert len(asked) == 5


def test_a_part_that_cannot_be_fetched_is_an_error_where_it_is_read() -> None:
    def fail() -> bytes:
        raise StorageError("cannot read x: it does not exist")

    with PartStream("x", iter([lambda: b"1", fail])) as stream:
        assert stream.read(1) == b"1"
        with pytest.raises(StorageError, match="does not exist"):
            stream.read(1)


def test_a_closed_stream_fetches_and_reads_no_more() -> None:
    begun = threading.Event()
    stream = PartStream("x", iter([lambda: begun.wait(5) and b"1" or b""]))
    stream.close()
    begun.set()
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)
    assert isinstance(stream, io.RawIOBase) and stream.readable()
