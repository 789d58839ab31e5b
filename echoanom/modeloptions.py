"""Which model, and how it is fitted.

Every object checks itself when it is made, and turns to and from plain JSON values, to
be stored with the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self

from echoanom.checking import (
    Options,
    are_counts,
    require,
    require_bool,
    require_choice,
    require_more_than_0,
    require_number,
    require_whole,
)
from echoanom.errors import OptionError

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

VGG16 = "vgg16"
"""The encoder that Keras Applications publishes weights of."""
VGG16_BLOCKS = 5


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
        require_choice(self, "kind", ModelKind)
        if self.components is not None:
            require_whole(self, "components", 1)
        require_whole(self, "trees", 1)
        require_whole(self, "samples", 2)
        require(
            are_counts(self.filters) and len(self.filters) >= 1,
            self,
            "filters",
            "a tuple of one or more whole numbers of at least 1",
        )
        require_whole(self, "kernel", 1)
        require_number(self, "dropout", "in [0, 1)", lambda share: 0 <= share < 1)
        require_choice(self, "output", Output)
        self._check_encoder()
        self._refuse_what_others_take()

    def _check_encoder(self) -> None:
        require(
            isinstance(self.encoder, str) and self.encoder != "",
            self,
            "encoder",
            f"{VGG16} or the folder of a model",
        )
        for name in ("encoder_weights", "encoder_digest"):
            require(isinstance(getattr(self, name), str), self, name, "text")
        require_bool(self, "fine_tune")
        require(
            are_counts(self.encoder_filters),
            self,
            "encoder_filters",
            "a tuple of whole numbers of at least 1",
        )
        require_whole(self, "encoder_kernel", 0)
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
            require_whole(self, "epochs", 1)
        require_more_than_0(self, "learning_rate")
        if self.normalization is not None:
            require_choice(self, "normalization", NormalizationKind)
        require_number(self, "validation", "in (0, 1)", lambda share: 0 < share < 1)
        require_whole(self, "patience", 0)
        require_whole(self, "calibration_stride", 1)

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
        require_whole(self, "trees", 50, 1000)
        require_whole(self, "samples", 3, 2048)
        require_whole(self, "seed", 0, 2**63 - 1)
        require_choice(self, "normalization", NormalizationKind)
        require_number(self, "validation", "in (0, 1)", lambda share: 0 < share < 1)


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
