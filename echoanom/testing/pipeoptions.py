"""What an agent of the Pipe mode does, written down so that another process can do it."""

from __future__ import annotations

import dataclasses
import json
import re

from echoanom.errors import OptionError
from echoanom.testing.channelobjects import DATA_TYPES, DataType
from echoanom.testing.pipefaults import Fault

_NAME = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,64}")


@dataclasses.dataclass(frozen=True)
class PipeChannel:
    """A channel in Pipe mode.

    Attributes
    ----------
    name : str
        Its name.
    source : str
        Where its objects are: an S3 URL, a path, or a file URL.
    data_type : {'S3Prefix', 'ManifestFile'}
        Whether they are what begins with the source, or what the manifest there lists.
    sharded : bool
        Whether each host gets a share of the objects, instead of all.
    shuffle_seed : int, optional
        Seed by which the objects are shuffled anew at the start of every epoch.
    gzip : bool
        Whether the objects are gzipped, and come unpacked.
    wrapped : bool
        Whether each object comes as one RecordIO record.

    Raises
    ------
    OptionError
        If a value is none of those.
    """

    name: str
    source: str
    data_type: DataType = "S3Prefix"
    sharded: bool = False
    shuffle_seed: int | None = None
    gzip: bool = False
    wrapped: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise OptionError(
                "a channel's name must have 1 to 64 letters, digits, dots, dashes and"
                f" underscores, got {self.name!r}"
            )
        if self.data_type not in DATA_TYPES:
            raise OptionError(
                f"a channel's data type must be one of {', '.join(DATA_TYPES)}, got"
                f" {self.data_type!r}"
            )


@dataclasses.dataclass(frozen=True)
class AgentOptions:
    """What an agent does.

    Attributes
    ----------
    folder : str
        Where it makes the FIFOs.
    channels : tuple of PipeChannel
        The channels.
    faults : tuple of Fault
        What goes wrong.
    host, hosts : int
        For which of how many hosts it is.

    Raises
    ------
    OptionError
        If there is no such host, or two channels have one name.
    """

    folder: str
    channels: tuple[PipeChannel, ...]
    faults: tuple[Fault, ...] = ()
    host: int = 0
    hosts: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.host < self.hosts:
            raise OptionError(
                f"a host must be one of {self.hosts}, counted from 0, got {self.host}"
            )
        if len({channel.name for channel in self.channels}) < len(self.channels):
            names = ", ".join(channel.name for channel in self.channels)
            raise OptionError(f"channels must have different names, got {names}")

    def as_json(self) -> str:
        """Write them down.

        Returns
        -------
        str
            JSON.
        """
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> AgentOptions:
        """Read what `as_json` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        AgentOptions
            The options.

        Raises
        ------
        OptionError
            If they cannot be read, or a value is out of range.
        """
        try:
            values = json.loads(text)
            values["channels"] = tuple(PipeChannel(**v) for v in values["channels"])
            values["faults"] = tuple(Fault(**v) for v in values.get("faults", ()))
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, OptionError):
                raise
            raise OptionError(
                f"an agent's options must be JSON as AgentOptions.as_json writes it,"
                f" but: {error}"
            ) from None
