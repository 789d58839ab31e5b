"""One frozen, checked options object per stage.

Every object checks itself when it is made, so no stage has to, and turns to and from
plain JSON values (`as_json`, `from_json`) to be stored with what it produced.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, TypeGuard, cast, get_args

from echoanom.errors import OptionError

Join = Literal["outer", "inner", "left"]
Duplicates = Literal["refuse", "first", "last", "mean"]
OnError = Literal["fail", "skip"]
StorageDtype = Literal["float32", "float16", "int16"]
Codec = Literal["none", "zstd"]
Output = Literal["sigmoid", "linear"]
ModelKind = Literal[
    "residual",
    "autoencoder",
    "pretrained",
    "pca",
    "pca-rows",
    "zscore",
    "step",
    "rcf",
    "iforest",
]
NormalizationKind = Literal["range", "standard", "robust"]
Placement = Literal["host", "device"]

DAY_S = 86_400

VGG16 = "vgg16"
"""The encoder that Keras Applications publishes weights of."""
VGG16_BLOCKS = 5


def check_placement(placement: Placement) -> None:
    """Refuse a place that there is not.

    Parameters
    ----------
    placement : {'host', 'device'}
        Where windows are gathered.

    Raises
    ------
    OptionError
        If it is another.
    """
    _require_choice("placement", placement, Placement)


def _require(condition: bool, name: str, rule: str, value: object) -> None:
    if not condition:
        raise OptionError(f"{name} must be {rule}, got {value!r}")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(cast(float, value))


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(text, str) for text in value)


def _are_counts(value: object) -> bool:
    return isinstance(value, tuple) and all(_is_whole(n) and n >= 1 for n in value)


def _require_whole(name: str, value: object, least: int) -> None:
    rule = f"a whole number of at least {least}"
    _require(_is_whole(value) and value >= least, name, rule, value)


def _require_number(
    name: str, value: object, rule: str, holds: Callable[[float], bool]
) -> None:
    _require(_is_number(value) and holds(value), name, rule, value)


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


def _require_bool(name: str, value: object) -> None:
    _require(isinstance(value, bool), name, "true or false", value)


def _require_choice(name: str, value: object, kind: Any) -> None:
    choices = get_args(kind)
    _require(value in choices, name, f"one of {', '.join(choices)}", value)


class Options:
    """Base of the options objects: plain JSON values in and out."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values.

        Returns
        -------
        dict
            Field names and values; tuples become lists.
        """
        fields = dataclasses.asdict(cast(Any, self))
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild the options from `as_json`.

        Parameters
        ----------
        values : mapping
            Field names and values.

        Returns
        -------
        Options
            An object of the class it is called on.

        Raises
        ------
        OptionError
            If a name is unknown or a value is refused.
        """
        if not isinstance(values, Mapping):
            raise OptionError(f"{cls.__name__} must be an object, got {values!r}")
        known = {field.name for field in dataclasses.fields(cast(Any, cls))}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionError(
                f"{cls.__name__} has no option {', '.join(unknown)};"
                f" it has {', '.join(sorted(known))}"
            )
        return cls(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        )


@dataclasses.dataclass(frozen=True)
class TableOptions(Options):
    """How daily tables are read.

    Attributes
    ----------
    period_s : int
        Sample period [s]. A stamp is the start of its period; stamps between are
        moved back to it.
    time_column : str
        Name of the time stamp column. Empty: the usual names are looked for.
    missing_numbers : tuple of float
        Numbers that stand for a missing value.
    missing_words : tuple of str
        Cells that stand for a missing value, beside the blank cell, NaN and inf.
    duplicates : {'refuse', 'first', 'last', 'mean'}
        What to do with rows that share a stamp and differ. Exact duplicates are
        always dropped and counted.
    """

    period_s: int = 60
    time_column: str = ""
    missing_numbers: tuple[float, ...] = (-999.0, -9999.0)
    missing_words: tuple[str, ...] = ("NA", "N/A", "null", "NULL", "None", "-")
    duplicates: Duplicates = "refuse"

    def __post_init__(self) -> None:
        _require(
            _is_whole(self.period_s)
            and self.period_s >= 1
            and DAY_S % self.period_s == 0,
            "period_s",
            "a whole number of seconds that divides a day",
            self.period_s,
        )
        _require(
            isinstance(self.time_column, str), "time_column", "text", self.time_column
        )
        _require(
            isinstance(self.missing_numbers, tuple)
            and all(map(_is_number, self.missing_numbers)),
            "missing_numbers",
            "a tuple of numbers",
            self.missing_numbers,
        )
        _require(
            _are_texts(self.missing_words),
            "missing_words",
            "a tuple of texts",
            self.missing_words,
        )
        _require_choice("duplicates", self.duplicates, Duplicates)

    @property
    def rows_per_day(self) -> int:
        """Number of grid rows in one UTC day."""
        return DAY_S // self.period_s


