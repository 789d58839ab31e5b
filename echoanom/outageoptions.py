"""From when on a sensor is silent or stuck."""

from __future__ import annotations

import dataclasses

from echoanom.checking import Options, require_more_than_0


@dataclasses.dataclass(frozen=True)
class OutageOptions(Options):
    """From when on a sensor is silent or stuck.

    Attributes
    ----------
    silent_min : float
        A sensor that gives no values for longer, while others do, is silent [min].
    stuck_min : float
        Values that stay the same for longer, for more than three rows, and for longer
        than they usually do, are stuck [min].
    """

    silent_min: float = 60.0
    stuck_min: float = 20.0

    def __post_init__(self) -> None:
        require_more_than_0(self, "silent_min", "stuck_min")
