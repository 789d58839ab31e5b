"""What a report shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from echoanom.checking import Options, require_whole
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
        require_whole(self, "top_events", 0)
        require_whole(self, "most_steps", 2)
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
