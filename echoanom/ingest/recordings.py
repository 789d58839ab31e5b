"""Files of sound: what their headers say, and their samples."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import InstrumentFileError, MissingExtraError

_FORMATS = ("WAV", "WAVEX", "RF64", "FLAC")
# Difference of neighbouring values, full scale being 1.
STEPS = {
    "PCM_S8": 2.0**-7,
    "PCM_U8": 2.0**-7,
    "PCM_16": 2.0**-15,
    "PCM_24": 2.0**-23,
    "PCM_32": 2.0**-31,
    "FLOAT": 0.0,
    "DOUBLE": 0.0,
}
_PIECE_FRAMES = 1 << 18
_NOTE_BYTES = 4096
_HIGHEST_RATE_HZ = 2_000_000
# What libsndfile says where a FLAC says nothing.
_UNKNOWN_FRAMES = 1 << 62
_MARKED_LATER = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file of sound says of itself.

    Attributes
    ----------
    frames : int
        Samples of each channel.
    rate_hz : int
        Samples a second [Hz].
    channels : int
        How many.
    subtype : str
        How a sample is written, in libsndfile's words: ``PCM_16``.
    note : str
        A comment that may tell when the recording starts; empty if there is none.
    """

    frames: int
    rate_hz: int
    channels: int
    subtype: str
    note: str


def read_header(path: str, local: str) -> Header:
    """Read a file's header, and check that the samples it promises can be there.

    Parameters
    ----------
    path : str
        The file as the caller named it, for messages.
    local : str
        Where it is on this machine.

    Returns
    -------
    Header
        What it says.

    Raises
    ------
    InstrumentFileError
        If it is no sound that can be read, has no samples, or was cut short.
    MissingExtraError
        If soundfile is not installed.
    """
    with _opened(path, local) as sound:
        if sound.format not in _FORMATS or sound.subtype not in STEPS:
            raise InstrumentFileError(
                "must be WAV or FLAC with samples as integers or floats, got"
                f" {sound.format} with {sound.subtype}; convert it, or leave it out",
                path,
            )
        note = sound.comment if sound.format == "FLAC" else ""
        header = Header(
            int(sound.frames), sound.samplerate, sound.channels, sound.subtype, note
        )
        if sound.format != "FLAC":
            header = dataclasses.replace(header, note=_walk_chunks(path, local))
        if header.frames == 0:
            raise InstrumentFileError(
                "must hold samples, got a header and nothing behind it; leave it out",
                path,
            )
        if not 1 <= header.rate_hz <= _HIGHEST_RATE_HZ:
            raise InstrumentFileError(
                f"must be recorded at 1 to {_HIGHEST_RATE_HZ} Hz, got {header.rate_hz}"
                " Hz; leave it out",
                path,
            )
        _require_last(path, sound)
    return header


class SampleReader:
    """One channel of recordings that follow each other without a gap.

    Parameters
    ----------
    pieces : sequence of (InstrumentFile, int, int)
        Files, each with the place of its first sample in the whole, and its frames.
    channel : int
        The channel, from 1.
    """

    def __init__(self, pieces: Sequence[tuple[Any, int, int]], channel: int) -> None:
        self._pieces, self._channel = pieces, channel
        self._at = -1
        self._from = 0
        self._sound: Any = None
        self._closing = contextlib.ExitStack()

    def close(self) -> None:
        """Close the file that is open."""
        self._closing.close()
        self._at = -1

    def read(self, start: int, stop: int) -> tuple[NDArray[np.float64], str]:
        """Read samples; each call begins where the one before it did, or behind it.

        Parameters
        ----------
        start, stop : int
            Their places in the whole, without `stop`.

        Returns
        -------
        samples : ndarray of float64, shape (stop - start,)
            The samples, full scale is ±1.
        path : str
            The file that the first of them is from.

        Raises
        ------
        InstrumentFileError
            If a file has fewer samples than it promises.
        """
        samples = np.empty(stop - start)
        while self._behind(self._from) <= start:
            self._from += 1
        path = self._pieces[self._from][0].path
        done, place = start, self._from
        while done < stop:
            file, first, _ = self._pieces[place]
            high = min(stop, self._behind(place))
            self._open(place)
            self._fill(samples[done - start : high - start], file, done - first)
            done, place = high, place + 1
        return samples, path

    def _behind(self, place: int) -> int:
        _, first, frames = self._pieces[place]
        return first + frames

    def _open(self, place: int) -> None:
        if place == self._at:
            return
        self._closing.close()
        file = self._pieces[place][0]
        local = self._closing.enter_context(file.here())
        self._sound = self._closing.enter_context(_opened(file.path, local))
        self._at = place

    def _fill(self, samples: NDArray[np.float64], file: Any, frame: int) -> None:
        """Read in pieces: a file of many channels has many times the samples."""
        piece = max(1, _PIECE_FRAMES // self._sound.channels)
        with _library_errors(file.path):
            if self._sound.tell() != frame:
                self._sound.seek(frame)
            for done in range(0, len(samples), piece):
                wanted = min(piece, len(samples) - done)
                got = self._sound.read(wanted, dtype="float64", always_2d=True)
                if len(got) < wanted:
                    raise InstrumentFileError(
                        f"must hold {self._sound.frames} samples, as its header says,"
                        f" but sample {frame + done + len(got)} cannot be read; copy"
                        " it again, or leave it out",
                        file.path,
                    )
                samples[done : done + wanted] = got[:, self._channel - 1]


@contextlib.contextmanager
def _opened(path: str, local: str) -> Iterator[Any]:
    try:
        import soundfile
    except ImportError:
        raise MissingExtraError("a recording of sound", "ingest") from None
    with _library_errors(path):
        sound = soundfile.SoundFile(local)
    with sound:
        yield sound


@contextlib.contextmanager
def _library_errors(path: str) -> Iterator[None]:
    import soundfile

    try:
        yield
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error)).strip()
        raise InstrumentFileError(
            f"must be WAV or FLAC that can be read, but libsndfile says: {reason}",
            path,
        ) from None


