"""What a model was trained on, how that went, and its curve."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

from echoanom.windowing import Interval


@dataclasses.dataclass(frozen=True)
class EpochLosses:
    """What one epoch of training came to.

    Attributes
    ----------
    epoch : int
        Number of the epoch, from 1.
    loss, validation_loss : float
        Mean squared error over observed cells [normalised units squared], averaged
        over the epoch's batches, and over the held-back days after it.
    """

    epoch: int
    loss: float
    validation_loss: float


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """What a model was trained on, and how that went.

    Attributes
    ----------
    dataset_path : str
        The dataset, as path or URL.
    dataset_digest : str
        Its identity.
    training_days, validation_days : tuple of str
        Days as ``YYYY-MM-DD``.
    include : tuple of (int, int), optional
        The only time that was used [s since 1970-01-01 UTC]; all if None.
    exclude : tuple of (int, int)
        Time that was left out [s since 1970-01-01 UTC].
    history : tuple of EpochLosses
        Every epoch.
    stop_reason : str
        Why training ended.
    """

    dataset_path: str
    dataset_digest: str
    training_days: tuple[str, ...]
    validation_days: tuple[str, ...]
    include: tuple[Interval, ...] | None
    exclude: tuple[Interval, ...]
    history: tuple[EpochLosses, ...]
    stop_reason: str

    @property
    def best(self) -> EpochLosses:
        """The epoch whose weights were kept."""
        return min(self.history, key=lambda epoch: epoch.validation_loss)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values.
        """
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainingRecord:
        """Rebuild from `as_json`.

        Parameters
        ----------
        values : mapping
            What `as_json` returned.

        Returns
        -------
        TrainingRecord
            As it was.
        """
        include = values["include"]
        return cls(
            **{
                **values,
                "training_days": tuple(values["training_days"]),
                "validation_days": tuple(values["validation_days"]),
                "include": None if include is None else _intervals(include),
                "exclude": _intervals(values["exclude"]),
                "history": tuple(EpochLosses(**epoch) for epoch in values["history"]),
            }
        )


def _intervals(values: Sequence[Sequence[int]]) -> tuple[Interval, ...]:
    return tuple((start, end) for start, end in values)


def history_csv(history: Sequence[EpochLosses]) -> bytes:
    """Write the losses as a CSV table.

    Parameters
    ----------
    history : sequence of EpochLosses
        Every epoch.

    Returns
    -------
    bytes
        One line for each epoch.
    """
    lines = ["epoch,loss,validation_loss"]
    lines += [f"{e.epoch},{e.loss!r},{e.validation_loss!r}" for e in history]
    return ("\n".join(lines) + "\n").encode()


def loss_curve(record: TrainingRecord) -> bytes | None:
    """Draw the losses over the epochs.

    Parameters
    ----------
    record : TrainingRecord
        What is drawn.

    Returns
    -------
    bytes or None
        A PNG; None if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return None
    epochs = [epoch.epoch for epoch in record.history]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(epochs, [e.loss for e in record.history], "o-", label="training")
    axes.plot(
        epochs,
        [e.validation_loss for e in record.history],
        "s-",
        label=f"held-back days ({len(record.validation_days)})",
    )
    axes.axvline(record.best.epoch, color="0.7", linestyle=":", label="kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(
        xlabel="epoch",
        ylabel="mean squared error [normalised units²]",
        yscale="log" if all(_positive(epoch) for epoch in record.history) else "linear",
    )
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def _positive(epoch: EpochLosses) -> bool:
    return epoch.loss > 0 and epoch.validation_loss > 0
