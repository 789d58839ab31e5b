"""Faults on demand: where they are said to happen, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoanom.errors import OptionError
from echoanom.testing.pipefaults import Fault, Kind, parse_fault, spoil

FAULTS = st.lists(
    st.tuples(st.sampled_from(["stall", "cut", "flip"]), st.integers(0, 45)), max_size=5
)


@given(st.lists(st.binary(max_size=9), max_size=6), FAULTS)
def test_faults_happen_where_they_should(
    pieces: list[bytes], planned: list[tuple[Kind, int]]
) -> None:
    content = b"".join(pieces)
    faults = [Fault(kind, at_byte=at, seconds=at) for kind, at in planned]
    flips = [at for kind, at in planned if kind == "flip"]
    cuts = [at for kind, at in planned if kind == "cut" and at < len(content)]
    end = min(cuts, default=len(content))
    expected = bytes(
        byte ^ (0xFF if flips.count(at) % 2 else 0) for at, byte in enumerate(content)
    )[:end]
    found = bytearray()
    pauses: list[tuple[int, float | None]] = []

    def pause(seconds: float | None) -> None:
        pauses.append((len(found), seconds))

    def stream() -> Iterator[bytes]:
        yield from pieces

    for piece in spoil(stream(), faults, pause):
        found += piece
    assert found == expected
    stalls = sorted(at for kind, at in planned if kind == "stall" and at <= end)
    must = [(at, at) for at in stalls]
    if cuts:  # of what happens at the place of the cut, only what comes first
        must = [one for one in must if one[0] < end]
        pauses = [one for one in pauses if one[0] < end]
    assert pauses == must


def test_a_fault_strikes_what_it_names() -> None:
    assert Fault("cut").strikes("train", 3, 1)
    one = Fault("cut", epoch=0, channel="train", host=1)
    assert one.strikes("train", 0, 1)
    assert not one.strikes("train", 1, 1)
    assert not one.strikes("validation", 0, 1)
    assert not one.strikes("train", 0, 0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("missing", Fault("missing")),
        ("stall,epoch=1,at_byte=9,seconds=.5", Fault("stall", 1, 9, 0.5)),
        ("flip,channel=train,host=0", Fault("flip", channel="train", host=0)),
    ],
)
def test_a_fault_is_read_from_the_command_line(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a fault must be one of stall, cut, flip, missing, delay, got ''"),
        ("slow", "a fault must be one of .*, got 'slow'"),
        ("cut,epoch", "a fault must be a kind and .*; got 'cut,epoch'"),
        ("cut,epoch=x", "a fault must be a kind and .*; got 'cut,epoch=x'"),
        ("cut,where=1", "a fault must be a kind and .*; got 'cut,where=1'"),
        ("cut,at_byte=-1", "a fault's at_byte must not be negative, got -1"),
        ("stall,seconds=nan", "a fault's seconds must not be negative, got nan"),
    ],
)
def test_what_is_no_fault_is_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_fault(text)