def _require_last(path: str, sound: Any) -> None:
    """Refuse a file whose last sample is not there: a FLAC's size does not tell."""
    import soundfile

    if sound.frames >= _UNKNOWN_FRAMES:
        raise InstrumentFileError(
            "must say in its header how many samples it has, got a stream without;"
            " encode it again from a file",
            path,
        )
    try:
        sound.seek(sound.frames - 1)
        there = len(sound.read(1, dtype="float64"))
    except soundfile.SoundFileError:
        there = 0
    if not there:
        raise InstrumentFileError(
            f"must hold the {sound.frames} samples that its header promises, but the"
            " last is not there: it was cut short; copy it again, or leave it out",
            path,
        )


def _walk_chunks(path: str, local: str) -> str:
    """Check the size of a WAV's samples, and return the note beside them."""
    notes = []
    with open(local, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(12)
        wide = None
        while len(head := file.read(8)) == 8:
            name, length = head[:4], int.from_bytes(head[4:], "little")
            behind = file.tell()
            if name == b"ds64":
                wide = int.from_bytes(file.read(16)[8:16], "little")
            elif name == b"data":
                if length == _MARKED_LATER and wide is not None:
                    length = wide
                _check_data(path, length, size - behind)
            elif name == b"bext":
                notes.append(_broadcast_time(file.read(min(length, 338))))
            elif name == b"guan":
                notes.append(_text(file.read(min(length, _NOTE_BYTES))))
            elif name == b"LIST":
                notes.append(_comment(file, behind + length))
            # Chunks begin at even places.
            file.seek(behind + length + length % 2)
    return " ".join(note for note in notes if note)


def _check_data(path: str, promised: int, there: int) -> None:
    if promised > there:
        raise InstrumentFileError(
            f"must hold the {promised} bytes of samples that its header promises, got"
            f" {there}: it was cut short; copy it again, or leave it out",
            path,
        )
    if promised == 0 and there > 8:
        raise InstrumentFileError(
            f"must say in its header how many samples it has, got 0 and {there} bytes"
            " behind it: it was never closed; repair its header, or leave it out",
            path,
        )


def _comment(file: IO[bytes], behind: int) -> str:
    """Return the comment of a list of information."""
    if file.read(4) != b"INFO":
        return ""
    while file.tell() + 8 <= behind and len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"ICMT":
            return _text(file.read(min(length, _NOTE_BYTES)))
        file.seek(length + length % 2, os.SEEK_CUR)
    return ""


def _broadcast_time(chunk: bytes) -> str:
    """Return date and time of a broadcast WAV (EBU Tech 3285), which come apart."""
    if len(chunk) < 338:
        return ""
    date, time = struct.unpack_from("10s8s", chunk, 320)
    # The standard leaves open what stands between the numbers.
    day, clock = (
        mark.join(text[at : at + n] for at, n in places)
        for text, mark, places in (
            (_text(date), "-", ((0, 4), (5, 2), (8, 2))),
            (_text(time), ":", ((0, 2), (3, 2), (6, 2))),
        )
    )
    return f"{day}T{clock}"


def _text(raw: bytes) -> str:
    # Bits that are no text must not break what is read of it.
    text = raw.split(b"\0")[0].decode("utf-8", "replace")
    return "".join(one for one in text if one.isprintable()).strip()
