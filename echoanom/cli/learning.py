"""The options of every command that trains: windows, network, and how it is fitted."""

from __future__ import annotations

from typing import Any

import click

from echoanom.cli.parameters import Decorator, Flag, options_object
from echoanom.modeloptions import ModelOptions, TrainOptions
from echoanom.options import WindowOptions

_KINDS = {
    "kind": Flag(
        "--model-kind",
        "What reproduces windows: principal components and convolutions for what they"
        " leave; a convolutional autoencoder alone; a decoder of what an encoder makes"
        " that was trained before; the principal components of windows, or of rows; each"
        " column's mean; the row before. Or what tells how soon a window is alone: a"
        " Random Cut Forest, an isolation forest.",
    ),
    "components": Flag(
        "--components",
        "Principal components of residual, pca and pca-rows.",
        default="one a column, at most 10; of pca, 90 % of the variance, at most 32",
    ),
    "trees": Flag("--trees", "Trees of rcf and iforest."),
    "samples": Flag("--samples", "Windows that each tree is grown from."),
    "encoder": Flag(
        "--encoder",
        "Encoder of pretrained: vgg16, or the folder of a model of the kind autoencoder.",
        metavar="vgg16|DIR",
    ),
    "encoder_weights": Flag(
        "--encoder-weights",
        "Weights of vgg16, as Keras saves them. Nothing is downloaded.",
        metavar="H5",
        default="where Keras Applications keeps them",
    ),
    "fine_tune": Flag("--fine-tune", "Change the encoder's weights in training, too."),
}


def learning_options(
    activation: str = "--output", *, baselines: bool = True
) -> Decorator[Any]:
    """Give a command the options of a training.

    Parameters
    ----------
    activation : str
        The flag for the last layer's activation.
    baselines : bool
        Whether other models than the autoencoder can be chosen.

    Returns
    -------
    decorator
        Adds the parameters `window`, `stride`, `training` and `network`.
    """
    options: tuple[Any, ...] = (
        options_object(
            WindowOptions,
            "window",
            size=Flag("--window", "Rows in a window.", metavar="ROWS"),
            batch_size=Flag("--batch-size", "Windows in a batch."),
            seed=Flag("--seed", "Seed of the windows' order and of the first weights."),
            min_observed=Flag(
                "--min-observed",
                "Least share of a window's cells that were observed; others are left out.",
            ),
        ),
        click.option(
            "--stride",
            type=click.IntRange(min=1),
            metavar="ROWS",
            show_default=(
                "an eighth of the window; all of it of autoencoder"
                if baselines
                else "the window's length"
            ),
            help="Rows from the start of one window to that of the next.",
        ),
        options_object(
            TrainOptions,
            "training",
            epochs=Flag(
                "--epochs",
                "Most epochs to train.",
                default="10; 4 of autoencoder" if baselines else "4",
            ),
            learning_rate=Flag("--learning-rate", "Step size of the optimizer, Adam."),
            normalization=Flag(
                "--normalization",
                "How columns are scaled, from statistics of the training days alone: to [0, 1]"
                " over their range, to mean 0 and deviation 1, or to [0, 1] over the middle"
                " 99 %.",
                default="standard; range of autoencoder and pretrained"
                if baselines
                else "range",
            ),
            validation=Flag(
                "--validation",
                "Share of the days held back at the end, for early stopping and the threshold.",
            ),
            patience=Flag(
                "--patience",
                "Epochs without a better validation loss before training stops; 0: never.",
            ),
            calibration_stride=Flag(
                "--calibration-stride",
                "Stride at which the held-back days are scored for the threshold.",
                metavar="ROWS",
            ),
        ),
        options_object(
            ModelOptions,
            "network",
            None if baselines else {"kind": "autoencoder"},
            **(_KINDS if baselines else {}),
            filters=Flag(
                "--filters",
                "Filters of each encoder level; the decoder mirrors them."
                + (" Of pretrained those of the decoder alone." if baselines else ""),
            ),
            kernel=Flag(
                "--kernel",
                "Rows of every convolution; of autoencoder and pretrained also its"
                " columns."
                if baselines
                else "Height and width of every convolution [cells].",
            ),
            dropout=Flag(
                "--dropout", "Share of bottleneck cells dropped while training."
            ),
            output=Flag(
                activation,
                "Activation of the last layer"
                + (" of autoencoder and pretrained" if baselines else "")
                + "; sigmoid fits data in [0, 1].",
            ),
        ),
    )

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
