"""The models that are compared: one line each."""

from __future__ import annotations

import dataclasses
from typing import Any

from echoanom.modeloptions import ModelOptions, TrainOptions


@dataclasses.dataclass(frozen=True)
class Contender:
    """A model and how it is fitted.

    Attributes
    ----------
    network : ModelOptions
        The model.
    normalization : {'range', 'standard', 'robust'}
        How columns are scaled.
    window : int, optional
        Rows in a window; those of the set if left out. Another number leaves the
        model out of the published protocol.
    epochs : float
        Times the epochs of the set, for a network.
    reproduces : bool
        Whether it reproduces windows, so that there are errors of cells.
    random : bool
        Whether its scores are replaced by random numbers: what chance finds.
    """

    network: ModelOptions
    normalization: str = "standard"
    window: int | None = None
    epochs: float = 1.0
    reproduces: bool = True
    random: bool = False

    def training(self, epochs: int, calibration_stride: int) -> TrainOptions:
        """Return how it is fitted.

        Parameters
        ----------
        epochs : int
            Of networks, on this set.
        calibration_stride : int
            Rows between the windows that are scored for the threshold.

        Returns
        -------
        TrainOptions
            The options.
        """
        given: dict[str, Any] = {}
        if not self.network.is_fitted_at_once:
            given["epochs"] = max(1, round(epochs * self.epochs))
        return TrainOptions(
            normalization=self.normalization,
            calibration_stride=calibration_stride,
            **given,
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        values = {field.name: getattr(self, field.name) for field in _FIELDS}
        return {**values, "network": self.network.as_json()}


_FIELDS = dataclasses.fields(Contender)

CONTENDERS: dict[str, Contender] = {
    "residual": Contender(ModelOptions()),
    "autoencoder": Contender(ModelOptions(kind="autoencoder"), "range"),
    "autoencoder, standard": Contender(
        ModelOptions(kind="autoencoder", output="linear")
    ),
    "pca": Contender(ModelOptions(kind="pca")),
    "pca-rows": Contender(ModelOptions(kind="pca-rows")),
    "zscore": Contender(ModelOptions(kind="zscore")),
    "step": Contender(ModelOptions(kind="step")),
    "rcf": Contender(ModelOptions(kind="rcf"), window=8, reproduces=False),
    "iforest": Contender(ModelOptions(kind="iforest"), reproduces=False),
    "random": Contender(ModelOptions(kind="zscore"), random=True),
}
