"""How scores are held against labels."""

from __future__ import annotations

import dataclasses

from echoanom.checking import Options, require_number, require_whole


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
        require_whole(self, "buffer", 0, 10_000)
        require_whole(self, "bootstrap", 0, 100_000)
        require_whole(self, "seed", 0, 2**63 - 1)
        require_number(
            self,
            "block_h",
            "a number of hours from 1/60 to 100000",
            lambda hours: 1 / 60 <= hours <= 100_000,
        )
