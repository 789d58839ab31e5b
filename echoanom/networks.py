"""The graph of each kind of model, from its options alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from echoanom.autoencoder import (
    MaskedAutoencoder,
    NearestTurn,
    Tensor,
    build_autoencoder,
)
from echoanom.fixedlayers import ColumnMeans, Projection, RowBefore
from echoanom.modeloptions import ModelOptions
from echoanom.pretrained import build_pretrained
from echoanom.principal import width
from echoanom.residual import build_residual


def build_network(
    size: int,
    columns: int,
    options: ModelOptions | None = None,
    turns: Sequence[float] | None = None,
    varies: Sequence[bool] | None = None,
) -> MaskedAutoencoder:
    """Build the model for one window size and number of columns.

    Parameters
    ----------
    size : int
        Rows in a window, T.
    columns : int
        Columns, C.
    options : ModelOptions, optional
        Kind of model, and what that kind takes; the defaults if left out.
    turns : sequence of float, length C, optional
        A whole turn in each column's normalised unit, 0 for columns that hold no
        angle; all 0 if left out.
    varies : sequence of bool, length C, optional
        Which columns varied in training; all if left out.

    Returns
    -------
    MaskedAutoencoder
        Maps float32 (B, T, C), normalised and without NaN, to the same shape. The
        weights of what is fitted at once are 0, and an encoder's that was trained before
        are random.

    Raises
    ------
    OptionError
        If the size is less than 1, or the number of columns, or of those that vary.
    """
    options = options or ModelOptions()
    if options.kind == "residual":
        return build_residual(size, columns, options, turns, varies)
    if options.kind == "autoencoder":
        return build_autoencoder(size, columns, options, turns)
    if options.kind == "pretrained":
        return build_pretrained(size, columns, options, turns)
    inputs = keras.Input((size, columns), name="values")
    outputs = _reproduce(inputs, size, columns, options)
    if turns is not None and any(turns):
        outputs = NearestTurn(turns, name="nearest_turn")(inputs, outputs)
    return MaskedAutoencoder(inputs, outputs, name=options.kind.replace("-", "_"))


def _reproduce(inputs: Tensor, size: int, columns: int, options: ModelOptions) -> Any:
    if options.kind == "zscore":
        return ColumnMeans(name="column_means")(inputs)
    if options.kind == "step":
        return RowBefore(name="row_before")(inputs)
    if options.kind == "pca-rows":
        rows = width(columns, options.components)
        return Projection(rows, name="projection")(inputs)
    cells = size * columns
    flat = layers.Reshape((cells,), name="flatten")(inputs)
    flat = Projection(width(cells, options.components), name="projection")(flat)
    return layers.Reshape((size, columns), name="unflatten")(flat)
