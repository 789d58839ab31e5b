"""A training job of SageMaker's built-in Random Cut Forest, over exported rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from echoanom.cloud.channels import Channels
from echoanom.cloud.forestdata import ForestExport
from echoanom.cloud.joboptions import AccountOptions, MachineOptions
from echoanom.cloud.requests import Places, Request, training_request
from echoanom.errors import CloudError, MissingExtraError, OptionError
from echoanom.modeloptions import ForestOptions
from echoanom.protorecords import CONTENT_TYPE

METRICS = ("accuracy", "precision_recall_fscore")
"""What the algorithm can say of rows with labels."""

_LONGEST_SPOT_S = 3600
# The built-in algorithms have metrics of their own, and keep no checkpoints.
_NOT_FOR_BUILT_IN = ("CheckpointConfig", "TensorBoardOutputConfig")


def forest_image(region: str, image: str = "") -> str:
    """Find the algorithm's image.

    Parameters
    ----------
    region : str
        Where it is to run.
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
        If the region has none.
    """
    if image:
        return image
    try:
        from sagemaker.core import image_uris
    except ImportError:
        raise MissingExtraError(
            "the image of Random Cut Forest, instead of --image URI,", "sagemaker"
        ) from None
    logger = logging.getLogger("sagemaker")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        return str(image_uris.retrieve("randomcutforest", region))
    except ValueError:
        raise OptionError(
            "the region must be one in which AWS has Random Cut Forest, got"
            f" {region!r}; name its image with --image URI"
        ) from None
    finally:
        logger.setLevel(level)


def forest_request(
    export: ForestExport,
    places: Places,
    image: str,
    options: ForestOptions | None = None,
    machine: MachineOptions | None = None,
    account: AccountOptions | None = None,
    *,
    metrics: Sequence[str] = (),
) -> Request:
    """Make ``CreateTrainingJob``.

    Parameters
    ----------
    export : ForestExport
        The rows.
    places : Places
        The job's name, and the folder that gets its model.
    image : str
        The algorithm's image.
    options : ForestOptions, optional
        Trees, and rows of each. The algorithm has no seed.
    machine : MachineOptions, optional
        What it runs on. GPUs are of no use to it.
    account : AccountOptions, optional
        Role, network, keys and tags.
    metrics : sequence of str
        What is said of rows with labels: some of `METRICS`; all if left out.

    Returns
    -------
    dict
        The request.

    Raises
    ------
    OptionError
        If a metric is unknown, or asked for without labels.
    CloudError
        If there are more machines than objects, or spot instances may be waited for
        longer than SageMaker lets algorithms without checkpoints.
    """
    options, machine = options or ForestOptions(), machine or MachineOptions()
    _check_metrics(metrics, export)
    _check_machine(machine, export)
    inputs = [_channel("train", export.train_url, "ShardedByS3Key")]
    if export.test is not None:
        inputs.append(_channel("test", export.test_url, "FullyReplicated"))
    texts = {
        "feature_dim": str(export.columns),
        "num_trees": str(options.trees),
        "num_samples_per_tree": str(options.samples),
    }
    if metrics:
        texts["eval_metrics"] = json.dumps(list(metrics))
    channels = Channels(tuple(inputs), {})
    request = training_request(
        places, image, texts, channels, machine, account or AccountOptions()
    )
    request["AlgorithmSpecification"] = {
        "TrainingImage": image,
        "TrainingInputMode": "File",
    }
    return {
        name: value for name, value in request.items() if name not in _NOT_FOR_BUILT_IN
    }


def _channel(name: str, url: str, distribution: str) -> Request:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": url,
        "S3DataDistributionType": distribution,
    }
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": source},
        "ContentType": CONTENT_TYPE,
        "InputMode": "File",
        "CompressionType": "None",
        "RecordWrapperType": "None",  # the objects are RecordIO already
    }


def _check_metrics(metrics: Sequence[str], export: ForestExport) -> None:
    for metric in metrics:
        if metric not in METRICS:
            raise OptionError(
                f"metrics must be some of {', '.join(METRICS)}, got {metric!r}"
            )
    if metrics and export.test is None:
        raise OptionError(
            f"metrics ({', '.join(metrics)}) must come with labels to test against, but"
            f" {export.path} has none; export with labels"
        )


def _check_machine(machine: MachineOptions, export: ForestExport) -> None:
    if machine.instance_count > export.train.objects:
        raise CloudError(
            "there must be at least one object for each machine, but"
            f" {export.train_url} has {export.train.objects}, one a day, for"
            f" {machine.instance_count} machines; take fewer"
        )
    wait = machine.max_wait_s or 2 * machine.max_runtime_s
    if machine.spot and wait > _LONGEST_SPOT_S:
        raise CloudError(
            "a built-in algorithm without checkpoints may wait for spot instances and"
            f" run for at most {_LONGEST_SPOT_S} s in all, got {wait} s; lower both"
            " limits, or run without spot"
        )
