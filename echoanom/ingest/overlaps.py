"""Samples of files that overlap in time: the same once, different ones refused."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence

import numpy as np

from echoanom.errors import InstrumentFileError
from echoanom.ingest.instrument import Block, Flag, Instrument, InstrumentFile
from echoanom.stamps import format_stamp


def joined(
    instrument: Instrument,
    files: Sequence[InstrumentFile],
    start_us: int,
    stop_us: int,
) -> Iterator[Block]:
    """Read the samples of a stretch of time, each once.

    Parameters
    ----------
    instrument : Instrument
        The reader.
    files : sequence of InstrumentFile
        Files with samples in or around the stretch, by time of their first sample.
    start_us, stop_us : int
        The stretch since 1970 UTC [µs], without `stop_us`.

    Yields
    ------
    Block
        In order of time. Of files that overlap in time, a sample that several have
        comes once, its cells taken from whichever has them; an instrument that joins
        files sees to that itself.

    Raises
    ------
    InstrumentFileError
        If files have different values for the same time, or cannot be read.
    """
    if instrument.joins_files:
        yield from instrument.blocks(files, start_us, stop_us)
        return
    following: list[InstrumentFile] = []
    for group in _groups(files):
        if len(group) == 1:
            following += group
            continue
        if following:
            yield from instrument.blocks(following, start_us, stop_us)
            following = []
        yield from _merge(instrument, group, start_us, stop_us)
    if following:
        yield from instrument.blocks(following, start_us, stop_us)


def _groups(files: Sequence[InstrumentFile]) -> Iterator[list[InstrumentFile]]:
    """Gather files that overlap, each with one before it."""
    group: list[InstrumentFile] = []
    last_us = 0
    for file in files:
        if group and file.look.first_us > last_us:
            yield group
            group = []
        last_us = max(last_us, file.look.last_us) if group else file.look.last_us
        group.append(file)
    if group:
        yield group


def _merge(
    instrument: Instrument,
    files: Sequence[InstrumentFile],
    start_us: int,
    stop_us: int,
) -> Iterator[Block]:
    read = [
        (block, file.path)
        for file in files
        for block in instrument.blocks([file], start_us, stop_us)
    ]
    if not read:
        return
    columns = read[0][0].columns
    for block, path in read:
        if block.columns != columns:
            raise InstrumentFileError(
                f"overlaps {read[0][1]} in time, so it must have the same columns",
                path,
            )
    counts: collections.Counter[str] = collections.Counter()
    for block, _ in read:
        counts.update(block.counts)
    times = np.concatenate([block.times_us for block, _ in read])
    values = np.concatenate([block.values for block, _ in read])
    owner = np.repeat(np.arange(len(read)), [len(block.times_us) for block, _ in read])
    order = np.argsort(times, kind="stable")
    times, values, owner = times[order], values[order], owner[order]
    same = np.flatnonzero(times[1:] == times[:-1]) + 1
    for row in same:
        both = values[row - 1 : row + 1]
        conflict = ~np.isnan(both).any(axis=0) & (both[0] != both[1])
        if conflict.any():
            column = int(np.argmax(conflict))
            raise InstrumentFileError(
                f"must have what {read[owner[row - 1]][1]} has for the same time, but"
                f" {columns[column].name} is {both[1, column]:g} instead of"
                f" {both[0, column]:g} at {format_stamp(int(times[row]) // 1_000_000)}",
                read[owner[row]][1],
            )
        # The later row is kept, with what both have.
        values[row] = np.where(np.isnan(both[1]), both[0], both[1])
    keep = np.ones(len(times), dtype=np.bool_)
    keep[same - 1] = False
    if len(same):
        counts["samples found twice"] += len(same)
    flags = sorted({flag for block, _ in read for flag in block.flags}, key=_by_time)
    yield Block(columns, times[keep], values[keep], read[0][1], counts, tuple(flags))


def _by_time(flag: Flag) -> tuple[int, str]:
    return flag.time_us, flag.column
