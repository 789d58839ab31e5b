"""What the comparisons with the tutorial have in common, and what they return."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from echoanom.artifact import Artifact
from echoanom.dataset import Dataset
from echoanom.holdout import hold_back
from echoanom.manifest import RunTable
from echoanom.windowing import select

SENSOR = "echosounder"
"""The one sensor the tutorial's model sees."""


@dataclasses.dataclass(frozen=True)
class Record:
    """What the comparisons have in common: one record, and a model trained on it.

    Attributes
    ----------
    source : str
        Folder of the daily CSVs.
    joined : Dataset
        All sensors, which the model was trained on.
    alone : Dataset
        The echosounder by itself, nothing filled: the very rows of its CSVs.
    artifact : Artifact
        The model.
    """

    source: str
    joined: Dataset
    alone: Dataset
    artifact: Artifact

    def trained(self) -> tuple[RunTable, RunTable]:
        """Return the runs the model was trained on, and those held back."""
        period_s, artifact = self.joined.period_s, self.artifact
        runs = select(
            self.joined.runs,
            period_s,
            artifact.record.include,
            artifact.record.exclude,
        )
        holdout = hold_back(
            runs, period_s, artifact.window.size, artifact.training.validation
        )
        return holdout.training, holdout.validation

    def of_sensor(self) -> NDArray[np.bool_]:
        """Tell which joined columns are the echosounder's, shape (C,)."""
        return np.array([column.sensor == SENSOR for column in self.joined.columns])


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one mistake costs.

    Attributes
    ----------
    mistake : str
        What the tutorial does.
    measure : str
        What the numbers are.
    unit : str
        Their unit.
    tutorial, echoanom : float
        The tutorial's and ours.
    meaning : str
        What to make of it, in a sentence.
    """

    mistake: str
    measure: str
    unit: str
    tutorial: float
    echoanom: float
    meaning: str
