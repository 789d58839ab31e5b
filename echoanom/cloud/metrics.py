"""What a training job says on its standard output, and how SageMaker finds it there."""

from __future__ import annotations

_NUMBER = r"([0-9][0-9.]*(?:e[-+]?[0-9]+)?)"

_NAMES = {
    "train:loss": "train_loss",
    "validation:loss": "validation_loss",
    "train:windows": "windows",
    "train:windows_per_second": "windows_per_second",
}

METRIC_DEFINITIONS: tuple[dict[str, str], ...] = tuple(
    {"Name": name, "Regex": rf"\b{word}={_NUMBER}"} for name, word in _NAMES.items()
)
"""Names and regular expressions, as `AlgorithmSpecification` takes them."""


def epoch_line(
    epoch: int, train_loss: float, validation_loss: float, windows: int, seconds: float
) -> str:
    """Write the line of an epoch that is done.

    Parameters
    ----------
    epoch : int
        Its number, from 1.
    train_loss, validation_loss : float
        Mean squared errors of observed cells, normalised.
    windows : int
        Windows that all hosts together trained on.
    seconds : float
        How long it took, validation included [s].

    Returns
    -------
    str
        The line; `METRIC_DEFINITIONS` find every number of it.
    """
    rate = windows / seconds if seconds > 0 else 0.0
    return (
        f"epoch={epoch} train_loss={train_loss:.8g} validation_loss={validation_loss:.8g}"
        f" windows={windows} seconds={seconds:.3f} windows_per_second={rate:.3f}"
    )
