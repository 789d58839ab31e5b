"""What can go wrong with a pipe, on demand: it stalls, is cut, flips, or never comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from echoanom.errors import OptionError

Kind = Literal["stall", "cut", "flip", "missing", "delay"]
KINDS: tuple[Kind, ...] = ("stall", "cut", "flip", "missing", "delay")

Piece = bytes | memoryview


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that happens to a channel's stream.

    Attributes
    ----------
    kind : {'stall', 'cut', 'flip', 'missing', 'delay'}
        ``stall``: nothing comes for some time, and then the rest. ``cut``: the pipe is
        closed in the middle. ``flip``: a byte comes with all of its bits turned.
        ``missing``: the pipe never comes to exist, nor any later one. ``delay``: it
        comes to exist later.
    epoch : int, optional
        In which epoch; in each, if left out.
    at_byte : int
        Where in the stream it stalls, is cut, or flips [byte].
    seconds : float, optional
        How long it stalls or is late [s]; for ever, if left out.
    channel : str, optional
        To which channel; to each, if left out.
    host : int, optional
        On which host; on each, if left out.

    Raises
    ------
    OptionError
        If a value is out of range.
    """

    kind: Kind
    epoch: int | None = None
    at_byte: int = 0
    seconds: float | None = None
    channel: str | None = None
    host: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(
                f"a fault must be one of {', '.join(KINDS)}, got {self.kind!r}"
            )
        for name in ("epoch", "at_byte", "seconds", "host"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise OptionError(f"a fault's {name} must not be negative, got {value}")

    def strikes(self, channel: str, epoch: int, host: int) -> bool:
        """Tell whether it happens to a stream.

        Parameters
        ----------
        channel : str
            The stream's channel.
        epoch : int
            Its epoch.
        host : int
            Its host.

        Returns
        -------
        bool
            True if it does.
        """
        return all(
            must in (None, came)
            for must, came in (
                (self.channel, channel),
                (self.epoch, epoch),
                (self.host, host),
            )
        )


def parse_fault(text: str) -> Fault:
    """Read a fault from the command line.

    Parameters
    ----------
    text : str
        Like ``stall,epoch=1,at_byte=4096,seconds=5``.

    Returns
    -------
    Fault
        The fault.

    Raises
    ------
    OptionError
        If it is not of this form, or a value is out of range.
    """
    kinds: dict[str, Callable[[str], Any]] = {
        "epoch": int,
        "at_byte": int,
        "seconds": float,
        "channel": str,
        "host": int,
    }
    kind, *pairs = text.split(",")
    values: dict[str, Any] = {"kind": kind}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            values[name] = kinds[name](value)
        except (KeyError, ValueError):
            raise OptionError(
                "a fault must be a kind and what it is like, as in"
                f" stall,epoch=1,at_byte=4096,seconds=5, with {', '.join(kinds)}; got"
                f" {text!r}"
            ) from None
    return Fault(**values)


def spoil(
    pieces: Iterator[Piece],
    faults: Sequence[Fault],
    pause: Callable[[float | None], None],
) -> Iterator[Piece]:
    """Let faults happen to a stream.

    Parameters
    ----------
    pieces : iterator of bytes-like
        The stream.
    faults : sequence of Fault
        Those of its epoch; stalls, cuts and flips happen here.
    pause : callable
        Waits so many seconds, or for ever.

    Yields
    ------
    bytes-like
        What is left of the stream.
    """
    flips = [fault.at_byte for fault in faults if fault.kind == "flip"]
    breaks = sorted(
        (fault for fault in faults if fault.kind in ("stall", "cut")),
        key=lambda fault: fault.at_byte,
    )
    position = 0
    for piece in pieces:
        view = memoryview(piece)
        end = position + len(view)
        if any(position <= at < end for at in flips):
            turned = bytearray(view)
            for at in flips:
                if position <= at < end:
                    turned[at - position] ^= 0xFF
            view = memoryview(turned)
        while breaks and breaks[0].at_byte < end:
            fault = breaks.pop(0)
            before = fault.at_byte - position
            if before:
                yield view[:before]
            position, view = fault.at_byte, view[before:]
            if fault.kind == "cut":
                return
            pause(fault.seconds)
        if view:
            yield view
        position = end
    for fault in breaks:
        if fault.kind == "stall" and fault.at_byte == position:
            pause(fault.seconds)