@dataclasses.dataclass(frozen=True)
class StackOptions(Options):
    """How the sensors' tables become one.

    Attributes
    ----------
    sensors : tuple of str
        Sensors to take, in this order. Empty: all, by name.
    join : {'outer', 'inner', 'left'}
        Rows to keep: minutes of any sensor, of all sensors, or of the first.
    max_gap_min : float
        Longest gap that is filled by interpolation [min]. 0 fills nothing.
    """

    sensors: tuple[str, ...] = ()
    join: Join = "outer"
    max_gap_min: float = 0.0

    def __post_init__(self) -> None:
        _require_choice("join", self.join, Join)
        _require_number(
            "max_gap_min",
            self.max_gap_min,
            "at least 0 and less than a day (1440)",
            lambda gap: 0 <= gap < 1440,
        )
        _require(_are_texts(self.sensors), "sensors", "a tuple of texts", self.sensors)
        _require(
            len(set(self.sensors)) == len(self.sensors),
            "sensors",
            "different from each other",
            self.sensors,
        )


@dataclasses.dataclass(frozen=True)
class ShardOptions(Options):
    """How rows are stored.

    Attributes
    ----------
    dtype : {'float32', 'float16', 'int16'}
        Stored type. int16 carries a scale and an offset per record and column.
    halo : int
        Rows of the successor repeated at the end of each shard [rows]. int16 repeats
        whole records, so that the same rows have the same codes.
    shard_mib : float
        Aimed size of a shard [MiB]. A shard holds whole days, at least one.
    record_kib : float
        Aimed size of a record [KiB]. A record never crosses a day or a gap.
    codec : {'none', 'zstd'}
        Compression of each record.
    """

    dtype: StorageDtype = "float32"
    halo: int = 0
    shard_mib: float = 128.0
    record_kib: float = 1024.0
    codec: Codec = "none"

    def __post_init__(self) -> None:
        _require_choice("dtype", self.dtype, StorageDtype)
        _require_choice("codec", self.codec, Codec)
        _require_whole("halo", self.halo, 0)
        _require_number("shard_mib", self.shard_mib, "more than 0", _positive)
        _require_number("record_kib", self.record_kib, "more than 0", _positive)


@dataclasses.dataclass(frozen=True)
class WindowOptions(Options):
    """Which rows make a window, and in what order windows come.

    Attributes
    ----------
    size : int
        Rows in a window [rows].
    stride : int
        Rows between the starts of neighbouring windows of a run [rows].
    batch_size : int
        Windows in a batch.
    shuffle : bool
        Whether the windows of an epoch come in a seeded random order.
    seed : int
        Seed of that order.
    drop_remainder : bool
        Whether a last, smaller batch is left out.
    min_observed : float
        Least share of a window's cells that were observed, neither missing nor filled,
        in [0, 1]. Windows with less are left out.
    """

    size: int = 64
    stride: int = 1
    batch_size: int = 32
    shuffle: bool = False
    seed: int = 0
    drop_remainder: bool = False
    min_observed: float = 0.0

    def __post_init__(self) -> None:
        _require_whole("size", self.size, 1)
        _require_whole("stride", self.stride, 1)
        _require_whole("batch_size", self.batch_size, 1)
        _require_whole("seed", self.seed, 0)
        _require(self.seed < 2**63, "seed", "less than 2**63", self.seed)
        _require_bool("shuffle", self.shuffle)
        _require_bool("drop_remainder", self.drop_remainder)
        _require_number(
            "min_observed",
            self.min_observed,
            "in [0, 1]",
            lambda share: 0 <= share <= 1,
        )


@dataclasses.dataclass(frozen=True)
class Share(Options):
    """One worker's part of every batch.

    Attributes
    ----------
    worker : int
        Number of the worker, in [0, workers).
    workers : int
        How many share the batches.
    """

    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        _require_whole("workers", self.workers, 1)
        _require_whole("worker", self.worker, 0)
        _require(
            self.worker < self.workers,
            "worker",
            f"less than workers ({self.workers})",
            self.worker,
        )


