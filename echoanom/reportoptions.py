"""What a report shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from echoanom.errors import OptionError
from echoanom.options import Options
from echoanom.panels import Looking, Mounting


@dataclasses.dataclass(frozen=True)
class ReportOptions(Options):
    """What a report shows.

    Attributes
    ----------
    title : str
        Heading of the page. Empty: named after the dataset.
    top_events : int
        Events to show beside what the model makes of them, by rank.
    looking : mapping of str to {'up', 'down'}
        Where each sensor's range increases to. A sensor that is not named looks up, as
        instruments on the sea floor do.
    depth_m : mapping of str to float
        Depths of instruments [m]. With it, range is drawn as depth.
    most_steps : int
        Most steps of time in an overview that does not move.
    """

    title: str = ""
    top_events: int = 20
    looking: Mapping[str, Looking] = dataclasses.field(default_factory=dict)
    depth_m: Mapping[str, float] = dataclasses.field(default_factory=dict)
    most_steps: int = 1200

    def __post_init__(self) -> None:
        if self.top_events < 0:
            raise OptionError(f"top_events must be at least 0, got {self.top_events!r}")
        if self.most_steps < 2:
            raise OptionError(f"most_steps must be at least 2, got {self.most_steps!r}")
        for sensor in {*self.looking, *self.depth_m}:
            self.mounting(sensor)

    def mounting(self, sensor: str) -> Mounting:
        """Return how a sensor looks.

        Parameters
        ----------
        sensor : str
            Its name.

        Returns
        -------
        Mounting
            Up, at an unknown depth, if nothing is said.
        """
        return Mounting(self.looking.get(sensor, "up"), self.depth_m.get(sensor))
