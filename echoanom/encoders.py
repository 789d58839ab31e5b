"""Read encoders that were trained before: published weights, or a model of echoanom's.

Nothing is downloaded. What is read is checked before it is used: the file of Keras
Applications by its published hash, every file by names, shapes and finite numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
import warnings

import numpy as np
import xxhash

from echoanom import storage
from echoanom.artifact import load_artifact
from echoanom.errors import ArtifactError, EncoderError, OptionError
from echoanom.modeloptions import VGG16, ModelOptions, TrainOptions
from echoanom.pretrained import (
    Weights,
    build_encoder,
    encoder_weights,
)

# As keras.applications.VGG16(include_top=False) names the file, and checks it.
PUBLISHED = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
PUBLISHED_MD5 = "6d6bbae143d832006294945121d1f1fc"

_DOWNLOAD = (
    'python -c "import keras; keras.applications.VGG16(include_top=False)" downloads it'
)


def read_encoder(
    network: ModelOptions, training: TrainOptions
) -> tuple[ModelOptions, Weights]:
    """Read the encoder that a network of the kind ``pretrained`` is built around.

    Parameters
    ----------
    network : ModelOptions
        The network.
    training : TrainOptions
        How it is fitted, its normalization settled.

    Returns
    -------
    network : ModelOptions
        The same, with the encoder's filters, kernel and digest: enough to build it again
        without the encoder.
    weights : tuple of ndarray
        Kernels and biases of the encoder's convolutions.

    Raises
    ------
    EncoderError
        If there is no such encoder, or its file is not what it has to be.
    OptionError
        If it does not fit the other options.
    StorageError
        If a file cannot be read.
    """
    if network.encoder == VGG16:
        weights = _read_vgg16(network)
    else:
        network, weights = _read_model(network, training)
    digest = xxhash.xxh3_128()
    for array in weights:
        digest.update(np.ascontiguousarray(array).tobytes())
    return dataclasses.replace(network, encoder_digest=digest.hexdigest()), weights


def published_file() -> str:
    """Say where Keras Applications keeps the weights of VGG16.

    Returns
    -------
    str
        The path, in the folder that the variable KERAS_HOME names, or else in
        ``~/.keras``. It need not exist.
    """
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    return os.path.join(home, "models", PUBLISHED)


def _read_vgg16(network: ModelOptions) -> Weights:
    path = network.encoder_weights or published_file()
    if not storage.exists(path):
        raise EncoderError(
            f"{path}: must be a file with the weights of {VGG16}, but does not exist;"
            f" {_DOWNLOAD}, or name another with --encoder-weights"
        )
    if not path.endswith(".h5"):
        raise EncoderError(
            f"{path}: must be a file as Keras saves weights, named .h5 or .weights.h5"
        )
    content = storage.read_bytes(path)
    if not network.encoder_weights:
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != PUBLISHED_MD5:
            raise EncoderError(
                f"{path}: must be what Keras Applications publishes, of MD5"
                f" {PUBLISHED_MD5}, but has {found}; remove it and get it again:"
                f" {_DOWNLOAD}"
            )
    return _parse(content, path, network)


def _parse(content: bytes, path: str, network: ModelOptions) -> Weights:
    encoder = build_encoder(network)
    # Some of Keras' readers skip what they do not find. That must not stay random.
    blank = [np.full_like(array, np.nan) for array in encoder.get_weights()]
    encoder.set_weights(blank)
    new = path.endswith(".weights.h5")
    with tempfile.TemporaryDirectory(prefix="echoanom-") as folder:
        local = os.path.join(folder, "encoder.weights.h5" if new else "encoder.h5")
        with open(local, "wb") as file:
            file.write(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # By name, later blocks and the top of the full VGG16 are left out. The
                # newer format counts layers, and what comes later does not matter.
                encoder.load_weights(local, **({} if new else {"by_name": True}))
        except Exception as error:
            raise _unfit(path, network, " ".join(str(error).split())) from None
    weights = encoder_weights(encoder, network)
    if not all(np.isfinite(array).all() for array in weights):
        raise _unfit(path, network, "some are not there, or are no finite numbers")
    return weights


def _unfit(path: str, network: ModelOptions, why: str) -> EncoderError:
    return EncoderError(
        f"{path}: must hold the first {len(network.filters)} blocks of {VGG16}, as Keras"
        f" saves them, but does not: {why}; get it again, or take fewer filters"
    )


def _read_model(
    network: ModelOptions, training: TrainOptions
) -> tuple[ModelOptions, Weights]:
    try:
        artifact = load_artifact(network.encoder)
    except ArtifactError as error:
        raise EncoderError(f"an encoder must be {VGG16} or a model: {error}") from None
    theirs = artifact.network
    if theirs.kind != "autoencoder":
        raise EncoderError(
            f"{network.encoder}: must be a model of the kind autoencoder to be an"
            f" encoder, but is of the kind {theirs.kind}; train one with --model-kind"
            " autoencoder"
        )
    if artifact.normalization.kind != training.normalization:
        raise OptionError(
            f"normalization must be {artifact.normalization.kind}, as of the encoder"
            f" {network.encoder}, got {training.normalization}"
        )
    network = dataclasses.replace(
        network, encoder_filters=theirs.filters, encoder_kernel=theirs.kernel
    )
    return network, encoder_weights(artifact.model, network)
