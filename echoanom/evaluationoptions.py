"""How scores are held against labels."""

from __future__ import annotations

import dataclasses

from echoanom.errors import OptionError
from echoanom.options import Options


@dataclasses.dataclass(frozen=True)
class EvaluationOptions(Options):
    """How scores are held against labels.

    Attributes
    ----------
    buffer : int
        Largest buffer of VUS-PR [rows], half of it on each side of a label.
    bootstrap : int
        Times that the record is drawn anew for the intervals; 0 for no intervals.
    block_h : float
        Length of the blocks that are drawn [h].
    seed : int
        Seed of the draws.
    """

    buffer: int = 100
    bootstrap: int = 0
    block_h: float = 24.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in (
            ("buffer", 10_000),
            ("bootstrap", 100_000),
            ("seed", 2**63 - 1),
        ):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole and 0 <= value <= most):
                raise OptionError(
                    f"{name} must be a whole number from 0 to {most}, got {value!r}"
                )
        number = isinstance(self.block_h, int | float)
        if not (number and 1 / 60 <= self.block_h <= 100_000):
            raise OptionError(
                f"block_h must be a number of hours from 1/60 to 100000, got"
                f" {self.block_h!r}"
            )
