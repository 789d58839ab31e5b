"""Fit what needs no epochs to the windows to train on: baselines, and beginnings.

They are held against the same held-back days as a trained network, and are used like
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np
from numpy.typing import NDArray

from echoanom import isolation
from echoanom.batching import WindowBatches
from echoanom.cellerrors import Forest
from echoanom.checkpoints import TrainingState
from echoanom.columns import kind_mask
from echoanom.cutforest import CutForest
from echoanom.detectors import Model
from echoanom.errors import OptionError, TrainingError
from echoanom.fitting import Fitting
from echoanom.modeloptions import ModelOptions
from echoanom.pretrained import Weights, set_encoder, standardize
from echoanom.principal import Covariance, Principal, of_samples
from echoanom.residual import components_of, features_of

MOST_COLUMNS = 4096
"""Columns whose covariance is still computed; it takes 128 MiB, and minutes."""
MOST_WINDOWS = 2048
"""Windows that components of windows, and forests, are computed from."""
MOST_CELLS = 1 << 26
"""Cells of these windows; together they take 256 MiB."""
FEW_CELLS = 1 << 22
"""Cells of the windows that an encoder's features are scaled by: 40 of 64 x 1,600."""

Arrays = list[NDArray[np.float32]]


def fit_at_once(fitting: Fitting, network: ModelOptions) -> tuple[Model, TrainingState]:
    """Fit a baseline.

    Components of rows are those of all rows of the windows to train on; components of
    windows, and forests, those of a random choice of windows, by the seed. Missing cells
    are what normalisation fills in.

    Parameters
    ----------
    fitting : Fitting
        Data and options.
    network : ModelOptions
        The baseline.

    Returns
    -------
    model : Model
        Fitted.
    state : TrainingState
        As at the end of one epoch; of a forest, which has no loss, without epochs.

    Raises
    ------
    OptionError
        If there are more columns than a covariance is computed for.
    TrainingError
        If there are too few windows.
    MissingExtraError
        If it needs a library that is not installed.
    """
    if network.kind in _GROW:
        return _grown(fitting, network)
    directions = kind_mask(fitting.dataset.columns, "direction")
    model = fitting.build(network)
    weights: Arrays = []
    how = ""
    if network.kind == "zscore":
        weights = [_means(fitting, directions)]
    elif network.kind in ("pca", "pca-rows"):
        of_rows = network.kind == "pca-rows"
        found = (_of_rows if of_rows else _of_windows)(fitting, network.components)
        weights = [
            found.mean.astype(np.float32),
            found.directions.astype(np.float32),
        ]
        how = (
            f": {found.kept} components explain {100 * found.explained:.1f} % of the"
            f" variance of {'rows' if of_rows else 'windows'}"
        )
    model.set_weights(weights)
    losses = fitting.losses(model)
    state = TrainingState(
        history=(losses,),
        stop_reason=f"fitted at once{how}",
        best_weights=tuple(weights),
    )
    return model, state


def set_components(fitting: Fitting, model: keras.Model) -> None:
    """Set the principal components that a residual network begins with.

    Parameters
    ----------
    fitting : Fitting
        Data and options.
    model : keras.Model
        As `echoanom.residual.build_residual` makes it.
    """
    layer = components_of(model)
    wanted = layer.get_weights()[1].shape[1]
    windows = _chosen(fitting).reshape(-1, *model.input_shape[1:])
    found = of_samples(features_of(model, windows), wanted)
    layer.set_weights(
        [found.mean.astype(np.float32), found.directions.astype(np.float32)]
    )


def begin_pretrained(
    fitting: Fitting, network: ModelOptions, weights: Weights, model: keras.Model
) -> None:
    """Set an encoder's weights, and scale its features by those of some windows.

    Parameters
    ----------
    fitting : Fitting
        Data and options.
    network : ModelOptions
        The model's options.
    weights : tuple of ndarray
        As `echoanom.encoders.read_encoder` gives them.
    model : keras.Model
        As `echoanom.pretrained.build_pretrained` makes it.
    """
    set_encoder(model, network, weights)
    windows = _chosen(fitting, FEW_CELLS).reshape(-1, *model.input_shape[1:])
    step = fitting.window.batch_size
    standardize(model, [windows[i : i + step] for i in range(0, len(windows), step)])


