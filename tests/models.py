"""Models with weights that nobody trained, for what does not depend on training."""

from __future__ import annotations

import keras
import numpy as np

from echoanom.artifact import Artifact, save_artifact
from echoanom.autoencoder import build_autoencoder
from echoanom.dataset import Dataset
from echoanom.history import EpochLosses, TrainingRecord
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.normalization import fit_normalization
from echoanom.options import WindowOptions
from echoanom.thresholds import Calibration

NETWORK = ModelOptions(kind="autoencoder", filters=(4, 2), kernel=3)


def untrained_artifact(
    dataset: Dataset, path: str, *, size: int = 13, network: ModelOptions = NETWORK
) -> Artifact:
    """Save an artifact with random weights and an invented history."""
    keras.utils.set_random_seed(0)
    days = [day.isoformat() for day in dataset.days]
    record = TrainingRecord(
        dataset_path=dataset.path,
        dataset_digest=dataset.digest,
        training_days=tuple(days[:-1]),
        validation_days=tuple(days[-1:]),
        include=((0, 2**40),),
        exclude=((5, 10),),
        history=(EpochLosses(1, 0.5, 0.25), EpochLosses(2, 0.4, 0.3)),
        stop_reason="all 2 epochs done",
    )
    artifact = Artifact(
        columns=dataset.columns,
        period_s=dataset.period_s,
        window=WindowOptions(size=size),
        network=network,
        training=TrainOptions(epochs=2),
        normalization=fit_normalization(dataset.statistics(), "range"),
        record=record,
        model=build_autoencoder(size, len(dataset.columns), network),
        calibration=Calibration.from_scores(np.arange(50.0)),
    )
    return save_artifact(artifact, path)
