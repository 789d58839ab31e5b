"""The options of a training job, out of the texts that SageMaker hands over."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from echoanom.checking import (
    Options,
    require_choice,
    require_more_than_0,
    require_whole,
)
from echoanom.errors import OptionError
from echoanom.modeloptions import ModelOptions, TrainOptions, check_learning
from echoanom.options import WindowOptions
from echoanom.streaming import POOL_WINDOWS

ObjectOrder = Literal["listed", "shuffled"]

# The launchers' own, and what they add for themselves.
_THEIRS = ("sagemaker_", "model_dir")


@dataclasses.dataclass(frozen=True)
class JobOptions(Options):
    """What a training job needs to know beside the training's own options.

    Attributes
    ----------
    dataset : str
        Path or URL of the dataset, for the record.
    dataset_version : str
        The version of the dataset that the job was made for, as `Dataset.digest`.
        Empty: whichever comes.
    object_order : {'listed', 'shuffled'}
        Whether Pipe mode streams shards in the order of their names, or shuffled.
    pool_windows : int
        Windows that the pool has room for from which a stream's shuffled ones are
        drawn.
    pipe_timeout : float
        Longest time in which a pipe may not exist, or nothing may come from it [s].
    checkpoint_every : int
        Batches after which the state is stored, beside after each epoch; 0: never.
    port : int
        Where hosts of one job listen for each other.
    """

    dataset: str = ""
    dataset_version: str = ""
    object_order: ObjectOrder = "listed"
    pool_windows: int = POOL_WINDOWS
    pipe_timeout: float = 600.0
    checkpoint_every: int = 100
    port: int = 7777

    def __post_init__(self) -> None:
        require_whole(self, "pool_windows", 1)
        require_whole(self, "checkpoint_every", 0)
        require_whole(self, "port", 1, 65_535)
        require_more_than_0(self, "pipe_timeout")
        require_choice(self, "object_order", ObjectOrder)


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """All options of a training job.

    Attributes
    ----------
    window : WindowOptions
        Windows to learn from; shuffled, and every 64 rows one of 64, if nothing is
        said.
    network : ModelOptions
        The network.
    training : TrainOptions
        How it is fitted.
    job : JobOptions
        The rest.
    """

    window: WindowOptions
    network: ModelOptions
    training: TrainOptions
    job: JobOptions

    def __post_init__(self) -> None:
        if self.network.kind != "autoencoder":
            raise OptionError(
                "kind must be autoencoder in a training job, got"
                f" {self.network.kind!r}; fit it with `echoanom train`"
            )
        object.__setattr__(self, "training", self.training.of(self.network))
        check_learning(self.network, self.training)


_RENAMED = {"size": "window"}
_NOT_OFFERED = {
    *("drop_remainder", "kind", "components", "encoder", "encoder_weights"),
    *("fine_tune", "encoder_filters", "encoder_kernel", "encoder_digest"),
}


def _table() -> dict[str, tuple[str, str, Any]]:
    """Map each hyperparameter's name to its object, its field and its type."""
    table = {}
    for attribute, cls in typing.get_type_hints(Hyperparameters).items():
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.name not in _NOT_OFFERED:
                name = _RENAMED.get(field.name, field.name).replace("_", "-")
                table[name] = (attribute, field.name, hints[field.name])
    return table


_TABLE = _table()

NAMES = tuple(_TABLE)
"""Every hyperparameter that a job takes."""


def parse_hyperparameters(texts: Mapping[str, Any]) -> Hyperparameters:
    """Turn hyperparameters into options.

    Parameters
    ----------
    texts : mapping
        Names, with hyphens or underscores, and values as texts, plain or as JSON, as
        the launchers of the SDK's generations write them.

    Returns
    -------
    Hyperparameters
        Checked; what is not said has its default.

    Raises
    ------
    OptionError
        If a name is unknown, a text is not what its option takes, or options exclude
        each other.
    """
    values: dict[str, dict[str, Any]] = {
        "window": {"shuffle": True},
        "network": {},
        "training": {},
        "job": {},
    }
    for given, text in texts.items():
        if given.startswith(_THEIRS):
            continue
        name = given.replace("_", "-")
        if name not in _TABLE:
            raise OptionError(
                f"a hyperparameter must be one of {', '.join(sorted(NAMES))}, got"
                f" {given!r}"
            )
        attribute, field, hint = _TABLE[name]
        values[attribute][field] = _parse(name, _plain(text), hint)
    if "stride" not in values["window"]:
        values["window"]["stride"] = values["window"].get("size", WindowOptions.size)
    return Hyperparameters(
        window=WindowOptions(**values["window"]),
        network=ModelOptions(kind="autoencoder", **values["network"]),
        training=TrainOptions(**values["training"]),
        job=JobOptions(**values["job"]),
    )


def as_texts(options: Hyperparameters) -> dict[str, str]:
    """Turn options into hyperparameters.

    Parameters
    ----------
    options : Hyperparameters
        The options.

    Returns
    -------
    dict
        Every name with its text, which `parse_hyperparameters` takes back.
    """
    texts = {}
    for name, (attribute, field, _) in _TABLE.items():
        value = getattr(getattr(options, attribute), field)
        if isinstance(value, bool):
            texts[name] = "true" if value else "false"
        elif isinstance(value, tuple):
            texts[name] = ",".join(map(str, value))
        else:
            texts[name] = str(value)
    return texts


def _plain(text: Any) -> str:
    """Return the text inside of a JSON text, and any other value as a text."""
    if isinstance(text, str):
        if not (text.startswith('"') and text.endswith('"') and len(text) > 1):
            return text.strip()
        try:
            text = json.loads(text)
        except ValueError:
            return str(text).strip()
    if isinstance(text, list | tuple):
        return ",".join(map(str, text))
    if isinstance(text, bool):
        return "true" if text else "false"
    return str(text).strip()


def _parse(name: str, text: str, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if isinstance(hint, types.UnionType):
        (hint,) = (one for one in typing.get_args(hint) if one is not type(None))
    if hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise OptionError(f"{name} must be true or false, got {text!r}")
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        parts = text.strip("[]()").split(",")
        return tuple(_number(name, part.strip(), inner) for part in parts if part)
    if hint in (int, float):
        return _number(name, text, hint)
    return text  # the options check which texts there are


def _number(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise OptionError(f"{name} must be {what}, got {text!r}") from None