def _of_rows(fitting: Fitting, components: int | None) -> Principal:
    columns = len(fitting.dataset.columns)
    if columns > MOST_COLUMNS:
        raise OptionError(
            f"kind pca-rows must have at most {MOST_COLUMNS} columns, got {columns};"
            " take pca, or fewer sensors"
        )
    covariance = Covariance(columns)
    for values, _ in _batches(fitting, shuffle=False):
        covariance.add(values.reshape(-1, columns))
    return covariance.principal(components)


def _of_windows(fitting: Fitting, components: int | None) -> Principal:
    return of_samples(_chosen(fitting), components)


def _chosen(
    fitting: Fitting, most: int = MOST_CELLS, *, seen: bool = False
) -> NDArray[np.float32]:
    """Choose windows at random; if `seen`, of which anything was observed."""
    cells = fitting.window.size * len(fitting.dataset.columns)
    wanted = max(2, min(MOST_WINDOWS, most // cells))
    chosen = [np.empty((0, cells), dtype=np.float32)]
    count = 0
    for values, observed in _batches(fitting, shuffle=True):
        if seen:
            values = values[observed.any(axis=(1, 2))]
        part = values[: wanted - count].reshape(-1, cells)
        chosen.append(part.copy())
        count += len(part)
        if count == wanted:
            break
    return np.concatenate(chosen)


def _grown(fitting: Fitting, network: ModelOptions) -> tuple[Forest, TrainingState]:
    windows = _chosen(fitting, seen=True)
    if len(windows) < 2:
        raise TrainingError(
            f"a forest needs at least 2 windows of {fitting.window.size} rows to train on"
            f" of which something was observed, but there are {len(windows)}; take a"
            " smaller window or stride, or more days"
        )
    fitting.progress("growing", 0, len(windows))
    forest = _GROW[network.kind](fitting, network, windows)
    fitting.progress("growing", len(windows), len(windows))
    of_each = min(network.samples, len(windows))
    how = f"{network.trees} trees of {of_each} of {len(windows)} windows"
    return forest, TrainingState(stop_reason=f"fitted at once: {how}")


def _isolation(
    fitting: Fitting, network: ModelOptions, windows: NDArray[np.float32]
) -> Forest:
    seed = fitting.window.seed
    return isolation.grow(windows, network.trees, network.samples, seed)


def _cut(
    fitting: Fitting, network: ModelOptions, windows: NDArray[np.float32]
) -> Forest:
    count, cells = windows.shape
    seed = fitting.window.seed
    forest = CutForest.planted(cells, network.trees, network.samples, seed)
    step = fitting.window.batch_size
    for begin in range(0, count, step):
        forest.learn(windows[begin : begin + step])
        fitting.progress("growing", min(begin + step, count), count)
    return forest


_GROW: dict[str, Callable[[Fitting, ModelOptions, NDArray[np.float32]], Forest]] = {
    "iforest": _isolation,
    "rcf": _cut,
}


def _means(fitting: Fitting, directions: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each column's mean, normalised; an angle's is that of unit vectors."""
    means = fitting.normalization.fill.copy()
    if not directions.any():
        return means
    normalization = fitting.normalization
    total = np.zeros(int(directions.sum()), dtype=np.complex128)
    for values, observed in _batches(fitting, shuffle=False):
        degrees = normalization.invert(values)[..., directions]
        turned = np.exp(1j * np.radians(degrees.astype(np.float64)))
        total += np.where(observed[..., directions], turned, 0).sum(axis=(0, 1))
    mean = np.degrees(np.angle(total)) % 360
    offset, scale = normalization.offset[directions], normalization.scale[directions]
    means[directions] = np.where(
        np.abs(total) > 0, (mean - offset) / scale, means[directions]
    )
    return means


def _batches(
    fitting: Fitting, *, shuffle: bool
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Give the windows to train on, and what of them was observed, batch by batch."""
    options = dataclasses.replace(fitting.window, shuffle=shuffle)
    batches = WindowBatches(
        fitting.dataset,
        options,
        runs=fitting.holdout.training,
        normalization=fitting.normalization,
        fields=("values", "observed"),
        keep=shuffle,
    )
    fitting.progress("fitting", 0, len(batches))
    for position in range(len(batches)):
        batch = batches.read(position)
        yield batch["values"], batch["observed"]
        fitting.progress("fitting", position + 1, len(batches))
