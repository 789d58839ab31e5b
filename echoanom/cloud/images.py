"""Which container image a job or endpoint runs: AWS's own, by the version of TensorFlow."""

from __future__ import annotations

import logging
from typing import Literal

from echoanom.errors import MissingExtraError, OptionError

Scope = Literal["training", "inference"]

_PYTHONS = ("py311", "py312", "py313", "py314")


def image_uri(
    scope: Scope, version: str, region: str, instance_type: str, image: str = ""
) -> str:
    """Find the image.

    Parameters
    ----------
    scope : {'training', 'inference'}
        What it is for.
    version : str
        TensorFlow's version, e.g. ``2.21``.
    region : str
        Where it is to run.
    instance_type : str
        The machine: those with GPUs have images of their own.
    image : str
        The image itself, if it is known; then nothing is looked up.

    Returns
    -------
    str
        Its URI.

    Raises
    ------
    MissingExtraError
        If it must be looked up, and the SDK, which knows where, is not installed.
    OptionError
        If there is no such image, or its Python is too old for this package.
    """
    if image:
        return image
    try:
        from sagemaker.core import image_uris
    except ImportError:
        raise MissingExtraError(
            "an image by version, instead of --image URI,", "sagemaker"
        ) from None
    logger = logging.getLogger("sagemaker")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        found = str(
            image_uris.retrieve(
                "tensorflow",
                region,
                version=version,
                instance_type=instance_type,
                image_scope=scope,
            )
        )
    except ValueError as error:
        reason = " ".join(str(error).split())
        if len(reason) > 300:  # it lists all there are, the newest last
            reason = f"{reason[:120]}… {reason[-80:]}"
        raise OptionError(
            f"TensorFlow {version} must have an image for {scope} on {instance_type} in"
            f" {region}, but: {reason}"
        ) from None
    finally:
        logger.setLevel(level)
    if scope == "training" and not found.endswith(_PYTHONS):
        raise OptionError(
            "the image must bring Python 3.11 or newer, but that of TensorFlow"
            f" {version} is {found}; take 2.19 or newer"
        )
    return found