@dataclasses.dataclass(frozen=True)
class ModelOptions(Options):
    """The model: one that is trained, or a baseline to hold it against.

    Attributes
    ----------
    kind : {'residual', 'autoencoder', 'pretrained', 'pca', 'pca-rows', 'zscore', \
        'step', 'rcf', 'iforest'}
        What reproduces windows: principal components and a convolutional autoencoder
        of what they leave; a convolutional autoencoder alone; a decoder of what an
        encoder makes that was trained before; the principal components of whole
        windows, or of rows; each column's mean; the row before. Or what tells how soon
        a window is alone: a Random Cut Forest, or an isolation forest.
    components : int, optional
        Principal components. Left out: as many as explain 90 % of the variance, at
        most 32; of ``residual``, one for each column, at most 10.
    trees : int
        Trees of a forest.
    samples : int
        Windows that each tree of a forest is grown from, at least 2.
    filters : tuple of int
        Filters of each encoder level; the decoder mirrors them. Of ``pretrained`` those
        of the decoder, the last one's first; the encoder is as deep. These, the kernel
        and dropout are those of models alone that are trained.
    kernel : int
        Kernel of every convolution that is trained [rows], of ``autoencoder`` and
        ``pretrained`` in height and width [cells].
    dropout : float
        Share of bottleneck cells dropped while training, in [0, 1).
    output : {'sigmoid', 'linear'}
        Activation of the last layer of ``autoencoder`` and ``pretrained``. Sigmoid
        belongs to data scaled to [0, 1].
    encoder : str
        Encoder of ``pretrained``: ``vgg16``, or the folder of a model of the kind
        ``autoencoder``, as path or URL.
    encoder_weights : str
        File with the weights of ``vgg16``, as path or URL. Empty: where Keras
        Applications keeps it.
    fine_tune : bool
        Whether training changes the weights of the encoder, too.
    encoder_filters : tuple of int
        Filters of each level of an encoder that is a model. This and what follows are
        found where the encoder is read, and are no options.
    encoder_kernel : int
        Its kernel in height and width [cells]; 0 if nothing was read yet.
    encoder_digest : str
        Identity of the weights that were read; empty if none were.
    """

    kind: ModelKind = "residual"
    components: int | None = None
    trees: int = 100
    samples: int = 256
    filters: tuple[int, ...] = (16, 8, 8)
    kernel: int = 4
    dropout: float = 0.0
    output: Output = "sigmoid"
    encoder: str = VGG16
    encoder_weights: str = ""
    fine_tune: bool = False
    encoder_filters: tuple[int, ...] = ()
    encoder_kernel: int = 0
    encoder_digest: str = ""

    def __post_init__(self) -> None:
        _require_choice("kind", self.kind, ModelKind)
        if self.components is not None:
            _require_whole("components", self.components, 1)
        _require_whole("trees", self.trees, 1)
        _require_whole("samples", self.samples, 2)
        _require(
            _are_counts(self.filters) and len(self.filters) >= 1,
            "filters",
            "a tuple of one or more whole numbers of at least 1",
            self.filters,
        )
        _require_whole("kernel", self.kernel, 1)
        _require_number(
            "dropout", self.dropout, "in [0, 1)", lambda share: 0 <= share < 1
        )
        _require_choice("output", self.output, Output)
        self._check_encoder()
        self._refuse_what_others_take()

    def _check_encoder(self) -> None:
        _require(
            isinstance(self.encoder, str) and self.encoder != "",
            "encoder",
            f"{VGG16} or the folder of a model",
            self.encoder,
        )
        for name in ("encoder_weights", "encoder_digest"):
            value = getattr(self, name)
            _require(isinstance(value, str), name, "text", value)
        _require_bool("fine_tune", self.fine_tune)
        _require(
            _are_counts(self.encoder_filters),
            "encoder_filters",
            "a tuple of whole numbers of at least 1",
            self.encoder_filters,
        )
        _require_whole("encoder_kernel", self.encoder_kernel, 0)
        if self.kind != "pretrained":
            return
        if bool(self.encoder_filters) != bool(self.encoder_kernel):
            raise OptionError(
                "encoder_kernel must come with encoder_filters and not without, got"
                f" {self.encoder_kernel} with {self.encoder_filters!r}"
            )
        if self.encoder != VGG16 and self.encoder_weights:
            raise OptionError(
                f"encoder_weights must be left out with an encoder other than {VGG16},"
                f" which has its own, got {self.encoder_weights!r}"
            )
        levels = VGG16_BLOCKS if self.encoder == VGG16 else len(self.encoder_filters)
        if levels and len(self.filters) > levels:
            raise OptionError(
                f"filters must be at most {levels} numbers, one for each level of the"
                f" encoder {self.encoder}, got {self.filters!r}"
            )

    def _refuse_what_others_take(self) -> None:
        theirs = {"kind", *_OPTIONS_OF[self.kind]}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in theirs and value != field.default:
                raise OptionError(
                    f"{field.name} must be left out with the model {self.kind}, which"
                    f" has no such option, got {value!r}"
                )

    @property
    def is_fitted_at_once(self) -> bool:
        """Whether it is fitted without epochs."""
        return self.kind not in _EPOCHS

    @property
    def has_output(self) -> bool:
        """Whether its last layer has an activation to choose, for scaled values."""
        return "output" in _OPTIONS_OF[self.kind]

    def default_stride(self, size: int) -> int:
        """Tell how far apart windows to train on start if nothing else is said.

        Parameters
        ----------
        size : int
            Rows in a window.

        Returns
        -------
        int
            The window's size for ``autoencoder``, else an eighth of it [rows].
        """
        return size if self.kind == "autoencoder" else max(1, size // 8)

    def as_json(self) -> dict[str, Any]:
        """Return the fields that mean something for this kind, as plain JSON values.

        Returns
        -------
        dict
            Field names and values. An autoencoder's are those from before there were
            other kinds.
        """
        kind = {} if self.kind == "autoencoder" else {"kind": self.kind}
        values = super().as_json()
        return {**kind, **{name: values[name] for name in _OPTIONS_OF[self.kind]}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild the options from `as_json`.

        Parameters
        ----------
        values : mapping
            Field names and values. An output without a kind is an autoencoder's, of
            before there were other kinds.

        Returns
        -------
        ModelOptions
            As they were.

        Raises
        ------
        OptionError
            If a name is unknown or a value is refused.
        """
        if isinstance(values, Mapping) and "output" in values:
            values = {"kind": "autoencoder", **values}
        return super().from_json(values)


_OPTIONS_OF: dict[ModelKind, tuple[str, ...]] = {
    "residual": ("components", "filters", "kernel", "dropout"),
    "autoencoder": ("filters", "kernel", "dropout", "output"),
    "pretrained": (
        *("filters", "kernel", "dropout", "output"),
        *("encoder", "encoder_weights", "fine_tune"),
        *("encoder_filters", "encoder_kernel", "encoder_digest"),
    ),
    "pca": ("components",),
    "pca-rows": ("components",),
    "zscore": (),
    "step": (),
    "rcf": ("trees", "samples"),
    "iforest": ("trees", "samples"),
}


@dataclasses.dataclass(frozen=True)
class TrainOptions(Options):
    """How a model is fitted.

    Attributes
    ----------
    epochs : int, optional
        Most epochs to train; of trained models alone, like the learning rate and
        patience. Left out: 4 of ``autoencoder``, else 10.
    learning_rate : float
        Adam's step size.
    normalization : {'range', 'standard', 'robust'}, optional
        How columns are scaled, from statistics of the training days alone. Left out:
        by their range for ``autoencoder`` and ``pretrained``, else standard.
    validation : float
        Share of the rows held back at the end of the record, in (0, 1): in whole days,
        if there are two or more.
    patience : int
        Epochs without a better validation loss before training stops; 0 never stops.
    calibration_stride : int
        Stride at which the held-back days are scored for the threshold [rows].
    """

    epochs: int | None = None
    learning_rate: float = 1e-3
    normalization: NormalizationKind | None = None
    validation: float = 0.2
    patience: int = 3
    calibration_stride: int = 4

    def __post_init__(self) -> None:
        if self.epochs is not None:
            _require_whole("epochs", self.epochs, 1)
        _require_number("learning_rate", self.learning_rate, "more than 0", _positive)
        if self.normalization is not None:
            _require_choice("normalization", self.normalization, NormalizationKind)
        _require_number(
            "validation", self.validation, "in (0, 1)", lambda share: 0 < share < 1
        )
        _require_whole("patience", self.patience, 0)
        _require_whole("calibration_stride", self.calibration_stride, 1)

    def of(self, network: ModelOptions) -> TrainOptions:
        """Settle what depends on the model.

        Parameters
        ----------
        network : ModelOptions
            The model.

        Returns
        -------
        TrainOptions
            The same, with a normalization and, of a model that is trained, epochs.
        """
        scaling: NormalizationKind = "range" if network.has_output else "standard"
        return dataclasses.replace(
            self,
            normalization=self.normalization or scaling,
            epochs=self.epochs or _EPOCHS.get(network.kind),
        )


_EPOCHS: dict[ModelKind, int] = {"residual": 10, "autoencoder": 4, "pretrained": 10}


@dataclasses.dataclass(frozen=True)
class ForestOptions(Options):
    """How a Random Cut Forest is grown, here or by SageMaker's built-in algorithm.

    Attributes
    ----------
    trees : int
        Trees in the forest, from 50 to 1000 as the built-in algorithm takes them.
    samples : int
        Rows that each tree is grown from, from 3 to 2048.
    seed : int
        Seed of the rows' choice and of the cuts. The built-in algorithm has none.
    normalization : {'range', 'standard', 'robust'}
        How columns are scaled, from statistics of the training days alone.
    validation : float
        Share of the rows held back at the end of the record, in (0, 1): in whole days,
        if there are two or more.
    """

    trees: int = 50
    samples: int = 256
    seed: int = 0
    normalization: NormalizationKind = "range"
    validation: float = 0.2

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("trees", self.trees, 50, 1000),
            ("samples", self.samples, 3, 2048),
        ):
            rule = f"a whole number from {least} to {most}"
            _require(_is_whole(value) and least <= value <= most, name, rule, value)
        _require_whole("seed", self.seed, 0)
        _require(self.seed < 2**63, "seed", "less than 2**63", self.seed)
        _require_choice("normalization", self.normalization, NormalizationKind)
        _require_number(
            "validation", self.validation, "in (0, 1)", lambda share: 0 < share < 1
        )


def check_learning(network: ModelOptions, training: TrainOptions) -> None:
    """Refuse a model that cannot be fitted as is asked for.

    A sigmoid cannot reach the values of the standard normalisation, VGG16 was trained on
    images, whose values have ends, and what is fitted at once has neither epochs nor a
    step size.

    Parameters
    ----------
    network : ModelOptions
        The model.
    training : TrainOptions
        How it is fitted.

    Raises
    ------
    OptionError
        If they exclude each other.
    """
    if network.is_fitted_at_once:
        for name in ("epochs", "learning_rate", "patience"):
            value = getattr(training, name)
            if value != getattr(TrainOptions, name):
                raise OptionError(
                    f"{name} must be left out with the model {network.kind}, which is"
                    f" fitted at once, got {value!r}"
                )
    elif network.has_output and training.normalization == "standard":
        if network.output == "sigmoid":
            raise OptionError(
                "output must be linear with normalization standard, got sigmoid, whose"
                " values lie in [0, 1]; change either"
            )
        if network.kind == "pretrained" and network.encoder == VGG16:
            raise OptionError(
                f"normalization must be range or robust with the encoder {VGG16}, which"
                " knows images of values from 0 to 255, got standard"
            )


@dataclasses.dataclass(frozen=True)
class EventOptions(Options):
    """How scores become events.

    Attributes
    ----------
    threshold : str
        Rule: ``mean+2std``, ``quantile:0.999``, ``mad:6``, ``pot:1e-4``, ``alarms:1``,
        or a number.
    merge_gap_min : float
        Events at most this far apart are one [min].
    min_duration_min : float
        Shorter events are dropped [min].
    top_columns : int
        Columns to name for each event.
    prune : float
        Share by which a peak must exceed the next one for what is above to be kept, in
        [0, 1); 0 keeps all.
    """

    threshold: str = "mean+2std"
    merge_gap_min: float = 30.0
    min_duration_min: float = 1.0
    top_columns: int = 3
    prune: float = 0.0

    def __post_init__(self) -> None:
        _require(isinstance(self.threshold, str), "threshold", "text", self.threshold)
        _require_number(
            "merge_gap_min", self.merge_gap_min, "at least 0", _not_negative
        )
        _require_number(
            "min_duration_min", self.min_duration_min, "at least 0", _not_negative
        )
        _require_whole("top_columns", self.top_columns, 1)
        _require_number("prune", self.prune, "in [0, 1)", lambda share: 0 <= share < 1)
