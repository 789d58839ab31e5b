"""From when on a sensor is silent or stuck."""

from __future__ import annotations

import dataclasses
import math

from echoanom.errors import OptionError
from echoanom.options import Options


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
        for name in ("silent_min", "stuck_min"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and value > 0):
                raise OptionError(f"{name} must be more than 0, got {value!r}")
