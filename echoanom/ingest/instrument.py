"""What an instrument's reader must do, and what it hands over."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from echoanom.columns import Column
from echoanom.ingest.files import local_copy


@dataclasses.dataclass(frozen=True)
class Look:
    """What planning has to know of a file.

    Attributes
    ----------
    first_us, last_us : int
        Time of its first and its last sample since 1970 UTC [µs].
    facts : mapping of str to Any
        What else the reader wants to know when it arranges files, as plain JSON values:
        the number of samples, say.
    """

    first_us: int
    last_us: int
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class InstrumentFile:
    """A file of an instrument, in its place in time.

    Attributes
    ----------
    path : str
        The file, as path or URL.
    size : int
        Its size [byte].
    hash : str
        XXH3-128 of its content.
    look : Look
        What it holds.
    """

    path: str
    size: int
    hash: str
    look: Look

    def here(self) -> contextlib.AbstractContextManager[str]:
        """Have the file on this machine.

        Returns
        -------
        context manager of str
            A local path: the file itself, or a copy that is gone afterwards.
        """
        return local_copy(self.path)


@dataclasses.dataclass(frozen=True)
class Flag:
    """What a check says of one value.

    Attributes
    ----------
    time_us : int
        Time of the sample since 1970 UTC [µs].
    column : str
        The column's name.
    value : float
        The value before it was judged, in the column's unit.
    flag : int
        QARTOD's: 3 is suspect, 4 is failed.
    test : str
        The check's name.
    """

    time_us: int
    column: str
    value: float
    flag: int
    test: str


@dataclasses.dataclass(frozen=True)
class Block:
    """Samples of an instrument.

    Attributes
    ----------
    columns : tuple of Column
        Their columns, length C. All blocks of a day have the same. A column's kind
        decides how it is averaged: levels as power, directions as unit vectors.
    times_us : ndarray of int64, shape (N,)
        Time of each sample since 1970 UTC [µs], ascending.
    values : ndarray of float, shape (N, C)
        The samples. NaN where missing.
    path : str
        The file that the first of them is from.
    counts : mapping of str to int
        What is worth being told: ``{"clipped samples": 3}``. Summed over the day.
    flags : tuple of Flag
        What checks said of these samples.
    """

    columns: tuple[Column, ...]
    times_us: NDArray[np.int64]
    values: NDArray[np.floating[Any]]
    path: str
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    flags: tuple[Flag, ...] = ()


class Instrument(Protocol):
    """The reader of one kind of instrument: options in, samples out.

    It is made once for a call and sent to the processes that make days, so it must be
    picklable, and it is the same for the same options.
    """

    @property
    def name(self) -> str:
        """Name of the kind: ``ek60``. The sensor's folder, unless another is given."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Which files of a folder are its own, by the end of their names, lower case."""

    @property
    def look_version(self) -> int:
        """Raised when `look` finds out other things: what was seen before is void."""

    @property
    def context_s(self) -> int:
        """How far around a stretch `blocks` looks at samples to judge its own [s]."""

    @property
    def least_samples(self) -> int:
        """Least samples of a minute that make a row; 1 if any number does.

        Of another period, in proportion.
        """

    @property
    def joins_files(self) -> bool:
        """Whether `blocks` takes files that overlap, and sees to samples of several.

        Others are given one of these at a time, and have their samples compared.
        """

    def recipe(self) -> Mapping[str, Any]:
        """Return what decides on the result besides the files.

        Returns
        -------
        mapping of str to Any
            Options, and the versions of the libraries that read and calibrate, as
            plain JSON values. A day is made anew when it changes.
        """

    def look(self, path: str, local: str) -> Look:
        """Read when a file starts and ends, and check what can be checked cheaply.

        Parameters
        ----------
        path : str
            The file as the caller named it, for messages and times in names.
        local : str
            Where it is on this machine.

        Returns
        -------
        Look
            Its times.

        Raises
        ------
        InstrumentFileError
            If it is not whole, of another instrument, or its clock runs backwards.
        """

    def arrange(self, files: Sequence[InstrumentFile]) -> Sequence[InstrumentFile]:
        """Put files in their places in time.

        Parameters
        ----------
        files : sequence of InstrumentFile
            All files, by time of their first sample; no content twice.

        Returns
        -------
        sequence of InstrumentFile
            The same, with times corrected where one file tells about another.

        Raises
        ------
        InstrumentFileError
            If two files cannot both be right.
        """

    def blocks(
        self, files: Sequence[InstrumentFile], start_us: int, stop_us: int
    ) -> Iterator[Block]:
        """Read the samples of a stretch of time.

        Parameters
        ----------
        files : sequence of InstrumentFile
            Those with samples in it, or within `context_s` of it, as `arrange` left
            them; none begins before the one in front of it has ended, unless the
            instrument `joins_files`.
        start_us, stop_us : int
            The stretch since 1970 UTC [µs]: from `start_us` up to, not including,
            `stop_us`. It lies within one UTC day.

        Yields
        ------
        Block
            In order of time, in pieces of bounded size. What is in a block, bit for
            bit, does not depend on how samples are spread over files.

        Raises
        ------
        InstrumentFileError
            If a file cannot be read; it has the path of that file.
        """

    def finish(
        self, columns: tuple[Column, ...], values: NDArray[np.float32]
    ) -> tuple[tuple[Column, ...], NDArray[np.float32]]:
        """Turn the means of a day into what its table holds.

        Parameters
        ----------
        columns : tuple of Column
            Columns of the blocks, length C.
        values : ndarray of float32, shape (T, C)
            Means of each period, short gaps filled.

        Returns
        -------
        columns : tuple of Column
            Columns of the table, length D.
        values : ndarray of float32, shape (T, D)
            Its cells: speed and direction from components, say.
        """
