"""The framing of raw files: whole ones are walked, all others refused at a byte."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from ek60files import SIX_PINGS, put_together, six_pings, take_apart
from hypothesis import given
from hypothesis import strategies as st

from echoanom.errors import InstrumentFileError, StorageError
from echoanom.ingest.rawfile import Datagram, RawFile, frame, precise_stamp


def walk(path: Path) -> list[Datagram]:
    with RawFile("given.raw", str(path)) as file:
        return list(file.datagrams())


@given(payloads=st.lists(st.binary(max_size=40), max_size=5))
def test_datagrams_are_found_where_they_were_put(
    payloads: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("raw") / "a.raw"
    datagrams = [b"NME0" + struct.pack("<Q", i) + x for i, x in enumerate(payloads)]
    path.write_bytes(put_together(datagrams))
    assert path.read_bytes() == b"".join(map(frame, datagrams))
    with RawFile("a.raw", str(path)) as file:
        found = list(file.datagrams())
        assert [file.read(one) for one in found] == datagrams
    assert [one.kind for one in found] == [b"NME0"] * len(payloads)
    offsets = [sum(len(x) + 8 for x in datagrams[:i]) for i in range(len(payloads))]
    assert [one.offset for one in found] == offsets


def test_a_real_file_has_the_datagrams_that_a_plain_loop_finds() -> None:
    found = walk(SIX_PINGS)
    expected = take_apart(SIX_PINGS.read_bytes())
    assert [one.length for one in found] == [len(one) for one in expected]
    assert [one.kind for one in found] == [one[:4] for one in expected]
    # The file's name has its start: D20120214-T231011.
    assert precise_stamp(found[0].time_us) == "2012-02-14T23:10:11.298Z"


def test_a_file_cut_within_a_datagram_is_refused_at_its_byte(tmp_path: Path) -> None:
    content = SIX_PINGS.read_bytes()
    path = tmp_path / "cut.raw"
    path.write_bytes(content[:10_000])
    # The datagram's place, from the plain loop.
    offset = 0
    for one in take_apart(content):
        if offset + len(one) + 8 > 10_000:
            break
        offset += len(one) + 8
    message = rf"^given.raw: byte {offset}: must have .* ends at byte 10000; it is cut"
    with pytest.raises(InstrumentFileError, match=message):
        walk(path)


@pytest.mark.parametrize("keep", [1, 3, 4, 15])
def test_a_file_cut_within_a_head_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.raw"
    path.write_bytes(frame(six_pings()[0]) + frame(six_pings()[1])[:keep])
    with pytest.raises(InstrumentFileError, match=r"byte 2136: must have its head"):
        walk(path)


@pytest.mark.parametrize("length", [-1, 0, 11, 1 << 30])
def test_a_length_that_cannot_be_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "wrong.raw"
    content = bytearray(SIX_PINGS.read_bytes())
    struct.pack_into("<i", content, 0, length)
    path.write_bytes(content)
    with pytest.raises(InstrumentFileError, match="byte 0: must have a datagram here"):
        walk(path)


@pytest.mark.parametrize("end", ["front", "back"])
def test_lengths_that_differ_are_refused(tmp_path: Path, end: str) -> None:
    path = tmp_path / "wrong.raw"
    content = bytearray(SIX_PINGS.read_bytes())
    (length,) = struct.unpack_from("<i", content, 0)
    place = 0 if end == "front" else length + 4
    struct.pack_into("<i", content, place, length - 4)
    path.write_bytes(content)
    with pytest.raises(InstrumentFileError, match="byte 0: must repeat the length"):
        walk(path)


@pytest.mark.parametrize("content", [b"RIFF" + bytes(40), b"\x89HDF\r\n\x1a\n" * 5])
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.raw"
    path.write_bytes(content)
    with pytest.raises(InstrumentFileError, match="is no raw file of an EK60"):
        walk(path)


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(SIX_PINGS.read_bytes())
    with RawFile("a.raw", str(path)) as file:
        first, second = [x for x, _ in zip(file.datagrams(), range(2), strict=False)]
        path.write_bytes(SIX_PINGS.read_bytes()[: second.offset + 10])
        assert len(file.read(first)) == first.length
        with pytest.raises(InstrumentFileError, match=f"byte {second.offset}: must"):
            file.read(second)


def test_a_missing_file_is_an_error_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=re.escape("gone.raw")):
        RawFile(str(tmp_path / "gone.raw"), str(tmp_path / "gone.raw"))
